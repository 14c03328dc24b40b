"""Files that outlive a kill: records appended line by line, and whole files replaced atomically.

One record is one `write` of one line, so a line that `append` returned from is with the kernel and survives kill -9. A last
line that is torn (no newline and no whole JSON object) is passed over by readers and cut off by the next append; a broken line
anywhere else is refused with its file and number. Errors of the disk become RunError with what to do.
"""

import errno
import json
import os
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from deepsport.errors import BadRecord, RunError
from deepsport.records import SCHEMA_VERSION

M = TypeVar("M", bound=BaseModel)

_ADVICE = {
    errno.ENOSPC: "the disk is full. Free some space and run the same command again: what is finished is kept.",
    errno.EDQUOT: "your disk quota is used up. Free some space and run the same command again: what is finished is kept.",
    errno.EROFS: "the file system is read-only. Choose a folder that can be written.",
    errno.EACCES: "permission denied. Choose a folder that you may write, or change its owner.",
    errno.EPERM: "permission denied. Choose a folder that you may write, or change its owner.",
    errno.ENOENT: "there is no such file.",
    errno.ENOTDIR: "a part of this path is a file, not a folder. Choose another one.",
    errno.EEXIST: "a file of this name is in the way. Choose another folder.",
}


@contextmanager
def disk_errors(path: Path) -> Generator[None]:
    """Turns an OSError about `path` into a RunError that says what to do."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{path}: {_ADVICE.get(error.errno or 0, error.strerror or str(error))}") from error


def write_atomic(path: Path, content: str | bytes) -> None:
    """Replaces a file as a whole: a reader, or a kill, sees the old content or the new one.

    Raises RunError if the disk does not take it; the old file then stands."""
    with disk_errors(path), replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing(path: Path) -> Generator[BinaryIO]:
    """A file that takes the place of another when all of it is written; on an error the old one stands. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{threading.get_ident()}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def read_records(path: Path, model: type[M]) -> Iterator[M]:
    """The records of a file, in order; blank lines and a torn last line are passed over.

    Raises BadRecord with file and line for a line that is not such a record, RunError if the file cannot be read."""
    for _, record in read_share(path, model):
        yield record


def read_share(path: Path, model: type[M], first: int = 0, step: int = 1) -> Iterator[tuple[int, M]]:
    """As `read_records`, with the number of each record's line from 0, and only every `step`-th line from the `first`."""
    with disk_errors(path):
        file = path.open("rb")
    with file:
        for number, line in enumerate(file, start=1):
            if number == 1:
                line = _without_mark(path, line, model)
            if not line.strip() or (number - 1) % step != first:
                continue
            if not line.endswith(b"\n") and not is_json(line):
                return
            yield number - 1, _record(path, number, line, model)


class RecordFile:
    """A file that grows by one record at a time. Safe to share between threads; one process at a time writes it."""

    def __init__(self, path: Path) -> None:
        """Opens nothing yet: the file appears with its first record."""
        self._path = path
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None

    def append(self, record: BaseModel | Mapping[str, JsonValue]) -> None:
        """Adds one line. Raises RunError if the disk does not take it whole; nothing of it is then kept."""
        text = record.model_dump_json() if isinstance(record, BaseModel) else json.dumps(dict(record))
        line = text.encode() + b"\n"
        with self._lock, disk_errors(self._path):
            file = self._file = self._file or _open_whole(self._path)
            try:
                written = os.write(file.fileno(), line)
                if written < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                self._close()  # the next append mends the tail
                raise

    def sync(self) -> None:
        """Waits until the disk has every line."""
        with self._lock, disk_errors(self._path):
            if self._file is not None:
                os.fsync(self._file.fileno())

    def close(self) -> None:
        """Syncs and closes; a later append opens it again."""
        self.sync()
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _without_mark(path: Path, line: bytes, model: type[BaseModel]) -> bytes:
    """The first line without its byte order mark. Raises BadRecord for that of UTF-16."""
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadRecord(f"{path}:1 is not a valid {model.__name__}: the file is UTF-16. Save it as UTF-8.")
    return line.removeprefix(b"\xef\xbb\xbf")


def _open_whole(path: Path) -> BinaryIO:
    """Opens for appending, with a torn last line cut off and a whole one closed by its newline."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("ab+", buffering=0)
    raw = _last_line(file)
    if raw and not raw.endswith(b"\n"):
        if is_json(raw):
            os.write(file.fileno(), b"\n")
        else:
            os.ftruncate(file.fileno(), os.fstat(file.fileno()).st_size - len(raw))
    return file  # type: ignore[return-value]


def _last_line(file: BinaryIO, step: int = 1 << 16) -> bytes:
    """What stands after the last newline but the final one, read backwards in steps."""
    size = os.fstat(file.fileno()).st_size
    start, tail = size, b""
    while start > 0 and b"\n" not in tail[:-1]:
        start = max(0, start - step)
        tail = os.pread(file.fileno(), size - start, start)
        step *= 2
    return tail[tail.rfind(b"\n", 0, max(0, len(tail) - 1)) + 1 :]


def _record(path: Path, number: int, line: bytes, model: type[M]) -> M:
    try:
        record = model.model_validate_json(line)
    except ValidationError as error:
        _require_version(path, number, version_in(line))
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadRecord(
            f"{path}:{number} is not a valid {model.__name__}: {f'{where}: ' if where else ''}{first['msg']}. "
            "Mend or remove the line; the lines before and after it are untouched."
        ) from None
    _require_version(path, number, getattr(record, "schema_version", SCHEMA_VERSION))
    return record


def version_in(line: bytes) -> object:
    """The record schema that a line says it was written with; the present one if it says nothing."""
    if not is_json(line):
        return SCHEMA_VERSION
    content: object = json.loads(line)
    return content.get("schema_version", SCHEMA_VERSION) if isinstance(content, dict) else SCHEMA_VERSION  # pyright: ignore


def _require_version(path: Path, number: int, version: object) -> None:
    if version != SCHEMA_VERSION:
        raise BadRecord(
            f"{path}:{number} was written with record schema {version}; this deepsport reads schema {SCHEMA_VERSION}. "
            "Read it with the deepsport that wrote it (versions.json beside it says which), or start a fresh run."
        )


def is_json(line: bytes) -> bool:
    """Whether a line is whole; one that is torn is not."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Waits until the disk has the names in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
