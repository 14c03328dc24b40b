"""Reading and decoding packets from a chosen keyframe on.

Containers land where they like after a seek: too early (harmless, the packets before are dropped) or too late (tried again from
further back). The landing is checked by the keyframe's own timestamp, so decoding always starts at exactly the packet asked for.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, Literal

from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from deepsport.errors import BadVideo

Clock = Literal["pts", "dts"]
"""Which timestamp names a packet: containers with a complete index know the DTS of every packet without reading it, others are
scanned and named by PTS, which some of them store alone."""

if TYPE_CHECKING:
    VideoPacket = Packet[VideoStream]
else:
    VideoPacket = Packet

SEEK_MARGINS_S = (0, 2, 30)
"""How far before the keyframe to aim, one after the other, before reading from the start of the file."""

BEFORE_EVERYTHING = -(2**60)
"""A timestamp before any start, in any time base."""


class PacketReader:
    """The video packets of an open container, in decode order."""

    def __init__(self, path: str, container: InputContainer, stream: VideoStream) -> None:
        self.path = path
        self.container = container
        self.stream = stream
        self.time_base: Fraction = stream.time_base or Fraction(1)
        self.clock: Clock = "pts"
        self.lead: int = 0
        """PTS minus DTS of a keyframe, in ticks: seeks aim at presentation time even where the index holds decode time."""

    def from_start(self) -> Iterator[VideoPacket]:
        """All packets from the first on."""
        if not self._seek(BEFORE_EVERYTHING, backward=False):
            raise BadVideo(f"{self.path} cannot be read from its start again. Remux it, for example to mp4.")
        return self._packets()

    def from_key(self, key: int) -> Iterator[VideoPacket]:
        """Packets from the one whose timestamp (by `clock`) is `key`; raises BadVideo if there is none."""
        for margin_s in SEEK_MARGINS_S:
            aim = key + (self.lead if self.clock == "dts" else 0) - round(margin_s / self.time_base)
            packets = self._packets()
            if self._seek(aim, backward=True) and (found := self._land(packets, key)) is not None:
                return chain((found,), packets)
        packets = self.from_start()
        for packet in packets:
            if self.stamp(packet) == key:
                return chain((packet,), packets)
        place_s = float(key * self.time_base)
        raise BadVideo(f"{self.path}: the keyframe at {place_s:.3f} s is gone. The file is damaged; re-download it.")

    def stamp(self, packet: VideoPacket) -> int | None:
        """The timestamp that names the packet."""
        return packet.pts if self.clock == "pts" else packet.dts

    def decode(self, packet: VideoPacket) -> list[VideoFrame]:
        """Frames that come out; none if the packet is damaged, as in a player that plays on."""
        try:
            return packet.decode()
        except InvalidDataError:
            return []

    def drain(self) -> list[VideoFrame]:
        """The frames still inside the decoder, which is then ready for another start."""
        try:
            return self.stream.codec_context.decode(None)  # pyright: ignore[reportUnknownMemberType]
        except InvalidDataError:
            return []
        finally:
            self.stream.codec_context.flush_buffers()

    def all_frames(self) -> Iterator[VideoFrame]:
        """Every frame in presentation order: the full sequential decode that defines the index."""
        for packet in self.from_start():
            yield from self.decode(packet)
        yield from self.drain()

    def _seek(self, aim: int, *, backward: bool) -> bool:
        """Whether the container found a place to go to."""
        try:
            self.container.seek(aim, stream=self.stream, backward=backward)
        except FFmpegError:
            return False
        return True

    def _packets(self) -> Iterator[VideoPacket]:
        """Demuxed packets without the empty one that PyAV appends at the end.

        There, PyAV also looks for streams that appeared in mid-file (as in MPEG-TS) and does not find them: the end as well."""
        try:
            yield from (packet for packet in self.container.demux(self.stream) if packet.size)
        except IndexError:
            return

    def _land(self, packets: Iterator[VideoPacket], key: int) -> VideoPacket | None:
        """Reads up to the packet named `key`; None if a later keyframe or the end comes first."""
        for packet in packets:
            stamp = self.stamp(packet)
            if stamp == key:
                return packet
            if packet.is_keyframe and stamp is not None and stamp > key:
                return None
        return None
