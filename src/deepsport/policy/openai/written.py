"""Messages as they are sent: written once, however many requests they are part of.

A conversation sends its whole history with every turn, and several samples of a question show the same frames. So a message is
turned into bytes and hashed when it is new, and a frame when it is first shown; a request is those bytes put together.
"""

import hashlib
import json
import threading
import weakref
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from deepsport.policy.base import Image, Message, Pixels
from deepsport.policy.kept import Kept
from deepsport.policy.openai.wire import FRAMES_FOLLOW, ImageEncoding, Json, data_uri

KEPT_BYTES = 256 * 2**20
"""Of frames that were written already."""


@dataclass(frozen=True, slots=True)
class Written:
    """A message, or a part of one, as JSON."""

    content: bytes
    digest: bytes
    """SHA-256 of what it says."""
    most_tokens: int
    """A bound for its price, not a count."""


def written(message: Json) -> Written:
    """A message without images. A text has no more tokens than half its bytes."""
    content = json.dumps(message, separators=(",", ":")).encode()
    return Written(content, hashlib.sha256(content).digest(), 16 + len(content) // 2)


@lru_cache(maxsize=4096)
def _text_part(text: str) -> Written:
    """A text between images. Most are the labels of frames, which come again with every request."""
    return written({"type": "text", "text": text})


def request_of(fields: Json, messages: Sequence[Written]) -> tuple[bytes, str]:
    """A whole request, and its key: equal requests have equal keys."""
    head = json.dumps(fields, separators=(",", ":")).encode()
    digest = hashlib.sha256(b"".join([hashlib.sha256(head).digest(), *(message.digest for message in messages)]))
    listed = b",".join(message.content for message in messages)
    return b'{"messages":[' + listed + b"]," + head[1:], digest.hexdigest()


class Writer:
    """Writes what a policy is shown. Safe from any thread."""

    def __init__(self, encoding: ImageEncoding, kept_bytes: int = KEPT_BYTES) -> None:
        self._encoding = encoding
        self._lock = threading.Lock()
        self._frames: Kept[tuple[str, int, int], Written] = Kept(kept_bytes, lambda frame: len(frame.content))
        self._sums: dict[int, tuple[weakref.ref[Pixels], int]] = {}
        """Checksums of arrays that cannot be written on, by the identity of the array."""

    def message(self, message: Message) -> Written:
        """A message of the environment. Text alone is sent as a plain string, which every server reads."""
        if not any(isinstance(part, Image) for part in message.parts):
            return written({"role": message.role, "content": _text(message)})
        parts = [self._frame(part) if isinstance(part, Image) else _text_part(part) for part in message.parts]
        content = b'{"role":"%s","content":[%s]}' % (message.role.encode(), b",".join(part.content for part in parts))
        digest = hashlib.sha256(b"".join([message.role.encode(), *(part.digest for part in parts)])).digest()
        return Written(content, digest, sum(part.most_tokens for part in parts))

    def tool_result(self, message: Message, call_ids: Sequence[str]) -> list[Written]:
        """The answer to native calls: one `tool` message each, then the frames, if there are any."""
        frames = [self.message(message)] if any(isinstance(part, Image) for part in message.parts) else []
        text = FRAMES_FOLLOW if frames else _text(message)
        closed = [written({"role": "tool", "tool_call_id": call_id, "content": text}) for call_id in call_ids]
        return [*closed, *frames]

    def _frame(self, image: Image) -> Written:
        """A frame as a part of a message; the checksum of its pixels tells apart files that took each other's place."""
        key = (image.frame.video, image.frame.index, self._checksum(image.pixels))
        with self._lock:
            if found := self._frames.found([key]):
                return found[key]
        made = self._encoded(image)
        with self._lock:
            self._frames.add({key: made})
        return made

    def _checksum(self, pixels: Pixels) -> int:
        """Of what a picture shows; taken once for an array that stays as it is."""
        identity = id(pixels)
        known = self._sums.get(identity)
        if known and known[0]() is pixels:
            return known[1]
        checksum = zlib.crc32(np.ascontiguousarray(pixels).data)
        if not pixels.flags.writeable and pixels.base is None:
            self._sums[identity] = weakref.ref(pixels, lambda _: self._sums.pop(identity, None)), checksum
        return checksum

    def _encoded(self, image: Image) -> Written:
        """An image has no more tokens than the largest square that it may fill has patches of 28 pixels."""
        uri = data_uri(image.pixels, self._encoding).encode()
        content = b'{"type":"image_url","image_url":{"url":"%s"}}' % uri
        side_px = self._encoding.max_side_px or max(image.pixels.shape)
        return Written(content, hashlib.sha256(content).digest(), 16 + (side_px // 28 + 1) ** 2)


def _text(message: Message) -> str:
    return "".join(part for part in message.parts if isinstance(part, str))
