"""Messages and frames as the JSON of a chat completion request.

An image travels inside the request as a data URI, at its place between the texts. JPEG keeps full colour resolution (4:4:4):
scoreboards and jersey numbers are thin coloured strokes, the first thing that halved chroma smears.
A tool result goes back in two messages, because many servers take no image in a `tool` message: the call is closed with a
text, and the frames follow as a user message.
"""

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import PIL.Image

from deepsport.policy.base import Image, Message, Part, Pixels

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


def chat_message(message: Message, encoding: ImageEncoding) -> Json:
    """A message of the environment. Text alone is sent as a plain string, which every server reads."""
    if not _has_image(message):
        return {"role": message.role, "content": _text(message)}
    return {"role": message.role, "content": [_chat_part(part, encoding) for part in message.parts]}


def tool_result(message: Message, call_ids: Sequence[str], encoding: ImageEncoding) -> list[Json]:
    """The answer to native calls: one `tool` message each, then the frames, if there are any."""
    frames = [chat_message(message, encoding)] if _has_image(message) else []
    text = FRAMES_FOLLOW if frames else _text(message)
    return [*({"role": "tool", "tool_call_id": call_id, "content": text} for call_id in call_ids), *frames]


def _chat_part(part: Part, encoding: ImageEncoding) -> Json:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return {"type": "image_url", "image_url": {"url": data_uri(part.pixels, encoding)}}


def _has_image(message: Message) -> bool:
    return any(isinstance(part, Image) for part in message.parts)


def _text(message: Message) -> str:
    return "".join(part for part in message.parts if isinstance(part, str))


def most_tokens(messages: Sequence[Json], max_side_px: int | None) -> int:
    """More tokens than a request is likely to have: a bound for its price, not a count. A text has no more tokens than half its
    bytes, and an image no more than patches of 28 pixels in the largest square it may fill."""
    side_px = max_side_px or 1920
    n_text = n_images = 0
    for part in (part for message in messages for part in _sent_parts(message)):
        if part.get("type") == "image_url":
            n_images += 1
        else:
            n_text += len(str(part.get("text", "")).encode())
    return 16 * len(messages) + n_text // 2 + n_images * (side_px // 28 + 1) ** 2


def _sent_parts(message: Json) -> list[Json]:
    content = message.get("content")
    parts = cast(list[Json], content) if isinstance(content, list) else [{"text": content or ""}]
    return [*parts, {"text": json.dumps(message["tool_calls"])}] if "tool_calls" in message else parts
