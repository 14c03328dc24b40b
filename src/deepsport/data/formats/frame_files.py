"""Frames as picture files, for trainers that open images by path: PNG, so that what is trained on is what was decoded.

A file is named by the content of its video and the index of the frame, and is written once: an export made again finds it there.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import PIL.Image

from deepsport.durable import write_atomic
from deepsport.errors import BadConfig
from deepsport.policy.base import Pixels
from deepsport.records import Frame
from deepsport.video.source import FrameSource


class FrameFiles:
    """A folder of frames, named from the folder of the export."""

    def __init__(self, folder: Path, base: Path, source: FrameSource) -> None:
        """Raises BadConfig for a folder that is not inside `base`, the folder of the export."""
        inner = folder.resolve()
        if not inner.is_relative_to(base.resolve()):
            raise BadConfig(
                f"{folder} is not in {base}, so its files would have no relative path. Put it beside the output file."
            )
        self._folder = folder
        self._prefix = inner.relative_to(base.resolve()).as_posix()
        self._source = source
        self.n_written = 0

    def paths(self, video: str, sha256: str, frames: Sequence[Frame]) -> dict[int, str]:
        """The path of each frame, by its index; those that are not there yet are decoded and written. Raises BadVideo."""
        names = {frame.index: f"{sha256[:16]}_{frame.index:06d}.png" for frame in frames}
        missing = [index for index, name in names.items() if not (self._folder / name).is_file()]
        if missing:
            for index, pixels in zip(missing, self._source.frames(video, missing), strict=True):
                write_atomic(self._folder / names[index], _png(pixels))
                self.n_written += 1
        return {index: name if self._prefix == "." else f"{self._prefix}/{name}" for index, name in names.items()}


def _png(pixels: Pixels) -> bytes:
    stream = io.BytesIO()
    PIL.Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
    return stream.getvalue()
