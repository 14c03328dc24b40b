"""The parts of a chat completion request: frames as data URIs, and the tool as a JSON schema.

An image travels inside the request as a data URI, at its place between the texts. JPEG keeps full colour resolution (4:4:4):
scoreboards and jersey numbers are thin coloured strokes, the first thing that halved chroma smears.
A tool result goes back in two messages, because many servers take no image in a `tool` message: the call is closed with a
text, and the frames follow as a user message.
"""

import base64
import io
from dataclasses import dataclass
from typing import Literal

import PIL.Image

from deepsport.policy.base import Pixels

Json = dict[str, object]

FRAMES_FOLLOW = "The frames follow in the next message."

CHOOSE_FRAMES: Json = {
    "type": "function",
    "function": {
        "name": "choose_frames",
        "description": "Shows frames of the video, spread evenly from the first index to the last, both included.",
        "parameters": {
            "type": "object",
            "properties": {
                "frame_range": {
                    "type": "array",
                    "items": {"type": "integer"},
                    "minItems": 2,
                    "maxItems": 2,
                    "description": "[first, last]: absolute, 0-based frame indices.",
                }
            },
            "required": ["frame_range"],
            "additionalProperties": False,
        },
    },
}
"""The one tool, for policies that call functions natively."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageEncoding:
    """How a frame becomes bytes."""

    format: Literal["jpeg", "png"] = "jpeg"
    quality: int = 90
    """Of JPEG, in [1, 95]."""
    max_side_px: int | None = 768
    """Larger frames are shrunk until their longer side fits; None sends them as they are."""


def data_uri(pixels: Pixels, encoding: ImageEncoding) -> str:
    """One frame, [height, width, 3] RGB, as `data:image/...;base64,...`."""
    picture = _fitted(PIL.Image.fromarray(pixels), encoding.max_side_px)
    stream = io.BytesIO()
    if encoding.format == "jpeg":
        picture.save(stream, "JPEG", quality=encoding.quality, subsampling=0)
    else:
        picture.save(stream, "PNG", compress_level=1)  # a local link is cheaper than the CPU time of level 6
    return f"data:image/{encoding.format};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def _fitted(picture: PIL.Image.Image, max_side_px: int | None) -> PIL.Image.Image:
    longest_px = max(picture.size)
    if max_side_px is None or longest_px <= max_side_px:
        return picture
    width, height = (max(1, round(side_px * max_side_px / longest_px)) for side_px in picture.size)
    return picture.resize((width, height), PIL.Image.Resampling.LANCZOS)
