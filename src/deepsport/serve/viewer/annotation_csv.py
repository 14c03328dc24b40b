"""What people say in the viewer, as CSV beside the run: labels of answers, and windows that were set right.

The file is theirs: rows, columns and cells that the viewer does not write stay as they are, and what somebody changed meanwhile
is read before it is written. A file that cannot be read as what it should be is told, and never written over. Beside the
run, not in it: `--fresh` must not delete people's work.
"""

import csv
import fcntl
import io
import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from deepsport.bench.judged.people_csv import delimiter_of
from deepsport.data.document import open_text
from deepsport.durable import disk_errors, write_atomic
from deepsport.errors import BadRecord

T = TypeVar("T")
LONGEST_FILE = 2**26
"""Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a file of marks looks like."""

    columns: tuple[str, ...]
    """In the order of a new file."""
    says: tuple[str, ...]
    """Those that say something; the others name what a row is about, and who says so."""


@dataclass(slots=True)
class Sheet:
    """The cells of a CSV file, to be changed here and there."""

    header: list[str]
    rows: list[list[str]]
    delimiter: str = ","
    mark: str = ""
    """The byte order mark that a spreadsheet wants."""
    line_end: str = "\n"

    def column(self, name: str) -> int:
        """The place of a column, added at the right where it is missing."""
        plain = [each.strip().casefold() for each in self.header]
        if name not in plain:
            self.header.append(name)
            for row in filter(_says_anything, self.rows):
                row.append("")
            return len(self.header) - 1
        return plain.index(name)

    def set(self, is_meant: Callable[[Mapping[str, str]], bool], form: Form, cells: Mapping[str, str]) -> None:
        """Changes the row that is meant, or adds one. With nothing to say, a row that holds nothing else goes."""
        places = {name: self.column(name) for name in form.columns}
        said = {name: cells.get(name, "") for name in form.says}
        rows = filter(_says_anything, self.rows)
        meant = [row for row in rows if is_meant({name: row[place].strip() for name, place in places.items()})]
        for row in meant:
            for name, cell in said.items():
                row[places[name]] = cell
            own = {places[name] for name in places}
            if not any(said.values()) and not any(cell.strip() for place, cell in enumerate(row) if place not in own):
                self.rows.remove(row)
        if not meant and any(said.values()):
            row = [""] * len(self.header)
            for name, place in places.items():
                row[place] = cells.get(name, "")
            self.rows.append(row)

    def text(self) -> str:
        """The file."""
        return self.mark + "".join(f"{_line(row, self.delimiter)}{self.line_end}" for row in [self.header, *self.rows])


@dataclass(slots=True)
class AnnotationFile(Generic[T]):
    """One file of marks, shared by all who look at it."""

    path: Path
    form: Form
    read: Callable[[Path], T]
    """Raises BadRecord for a file that is not what it should be, and RunError for one that cannot be read."""
    nothing: T
    version: int = 0
    problem: str = ""
    said: T = field(init=False)
    _state: tuple[int, ...] = ()
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Nothing is read yet."""
        self.said = self.nothing

    def look(self) -> None:
        """Reads the file again if it is not what it was."""
        with self._lock:
            self._look()

    def change(self, is_meant: Callable[[Mapping[str, str]], bool], cells: Mapping[str, str]) -> None:
        """Says something about what is meant, or takes it back. Raises BadRecord for a file that cannot be read as what it should
        be, RunError if the disk does not take it; the file then stands as it was."""
        with self._lock, _alone_in(self.path.parent):
            self._look()
            if self.problem:
                raise BadRecord(f"{self.problem} Until then nothing is written to {self.path.name}.")
            sheet = read_sheet(self.path, self.form)
            sheet.set(is_meant, self.form, cells)
            write_atomic(self.path, sheet.text())
            self._look()

    def _look(self) -> None:
        state = _state_of(self.path)
        if state == self._state:
            return
        self._state, self.version = state, self.version + 1
        try:
            self.said, self.problem = (self.read(self.path) if state else self.nothing), ""
        except (BadRecord, OSError, RuntimeError) as error:
            self.problem = str(error).replace(str(self.path.parent) + "/", "")


def read_sheet(path: Path, form: Form) -> Sheet:
    """The cells as they stand; an empty sheet for a file that is not there. Raises BadRecord and RunError."""
    if not path.exists():
        return Sheet(list(form.columns), [])
    with disk_errors(path):
        mark = "\ufeff" if path.read_bytes()[:2] in (b"\xef\xbb", b"\xff\xfe", b"\xfe\xff") else ""
        with open_text(path, newline="") as file:
            text = file.read(LONGEST_FILE + 1)
    if len(text) > LONGEST_FILE:
        raise BadRecord(f"{path.name} has over {LONGEST_FILE:,} characters. Nothing is written to so large a file.")
    delimiter = delimiter_of(path)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    first = next((place for place, row in enumerate(rows) if _says_anything(row)), None)
    if first is None:
        return Sheet(list(form.columns), [])
    return Sheet(rows[first], rows[first + 1 :], delimiter, mark, "\r\n" if "\r\n" in text else "\n")


@contextmanager
def _alone_in(folder: Path) -> Generator[None]:
    """Until then other viewers wait before they change a file in this folder; the kernel lets go of a process that dies."""
    with disk_errors(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _says_anything(row: Sequence[str]) -> bool:
    """Lines without anything in them stand between rows, and are none."""
    return any(cell.strip() for cell in row)


def _line(row: Sequence[str], delimiter: str) -> str:
    """The cells, quoted wherever a line end of any kind stands in one: the csv module looks for its own only."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerow(row)
    return out.getvalue().removesuffix("\r\n")


def _state_of(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_size, status.st_mtime_ns, status.st_ino
