"""Frames in, an H.264 mp4 out, the same bytes every time.

One thread, a constant quantiser and no look-ahead make the stream a function of the frames. Cuts are coded as key frames and
nothing refers across them, so the event leaves no trace in the compression of the frames around it. RGB becomes YUV by whatever
instructions the processor has, which round alike on every x86-64; `portable` asks for the one rounding that all processors share.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# PyAV's stubs leave packets, options and Pillow images untyped

import hashlib
import io
from collections.abc import Container, Iterable
from pathlib import Path

import av
from av.video.frame import PictureType
from av.video.reformatter import Interpolation
from PIL import Image

from deepsport.arena.canvas import HEIGHT, WIDTH
from deepsport.arena.truth import FPS
from deepsport.durable import write_atomic
from deepsport.video.container import as_bad_video, open_video

_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT

_OPTIONS = {
    "preset": "ultrafast",
    "qp": "20",
    "forced-idr": "1",
    "x264-params": "threads=1:bframes=0:ref=1:keyint=25:scenecut=0:rc-lookahead=0:mbtree=0:aq-mode=0",
}


def write_clip(path: Path, frames: Iterable[Image.Image], *, cuts: Container[int], comment: str, portable: bool = False) -> None:
    """Encodes RGB frames of 224x126 pixels to `path`, whole or not at all; `cuts` are the indices at which a new shot begins.

    Raises RunError if the disk does not take it."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        container.metadata["comment"] = comment
        stream = container.add_stream("libx264", rate=FPS, options=dict(_OPTIONS))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_image(image)
            if portable:
                frame = frame.reformat(format="yuv420p", interpolation=_EXACT, threads=1)
            frame.pts = index
            if index in cuts:
                frame.pict_type = PictureType.I
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    write_atomic(path, buffer.getvalue())


def picture_digest(path: Path) -> str:
    """SHA-256 of what a clip shows: its decoded pictures, frame by frame, before any change of colours.

    H.264 is decoded to the same bits everywhere, so this does not change with what a library's version writes around them.
    Raises BadVideo."""
    container, stream = open_video(str(path))
    digest = hashlib.sha256()
    with container, as_bad_video(str(path), "decoding"):
        for frame in container.decode(stream):
            digest.update(frame.to_ndarray().tobytes())
    return digest.hexdigest()
