"""Frames of many videos, for many callers and any thread.

Decoders stay open and pictures are kept for a while. Files nobody vouches for (`trusted=False`) are probed and decoded in a
process of their own, with limits on time and memory. A file that is replaced after it was first asked for is refused, since
frame indices taken from the old one mean nothing in the new one; asking for its `info` starts over, for all who ask: whoever has
asked before compares the `state`.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from deepsport.errors import BadVideo
from deepsport.video.cache import DecoderCache
from deepsport.video.container import Stamp, stamp_of
from deepsport.video.pixels import Pixels
from deepsport.video.probe import VideoInfo
from deepsport.video.remote import RemoteDecoders

__all__ = ["FrameSource", "Pixels", "Shown", "Stamp", "VideoInfo"]


PICTURE_BYTES = 256 * 2**20
"""Decoded pictures that are kept: some 370 of 640x360."""

KNOWN_FILES = 4096
"""Files whose facts are kept, and the times of frames that were asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A frame as it is looked at."""

    index: int
    time_s: float
    """From the first frame."""
    pixels: Pixels
    """Others may be handed the same array, on which nobody can then write."""


@dataclass(slots=True)
class _Facts:
    """What is known about one state of a file."""

    info: VideoInfo | None = None
    time_s: dict[int, float] = field(default_factory=dict[int, float])
    """By index."""


class Decoders(Protocol):
    """Decoders in this process or in another one."""

    def info(self, path: str, stamp: Stamp) -> VideoInfo:
        """The facts about the file."""
        ...

    def frames(self, path: str, stamp: Stamp, indices: Sequence[int]) -> list[Pixels]:
        """RGB pictures in the order asked; on those that are kept nobody can write."""
        ...

    def times(self, path: str, stamp: Stamp, indices: Sequence[int]) -> list[float]:
        """Seconds from the start of the file, in the order asked."""
        ...

    def close(self) -> None:
        """Lets go of every open file."""
        ...


class FrameSource:
    """Where frames come from."""

    def __init__(
        self, *, trusted: bool = True, max_open: int = 32, time_limit_s: float = 30.0, memory_limit_mb: int = 1024
    ) -> None:
        """`max_open` decoders are kept if the files are trusted; the limits are those of one request and of the worker process
        if they are not."""
        self._lock = threading.Lock()
        self._stamps: dict[str, Stamp] = {}
        self._facts: OrderedDict[tuple[str, Stamp], _Facts] = OrderedDict()
        self.decoders: Decoders = (
            DecoderCache(max_open, PICTURE_BYTES)
            if trusted
            else RemoteDecoders(time_limit_s=time_limit_s, memory_limit_mb=memory_limit_mb)
        )

    def info(self, path: str) -> VideoInfo:
        """The facts about the file as it is now. Raises BadVideo."""
        stamp = stamp_of(path)
        with self._lock:
            self._stamps[path] = stamp
        facts = self._facts_of(path, stamp)
        facts.info = facts.info or self.decoders.info(path, stamp)
        return facts.info

    def state(self, path: str) -> Stamp | None:
        """What tells the file that is asked for from one that takes its place; None before it was asked for."""
        with self._lock:
            return self._stamps.get(path)

    def frames(self, path: str, indices: Sequence[int]) -> list[Pixels]:
        """RGB pictures, [height, width, 3] each, in the order asked, for the caller alone. Raises BadVideo."""
        pictures = self.decoders.frames(path, self._same(path), indices)
        return [pixels if pixels.flags.writeable else pixels.copy() for pixels in pictures]

    def times(self, path: str, indices: Sequence[int]) -> list[float]:
        """Seconds from the first frame, in the order asked. Raises BadVideo."""
        return self._times(path, self._same(path), indices)

    def look(self, path: str, indices: Sequence[int]) -> list[Shown]:
        """Frames with their times, in the order asked, to be looked at only. Raises BadVideo."""
        stamp = self._same(path)
        pictures = self.decoders.frames(path, stamp, indices)
        return [Shown(*each) for each in zip(indices, self._times(path, stamp, indices), pictures, strict=True)]

    def close(self) -> None:
        """Closes all files and ends the worker."""
        self.decoders.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _times(self, path: str, stamp: Stamp, indices: Sequence[int]) -> list[float]:
        known = self._facts_of(path, stamp).time_s
        if missing := [index for index in dict.fromkeys(indices) if index not in known]:
            known.update(zip(missing, self.decoders.times(path, stamp, missing), strict=True))
        return [known[index] for index in indices]

    def _facts_of(self, path: str, stamp: Stamp) -> _Facts:
        """What is known about a file in this state, the files longest unasked for forgotten."""
        with self._lock:
            facts = self._facts.setdefault((path, stamp), _Facts())
            self._facts.move_to_end((path, stamp))
            while len(self._facts) > KNOWN_FILES:
                self._facts.popitem(last=False)
        return facts

    def _same(self, path: str) -> Stamp:
        """The stamp of the file, if it is still the file first asked for. Raises BadVideo."""
        stamp = stamp_of(path)
        with self._lock:
            known = self._stamps.setdefault(path, stamp)
        if stamp != known:
            raise BadVideo(f"{path} was replaced after it was probed. Probe it again; frame indices may have changed.")
        return stamp
