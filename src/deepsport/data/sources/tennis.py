"""Tennis rallies in the layout of E2E-Spot: every serve, stroke and bounce, at the near or the far end of the court.

A clip is named after its broadcast and the frames it was cut from: `usopen_2019_womens_round1_williams_sharapova_2058_2354`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from deepsport.data.asking import Asker
from deepsport.data.source import Drops, Source
from deepsport.data.sources.spot import SpotClip, spot_asker, spot_clips
from deepsport.records import Dimension, Question

LICENCE = "BSD-3-Clause"

ENDS = {"near": "the player at the near end", "far": "the player at the far end"}
HALVES = {"near": "the near half", "far": "the far half"}

AROUND_S = 0.2
"""A serve or a bounce is one frame of the annotation; its window reaches this far to both sides."""

USUAL_FPS = 25.0
"""Where none is stated, for the width of a window only."""

_LABEL = re.compile(r"(?P<end>near|far)_court_(?P<what>serve|swing|bounce)$")
_CUT = re.compile(r"_\d+_\d+$")

_WHO_SERVES = ("Who serves?", "Which player opens the rally with the serve?")
_WHO_LAST = ("Who plays the last stroke of this clip?", "Which player hits the ball last?")
_WHERE_LAST = ("In which half of the court does the ball bounce last?", "Where is the last bounce of this clip?")
HOW_MANY = (
    "How many strokes are played in this clip? The serve counts as one.",
    "Counting the serve, how often is the ball struck?",
)


def read(path: Path, drops: Drops) -> Iterator[Question]:
    """Who serves, who plays last, where the ball lands, how many strokes there are."""
    for file, clip in spot_clips(path, SpotClip, drops):
        match = broadcast_of(clip)
        asker = spot_asker(file, clip, source="tennis", licence=LICENCE, sport="tennis", match=match, fps=clip.rate)
        yield from _of_rally(asker, clip, drops)


def _of_rally(asker: Asker, clip: SpotClip, drops: Drops) -> Iterator[Question]:
    labels = [(event.frame, _LABEL.match(event.label)) for event in clip.events]
    for frame, label in labels:
        if label is None:
            drops.add("an unknown event", f"{clip.video} frame {frame}")
    events = [(frame, label["end"], label["what"]) for frame, label in labels if label]
    serves = [(frame, end) for frame, end, what in events if what == "serve"]
    strokes = [(frame, end) for frame, end, what in events if what != "bounce"]
    bounces = [(frame, end) for frame, end, what in events if what == "bounce"]
    if len(serves) == 1:
        frame, end = serves[0]
        yield asker.choice("serve", _WHO_SERVES, ENDS[end], [*ENDS.values()], frames=around(frame, clip.num_frames, clip.rate))
    if strokes:
        yield asker.number("strokes", HOW_MANY, len(strokes), unit="strokes")
        frame, end = strokes[-1]
        frames = around(frame, clip.num_frames, clip.rate)
        yield asker.choice("last-stroke", _WHO_LAST, ENDS[end], [*ENDS.values()], frames=frames)
    if bounces:
        frame, end = bounces[-1]
        frames = around(frame, clip.num_frames, clip.rate)
        yield asker.choice("last-bounce", _WHERE_LAST, HALVES[end], [*HALVES.values()], frames=frames)
    if not events:
        drops.add("a clip without events", clip.video)


def broadcast_of(clip: SpotClip) -> str:
    """What a clip was cut from."""
    return _CUT.sub("", clip.video)


def around(frame: int, n_frames: int, fps: float | None) -> tuple[int, int]:
    """The frames about one at which something happens."""
    reach = round(AROUND_S * (fps or USUAL_FPS))
    return max(0, frame - reach), min(n_frames - 1, frame + reach)


SOURCE = Source(
    name="tennis",
    title="Tennis (E2E-Spot)",
    sports=("tennis",),
    dimensions=(Dimension.RECOGNITION,),
    licence=LICENCE,
    needs="train.json, val.json or test.json of data/tennis in E2E-Spot's repository, or their folder",
    read=read,
)
