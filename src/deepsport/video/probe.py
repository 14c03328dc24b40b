"""What a video file is, from its timestamps: headers are believed only where the timestamps bear them out.

Width and height are those of the arrays that decoding hands out: after rotation, without stretching anamorphic pixels.
"""

from dataclasses import dataclass
from fractions import Fraction

from deepsport.video.container import as_bad_video
from deepsport.video.track import Track

FALLBACK_FPS = Fraction(25)
"""Rate of a video of one frame whose container names none."""


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """The facts about one video file."""

    path: str
    n_frames: int
    fps: Fraction
    """Average rate."""
    duration_s: float
    """From the first frame to the end of the last one, which is taken to last one average frame."""
    width: int
    height: int
    rotation: int
    """Clockwise degrees by which stored pictures are turned to stand upright: 0, 90, 180 or 270."""
    codec: str
    metadata: dict[str, str]
    """Tags of the container."""
    start_s: float = 0.0
    """The first frame on the clock of a player: that of the file, moved only if it begins before 0."""


def probe(path: str) -> VideoInfo:
    """Opens the file, reads what is needed, closes it. Raises BadVideo."""
    track = Track(path)
    try:
        return describe(track)
    finally:
        track.close()


def describe(track: Track) -> VideoInfo:
    """The facts about an open video. Raises BadVideo."""
    with as_bad_video(track.path, "reading the last frames"):
        span_s = _span_s(track)
    fps = average_fps(track.timeline.n_frames, span_s, track.stream.average_rate)
    width, height = track.head.orientation.size(track.head.width, track.head.height)
    return VideoInfo(
        path=track.path,
        n_frames=track.timeline.n_frames,
        fps=fps,
        duration_s=float(span_s + 1 / fps),
        width=width,
        height=height,
        rotation=track.head.orientation.rotation,
        codec=track.stream.codec_context.name,
        metadata=dict(track.container.metadata),
        start_s=_start_s(track),
    )


def average_fps(n_frames: int, span_s: Fraction, claimed: Fraction | None) -> Fraction:
    """Frames per second. The container's claim (exact, like 30000/1001) is taken if it puts the last frame within half a frame
    of its timestamp, else the rate is measured from first to last timestamp, `span_s` apart."""
    steps = n_frames - 1
    if claimed and claimed > 0 and abs(span_s * claimed - steps) < Fraction(1, 2):
        return claimed
    return steps / span_s if steps and span_s > 0 else FALLBACK_FPS


def _start_s(track: Track) -> float:
    """As Chromium counts: its sound may begin before the picture, and either before 0."""
    first = track.timeline.pts(0) * track.reader.time_base
    sound = (
        stream.start_time * stream.time_base
        for stream in track.container.streams.audio
        if stream.start_time is not None and stream.time_base is not None
    )
    return float(first - min(0, first, *sound))


def _span_s(track: Track) -> Fraction:
    """Exact time between the first and the last frame."""
    timeline = track.timeline
    return (timeline.pts(timeline.n_frames - 1) - timeline.pts(0)) * track.reader.time_base
