"""A video and its frames, as the frame tool sees them: the same decoder, the same choice of frames.

The file is untrusted: it is decoded in a process of its own, which starts with the first question and ends with the video.
"""

import asyncio
import os
import weakref
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, overload

import numpy as np
from numpy.typing import NDArray

from deepsport.errors import BadVideo
from deepsport.video.sample import window
from deepsport.video.source import FrameSource, Shown, VideoInfo

INSTANT_S = 1e-3
"""Times closer than this are the same instant."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip(Sequence[Shown]):
    """Frames of one window, in rising order. Each has `.index`, `.time_s` and `.pixels`, uint8 [height, width, 3] in RGB."""

    video: str
    """Path of the file."""
    shown: tuple[Shown, ...]

    @overload
    def __getitem__(self, key: int) -> Shown: ...
    @overload
    def __getitem__(self, key: slice) -> "Clip": ...
    def __getitem__(self, key: int | slice) -> "Shown | Clip":
        """A frame, or a clip of some of them."""
        return Clip(self.video, self.shown[key]) if isinstance(key, slice) else self.shown[key]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.shown)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """All pictures as one array, uint8 [n_frames, height, width, 3], RGB; a copy."""
        return np.stack([frame.pixels for frame in self.shown])

    @property
    def indices(self) -> tuple[int, ...]:
        """Of the frames in the video, from 0."""
        return tuple(frame.index for frame in self.shown)

    @property
    def times_s(self) -> tuple[float, ...]:
        """Of the frames, in seconds from the first frame of the video."""
        return tuple(frame.time_s for frame in self.shown)

    def __repr__(self) -> str:
        """One line, without pixels."""
        frames = ", ".join(f"{frame.index} ({frame.time_s:.2f} s)" for frame in self.shown)
        return f"Clip({os.path.basename(self.video)!r}, frames {frames})"

    def _repr_html_(self) -> str:
        """A strip of pictures, for notebooks."""
        from deepsport.api.notebook import clip_html

        return clip_html(self)


class Video:
    """A video file. Use it with `with`, or `close` it: once it was asked for anything, it holds a decoding process."""

    def __init__(self, path: str | Path) -> None:
        """Opens nothing yet."""
        self.path = os.path.abspath(path)
        self._source = FrameSource(trusted=False)
        self._info: VideoInfo | None = None
        self._end = weakref.finalize(self, self._source.close)

    @property
    def info(self) -> VideoInfo:
        """`.n_frames`, `.fps` (exact, frames per second), `.duration_s`, `.width` and `.height` in pixels. Raises BadVideo."""
        if self._info is None:
            self._info = self._source.info(self.path)
        return self._info

    def frames(self, start_s: float = 0.0, end_s: float | None = None, n: int = 8) -> Clip:
        """At most `n` frames spread evenly over a window, the frames on screen at its both ends included.

        Times are seconds from the first frame; without an end, the window runs to that of the video. Fewer frames come if the
        window has fewer. Raises BadVideo for a window that is not in the video, with the times that are; for a broken file; and
        for one that was replaced since it was first asked for. Raises ValueError if `n` is not positive."""
        end_s = self.info.duration_s if end_s is None else end_s
        self._require_within(start_s, end_s)
        indices = window(self._index_at(start_s), self._index_at(end_s), n)
        return Clip(self.path, tuple(self._source.look(self.path, indices)))

    async def frames_async(self, start_s: float = 0.0, end_s: float | None = None, n: int = 8) -> Clip:
        """`frames`, awaited."""
        return await asyncio.to_thread(self.frames, start_s, end_s, n)

    def close(self) -> None:
        """Ends the decoding process. Closing twice does nothing; asked again, the video opens again."""
        self._source.close()

    def __enter__(self) -> Self:
        """The video itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Closes it, whatever happened."""
        self.close()

    def __repr__(self) -> str:
        """Path and, once they are known, the facts."""
        if self._info is None:
            return f"Video({self.path!r})"
        facts, fps = self._info, float(self._info.fps)
        return (
            f"Video({self.path!r}, {facts.n_frames} frames, {facts.duration_s:.2f} s, {fps:g} fps, {facts.width}x{facts.height})"
        )

    def _require_within(self, start_s: float, end_s: float) -> None:
        longest_s = self.info.duration_s
        if not -INSTANT_S <= start_s <= end_s <= longest_s + INSTANT_S:  # false for what is no number, too
            name, asked = os.path.basename(self.path), f"from {_told(start_s)} to {_told(end_s)} s"
            raise BadVideo(f"{name}: no window {asked}. Times run from 0 to {_told(longest_s)} s, the start first.")

    def _index_at(self, time_s: float) -> int:
        """The frame on screen at a time: the last one that has begun."""
        begun = range(self.info.n_frames)
        return max(0, bisect_right(begun, time_s + INSTANT_S, key=lambda index: self._source.times(self.path, [index])[0]) - 1)


def _told(time_s: float) -> str:
    """So exact that a time that is told can be asked for."""
    return f"{time_s:.3f}".rstrip("0").rstrip(".")
