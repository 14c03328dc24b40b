"""Which frame is the i-th: the presentation order of a video, known before anything is decoded.

A video is a row of GOPs (a keyframe and the packets up to the next one, in decode order). Where the container has a complete
index (mp4, mov) the number of frames of each GOP comes from it and the timestamps are read GOP by GOP when they are needed, so a
ten-hour file is not read whole; elsewhere (MPEG-TS, Matroska, AVI) all packets are scanned once, without decoding. Where
timestamps do not tell the order, everything is decoded once and frames are counted. Packets outside the edit list, and leading
packets that no decoder can show, are not frames.
"""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice, pairwise

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

UNREAD = np.iinfo(np.int64).min
"""Stands for a timestamp that has not been read yet."""

Ticks = NDArray[np.int64]
"""Timestamps in the stream's time base."""

Flags = NDArray[np.bool_]


@dataclass(slots=True)
class Gops:
    """The GOPs of a video as columns: G GOPs, F frames. A long video has hundreds of thousands of either."""

    keys_G: Ticks
    """Timestamp of each keyframe's packet, by the reader's clock."""
    n_packets_G: NDArray[np.int64]
    n_frames_G: NDArray[np.int64]
    key_pts_G: Ticks
    """Presentation time of each keyframe; earlier frames of its GOP lean on the GOP before (open GOP)."""
    pts_F: Ticks
    """Presentation times, rising."""


class Timeline:
    """Index to timestamp, and to the keyframe from which to decode."""

    def __init__(self, reader: PacketReader, gops: Gops, hidden: frozenset[int], *, counted: bool = False) -> None:
        self._reader = reader
        self._gops = gops
        self._hidden = hidden
        self.counted = counted
        """Packets do not name frames one to one: frames are found by counting from the start."""
        if hidden:
            self._hide()
        self._firsts_G = np.concatenate(([0], np.cumsum(gops.n_frames_G)[:-1]))
        self.n_frames = int(gops.n_frames_G.sum())
        if self.n_frames == 0:
            raise BadVideo(f"{reader.path}: the video stream shows no frame. Re-download it or drop it.")

    def pts(self, index: int) -> int:
        """Presentation timestamp of frame `index`, in ticks; read from the file the first time. Raises BadVideo."""
        if self._gops.pts_F[index] == UNREAD:
            self._read(self._position(index))
        return int(self._gops.pts_F[index])

    def start(self, index: int) -> int:
        """Number of the GOP at which decoding must start for frame `index`: one earlier for leading pictures of an open GOP."""
        pts, position = self.pts(index), self._position(index)
        return position - 1 if pts < self._gops.key_pts_G[position] and position > 0 else position

    def packets(self, start: int, index: int) -> Iterable[VideoPacket]:
        """The packets from the keyframe of GOP `start` to the end of the GOP of frame `index`. Raises BadVideo."""
        count = int(self._gops.n_packets_G[start : self._position(index) + 1].sum())
        return islice(self._reader.from_key(int(self._gops.keys_G[start])), count)

    def _position(self, index: int) -> int:
        """Number of the GOP that holds frame `index`."""
        return int(np.searchsorted(self._firsts_G, index, side="right")) - 1

    def _read(self, position: int) -> None:
        """Fills in the presentation times of a GOP. Raises BadVideo if frames are missing."""
        gops = self._gops
        n_packets, n_frames = int(gops.n_packets_G[position]), int(gops.n_frames_G[position])
        packets = list(islice(self._reader.from_key(int(gops.keys_G[position])), n_packets))
        shown = self._shown(packets)
        if len(shown) != n_frames:
            place_s = float(int(gops.keys_G[position]) * self._reader.time_base)
            fault = "packets are missing" if len(packets) < n_packets else "timestamps do not tell frames apart"
            raise BadVideo(f"{self._reader.path}: {fault} from {place_s:.2f} s on. Re-download the file or remux it.")
        gops.key_pts_G[position] = packets[0].pts or 0
        first = int(self._firsts_G[position])
        gops.pts_F[first : first + n_frames] = shown

    def _shown(self, packets: Iterable[VideoPacket]) -> list[int]:
        """Rising presentation times of the packets that are shown."""
        stamps = {packet.pts for packet in packets if packet.pts is not None and not packet.is_discard}
        return sorted(stamps - self._hidden)

    def _hide(self) -> None:
        """Takes out the frames that no decoder can show: they lean on a GOP before the file begins."""
        gops, gone = self._gops, 0
        for position, n_frames in enumerate(gops.n_frames_G.tolist()):
            if gone == len(self._hidden):
                break
            packets = islice(self._reader.from_key(int(gops.keys_G[position])), int(gops.n_packets_G[position]))
            gops.n_frames_G[position] = len(self._shown(packets))
            gone += n_frames - int(gops.n_frames_G[position])
        gops.pts_F = gops.pts_F[gone:]


def build(container: InputContainer, reader: PacketReader, head: Head) -> Timeline:
    """The timeline of an open video: by index if there is one, else by a scan, else by counting frames. Raises BadVideo."""
    if head.one_to_one:
        if (gops := from_index(container, reader.stream)) is not None:
            reader.clock, reader.lead = "dts", head.lead
            return Timeline(reader, gops, head.hidden)
        if (gops := from_scan(reader)) is not None:
            return Timeline(reader, gops, head.hidden)
    return Timeline(reader, by_counting(reader), frozenset(), counted=True)


def from_index(container: InputContainer, stream: VideoStream) -> Gops | None:
    """GOPs from the container's own index; None if it has none that is known to be complete.

    Only the mp4 family keeps every sample in its index. A fragmented file adds the samples of a fragment when it comes across it:
    demuxing with every stream discarded walks all fragment headers and reads no sample."""
    if "mp4" not in container.format.name:
        return None
    stream.discard = Discard.all
    for _ in container.demux(stream):
        pass
    stream.discard = Discard.default
    entries = chain.from_iterable((entry.timestamp, entry.flags) for entry in stream.index_entries)
    table = np.fromiter(entries, dtype=np.int64).reshape(-1, 2)
    keys = np.flatnonzero(table[:, 1] & INDEX_KEY)
    if len(keys) == 0 or (np.diff(table[:, 0]) <= 0).any():  # several edits make the clock of the index jump back
        return None
    stamps, flags = table[keys[0] :, 0], table[keys[0] :, 1]  # what comes before the first keyframe is never shown
    return _group(stamps, (flags & INDEX_KEY) != 0, (flags & INDEX_DISCARD) == 0)


def _group(stamps: Ticks, is_key: Flags, is_shown: Flags) -> Gops:
    """Cuts packets in decode order, of which the first is a keyframe, into GOPs whose presentation times are yet to be read."""
    starts = np.flatnonzero(is_key)
    edges = np.append(starts, len(stamps))
    shown_before = np.concatenate(([0], np.cumsum(is_shown)))
    unread = np.full(int(shown_before[-1]), UNREAD, dtype=np.int64)
    return Gops(stamps[starts], np.diff(edges), np.diff(shown_before[edges]), np.zeros(len(starts), dtype=np.int64), unread)


def from_scan(reader: PacketReader) -> Gops | None:
    """GOPs from reading every packet; None if timestamps do not tell the order of the frames."""
    stamps, keys = array("q"), bytearray()
    for packet in reader.from_start():
        if packet.pts is None or packet.is_discard:
            return None
        if keys or packet.is_keyframe:
            stamps.append(packet.pts)
            keys.append(packet.is_keyframe)
    pts, is_key = np.frombuffer(stamps, dtype=np.int64), np.frombuffer(keys, dtype=np.bool_)
    if len(pts) == 0 or not names_frames(pts, is_key):
        return None
    gops = _group(pts, is_key, np.ones(len(pts), dtype=np.bool_))
    gops.key_pts_G, gops.pts_F = gops.keys_G, np.sort(pts)
    return gops


def names_frames(pts: Ticks, is_key: Flags) -> bool:
    """Whether timestamps [packets, in decode order] are distinct, and all before a keyframe come before all from it on.

    They do not where recordings were joined and the clock jumps back."""
    latest_before = np.maximum.accumulate(pts)[:-1]
    earliest_after = np.minimum.accumulate(pts[::-1])[::-1][1:]
    in_order = (latest_before < earliest_after) | ~is_key[1:]
    return len(np.unique(pts)) == len(pts) and bool(in_order.all())


def by_counting(reader: PacketReader) -> Gops:
    """The whole video as one GOP, known by decoding it all: slow, for streams whose packets are not frames (field-coded MPEG-TS,
    packed AVI). Times are the frames' own if they rise, else they follow from the nominal rate."""
    stamps = [frame.pts for frame in reader.all_frames()]
    ticks = [stamp for stamp in stamps if stamp is not None]
    if len(ticks) != len(stamps) or any(after <= before for before, after in pairwise(ticks)):
        rate = reader.stream.average_rate or reader.stream.guessed_rate or Fraction(25)
        ticks = [round(i / rate / reader.time_base) for i in range(len(stamps))]
    one = np.ones(1, dtype=np.int64)
    return Gops(0 * one, 0 * one, len(ticks) * one, 0 * one, np.array(ticks, dtype=np.int64))
