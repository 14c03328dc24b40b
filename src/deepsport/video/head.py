"""What the first few decoded frames say: size, orientation, and whether packets name frames.

Two things cannot be told from packets. A file cut out of an open-GOP stream starts with pictures that no decoder can show; and
some streams (field-coded pictures, packed B-frames) do not hold one frame per packet. Decoding a handful of packets shows both.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame

from deepsport.errors import BadVideo
from deepsport.video.packets import PacketReader
from deepsport.video.pixels import UPRIGHT, Orientation

HEAD_PACKETS = 6
"""Shown packets decoded from the first keyframe on: more than any open-GOP lead of common encoders leaves in front."""


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a video."""

    width: int
    """Of the stored picture."""
    height: int
    orientation: Orientation
    hidden: frozenset[int]
    """Presentation times of leading packets that yield no frame."""
    one_to_one: bool
    """Every other packet yields the frame of its own timestamp."""
    lead: int
    """PTS minus DTS of the first keyframe, in ticks."""


def read_head(reader: PacketReader) -> Head:
    """Decodes the beginning. Raises BadVideo if no frame comes out."""
    sent: list[int | None] = []
    frames: list[VideoFrame] = []
    lead: int | None = None
    for packet in reader.from_start():
        if lead is None and packet.is_keyframe:
            lead = (packet.pts or 0) - (packet.dts or 0) if packet.dts is not None else 0
        if lead is not None and not packet.is_discard:
            sent.append(packet.pts)
        frames += reader.decode(packet)
        if len(sent) >= HEAD_PACKETS and (frames or len(sent) > 20 * HEAD_PACKETS):
            break
    frames += reader.drain()
    if not frames:
        raise BadVideo(f"{reader.path}: nothing can be decoded ({reader.stream.codec_context.name}). Re-download it or drop it.")
    return _judge(sent, frames, lead or 0)


def _judge(sent: list[int | None], frames: list[VideoFrame], lead: int) -> Head:
    """Compares what went in with what came out."""
    shown = [frame.pts for frame in frames]
    first = frames[0]
    missing = [stamp for stamp in sent if stamp is not None and stamp not in shown]
    leading = shown[0] is not None and all(stamp < shown[0] for stamp in missing)
    known = None not in shown and None not in sent and len(set(shown)) == len(shown) and set(shown) <= set(sent)
    return Head(first.width, first.height, _orientation(first), frozenset(missing), known and leading, lead)


def _orientation(frame: VideoFrame) -> Orientation:
    """How the display matrix turns the stored picture; upright if there is none."""
    try:
        matrix = cast(SideDataContainer, frame.side_data)[SideDataType.DISPLAYMATRIX]
    except KeyError:
        return UPRIGHT
    a, b, _, c, d, *_ = (int(value) for value in np.frombuffer(bytes(matrix), dtype=np.int32))
    return Orientation.of_matrix(a, b, c, d)
