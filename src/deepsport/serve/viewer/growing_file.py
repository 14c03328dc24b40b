"""A file of records that somebody else writes, followed line by line.

Each object follows one state of the file, from its first byte on: lines that are added are read when they are whole, and a file
that takes its place, or is cut or written over, is another state. The file stays open, so that the lines of a state can be read
again by their places even after it was replaced.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from deepsport.durable import is_json

CHUNK_BYTES = 2**18
LONGEST_LINE = 2**26
"""Bytes; a longer one is no record of ours."""
TAIL_BYTES = 64
"""Of what was read last, compared before reading on: a file may be written over in place."""


class Place(NamedTuple):
    """Where a line stands."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Line:
    """A whole line without its end."""

    number: int
    place: Place
    content: bytes


class LongLineError(ValueError):
    """A line that is longer than LONGEST_LINE."""


class GrowingFile:
    """One state of a growing file. Not for several threads at once, but for `at`."""

    def __init__(self, path: Path) -> None:
        """Opens it. Raises OSError."""
        self.path = path
        self._file: BinaryIO = _open(path)
        self._state = os.fstat(self._file.fileno())
        self._offset = 0
        self._number = 1
        self._tail = b""
        self._seen, self._touched_ns = self._state, 0
        self._read_to = -1
        """Size at which nothing was left to read but an unfinished line."""

    @property
    def share_read(self) -> float:
        """In [0, 1]."""
        size = os.fstat(self._file.fileno()).st_size
        return min(1.0, self._offset / size) if size else 1.0

    def is_current(self) -> bool:
        """Whether the path still leads to this state, perhaps with more lines. A file that is gone for now is not another one."""
        try:
            now = self.path.stat()
        except OSError:
            return True
        if not os.path.samestat(now, self._state) or now.st_size < self._offset or self._is_written_over(now):
            return False
        return os.pread(self._file.fileno(), len(self._tail), self._offset - len(self._tail)) == self._tail

    def read(self) -> list[Line]:
        """Some of the lines that are whole by now, none if there is nothing new; blank ones are passed over.

        Raises OSError, and LongLineError after a line that is too long, which is then passed over."""
        end = os.fstat(self._file.fileno()).st_size
        if end == self._read_to:
            return []
        before, lines = self._offset, self._read()
        self._read_to = end if self._offset == before else -1
        return lines

    def _read(self) -> list[Line]:
        size, found = CHUNK_BYTES, b""
        while b"\n" not in found:
            found = os.pread(self._file.fileno(), size, self._offset)
            if len(found) < size:
                break
            if size >= LONGEST_LINE:
                self._pass_over()
            size *= 4
        whole, end, torn = found.rpartition(b"\n")
        lines = self._cut(whole) if end else []
        if torn and (not lines) and is_json(torn):  # the end of the file, or of what its writer is about to finish
            lines.append(Line(self._number, Place(self._offset, len(torn)), torn))
            self._go_on(torn)
        return lines

    def at(self, place: Place) -> bytes:
        """A line again, by its place."""
        return os.pread(self._file.fileno(), place.length, place.offset)

    def _is_written_over(self, now: os.stat_result) -> bool:
        """Whether it has another time at the same size, and had so at the last look: who adds a line sets the time first."""
        before, self._seen = self._seen, now
        if now.st_size != before.st_size:
            self._touched_ns = 0
        elif now.st_mtime_ns != before.st_mtime_ns:
            self._touched_ns = now.st_mtime_ns
        else:
            return self._touched_ns == now.st_mtime_ns
        return False

    def _cut(self, whole: bytes) -> list[Line]:
        lines: list[Line] = []
        offset = self._offset
        for content in whole.split(b"\n"):
            if content.strip():
                lines.append(Line(self._number, Place(offset, len(content)), content))
            offset += len(content) + 1
            self._number += 1
        self._go_on(whole + b"\n")
        return lines

    def _go_on(self, read: bytes) -> None:
        self._offset += len(read)
        self._tail = (self._tail + read[-TAIL_BYTES:])[-TAIL_BYTES:]

    def _pass_over(self) -> None:
        """Goes on behind the end of a line, or at the end of the file where there is none yet."""
        number = self._number
        while part := os.pread(self._file.fileno(), CHUNK_BYTES, self._offset):
            end = part.find(b"\n") + 1
            self._go_on(part[: end or len(part)])
            if end:
                self._number += 1
                break
        raise LongLineError(f"{self.path.name}:{number} is longer than {LONGEST_LINE / 2**20:g} MiB and is not shown")


def _open(path: Path) -> BinaryIO:
    """A plain file, for reading: a pipe would never answer."""
    if not path.is_file():
        raise FileNotFoundError(2, os.strerror(2), str(path))
    return path.open("rb", buffering=0)
