"""Reading annotation files that nobody vouches for: one record at a time, with no more of a file in memory than
its longest record.

Text is UTF-8 with or without a byte order mark, or UTF-16 with one. JSON's NaN and Infinity are refused: they are not JSON.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from deepsport.data.document import open_text, refuse_constant, storable, told_where
from deepsport.data.source import Drops
from deepsport.errors import BadAnnotation

M = TypeVar("M", bound=BaseModel)

LONGEST_RECORD = 64 * 2**20
"""Characters."""

_PIECE = 2**18
"""Characters read at once, at least."""


def annotation_files(path: Path, pattern: str) -> list[Path]:
    """The file, or the files of a folder that match a pattern, in order. Raises BadAnnotation if there is none."""
    found = [path] if path.is_file() else sorted(file for file in path.glob(pattern) if file.is_file())
    if not found:
        raise BadAnnotation(
            f"{path} is neither a file nor a folder with {pattern}. `deepsport data sources` says what is needed."
        )
    return found


def json_records(path: Path, layout: type[M], drops: Drops) -> Iterator[tuple[str, M]]:
    """The items of a file that is one JSON array, each with its name for reports; those of another layout are dropped.

    Raises BadAnnotation if the file is no such array."""
    for place, item in enumerate(json_items(path)):
        name = f"{path.name}[{place}]"
        try:
            yield name, layout.model_validate(item)
        except ValidationError as error:
            drops.add(f"not in the layout: {first_fault(error)}", name)


def record_of(layout: type[M], fields: object, name: str, drops: Drops) -> M | None:
    """A record in a layout; one that is not is dropped, counted by the first field that is wrong."""
    try:
        return layout.model_validate(fields)
    except ValidationError as error:
        drops.add(f"not in the layout: {'.'.join(map(str, error.errors()[0]['loc'][:1]))}", name)
        return None


def first_fault(error: ValidationError) -> str:
    """Where a record is first wrong, and what is."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def json_items(path: Path) -> Iterator[JsonValue]:
    """The items of a file that is one JSON array. Raises BadAnnotation where it is not."""
    with told_where(path, "a JSON array"), open_text(path) as file:
        ahead = _Ahead(file)
        ahead.take("[")
        before = "["
        while ahead.peek() != "]" or before == ",":
            yield ahead.value()
            if (before := ahead.peek()) != "]":
                ahead.take(",")


class _Ahead:
    """Text that is still to be read; what has been passed is forgotten."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._decoder = json.JSONDecoder(parse_constant=refuse_constant)
        self._text = ""
        self._at = 0

    def peek(self) -> str:
        """The next character that is not blank. Raises ValueError at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at].isspace():
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                raise ValueError("the file ends within the array")

    def take(self, wanted: str) -> None:
        """Passes a character. Raises ValueError if another one is next."""
        if self.peek() != wanted:
            raise ValueError(f"{self._text[self._at : self._at + 20]!r} where {wanted!r} should be")
        self._at += 1

    def value(self) -> JsonValue:
        """Passes a value. Raises ValueError if there is none."""
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                value, end = None, len(self._text)
            if end < len(self._text):  # else what follows may belong to it
                text, self._at = self._text[self._at : end], end
                return storable(value, text)
            if len(self._text) - self._at > LONGEST_RECORD:
                raise ValueError(f"a record of over {LONGEST_RECORD:,} characters, or none at all")
            if not self._more():
                raise ValueError(f"no whole record at {self._text[self._at : self._at + 40]!r}")

    def _more(self) -> bool:
        """Reads at least as much as is there already, so that a long record is not decoded again for every piece."""
        piece = self._file.read(max(_PIECE, len(self._text) - self._at))
        self._text, self._at = self._text[self._at :] + piece, 0
        return bool(piece)
