"""What a video is called in an export: never by a path of this machine.

Under the folder that a person named it is the path from there; a relative path that stays inside its folder is kept; of any other
path the bare name is left, and the hash of the content beside it says which file was meant. That is always the hash of the file
that lies there: what an annotation or an episode says of it may be older than the file.
"""

import os
from pathlib import Path

from deepsport.data.formats.content import Contents
from deepsport.data.formats.frame_reference import is_inside
from deepsport.errors import BadConfig, BadRecord
from deepsport.records import Question


class VideoNames:
    """Places and names of videos."""

    def __init__(self, base: Path, root: Path | None) -> None:
        """base: the folder of the record file, from which relative paths count; root: the folder of the footage, if named.

        Raises BadConfig for a root that is no folder."""
        if root is not None and not root.is_dir():
            raise BadConfig(f"{root} is not a folder. Name the one that the videos lie in.")
        self._base = base
        self._root = root
        self._contents = Contents()

    def place(self, video: str) -> str:
        """Where the file is: beside the records, under the root, or as the path says from here."""
        folders = [self._base] if self._root is None else [self._base, self._root]
        found = [folder / video for folder in folders if (folder / video).is_file()]
        return str(found[0]) if found else video

    def name(self, question: Question, played: str = "") -> tuple[str, str]:
        """The name that may leave, and the hash that goes with it, empty if none is needed.

        `played`: the hash of the file that was played, if it was taken.
        Raises BadRecord for a name that no reference can hold, or a file that cannot be read."""
        video = question.video
        inner = self._under_root(self.place(video))
        if inner is None and is_inside(video) and not Path(video).is_absolute():
            inner = video
        name = inner or Path(video.replace("\\", "/")).name
        if not is_inside(name):
            raise BadRecord("a video whose name cannot be written into a reference")
        is_told = played or (question.provenance and question.provenance.video_sha256)
        return name, self.sha256(video) if is_told or not inner else ""

    def sha256(self, video: str) -> str:
        """Of the content of its file. Raises BadRecord if that cannot be read."""
        return self._contents.sha256(self.place(video))

    def require_same(self, video: str, played: str) -> None:
        """Raises BadRecord if the file is not the one that was played; of an episode that does not tell, nothing is asked."""
        if played and self.sha256(video) != played:
            raise BadRecord("another video than was played")

    def _under_root(self, place: str) -> str | None:
        if self._root is None:
            return None
        file, root = Path(os.path.abspath(place)), Path(os.path.abspath(self._root))
        return file.relative_to(root).as_posix() if file.is_relative_to(root) else None
