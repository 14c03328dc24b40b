"""Files that are broken, lie about themselves, or are no files at all: what the faults of group V are made of."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

from video_files import Recipe, boxes_named, patch, write

Make = Callable[[Path], Path]
"""Writes something into a folder and returns its path."""


def plain(name: str, **recipe: object) -> Make:
    return lambda folder: write(folder / name, Recipe(**recipe))


def beginning(share: float | int) -> Make:
    """The first bytes of a good file: a count, or a share of it."""

    def make(folder: Path) -> Path:
        path = write(folder / "v.mp4", Recipe(mux_options={"movflags": "faststart"}))
        content = path.read_bytes()
        path.write_bytes(content[: share if isinstance(share, int) else int(len(content) * share)])
        return path

    return make


def empty(folder: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


def text(folder: Path) -> Path:
    path = folder / "text.mp4"
    path.write_text("This is not a film.\n" * 100)
    return path


def without_moov(folder: Path) -> Path:
    path = write(folder / "v.mp4")
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"moov") - 4])
    return path


def png_named_mp4(folder: Path) -> Path:
    from PIL import Image

    Image.new("RGB", (32, 32)).save(folder / "picture.png")
    return (folder / "picture.png").rename(folder / "picture.mp4")


def all_samples_of_zero_duration(folder: Path) -> Path:
    path = write(folder / "v.mp4", Recipe(b_frames=0))
    (stts,) = boxes_named(path, b"stts")
    return patch(path, stts + 12, struct.pack(">I", 0))


def jpeg_of_16k_by_16k(folder: Path) -> Path:
    """A tiny MJPEG file whose picture headers, all but the container's, claim 16,384 x 16,384 pixels."""
    path = write(folder / "v.avi", Recipe(codec="mjpeg", pixel_format="yuvj420p", b_frames=0, n_frames=4))
    content = path.read_bytes()
    for _ in range(content.count(b"\xff\xc0\x00\x11\x08")):
        content = content.replace(b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", 64, 96), b"\xff\xc0\x00\x11\x08\x40\x00\x40\x00")
    path.write_bytes(content)
    return path


def jpeg_that_grows_to_16k_by_16k(folder: Path) -> Path:
    """The same, from the eleventh picture on."""
    path = write(folder / "v.avi", Recipe(codec="mjpeg", pixel_format="yuvj420p", b_frames=0, n_frames=20))
    head = b"\xff\xc0\x00\x11\x08"
    parts = path.read_bytes().split(head)
    assert len(parts) == 21
    path.write_bytes(head.join(parts[:11]) + b"".join(head + b"\x40\x00\x40\x00" + part[4:] for part in parts[11:]))
    return path


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.mp4")
    return folder / "pipe.mp4"


def link_to_device(folder: Path) -> Path:
    (folder / "zero.mp4").symlink_to("/dev/zero")
    return folder / "zero.mp4"


def directory(folder: Path) -> Path:
    (folder / "folder.mp4").mkdir()
    return folder / "folder.mp4"


def playlist(name: str, template: str) -> Make:
    """A script that names a good video beside it."""

    def make(folder: Path) -> Path:
        inner = write(folder / "inner.ts")
        path = folder / name
        path.write_text(template.format(inner=inner))
        return path

    return make


def with_durations(factor: int) -> Make:
    """The durations in the headers of an mp4 multiplied by a factor."""

    def make(folder: Path) -> Path:
        path = write(folder / "v.mp4")
        for name, offset in ((b"mvhd", 16), (b"tkhd", 20), (b"mdhd", 16)):
            (box,) = boxes_named(path, name)
            (duration,) = struct.unpack_from(">I", path.read_bytes(), box + offset)
            patch(path, box + offset, struct.pack(">I", duration * factor))
        return path

    return make
