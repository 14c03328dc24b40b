"""Rows of a CSV file or a file of JSON lines, one at a time: one bad line is one counted drop, and the next is read.

Bytes that are not text spoil only their line. The csv module holds no field longer than 131,072 characters (its own limit), so
that a quote that is never closed costs the lines up to there and not the file.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from pydantic import JsonValue

from deepsport.data.document import is_object, json_value, open_text, told_where
from deepsport.data.source import Drops
from deepsport.errors import BadAnnotation

LONGEST_LINE = 16 * 2**20
"""Characters."""

_NOT_TEXT = re.compile("[\ud800-\udfff]")
"""What surrogateescape leaves of bytes that cannot be decoded."""


def csv_rows(path: Path, drops: Drops, *, delimiter: str = ",") -> Iterator[tuple[str, dict[str, str]]]:
    """The rows below the header of a CSV file, each with its name for reports; empty lines are passed over.

    Raises BadAnnotation for a file that has no header or cannot be read."""
    with told_where(path, "CSV"), open_text(path, newline="", errors="surrogateescape") as file:
        header: list[str] | None = None
        for name, cells in _rows(_lines(file, path.name, drops), delimiter, path.name, drops):
            if header is None:
                header = _header(cells, path)
            elif len(cells) != len(header):
                drops.add("a row with more or fewer cells than the header", name)
            elif any(_NOT_TEXT.search(cell) for cell in cells):
                drops.add("a line that is not text", name)
            else:
                yield name, dict(zip(header, cells, strict=True))
        if header is None:
            raise ValueError("it is empty")


def json_lines(path: Path, drops: Drops) -> Iterator[tuple[str, dict[str, JsonValue]]]:
    """The objects of a file of JSON lines, each with its name for reports; empty lines are passed over.

    Raises BadAnnotation for a file that cannot be read."""
    with told_where(path, "JSON lines"), open_text(path, errors="surrogateescape") as file:
        for place, line in enumerate(_lines(file, path.name, drops), start=1):
            name = f"{path.name}:{place}"
            if _NOT_TEXT.search(line):
                drops.add("a line that is not text", name)
            elif line.strip():
                row = _row(line)
                if row is None:
                    drops.add("a line that is no JSON object", name)
                else:
                    yield name, row


def _row(line: str) -> dict[str, JsonValue] | None:
    try:
        value = json_value(line)
    except (ValueError, RecursionError):
        return None
    return value if is_object(value) else None


def _rows(lines: Iterator[str], delimiter: str, file: str, drops: Drops) -> Iterator[tuple[str, list[str]]]:
    """The rows that the csv module can make out, without empty ones."""
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            drops.add("a line that is no CSV row", f"{file}:{reader.line_num}")
            continue
        if any(cell.strip() for cell in cells):
            yield f"{file}:{reader.line_num}", cells


def _header(cells: list[str], path: Path) -> list[str]:
    names = [cell.strip() for cell in cells]
    if any(_NOT_TEXT.search(name) for name in names):
        raise ValueError("its header is not text")
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise BadAnnotation(f"{path} has more than one column {twice[0]!r}. Rename one of them in the header.")
    return names


def _lines(file: TextIO, name: str, drops: Drops) -> Iterator[str]:
    """Lines with their ends. One that is too long becomes an empty one, so that places still count."""
    while line := file.readline(LONGEST_LINE):
        if len(line) < LONGEST_LINE or line.endswith("\n"):
            yield line
            continue
        drops.add("a line that is too long", f"{name}: {line[:40]!r}")
        while (rest := file.readline(LONGEST_LINE)) and not rest.endswith("\n"):
            pass
        yield "\n"
