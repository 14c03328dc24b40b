"""The videos that episodes are about: found on this machine, read as strangers' files, served as files and as frames.

A request names an episode, never a path. A path in a record is somebody's word: only a regular file that a process of its own can
read as a video is served, and only in the state in which it was read.
"""

import io
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from deepsport.errors import BadVideo
from deepsport.records import Episode, Frame
from deepsport.video.source import FrameSource, Stamp, VideoInfo

KEPT_BYTES = 48 * 2**20
"""Pictures that are kept."""
N_PARENTS = 3
"""Folders above a run that a path may count from: a run mostly lies below the folder it was started in."""
JPEG_QUALITY = 90
MIMES = {".webm": "video/webm", ".mkv": "video/x-matroska", ".mov": "video/mp4", ".ogv": "video/ogg", ".ts": "video/mp2t"}
SMALLEST, WIDEST = 16, 1920
Asked = tuple[str, Stamp, int, int]
"""Path, state of the file, index, width."""


class NoFootageError(LookupError):
    """There is no such video or frame here."""


class ChangedFootageError(LookupError):
    """The file is not the one that was played."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A video that can be shown."""

    path: str
    stamp: Stamp
    info: VideoInfo

    @property
    def tag(self) -> str:
        """What a cache tells the states of the file by."""
        return f'"{self.stamp.size:x}-{self.stamp.mtime_ns:x}-{self.stamp.inode:x}"'

    @property
    def mime(self) -> str:
        """Of the file, by its ending; browsers look into it anyway."""
        return MIMES.get(PurePath(self.path).suffix.lower(), "video/mp4")


class Footage:
    """Finds and shows videos. Safe from several threads."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder`: where to look by file name for what is not where the record says."""
        self._folder = folder
        self._source = FrameSource(trusted=False)
        self._lock = threading.Lock()
        self._pictures: OrderedDict[Asked, bytes] = OrderedDict()
        self._n_bytes = 0

    def close(self) -> None:
        """Ends the process that decodes."""
        self._source.close()

    def clip(self, episode: Episode, records: Path) -> Clip:
        """The video of an episode whose record stands in `records`. Raises NoFootageError, and ChangedFootageError for a video
        that does not have the frames that were shown."""
        name = PurePath(episode.question.video).name
        path = next((each for each in self._candidates(episode.question.video, records) if _is_file(each)), None)
        if path is None:
            raise NoFootageError(f"{name} is not where it was. Say with --videos in which folder it lies now.")
        try:
            info = self._source.info(str(path))
            stamp = self._source.state(str(path))
        except BadVideo as error:
            raise NoFootageError(_without_path(str(error), path)) from None
        if stamp is None or max((frame.index for frame in episode.frames_seen), default=0) >= info.n_frames:
            raise ChangedFootageError(
                f"{name} is not the file that was played: of its {info.n_frames} frames later ones were shown."
            )
        return Clip(str(path), stamp, info)

    def open(self, clip: Clip) -> BinaryIO:
        """The file, as it was when it was read. Raises ChangedFootageError."""
        try:
            file = os.fdopen(os.open(clip.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0)
        except OSError:
            raise NoFootageError(f"{PurePath(clip.path).name} is gone") from None
        status = os.fstat(file.fileno())
        if (status.st_size, status.st_mtime_ns, status.st_ino) != clip.stamp:
            file.close()
            raise ChangedFootageError(f"{PurePath(clip.path).name} was replaced a moment ago. Ask again.")
        return file

    def picture(self, clip: Clip, episode: Episode, index: int, width: int) -> bytes:
        """A frame as it was decoded for the model, as JPEG, no wider than asked. The frames that were shown with it are decoded
        along with it: they are asked for next. Raises NoFootageError and ChangedFootageError."""
        if not 0 <= index < clip.info.n_frames:
            raise NoFootageError(f"there is no frame {index}: the video has frames 0 to {clip.info.n_frames - 1}")
        asked = (clip.path, clip.stamp, index, width)
        if (kept := self._pictures.get(asked)) is not None:
            return kept
        with self._lock:
            return self._pictures.get(asked) or self._decode(clip, _shown_with(episode, index), index, width)

    def _decode(self, clip: Clip, frames: Sequence[Frame], index: int, width: int) -> bytes:
        indices = sorted({index, *(frame.index for frame in frames)})
        try:
            found = self._source.look(clip.path, indices)
        except BadVideo as error:
            raise NoFootageError(_without_path(str(error), Path(clip.path))) from None
        if self._source.state(clip.path) != clip.stamp:
            raise ChangedFootageError(f"{PurePath(clip.path).name} was replaced a moment ago. Ask again.")
        times = {shown.index: shown.time_s for shown in found}
        reach = float(1 / clip.info.fps)
        if any(abs(times[frame.index] - frame.time_s) > reach for frame in frames):
            raise ChangedFootageError(f"{PurePath(clip.path).name} is not the file that was played: its frames have other times.")
        pictures = {shown.index: jpeg(shown.pixels, width) for shown in found}
        for shown, picture in pictures.items():
            self._keep((clip.path, clip.stamp, shown, width), picture)
        return pictures[index]

    def _keep(self, asked: Asked, picture: bytes) -> None:
        self._n_bytes += len(picture) - len(self._pictures.pop(asked, b""))
        self._pictures[asked] = picture
        while self._n_bytes > KEPT_BYTES and len(self._pictures) > 1:
            self._n_bytes -= len(self._pictures.popitem(last=False)[1])

    def _candidates(self, video: str, records: Path) -> Iterator[Path]:
        """Where it may lie: as recorded, seen from the record's folder, from where we are, and from the folders above the run."""
        if "\0" in video or not PurePath(video).name:
            return
        path = Path(video)
        folders = () if path.is_absolute() else (records.parent, Path(), *list(records.resolve().parents)[1 : 1 + N_PARENTS])
        yield from (folder / path for folder in folders) if folders else (path,)
        if self._folder:
            yield self._folder / path.name


def jpeg(pixels: np.ndarray, width: int) -> bytes:
    """[height, width, 3] pixels as a file, made smaller if they are wider."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if image.width > width:
        image = image.resize((width, max(1, round(image.height * width / image.width))), Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def _shown_with(episode: Episode, index: int) -> Sequence[Frame]:
    looks = (episode.first_frames, *(turn.frames for turn in episode.turns))
    return next((look for look in looks if any(frame.index == index for frame in look)), ())


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _without_path(message: str, path: Path) -> str:
    return message.replace(str(path), path.name)
