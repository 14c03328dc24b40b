"""Media that stand in the request itself: `data:video/mp4;base64,...` and `data:image/png;base64,...`; and, as other servers read
it, `data:video/jpeg;base64,A,B,C` for the frames of a video as JPEG files.
"""

import asyncio
import binascii
import re
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass

from deepsport.serve.media.brought import MediaPart
from deepsport.serve.media.refusal import MediaRefused, Refusal

CHUNK = 2**20
"""Characters that are decoded in one go, a multiple of 4: some milliseconds."""

_HEAD = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)(;[\w.+-]+=[^;,]*)*;base64,", re.IGNORECASE | re.ASCII)
_FRAMES = re.compile(r"data:video/jpeg;base64,", re.IGNORECASE)
_EXAMPLES = {"video": "data:video/mp4;base64,...", "image": "data:image/png;base64,..."}


def frames_of(part: MediaPart, max_frames: int) -> list[MediaPart]:
    """The frames of a `data:video/jpeg` as pictures; empty for any other medium. Raises MediaRefused for too many."""
    head = _FRAMES.match(part.url) if part.kind == "video" else None
    if head is None:
        return []
    n_frames = part.url.count(",")
    if n_frames > max_frames:
        raise MediaRefused(Refusal.TOO_MANY, f"{n_frames} frames were sent; this server takes {max_frames} at most.")
    return [MediaPart(kind="image", url=f"data:image/jpeg;base64,{frame}") for frame in part.url[head.end() :].split(",")]


def are_pictures(parts: Iterable[MediaPart]) -> bool:
    """Whether any of them is decoded as it comes, and not from a file."""
    return any(part.kind == "image" or _FRAMES.match(part.url) for part in parts)


@dataclass(frozen=True, slots=True)
class Base64:
    """The body of a data URI, which stays where it stands: copying a video takes its time."""

    url: str
    start: int

    @property
    def decoded_size(self) -> int:
        """Bytes that it stands for."""
        return (len(self.url) - self.start) * 3 // 4 - self.url[-2:].count("=")

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The bytes; others on the event loop get their turn in between. Raises MediaRefused."""
        if self.start == len(self.url) or self.url.find("=", self.start, -2) != -1:
            raise _not_base64()
        for start in range(self.start, len(self.url), CHUNK):
            try:
                chunk = binascii.a2b_base64(self.url[start : start + CHUNK], strict_mode=True)
            except ValueError:
                raise _not_base64() from None
            yield chunk
            await asyncio.sleep(0)


def base64_of(part: MediaPart) -> Base64:
    """The body of a data URI, not decoded yet. Raises MediaRefused."""
    head = _HEAD.match(part.url[:1024])
    if head is None:
        raise MediaRefused(Refusal.MALFORMED, f"the data: URI has no head that can be read: write {_EXAMPLES[part.kind]}")
    if not head["type"].lower().startswith(f"{part.kind}/"):
        advice = f"Send {_EXAMPLES[part.kind]} here, or send it as the other kind of part."
        raise MediaRefused(Refusal.TYPE, f"a data: URI of type {head['type'][:40]} is no {part.kind}. {advice}")
    return Base64(part.url, head.end())


def _not_base64() -> MediaRefused:
    return MediaRefused(Refusal.MALFORMED, "the data: URI is not base64. Send the file's bytes in standard base64, with padding.")
