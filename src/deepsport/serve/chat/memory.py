"""Memory that is free in this process goes back to the system.

Batches of ever other sizes, in several threads, leave gaps that glibc keeps: a server that runs for long would hold the peaks of
all of them together. Elsewhere than with glibc nothing happens.
"""

import ctypes
from functools import cache

EVERY = 32
"""Requests after which it is done; it takes some milliseconds."""


def give_back() -> None:
    """Returns what is free."""
    if trim := _trim():
        trim(0)


@cache
def _trim() -> "ctypes._NamedFuncPointer | None":  # pyright: ignore[reportPrivateUsage] (a function of C has no public name)
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None
