"""What a request asks to be looked at, and what it becomes: one video file, or pictures in their order.

Both carry a name that stands for their content. Features of frames are kept under the name of their video, so two contents never
share one, and one content has the same name in every request.
"""

from dataclasses import dataclass
from typing import Literal

from deepsport.video.pixels import Pixels

Kind = Literal["video", "image"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPart:
    """A `video_url` or an `image_url` of a request."""

    kind: Kind
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A file nobody vouches for, to be decoded as a video in a process of its own."""

    path: str
    """For a `FrameSource(trusted=False)`; there until the request ends."""
    n_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Album:
    """Pictures in the order they were sent."""

    path: str
    """A name in place of a path, for the question and its frames; no such file exists."""
    pictures: tuple[Pixels, ...]
    """One or more, of any sizes."""
    n_bytes: int


Brought = Clip | Album
