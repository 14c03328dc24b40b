"""Ray itself: loaded when it is asked for, told to report nothing to anybody, and its errors in our words."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from deepsport.errors import ExecutorError


class LostError(Exception):
    """A worker or a host is gone, and what ran on it with it."""


def ray() -> Any:
    """The module. Raises ExecutorError if it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray as library
    except ModuleNotFoundError as error:
        raise ExecutorError(
            f"--executor ray needs Ray ({error.name} is missing). Install it with `pip install 'deepsport[scale]'` on every host."
        ) from None
    return library


@contextmanager
def ray_errors(what: str) -> Generator[None]:
    """Raises LostError where it helps to try again, and ExecutorError where it does not. A bug in what ran there stays one,
    with a note of where."""
    errors = ray().exceptions
    lost = (errors.WorkerCrashedError, errors.NodeDiedError, errors.ObjectLostError, errors.OutOfMemoryError)
    try:
        yield
    except errors.RayTaskError as error:
        error.add_note(f"in {what}")
        raise
    except lost as error:
        raise LostError(f"{type(error).__name__}: {_first_line(error)}") from error
    except errors.RayError as error:
        raise ExecutorError(f"Ray could not run {what} ({type(error).__name__}: {_first_line(error)}). Run it again.") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")
