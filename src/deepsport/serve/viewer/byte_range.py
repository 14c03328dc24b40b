"""A part of a file, as a browser asks for it when somebody jumps in a video (RFC 9110, 14).

One range is served; of several ranges, or one in a unit that nobody knows, the whole file, as the RFC allows.
"""

import re
from typing import NamedTuple

_ONE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class Span(NamedTuple):
    """Bytes from `start` up to `stop`, that one excluded."""

    start: int
    stop: int


class UnsatisfiableError(ValueError):
    """A range that lies outside the file."""


def span_of(header: str | None, size: int) -> Span | None:
    """The span that a Range header asks for; None for the whole file. Raises UnsatisfiableError."""
    asked = _ONE.fullmatch((header or "").replace(" ", ""))
    if asked is None or asked[1] == asked[2] == "":
        return None
    if not asked[1]:  # the last so many bytes
        if int(asked[2]) == 0:
            raise UnsatisfiableError
        return Span(max(0, size - int(asked[2])), size)
    start, last = int(asked[1]), int(asked[2] or size - 1)
    if asked[2] and last < start:
        return None  # no range at all: it is to be ignored
    if start >= size:
        raise UnsatisfiableError
    return Span(start, min(last + 1, size))
