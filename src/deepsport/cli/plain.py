"""What strangers wrote, made safe for a terminal; and faults as one line instead of a traceback.

File names, model replies and server messages may hold escape sequences that move the cursor or retitle the window. Faults
that the reader can mend, a full disk among them, are printed as what, where and what to do, with exit code 2; a bug keeps its
traceback.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import NoReturn

import typer

from deepsport.errors import DeepSportError

_EXTRAS = {
    "pyarrow": "data",
    "torch": "train",
    "transformers": "train",
    "peft": "train",
    "matplotlib": "report",
    "pandas": "pandas",
    "fastapi": "serve",
    "uvicorn": "serve",
    "prometheus_client": "serve",
}
"""Packages that an installation may do without, and the extra that brings each."""


def plain(text: str) -> str:
    """The text with line breaks kept and every other unprintable character replaced."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


@contextmanager
def plain_errors() -> Generator[None]:
    """Ends the command with exit code 2 and one line on stderr for faults that the package or the file system names."""
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of our output has left; typer ends quietly
    except ModuleNotFoundError as error:
        if error.name not in _EXTRAS:
            raise
        fail(f"this needs {error.name}, which is not installed: pip install 'deepsport[{_EXTRAS[error.name]}]'")
    except (DeepSportError, OSError) as error:
        fail(str(error))


def fail(message: str) -> NoReturn:
    """Prints one line on stderr and ends the command with exit code 2."""
    typer.echo(f"deepsport: {plain(message)}", err=True)
    raise typer.Exit(2)
