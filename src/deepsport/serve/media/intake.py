"""Bytes as they come in: hashed, and counted against what may still come."""

import hashlib
from typing import BinaryIO

from deepsport.serve.media.refusal import MediaRefused, Refusal


class Room:
    """How many bytes a request may still bring; what was announced is not believed, what comes is counted."""

    def __init__(self, max_bytes: int) -> None:
        """`max_bytes` of all media together."""
        self.max_bytes = max_bytes
        self.n_bytes = 0

    def require(self, n_bytes: int) -> None:
        """Raises MediaRefused if that many more are too many."""
        if self.n_bytes + n_bytes > self.max_bytes:
            limit = f"{self.max_bytes / 2**20:.3g} MiB"
            raise MediaRefused(Refusal.SIZE, f"it is larger than the {limit} that a request may bring. Cut or re-encode it.")

    def take(self, n_bytes: int) -> None:
        """Takes the room of bytes that have come. Raises MediaRefused."""
        self.require(n_bytes)
        self.n_bytes += n_bytes


class Intake:
    """One medium on its way into a file."""

    def __init__(self, file: BinaryIO, room: Room) -> None:
        """Writes to `file` from its start."""
        self._file = file
        self.room = room
        self._hash = hashlib.sha256()
        self.n_bytes = 0

    @property
    def digest(self) -> str:
        """Of what has come."""
        return self._hash.hexdigest()

    def add(self, chunk: bytes) -> None:
        """Takes in the next bytes. Raises MediaRefused for one too many."""
        self.room.take(len(chunk))
        self.n_bytes += len(chunk)
        self._hash.update(chunk)
        self._file.write(chunk)

    def restart(self) -> None:
        """Forgets what has come: it is sent again from its start."""
        self.room.n_bytes -= self.n_bytes
        self.n_bytes = 0
        self._hash = hashlib.sha256()
        self._file.seek(0)
        self._file.truncate()
