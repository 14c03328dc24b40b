"""From a decoded picture to an upright RGB array.

Equal, pixel for pixel, to PyAV's own `to_ndarray(format="rgb24")` of the same frame, turned upright as its display matrix says.
Pixels of anamorphic video are handed out as stored: no row or column is invented. One converter is kept, as setting it up costs
more than using it.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""[height, width, 3], RGB."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight ways in which a stored picture can lie: swap rows with columns, then mirror."""

    swap: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of_matrix(cls, a: int, b: int, c: int, d: int) -> Self:
        """From the display matrix: a stored point (x, y) is shown at (a x + c y, b x + d y)."""
        swap = abs(b) > abs(a)
        return cls(swap, flip_x=(c if swap else a) < 0, flip_y=(b if swap else d) < 0)

    @property
    def rotation(self) -> int:
        """Clockwise degrees from stored to shown: 0, 90, 180 or 270; a mirrored picture counts as its unmirrored neighbour."""
        if self.swap:
            return 90 if self.flip_x else 270
        return 180 if self.flip_y else 0

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height as shown."""
        return (height, width) if self.swap else (width, height)

    def apply(self, pixels: Pixels) -> Pixels:
        """The picture upright, contiguous."""
        turned = pixels.transpose(1, 0, 2) if self.swap else pixels
        return np.ascontiguousarray(turned[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1])


UPRIGHT = Orientation()


class Converter:
    """Pictures of one video to upright RGB."""

    def __init__(self, orientation: Orientation) -> None:
        self._orientation = orientation
        self._reformatter = VideoReformatter()

    def rgb(self, frame: VideoFrame) -> Pixels:
        """[height, width, 3], uint8."""
        picture = self._reformatter.reformat(frame, format="rgb24", threads=1)
        return self._orientation.apply(np.asarray(picture.to_ndarray(), dtype=np.uint8))
