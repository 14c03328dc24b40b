"""A temporary folder of one process, found and removed by the next one if that process was killed.

The lock inside tells whether its owner lives, and needs no clock: it goes with the process. A folder of another user, a link, or
one without a lock is left alone.
"""

import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from deepsport.durable import disk_errors
from deepsport.errors import RunError
from deepsport.lock import LOCK_NAME, release, take

ATTEMPTS = 5
"""Another process that starts may take a folder that is not locked yet for one that was left behind."""


@dataclass(frozen=True, slots=True)
class PrivateFolder:
    """A folder that only this user may enter, held until it is removed."""

    path: Path
    lock: int

    @classmethod
    def make(cls, parent: Path, prefix: str) -> Self:
        """A new folder, named `prefix` and something random; those that nobody holds any more are removed. Raises RunError."""
        with disk_errors(parent):
            _remove_unheld(parent, prefix)
            for _ in range(ATTEMPTS):
                path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
                lock = _try_lock(path)
                if lock is not None and path.is_dir():
                    return cls(path, lock)
        raise RunError(f"{parent}: no folder there can be held. Free some space, or set TMPDIR to another place.")

    def remove(self) -> None:
        """Removes it with all that is in it, then lets go."""
        shutil.rmtree(self.path, ignore_errors=True)
        release(self.lock)


def _remove_unheld(parent: Path, prefix: str) -> None:
    for path in parent.glob(f"{prefix}*"):
        if _is_ours(path) and (path / LOCK_NAME).exists():
            lock = _try_lock(path)
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                release(lock)


def _try_lock(path: Path) -> int | None:
    """None if somebody holds it, who may be about to remove it."""
    try:
        return take(path)
    except RunError:
        return None


def _is_ours(path: Path) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
