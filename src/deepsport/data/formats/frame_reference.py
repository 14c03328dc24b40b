"""A frame as a reference: where its pixels can be decoded, and nothing that anybody would fetch.

    frame:clips/final%20match.mp4#index=12&t=0.48
    frame:final.mp4#index=12&t=0.48&sha256=9f86d0...

The path is relative and percent-encoded, the index counts frames from 0, the time is in seconds. The hash is that of the video's
content, where it is known. A reference has one spelling: whatever would be written otherwise is refused when it is read back, and
so is every path that leads out of the folder it is laid over.
"""

import math
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from deepsport.errors import BadRecord
from deepsport.records import Frame

LONGEST = 4096
"""Characters of a reference."""

_REFERENCE = re.compile(
    r"frame:(?P<path>[^#?]+)#index=(?P<index>\d{1,18})&t=(?P<t>[0-9.e+-]{1,30})(?:&sha256=(?P<hash>[0-9a-f]{64}))?"
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}):")
_ELSEWHERE = re.compile(r"/|[A-Za-z]:|[A-Za-z+]+:/")
"""Roots, drives and addresses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What a reference says."""

    frame: Frame
    sha256: str = ""
    """Of the video's content; empty if it is not said."""


def write_reference(frame: Frame, sha256: str = "") -> str:
    """The one spelling of a reference. Raises ValueError for a path that must not leave, such as an absolute one."""
    if not is_inside(frame.video):
        raise ValueError(f"{frame.video!r} leads out of a folder, so it is no reference")
    suffix = f"&sha256={sha256}" if sha256 else ""
    return f"frame:{quote(frame.video, safe='/')}#index={frame.index}&t={frame.time_s!r}{suffix}"


def read_reference(text: str) -> Reference:
    """Raises BadRecord, which names the scheme, for anything else than a reference as it is written here."""
    found = _REFERENCE.fullmatch(text) if len(text) <= LONGEST else None
    if found is None:
        raise BadRecord(_what_it_is(text))
    path = unquote(found["path"], errors="replace")
    if not is_inside(path) or not is_inside(unquote(path, errors="replace")):
        raise BadRecord("a frame reference that leads out of its folder")
    time_s = _seconds(found["t"])
    read = Reference(frame=Frame(video=path, index=int(found["index"]), time_s=time_s), sha256=found["hash"] or "")
    if write_reference(read.frame, read.sha256) != text:
        raise BadRecord("a frame reference that is not spelt as one is written")
    return read


def is_inside(path: str) -> bool:
    """Whether a path stays in the folder that it counts from, on any system."""
    parts = path.split("/")
    plain = path.isprintable() and "\\" not in path and not _ELSEWHERE.match(path)
    return plain and not {"", ".", ".."} & set(parts)


def _seconds(text: str) -> float:
    try:
        time_s = float(text)
    except ValueError:
        time_s = math.nan
    if not math.isfinite(time_s):
        raise BadRecord("a frame reference without a time")
    return time_s


def _what_it_is(text: str) -> str:
    scheme = _SCHEME.match(text)
    if scheme is None:
        return "an image that is a path, not a frame reference"
    name = scheme[1].lower()
    return "a frame reference that cannot be read" if name == "frame" else f"an image of scheme {name}:, which is never opened"
