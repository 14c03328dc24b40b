"""Small pictures of frames for a page: JPEG data URIs, decoded anew from the video, since records hold no pixels.

A video that is gone or broken costs the pictures, not the page: its frames are then shown by number and time alone.
"""

import base64
import io
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from deepsport.errors import BadVideo
from deepsport.policy.base import Pixels
from deepsport.records import Frame
from deepsport.video.source import FrameSource

JPEG_QUALITY = 76


def thumbnails(video: str, frames: Iterable[Frame], source: FrameSource, *, width: int) -> dict[int, str]:
    """Data URIs by frame index, each picture at most `width` pixels wide; empty if the video cannot be read."""
    indices = sorted({frame.index for frame in frames})
    return dict(zip(indices, (data_uri(pixels, width) for pixels in _decode(video, indices, source)), strict=False))


def data_uri(pixels: Pixels, width: int) -> str:
    """A JPEG of [height, width, 3] pixels, made smaller if it is wider than `width`."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if image.width > width:
        image = image.resize((width, max(1, round(image.height * width / image.width))), Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _decode(video: str, indices: Sequence[int], source: FrameSource) -> list[Pixels]:
    if not indices:
        return []
    try:
        return source.frames(video, indices)
    except BadVideo:
        return []
