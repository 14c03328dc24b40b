"""Opening a file for decoding, and refusing everything that is not a plain video file.

Only the `file` protocol and a closed list of demuxers are let through, so playlists, concat scripts, devices and addresses are
never followed. libav runs without threads: sparse decoding gains nothing from them and the caller's process keeps its cores.
"""

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from deepsport.errors import BadVideo

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,asf,ogg,mxf"
"""Demuxers of self-contained files. HLS, DASH, concat, image sequences and devices are left out on purpose."""

MAX_PIXELS = 8192 * 8192
"""Largest frame that is decoded: room for 8K, too small for a decompression bomb."""

LIBRARY_FAULTS = (FFmpegError, OSError, ValueError, ArithmeticError, MemoryError, EOFError)
"""What libav and its binding raise on damaged files."""


class Stamp(NamedTuple):
    """What tells one state of a file from another."""

    size: int
    mtime_ns: int
    inode: int


@contextmanager
def as_bad_video(path: str, doing: str) -> Generator[None]:
    """Turns a library fault into a BadVideo that names the file and what was being done."""
    try:
        yield
    except BadVideo:
        raise
    except LIBRARY_FAULTS as fault:
        reason = getattr(fault, "strerror", None) or str(fault) or type(fault).__name__
        advice = "The file is damaged or not a video; re-download it or drop it."
        raise BadVideo(f"{path}: {doing} failed ({reason}). {advice}") from fault


def stamp_of(path: str) -> Stamp:
    """Size, modification time and inode of a regular, readable file; raises BadVideo for anything else."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or str(fault)
        raise BadVideo(f"{path!r} cannot be read ({reason}). Check the path.") from fault
    if not stat.S_ISREG(status.st_mode):
        raise BadVideo(f"{path!r} is not a regular file (a folder, pipe or device). Give the path of a video file.")
    if status.st_size == 0:
        raise BadVideo(f"{path!r} is empty (0 bytes). Re-download it.")
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ino)


def open_video(path: str) -> tuple[InputContainer, VideoStream]:
    """Opens the file and its best video stream (libav's choice; cover art is no video stream).

    Every other stream is discarded inside the demuxer. Raises BadVideo."""
    stamp_of(path)
    with as_bad_video(path, "opening"):
        container = av.open(
            os.path.abspath(path),
            metadata_errors="replace",
            options={"protocol_whitelist": "file", "format_whitelist": FORMATS, "max_pixels": str(MAX_PIXELS), "threads": "1"},
        )
    try:
        with as_bad_video(path, "reading the streams"):
            return container, _prepare(path, container)
    except BadVideo:
        container.close()
        raise


def _prepare(path: str, container: InputContainer) -> VideoStream:
    """Picks the video stream, silences the others and sets up its decoder."""
    chosen = _best(path, container)
    for stream in container.streams:
        stream.discard = Discard.default if stream.index == chosen.index else Discard.all
    _check_decodable(path, chosen)
    chosen.codec_context.thread_count = 1
    chosen.codec_context.thread_type = "NONE"
    chosen.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    return chosen


def _best(path: str, container: InputContainer) -> VideoStream:
    chosen = container.streams.best("video")
    if isinstance(chosen, VideoStream) and not chosen.disposition & Disposition.attached_pic:
        return chosen
    raise BadVideo(f"{path} has no video stream ({_inventory(container)}). Re-download it or drop it.")


def _inventory(container: InputContainer) -> str:
    """`1 audio stream, 2 subtitle streams`."""
    kinds = [stream.type for stream in container.streams]
    counts = [f"{kinds.count(kind)} {kind} stream{'s' * (kinds.count(kind) > 1)}" for kind in sorted(set(kinds))]
    return ", ".join(counts) or "no stream at all"


def _check_decodable(path: str, stream: VideoStream) -> None:
    if getattr(stream, "codec_context", None) is None:
        raise BadVideo(f"{path}: no decoder for its video codec. Re-encode it, for example as H.264.")
    if not stream.time_base:
        raise BadVideo(f"{path}: the video stream has no clock. Remux it.")
    if stream.codec_context.width * stream.codec_context.height > MAX_PIXELS:
        size = f"{stream.codec_context.width}x{stream.codec_context.height}"
        raise BadVideo(f"{path}: frames of {size} are larger than {MAX_PIXELS} pixels. Scale the video down.")
