"""Which frame is the i-th: the presentation order of a video, known before anything is decoded.

A video is a row of GOPs (a keyframe and the packets up to the next one, in decode order). Where the container has a complete
index (mp4, mov) the number of frames of each GOP comes from it and the timestamps are read GOP by GOP when they are needed, so a
ten-hour file is not read whole; elsewhere (MPEG-TS, Matroska, AVI) all packets are scanned once, without decoding. Where
timestamps do not tell the order, everything is decoded once and frames are counted. Packets outside the edit list, and leading
packets that no decoder can show, are not frames.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise

import numpy as np
from av.container import InputContainer
from av.stream import Discard
from av.video.stream import VideoStream
from numpy.typing import NDArray

from deepsport.errors import BadVideo
from deepsport.video.head import Head
from deepsport.video.packets import PacketReader, VideoPacket

INDEX_KEY, INDEX_DISCARD = 1, 2
"""libav's AVINDEX_KEYFRAME and AVINDEX_DISCARD_FRAME."""

Ticks = NDArray[np.int64]
"""Timestamps in the stream's time base."""

Flags = NDArray[np.bool_]


@dataclass(slots=True)
class Gop:
    """A keyframe and what follows it in decode order."""

    key: int
    """Timestamp of the keyframe's packet, by the reader's clock."""
    first: int
    """Index of its earliest frame."""
    n_frames: int
    n_packets: int
    pts: Ticks | None = None
    """[n_frames], rising; None until read."""
    key_pts: int = 0
    """Presentation time of the keyframe; earlier frames of the GOP lean on the GOP before (open GOP)."""


class Timeline:
    """Index to timestamp and back."""

    def __init__(self, reader: PacketReader, gops: list[Gop], hidden: frozenset[int], *, counted: bool = False) -> None:
        self._reader = reader
        self._hidden = hidden
        self.gops = gops
        self.counted = counted
        """Packets do not name frames one to one: frames are found by counting from the start."""
        if hidden:
            self._hide()
        self._firsts = [gop.first for gop in gops]
        self.n_frames = gops[-1].first + gops[-1].n_frames
        if self.n_frames == 0:
            raise BadVideo(f"{reader.path}: the video stream shows no frame. Re-download it or drop it.")

    def position(self, index: int) -> int:
        """Number of the GOP that holds frame `index`."""
        return bisect_right(self._firsts, index) - 1

    def pts(self, index: int) -> int:
        """Presentation timestamp of frame `index`, in ticks."""
        gop = self.gops[self.position(index)]
        return int(self.read(gop)[index - gop.first])

    def read(self, gop: Gop) -> Ticks:
        """Presentation timestamps of a GOP, rising; read from the file the first time. Raises BadVideo."""
        if gop.pts is None:
            packets = list(islice(self._reader.from_key(gop.key), gop.n_packets))
            gop.key_pts = packets[0].pts or 0
            gop.pts = self._shown(packets)
            if len(gop.pts) != gop.n_frames:
                place_s = float(gop.key * self._reader.time_base)
                raise BadVideo(
                    f"{self._reader.path}: {len(gop.pts)} of {gop.n_frames} frames are there from {place_s:.2f} s on. "
                    "The file is cut short or damaged; re-download it."
                )
        return gop.pts

    def _shown(self, packets: Iterable[VideoPacket]) -> Ticks:
        """Rising presentation times of the packets that are shown."""
        stamps = {packet.pts for packet in packets if packet.pts is not None and not packet.is_discard}
        return np.array(sorted(stamps - self._hidden), dtype=np.int64)

    def _hide(self) -> None:
        """Takes the frames that no decoder can show (they lean on a GOP before the file begins) out of the first GOPs."""
        gone = 0
        for gop in self.gops:
            if gone < len(self._hidden):
                packets = islice(self._reader.from_key(gop.key), gop.n_packets)
                shown = len(self._shown(packets))
                gop.first, gop.n_frames, gone, gop.pts = gop.first - gone, shown, gone + gop.n_frames - shown, None
            else:
                gop.first -= gone


def build(container: InputContainer, reader: PacketReader, head: Head) -> Timeline:
    """The timeline of an open video: by index if there is one, else by a scan, else by counting frames. Raises BadVideo."""
    if head.one_to_one:
        if gops := from_index(container, reader.stream):
            reader.clock, reader.lead = "dts", head.lead
            return Timeline(reader, gops, head.hidden)
        if gops := from_scan(reader):
            return Timeline(reader, gops, head.hidden)
    return Timeline(reader, [by_counting(reader)], frozenset(), counted=True)


def from_index(container: InputContainer, stream: VideoStream) -> list[Gop]:
    """GOPs from the container's own index; empty if it has none that is known to be complete.

    Only the mp4 family keeps every sample in its index. A fragmented file adds the samples of a fragment when it comes across it:
    demuxing with every stream discarded walks all fragment headers and reads no sample."""
    if "mp4" not in container.format.name:
        return []
    stream.discard = Discard.all
    for _ in container.demux(stream):
        pass
    stream.discard = Discard.default
    table = np.array([(entry.timestamp, entry.flags) for entry in stream.index_entries], dtype=np.int64).reshape(-1, 2)
    keys = np.flatnonzero(table[:, 1] & INDEX_KEY)
    if len(keys) == 0:
        return []
    stamps, flags = table[keys[0] :, 0], table[keys[0] :, 1]  # what comes before the first keyframe is never shown
    return _group(stamps, (flags & INDEX_KEY) != 0, (flags & INDEX_DISCARD) == 0)


def _group(stamps: Ticks, is_key: Flags, is_shown: Flags) -> list[Gop]:
    """Cuts packets in decode order, of which the first is a keyframe, into GOPs."""
    starts = np.flatnonzero(is_key)
    shown_before = np.concatenate(([0], np.cumsum(is_shown)))
    ends = np.append(starts[1:], len(stamps))
    return [
        Gop(int(stamps[start]), int(shown_before[start]), int(shown_before[end] - shown_before[start]), int(end - start))
        for start, end in zip(starts, ends, strict=True)
    ]


def from_scan(reader: PacketReader) -> list[Gop]:
    """GOPs from reading every packet; empty if timestamps do not tell the order of the frames."""
    stamps: list[int] = []
    keys: list[bool] = []
    for packet in reader.from_start():
        if packet.pts is None:
            return []
        if keys or packet.is_keyframe:
            stamps.append(packet.pts)
            keys.append(packet.is_keyframe)
    pts, is_key = np.array(stamps, dtype=np.int64), np.array(keys, dtype=np.bool_)
    if not stamps or not names_frames(pts, is_key):
        return []
    gops = _group(pts, is_key, np.ones(len(pts), dtype=np.bool_))
    start = 0
    for gop in gops:
        gop.key_pts, gop.pts = gop.key, np.sort(pts[start : start + gop.n_packets])
        start += gop.n_packets
    return gops


def names_frames(pts: Ticks, is_key: Flags) -> bool:
    """Whether timestamps [packets, in decode order] are distinct, and all before a keyframe come before all from it on.

    They do not where recordings were joined and the clock jumps back."""
    latest_before = np.maximum.accumulate(pts)[:-1]
    earliest_after = np.minimum.accumulate(pts[::-1])[::-1][1:]
    in_order = (latest_before < earliest_after) | ~is_key[1:]
    return len(np.unique(pts)) == len(pts) and bool(in_order.all())


def by_counting(reader: PacketReader) -> Gop:
    """The whole video as one GOP, known by decoding it all: slow, for streams whose packets are not frames (field-coded MPEG-TS,
    packed AVI). Times are the frames' own if they rise, else they follow from the nominal rate."""
    stamps = [frame.pts for frame in reader.all_frames()]
    ticks = [stamp for stamp in stamps if stamp is not None]
    if len(ticks) != len(stamps) or any(after <= before for before, after in pairwise(ticks)):
        rate = reader.stream.average_rate or reader.stream.guessed_rate or Fraction(25)
        ticks = [round(i / rate / reader.time_base) for i in range(len(stamps))]
    return Gop(0, 0, len(ticks), 0, np.array(ticks, dtype=np.int64))
