"""What a video is called in an export: never by a path of this machine.

Under the folder that a person named it is the path from there; a relative path that stays inside its folder is kept; of any other
path the bare name is left, and the hash of the content beside it says which file was meant.
"""

import os
import re
from pathlib import Path

from deepsport.data.fingerprint import content_hash
from deepsport.data.formats.frame_reference import is_inside
from deepsport.errors import BadRecord, BadVideo
from deepsport.records import Question

_SHA256 = re.compile(r"[0-9a-f]{64}")


class VideoNames:
    """Places and names of videos, each found out once."""

    def __init__(self, base: Path, root: Path | None) -> None:
        """base: the folder of the record file, from which relative paths count; root: the folder of the footage, if named."""
        self._base = base
        self._root = root
        self._hashes: dict[str, str] = {}

    def place(self, video: str) -> str:
        """Where the file is: beside the records, under the root, or as the path says from here."""
        folders = [self._base] if self._root is None else [self._base, self._root]
        found = [folder / video for folder in folders if (folder / video).is_file()]
        return str(found[0]) if found else video

    def name(self, question: Question) -> tuple[str, str]:
        """The name that may leave, and the hash that goes with it, empty if none is needed.

        Raises BadRecord for a name that no reference can hold."""
        video, known = question.video, self._known_hash(question)
        inner = self._under_root(self.place(video))
        if inner is None and is_inside(video) and not Path(video).is_absolute():
            inner = video
        name = inner or Path(video.replace("\\", "/")).name
        if not is_inside(name):
            raise BadRecord("a video whose name cannot be written into a reference")
        return name, known if inner else self.sha256(question)

    def sha256(self, question: Question) -> str:
        """Of the video's content. Raises BadRecord if it cannot be read."""
        if known := self._known_hash(question):
            return known
        if question.video not in self._hashes:
            try:
                self._hashes[question.video] = content_hash(Path(self.place(question.video)))
            except BadVideo:
                raise BadRecord("a video that cannot be read") from None
        return self._hashes[question.video]

    def _under_root(self, place: str) -> str | None:
        if self._root is None:
            return None
        file, root = Path(os.path.abspath(place)), Path(os.path.abspath(self._root))
        return file.relative_to(root).as_posix() if file.is_relative_to(root) else None

    def _known_hash(self, question: Question) -> str:
        known = question.provenance.video_sha256 if question.provenance else ""
        return known if _SHA256.fullmatch(known) else ""
