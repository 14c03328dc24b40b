"""Frames of many videos, for many callers and any thread.

Decoders stay open and pictures are kept for a while. Files nobody vouches for (`trusted=False`) are probed and decoded in a
process of their own, with limits on time and memory. A file that is replaced after it was first asked for is refused, since
frame indices taken from the old one mean nothing in the new one; asking for its `info` starts over.
"""

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from deepsport.errors import BadVideo
from deepsport.video.cache import DecoderCache
from deepsport.video.container import Stamp, stamp_of
from deepsport.video.pixels import Pixels
from deepsport.video.probe import VideoInfo
from deepsport.video.remote import RemoteDecoders

__all__ = ["FrameSource", "Pixels", "VideoInfo"]


PICTURE_BYTES = 256 * 2**20
"""Decoded pictures that are kept: some 370 of 640x360."""


class Decoders(Protocol):
    """Decoders in this process or in another one."""

    def info(self, path: str, stamp: Stamp) -> VideoInfo:
        """The facts about the file."""
        ...

    def frames(self, path: str, stamp: Stamp, indices: Sequence[int]) -> list[Pixels]:
        """RGB pictures in the order asked."""
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
        return self.decoders.info(path, stamp)

    def frames(self, path: str, indices: Sequence[int]) -> list[Pixels]:
        """RGB pictures, [height, width, 3] each, in the order asked. Raises BadVideo."""
        return self.decoders.frames(path, self._same(path), indices)

    def times(self, path: str, indices: Sequence[int]) -> list[float]:
        """Seconds from the first frame, in the order asked. Raises BadVideo."""
        return self.decoders.times(path, self._same(path), indices)

    def close(self) -> None:
        """Closes all files and ends the worker."""
        self.decoders.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _same(self, path: str) -> Stamp:
        """The stamp of the file, if it is still the file first asked for. Raises BadVideo."""
        stamp = stamp_of(path)
        with self._lock:
            known = self._stamps.setdefault(path, stamp)
        if stamp != known:
            raise BadVideo(f"{path} was replaced after it was probed. Probe it again; frame indices may have changed.")
        return stamp
