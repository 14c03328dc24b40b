"""Frame-exact sparse decoding.

Frame i is the i-th picture of a full sequential decode. Wanted frames are grouped by the keyframe they need; each group is one
pass: seek, decode forward to the last wanted packet, drain. Pictures nobody wants and no other picture refers to are skipped
inside the decoder. A frame that does not come out is tried again without skipping, then from a keyframe earlier; it is never
replaced by another.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Self

from av.video.frame import VideoFrame

from deepsport.errors import BadVideo
from deepsport.video.container import as_bad_video
from deepsport.video.pixels import Converter, Pixels
from deepsport.video.probe import describe
from deepsport.video.skipping import can_skip
from deepsport.video.track import Track

__all__ = ["Decoder", "Pixels"]


class Decoder:
    """An open video. Not thread-safe: one caller at a time. Raises BadVideo if the file is no video."""

    def __init__(self, path: str) -> None:
        self._track = Track(path)
        try:
            self.info = describe(self._track)
        except BaseException:
            self._track.close()
            raise
        self._converter = Converter(self._track.head.orientation)
        self._can_skip = can_skip(self._track.stream)

    def time_s(self, index: int) -> float:
        """Seconds from the first frame to frame `index`. Raises BadVideo outside the video."""
        self._check((index,))
        timeline = self._track.timeline
        with as_bad_video(self.info.path, f"reading the time of frame {index}"):
            return float((timeline.pts(index) - timeline.pts(0)) * self._track.reader.time_base)

    def frames(self, indices: Sequence[int]) -> list[Pixels]:
        """RGB pictures, [height, width, 3] each, in the order asked; a repeated index gives the same array again.

        Raises BadVideo for an index outside the video or a frame that cannot be decoded."""
        self._check(indices)
        with as_bad_video(self.info.path, "decoding"):
            found = self._counted(indices) if self._track.timeline.counted else self._sparse(indices)
        return [found[index] for index in indices]

    def close(self) -> None:
        """Closes the file; the decoder cannot be used afterwards."""
        self._track.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self, indices: Sequence[int]) -> None:
        outside = [index for index in indices if not 0 <= index < self.info.n_frames]
        if outside:
            raise BadVideo(f"{self.info.path} has no frame {outside[0]}: its frames are 0 to {self.info.n_frames - 1}.")

    def _counted(self, indices: Sequence[int]) -> dict[int, Pixels]:
        """By counting from the start, where timestamps do not name frames."""
        wanted = set(indices)
        found: dict[int, Pixels] = {}
        for index, frame in enumerate(self._track.reader.all_frames()):
            if index in wanted:
                found[index] = self._converter.rgb(frame)
            if len(found) == len(wanted):
                break
        self._track.stream.codec_context.flush_buffers()
        return self._complete(found, wanted)

    def _sparse(self, indices: Sequence[int]) -> dict[int, Pixels]:
        """By timestamp, one pass for each keyframe needed."""
        found: dict[int, Pixels] = {}
        for start, group in groupby(sorted(set(indices)), self._track.timeline.start):
            found |= self._from(start, list(group))
        return found

    def _from(self, start: int, indices: Sequence[int]) -> dict[int, Pixels]:
        """The frames at `indices`, with ever more caution as long as some are missing."""
        index_of = {self._track.timeline.pts(index): index for index in indices}
        found: dict[int, Pixels] = {}
        for begin, skip in ((start, True), (start, False), (max(start - 1, 0), False)):
            missing = index_of.keys() - found.keys()
            if missing:
                shown = self._pass(begin, max(indices), missing, skip)
                found |= {frame.pts: self._converter.rgb(frame) for frame in shown if frame.pts in missing}
        return self._complete({index_of[pts]: pixels for pts, pixels in found.items()}, set(indices))

    def _pass(self, start: int, last: int, wanted: set[int], skip: bool) -> Iterator[VideoFrame]:
        """Decodes from the keyframe of GOP `start` through the last wanted packet, or the GOP of frame `last`, then drains."""
        track = self._track
        context = track.stream.codec_context
        left = set(wanted)
        for packet in track.timeline.packets(start, last):
            context.skip_frame = "NONREF" if skip and self._can_skip and packet.pts not in wanted else "DEFAULT"
            yield from track.reader.decode(packet)
            left.discard(packet.pts)
            if not left:
                break
        context.skip_frame = "DEFAULT"
        yield from track.reader.drain()

    def _complete(self, found: dict[int, Pixels], wanted: set[int]) -> dict[int, Pixels]:
        lost = sorted(wanted - found.keys())
        if lost:
            advice = "The file is damaged there; ask for another frame or drop it."
            raise BadVideo(f"{self.info.path}: frame {lost[0]} cannot be decoded. {advice}")
        return found
