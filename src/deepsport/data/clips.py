"""The clips that questions are about: found in a folder, and with them the true times of events that a source counted in frames.

A data file only ever picks among the files of the folder that a person named: by relative path without its ending, else by bare
name if one file alone has it. A clip that is not there is reported, never guessed.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from deepsport.data.source import Drops
from deepsport.errors import BadVideo
from deepsport.records import Question, Window
from deepsport.video.source import FrameSource

ENDINGS = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".ts", ".webm"})


class Clips:
    """The video files of a folder and the folders in it."""

    def __init__(self, folder: Path) -> None:
        self._by_path: dict[str, Path] = {}
        self._by_name: dict[str, list[Path]] = {}
        for file in _videos(folder):
            key = file.relative_to(folder).with_suffix("").as_posix()
            self._by_path.setdefault(key, file)
            self._by_name.setdefault(file.stem, []).append(file)
        self._hashes: dict[Path, str] = {}

    def __len__(self) -> int:
        return len(self._by_path)

    def find(self, video: str) -> Path | None:
        """The file for a path as an annotation gives it, with or without its ending."""
        wanted = PurePosixPath(video)
        bare = wanted.with_suffix("") if wanted.suffix.lower() in ENDINGS else wanted
        if found := self._by_path.get(bare.as_posix()):
            return found
        alike = self._by_name.get(bare.name, [])
        return alike[0] if len(alike) == 1 else None

    def sha256(self, file: Path) -> str:
        """Of a file's content, computed once."""
        if file not in self._hashes:
            with file.open("rb") as opened:
                self._hashes[file] = hashlib.file_digest(opened, "sha256").hexdigest()
        return self._hashes[file]


def linked(question: Question, file: Path, sha256: str, source: FrameSource, drops: Drops) -> Question | None:
    """The question with its clip, and its window in the clip's own time; dropped if the clip cannot be read or is shorter."""
    try:
        info = source.info(str(file))
        window = _window(question, file, info.n_frames, source)
    except BadVideo:
        drops.add("a clip that cannot be read", question.video)
        return None
    except IndexError:
        drops.add("an event outside its clip", question.id)
        return None
    if window and window.end_s > info.duration_s + 1:
        drops.add("an event outside its clip", question.id)
        return None
    known = question.provenance and question.provenance.model_copy(update={"video_sha256": sha256})
    return question.model_copy(update={"video": str(file.absolute()), "window": window, "provenance": known})


def _window(question: Question, file: Path, n_frames: int, source: FrameSource) -> Window | None:
    """Raises IndexError for an event that the clip does not have."""
    frames = question.provenance and question.provenance.event_frames
    if not frames:
        return question.window
    if frames[1] >= n_frames:
        raise IndexError(frames[1])
    start_s, end_s = source.times(str(file), list(frames))
    return Window(start_s=start_s, end_s=end_s)


def _videos(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(place, name) for name in sorted(names) if Path(name).suffix.lower() in ENDINGS)
