"""One process at a time holds a folder: flock on its `.lock`, which the kernel drops with the process, kill -9 included.

The file names the holder, for the message to the second comer. A folder that is made whole and then takes its place is held by a
file beside that place, which goes when the folder is made. A forked child lets go of what it inherited: otherwise a worker
that outlives its killed parent would keep the folder locked.
"""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from deepsport.durable import disk_errors
from deepsport.errors import RunError

LOCK_NAME = ".lock"

_HELD: set[int] = set()
"""Lock descriptors of this process."""


def _drop_inherited() -> None:
    """A forked child must not keep a run locked after its parent was killed."""
    for lock in _HELD:
        os.close(lock)
    _HELD.clear()


os.register_at_fork(after_in_child=_drop_inherited)


def take(folder: Path) -> int:
    """Creates the folder and locks it; returns what `release` wants.

    Raises RunError if another holder is alive or the folder cannot be written."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        return _locked(folder / LOCK_NAME, folder)


def release(lock: int) -> None:
    """Lets go; in a forked child it does nothing."""
    if lock in _HELD:
        _HELD.discard(lock)
        os.close(lock)


@contextmanager
def holding(place: Path) -> Generator[None]:
    """Holds the place that a folder is to take. Raises RunError if another holder is alive or the file cannot be written."""
    file = place.with_name(f".{place.name}{LOCK_NAME}")
    with disk_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = _locked(file, place)
        while not _stands(file, lock):
            release(lock)
            lock = _locked(file, place)
    try:
        yield
    finally:
        if lock in _HELD:
            with disk_errors(place):
                file.unlink(missing_ok=True)
            release(lock)


def _locked(file: Path, folder: Path) -> int:
    """The file that stands for a folder, open and locked."""
    lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _sign(folder, lock)
    except BaseException:
        os.close(lock)
        raise
    _HELD.add(lock)
    return lock


def _stands(file: Path, lock: int) -> bool:
    """Whether a locked file is still there by its name: its last holder may have removed it after it was opened here."""
    try:
        return os.path.samestat(file.stat(), os.fstat(lock))
    except FileNotFoundError:
        return False


def _sign(folder: Path, lock: int) -> None:
    """Locks the open file and writes this process's id into it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        raise RunError(f"{folder} is in use by process {holder}. Wait until it ends, or use another folder.") from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
