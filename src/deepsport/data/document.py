"""Reading one whole JSON object from a file that nobody vouches for.

Some sources publish an object instead of an array, so that it has to be read at once; how large it may be is bounded. Text is
UTF-8 with or without a byte order mark, or UTF-16 with one.
"""

import codecs
import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Never, TextIO, TypeGuard

from pydantic import JsonValue

from deepsport.errors import BadAnnotation

LONGEST_DOCUMENT = 256 * 2**20
"""Characters."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def json_document(path: Path) -> dict[str, JsonValue]:
    """The object that a file holds. Raises BadAnnotation if it holds anything else, or more than LONGEST_DOCUMENT."""
    with told_where(path, "a JSON object"), open_text(path) as file:
        text = file.read(LONGEST_DOCUMENT + 1)
        if len(text) > LONGEST_DOCUMENT:
            raise ValueError(f"it has over {LONGEST_DOCUMENT:,} characters")
        document = json_value(text)
        if not is_object(document):
            raise ValueError(f"it begins with {text.lstrip()[:20]!r}, not with '{{'")
        return document


def json_value(text: str) -> JsonValue:
    """What a JSON text says; NaN and Infinity are not JSON. Raises ValueError or RecursionError.

    Half a surrogate pair, which JSON can spell but no file can hold, becomes a question mark."""
    return storable(json.loads(text, parse_constant=refuse_constant), text)


def storable(value: JsonValue, text: str) -> JsonValue:
    """The value that a text spells, without half surrogate pairs."""
    if not _SURROGATE.search(text):
        return value
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def is_object(value: JsonValue) -> TypeGuard[dict[str, JsonValue]]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


def open_text(path: Path, *, newline: str | None = None, errors: str = "strict") -> TextIO:
    """A file as text, by its byte order mark if it has one. Raises OSError."""
    with path.open("rb") as file:
        start = file.read(2)
    utf16 = start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return path.open(encoding="utf-16" if utf16 else "utf-8-sig", newline=newline, errors=errors)


@contextmanager
def told_where(path: Path, shape: str, remedy: str = "Download it again, or name another file.") -> Generator[None]:
    """Turns what reading a file may raise into a BadAnnotation that names the file and the shape it should have."""
    try:
        yield
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, BadAnnotation):
            raise
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise BadAnnotation(f"{path} cannot be read as {shape}: {reason}. {remedy}") from error


def refuse_constant(constant: str) -> Never:
    """For a decoder's `parse_constant`."""
    raise ValueError(f"{constant} is not a number of JSON")
