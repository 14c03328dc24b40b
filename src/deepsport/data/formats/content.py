"""What a file of footage is by content: its hash, taken from the file that lies there, once for each file of a run.

What a record says about the content is a claim, and is held against it.
"""

from pathlib import Path

from deepsport.data.fingerprint import content_hash
from deepsport.errors import BadRecord, BadVideo


class Contents:
    """Hashes of files."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        """By path; empty for a file that cannot be read."""

    def sha256(self, file: str) -> str:
        """Of a file's content. Raises BadRecord, at every call, for a file that cannot be read."""
        if file not in self._known:
            try:
                self._known[file] = content_hash(Path(file))
            except BadVideo:
                self._known[file] = ""
        if not self._known[file]:
            raise BadRecord("a video that cannot be read")
        return self._known[file]
