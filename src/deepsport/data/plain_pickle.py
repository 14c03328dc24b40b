"""Reading pickles that nobody vouches for, without unpickling: a small stack machine over their opcodes.

Nothing that a pickle names is ever looked up, imported or called. The machine knows tuples, lists, dicts, strings, bytes,
numbers, None and booleans, and the names by which numpy writes a scalar, whose bytes it decodes itself; it refuses any other.
Keys are scalars or flat tuples of them: nested ones can be made to take for ever to hash.
"""

import pickletools
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeGuard

from deepsport.data.pickled_scalar import NAMES, Name, is_row, is_table, made, set_state
from deepsport.errors import BadAnnotation

LARGEST_FILE = 64 * 2**20
"""Bytes."""

_PASSED = frozenset({"PROTO", "FRAME", "STOP"})
_NUMBERS = frozenset({"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"})
_WORDS = frozenset({"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"})
_PUSHED = _NUMBERS | _WORDS | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
_MADE: dict[str, Callable[[], object]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}


def plain_pickle(path: Path) -> object:
    """The value of a pickle. Raises BadAnnotation for one that names anything but numpy scalars, is broken or too large."""
    machine = _Machine(path)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"it has over {LARGEST_FILE:,} bytes")
        for opcode, argument, _ in pickletools.genops(path.read_bytes()):
            machine.step(opcode.name, argument)
        return machine.pop()
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, struct.error) as error:
        if isinstance(error, BadAnnotation):
            raise
        raise BadAnnotation(
            f"{path} cannot be read as a plain pickle: {error}. Download it again, or name another file."
        ) from error


def _is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)


class _Machine:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack: list[object] = []
        self._marks: list[int] = []
        """How high the stack was at each."""
        self._memo: dict[object, object] = {}

    def pop(self) -> object:
        """The value on top. Raises IndexError if there is none."""
        return self._stack.pop()

    def step(self, name: str, argument: object) -> None:
        """Obeys one opcode. Raises BadAnnotation for a name that is not known, ValueError or LookupError for what is broken."""
        if name in _PASSED:
            return
        if name in _PUSHED:
            self._stack.append(argument)
        elif name in _MADE:
            self._stack.append(_MADE[name]())
        elif name.endswith(("PUT", "MEMOIZE")):
            self._memo[len(self._memo) if name == "MEMOIZE" else argument] = self._stack[-1]
        elif name.endswith("GET"):
            self._stack.append(self._memo[argument])
        else:
            self._gather(name, argument)

    def _gather(self, name: str, argument: object) -> None:
        """The opcodes that take values off the stack."""
        match name:
            case "MARK":
                self._marks.append(len(self._stack))
            case "TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
                self._stack.append(tuple(self._last(name.removeprefix("TUPLE"))))
            case "LIST":
                self._stack.append(self._last(""))
            case "DICT":
                self._stack.append(_set({}, self._last("")))
            case "APPEND" | "APPENDS":
                items = self._last("1" if name == "APPEND" else "")
                _extend(self._stack[-1], items)
            case "SETITEM" | "SETITEMS":
                pairs = self._last("2" if name == "SETITEM" else "")
                _set(self._stack[-1], pairs)
            case "GLOBAL":
                self._stack.append(self._named(argument))
            case "STACK_GLOBAL":
                module, attribute = self._last("2")
                whole = isinstance(module, str) and isinstance(attribute, str)
                self._stack.append(self._named(f"{module} {attribute}" if whole else None))
            case "REDUCE":
                self._stack.append(made(*self._last("2")))
            case "BUILD":
                set_state(self._stack[-2], self.pop())
            case _:
                raise ValueError(f"it holds more than plain values (opcode {name})")

    def _named(self, name: object) -> Name:
        if isinstance(name, str) and name in NAMES:
            return Name(NAMES[name])
        raise BadAnnotation(
            f"{self._path} names {str(name).replace(' ', '.')!r}, which could run code; nothing was run. "
            "A genuine file holds numbers and words only: download it again from its authors."
        )

    def _last(self, count: str) -> list[object]:
        """Takes so many values off, or those since the last mark."""
        start = len(self._stack) - int(count) if count else self._marks.pop()
        if start < 0:
            raise ValueError("it takes more values than there are")
        taken = self._stack[start:]
        del self._stack[start:]
        return taken


def _extend(target: object, items: list[object]) -> None:
    if not _is_list(target):
        raise ValueError("it adds items to what is no list")
    target.extend(items)


def _set(target: object, pairs: list[object]) -> object:
    if not is_table(target) or len(pairs) % 2:
        raise ValueError("it adds items to what is no dict")
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        if not all(part is None or isinstance(part, int | float | str | bytes) for part in _parts(key)):
            raise ValueError("a key is neither a scalar nor a tuple of scalars")
        target[key] = value
    return target


def _parts(key: object) -> Sequence[object]:
    return key if is_row(key) else (key,)
