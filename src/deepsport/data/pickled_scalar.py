"""Numpy scalars as a pickle writes them, decoded without numpy: what the few names that `plain_pickle` knows come to."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

NAMES = {
    "numpy.core.multiarray scalar": "scalar",
    "numpy._core.multiarray scalar": "scalar",
    "numpy dtype": "dtype",
    "_codecs encode": "bytes",  # how Python 3 writes bytes in protocol 2
}
_FLOATS = {"b1": "?", "f2": "e", "f4": "f", "f8": "d"}
_FORMATS = _FLOATS | {"i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q"}


@dataclass(frozen=True, slots=True)
class Name:
    """A name that a pickle may hold."""

    means: str


@dataclass(slots=True)
class _DType:
    """The type of a numpy scalar; its byte order is set after it was made."""

    code: str
    order: str = "<"


def is_table(value: object) -> TypeGuard[dict[object, object]]:
    """Whether a value is a dict."""
    return isinstance(value, dict)


def is_row(value: object) -> TypeGuard[Sequence[object]]:
    """Whether a value is a list or a tuple."""
    return isinstance(value, list | tuple)


def made(made_by: object, arguments: object) -> object:
    """What calling a known name would give. Raises ValueError, LookupError or struct.error."""
    means = made_by.means if isinstance(made_by, Name) else ""
    match means, *(arguments if is_row(arguments) else ()):
        case "dtype", str(code), _, _:
            return _DType(code)
        case "bytes", str(text), "latin1":
            return text.encode("latin-1")
        case "scalar", _DType() as kind, bytes(packed):
            return _scalar(kind, packed)
        case "scalar", _DType() as kind, str(packed):  # Python 2 wrote bytes as a string
            return _scalar(kind, packed.encode("latin-1"))
        case _:
            raise ValueError("it makes something that is no numpy scalar")


def _scalar(kind: _DType, packed: bytes) -> object:
    big = kind.order == ">"
    if kind.code.startswith("U"):
        return packed.decode("utf-32-be" if big else "utf-32-le").rstrip("\0")
    [value] = struct.unpack((">" if big else "<") + _FORMATS[kind.code], packed)
    return value


def set_state(kind: object, state: object) -> None:
    """Sets the byte order of a numpy type; no other state is known. Raises ValueError."""
    order = state[1] if is_row(state) and len(state) > 1 else None
    if not isinstance(kind, _DType) or not isinstance(order, str):
        raise ValueError("it sets the state of something that is no numpy type")
    kind.order = order
