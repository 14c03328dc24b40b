"""Video files made on the spot: every container and timing trick that the decoder must get right.

Each picture shows a moving texture and its own number as a row of black and white squares, so that no two pictures of a file are
equal and a neighbour is never mistaken for the frame asked for. What encoders cannot be told (rotation, edit lists) is patched
into the boxes of the finished mp4.
"""

import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder reports its settings otherwise

ROTATIONS = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
"""Display matrix (a, b, c, d) by clockwise degrees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a file is encoded."""

    n_frames: int = 60
    width: int = 96
    height: int = 64
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    rate: Fraction = Fraction(25)
    gop: int = 25
    b_frames: int = 2
    open_gop: bool = False
    ticks: Sequence[int] | None = None
    """Presentation time of each frame in `time_base`; evenly spaced by `rate` if None."""
    time_base: Fraction | None = None
    options: dict[str, str] = field(default_factory=dict)
    mux_options: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    aspect: Fraction | None = None
    """Width of a stored pixel over its height."""
    audio_s: float = 0.0
    """Length of a silent sound track."""
    n_streams: int = 1


def picture(index: int, width: int, height: int) -> Pixels:
    """[height, width, 3]: a drifting texture with the index in binary along the top."""
    x = np.arange(width, dtype=np.int64)[None, :]
    y = np.arange(height, dtype=np.int64)[:, None]
    texture = np.empty((height, width, 3), dtype=np.uint8)
    texture[..., 0] = (x * 5 + index * 7) % 256
    texture[..., 1] = (y * 9 + index * 3) % 256
    texture[..., 2] = ((x % 256).astype(np.uint8) + (y % 256).astype(np.uint8)) * np.uint8(3) + np.uint8(index * 11 % 256)
    cell = max(width // 12, 1)
    for bit in range(12):
        texture[: height // 4, bit * cell : (bit + 1) * cell] = 255 * (index >> bit & 1)
    return texture


def write(path: Path, recipe: Recipe = Recipe()) -> Path:
    """Encodes a file; the container follows from the name's suffix."""
    with av.open(str(path), "w", container_options=recipe.mux_options) as container:
        container.metadata.update(recipe.metadata)
        streams = [_video_stream(container, recipe) for _ in range(recipe.n_streams)]
        sound = container.add_stream("aac", rate=48000) if recipe.audio_s else None
        for index in range(recipe.n_frames):
            for number, stream in enumerate(streams):
                container.mux(stream.encode(_frame(index + 1000 * number, index, recipe)))
        for stream in streams:
            container.mux(stream.encode(None))
        if sound is not None:
            _write_silence(container, sound, recipe.audio_s)
    return path


def _video_stream(container, recipe: Recipe):
    stream = container.add_stream(recipe.codec, rate=recipe.rate)
    stream.width, stream.height, stream.pix_fmt = recipe.width, recipe.height, recipe.pixel_format
    stream.codec_context.time_base = recipe.time_base or 1 / recipe.rate
    stream.codec_context.gop_size = recipe.gop
    stream.codec_context.max_b_frames = recipe.b_frames
    if recipe.aspect is not None:
        stream.codec_context.sample_aspect_ratio = recipe.aspect
    stream.codec_context.options = _encoder_options(recipe) | recipe.options
    return stream


def _encoder_options(recipe: Recipe) -> dict[str, str]:
    """Fast and reproducible; keyframes exactly every `gop` frames."""
    common = f"keyint={recipe.gop}:min-keyint={recipe.gop}:scenecut=0:open-gop={int(recipe.open_gop)}"
    if recipe.codec == "libx264":
        return {"preset": "veryfast", "threads": "1", "x264-params": common}
    if recipe.codec == "libx265":
        return {
            "preset": "ultrafast",
            "x265-params": f"{common}:bframes={recipe.b_frames}:pools=1:frame-threads=1:log-level=none",
        }
    return {"threads": "1"}


def _frame(number: int, index: int, recipe: Recipe) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(picture(number, recipe.width, recipe.height), format="rgb24")
    frame = frame.reformat(format=recipe.pixel_format)
    frame.time_base = recipe.time_base or 1 / recipe.rate
    frame.pts = index if recipe.ticks is None else recipe.ticks[index]
    return frame


def _write_silence(container, stream, duration_s: float) -> None:
    samples = 1024
    for block in range(int(duration_s * 48000 / samples)):
        frame = av.AudioFrame.from_ndarray(np.zeros((2, samples), dtype=np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, block * samples, Fraction(1, 48000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write_sound(path: Path, duration_s: float = 0.5) -> Path:
    """A file without pictures."""
    with av.open(str(path), "w") as container:
        _write_silence(container, container.add_stream("aac", rate=48000), duration_s)
    return path


def rotate(path: Path, degrees: int) -> Path:
    """Writes a display matrix into the track header: stored pictures are to be shown turned clockwise."""
    content = bytearray(path.read_bytes())
    a, b, c, d = ROTATIONS[degrees]
    start = content.index(b"tkhd") + 4 + 40
    one = 1 << 16
    struct.pack_into(">9i", content, start, a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def edit(path: Path, *edits: tuple[int, int]) -> Path:
    """Replaces the edit list: each edit is a length in milliseconds and a start in ticks of the media clock (-1 shows nothing).

    The index stands at the end of the file, so it may grow without moving a sample."""
    content = bytearray(path.read_bytes())
    place = content.index(b"elst") - 4
    (old_size,) = struct.unpack_from(">I", content, place)
    entries = b"".join(struct.pack(">IiI", length_ms, start, 1 << 16) for length_ms, start in edits)
    box = struct.pack(">I4sII", 16 + len(entries), b"elst", 0, len(edits)) + entries
    for name in (b"edts", b"trak", b"moov"):
        parent = content.index(name) - 4
        struct.pack_into(">I", content, parent, struct.unpack_from(">I", content, parent)[0] + len(box) - old_size)
    content[place : place + old_size] = box
    path.write_bytes(content)
    return path


def copy_packets(source: Path, target: Path, keep: Iterable[int]) -> Path:
    """Remuxes the packets at the given positions (in decode order) without re-encoding, as a stream copy does."""
    kept = set(keep)
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for position, packet in enumerate(given.demux(given.streams.video[0])):
            if packet.dts is not None and position in kept:
                packet.stream = stream
                made.mux(packet)
    return target


def second_keyframe(path: Path) -> int:
    """Position, in decode order, of the keyframe after the first one."""
    with av.open(str(path)) as container:
        packets = list(container.demux(container.streams.video[0]))
    return [position for position, packet in enumerate(packets) if packet.is_keyframe and packet.size][1]


def full_decode(path: Path) -> tuple[list[Pixels], list[float]]:
    """Every frame of the file by a plain sequential decode, and its time from the first one: what everything is compared with."""
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.best("video")))
        start = Fraction(frames[0].pts) * frames[0].time_base
        times = [float(frame.pts * frame.time_base - start) for frame in frames]
        return [frame.to_ndarray(format="rgb24") for frame in frames], times


def repeat(path: Path, seed: Path, times: int, rate: Fraction) -> Path:
    """A long file made of the packets of a short one, over and over, one every 1/rate s: hours of video in a second of work."""
    with av.open(str(seed)) as given, av.open(str(path), "w") as made:
        template = given.streams.video[0]
        packets = [(bytes(packet), packet.is_keyframe) for packet in given.demux(template) if packet.size]
        stream = made.add_stream_from_template(template)
        stream.time_base = 1 / rate
        for index in range(times * len(packets)):
            content, is_key = packets[index % len(packets)]
            packet = av.Packet(content)
            packet.pts = packet.dts = index
            packet.time_base, packet.is_keyframe, packet.stream = 1 / rate, is_key, stream
            made.mux(packet)
    return path


def patch(path: Path, place: int, content: bytes) -> Path:
    """Overwrites bytes of a file."""
    changed = bytearray(path.read_bytes())
    changed[place : place + len(content)] = content
    path.write_bytes(changed)
    return path


def boxes_named(path: Path, name: bytes) -> list[int]:
    """Where the contents of the mp4 boxes of that name start."""
    content = path.read_bytes()
    places: list[int] = []
    while (place := content.find(name, places[-1] if places else 0)) >= 0:
        places.append(place + len(name))
    return places
