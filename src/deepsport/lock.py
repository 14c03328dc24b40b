"""One process at a time holds a folder: flock on its `.lock`, which the kernel drops with the process, kill -9 included.

The file names the holder, for the message to the second comer. A folder that is made whole and then takes its place is held by a
file beside that place, which goes when the folder is made. A forked child lets go of what it inherited: otherwise a worker
that outlives its killed parent would keep the folder locked. Of a host that lost its power a file server may hold the lock for
some while yet; and some shared file systems lock within one host only, so a holder can ask whether it has been `ousted`.
"""

import fcntl
import os
import secrets
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from deepsport.durable import disk_errors
from deepsport.errors import RunError

LOCK_NAME = ".lock"

LEASE_S = 120.0
"""A file server lets go of what a dead host locked within so long: NFS 4 after 90 s."""

_HELD: dict[int, bytes] = {}
"""Lock descriptors of this process, and what it wrote into them."""


def _drop_inherited() -> None:
    """A forked child must not keep a run locked after its parent was killed."""
    for lock in _HELD:
        os.close(lock)
    _HELD.clear()


os.register_at_fork(after_in_child=_drop_inherited)


def take(folder: Path, *, patience_s: float = 0.0) -> int:
    """Creates the folder and locks it, waiting so long for another holder; returns what `release` wants.

    Raises RunError if another holder is alive or the folder cannot be written."""
    deadline_s = time.monotonic() + patience_s
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                return _locked(folder / LOCK_NAME, folder)
            except RunError:
                if time.monotonic() >= deadline_s:
                    raise
                time.sleep(min(0.5, patience_s))


def ousted(lock: int, folder: Path) -> str:
    """Who took the folder from this holder, which is possible where locks do not reach over hosts or somebody removed the lock
    file; empty if nobody did. Raises RunError if the folder cannot be read."""
    with disk_errors(folder):
        try:
            found = (folder / LOCK_NAME).read_bytes()
        except FileNotFoundError:
            return ""
    return "" if found == _HELD.get(lock, found) else _holder(found)


def release(lock: int) -> None:
    """Lets go; in a forked child it does nothing."""
    if _HELD.pop(lock, None) is not None:
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
        _HELD[lock] = _sign(folder, lock)
    except BaseException:
        os.close(lock)
        raise
    return lock


def _stands(file: Path, lock: int) -> bool:
    """Whether a locked file is still there by its name: its last holder may have removed it after it was opened here."""
    try:
        return os.path.samestat(file.stat(), os.fstat(lock))
    except FileNotFoundError:
        return False


def _sign(folder: Path, lock: int) -> bytes:
    """Locks the open file and writes this process into it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(os.pread(lock, 1024, 0))
        raise RunError(f"{folder} is in use by process {holder}. Wait until it ends, or use another folder.") from None
    signature = f"{os.getpid()} on {socket.gethostname()}\n{secrets.token_hex(8)}\n".encode()
    os.ftruncate(lock, 0)
    os.pwrite(lock, signature, 0)
    return signature


def _holder(signature: bytes) -> str:
    """The process that a lock file names, and its host."""
    return signature.decode(errors="replace").partition("\n")[0].strip() or "unknown"
