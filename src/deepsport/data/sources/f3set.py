"""F3Set: tennis rallies stroke by stroke, each with hand, technique, direction and outcome.

https://github.com/F3Set/F3Set. A label is `far_deuce_serve_fh_gs_T_non-approach_in`: end, court, kind, hand, technique,
direction, approach, outcome. Frame rates lost their fraction (29.97 became 29.0), so that 23, 29 and 59 stand for the NTSC rates;
24, 25, 30, 50 and 60 are taken as they are. A clip is named after its broadcast and the frames it was cut from, as in E2E-Spot.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deepsport.data.asking import Asker
from deepsport.data.source import Drops, Source
from deepsport.data.sources.spot import SpotClip, SpotEvent, spot_asker, spot_clips
from deepsport.data.sources.tennis import HOW_MANY, around, broadcast_of
from deepsport.records import Dimension, Question

LICENCE = ""

NTSC = {23: 24000 / 1001, 29: 30000 / 1001, 59: 60000 / 1001}
"""True frame rates by what is left of them."""

ENDINGS = {"winner": "with a winner", "forced-err": "with a forced error", "unforced-err": "with an unforced error"}
HANDS = {"fh": "forehand", "bh": "backhand"}
TECHNIQUES = {
    "gs": "ground stroke",
    "slice": "slice",
    "volley": "volley",
    "smash": "smash",
    "drop": "drop shot",
    "lob": "lob",
}
SERVES = {"T": "down the T", "B": "into the body", "W": "wide"}

_LABEL = re.compile(
    r"(?P<end>near|far)_(?P<court>deuce|middle|ad)_(?P<kind>serve|return|stroke)_(?P<hand>fh|bh)_(?P<technique>[a-z]+)"
    r"_(?P<direction>[A-Z]+)_(?:non-)?approach_(?P<outcome>in|winner|forced-err|unforced-err)"
)

_ENDING = ("How does the rally end?", "What decides the point?", "Does the rally end with a winner or with an error?")
_HAND = ("Is the last stroke a forehand or a backhand?", "With which side is the last stroke played?")
_TECHNIQUE = ("What kind of stroke is the last one?", "Which technique has the last stroke of the rally?")
_SERVE = ("Where does the serve go?", "In which direction is the serve hit?", "How is the serve placed?")


@dataclass(frozen=True, slots=True)
class Hit:
    """A stroke."""

    frame: int
    kind: str
    hand: str
    technique: str
    direction: str
    outcome: str


def read(path: Path, drops: Drops) -> Iterator[Question]:
    """How the rally ends, its last stroke, the serve, and how many strokes there are."""
    for file, clip in spot_clips(path, SpotClip, drops):
        match = broadcast_of(clip)
        asker = spot_asker(file, clip, source="f3set", licence=LICENCE, sport="tennis", match=match, fps=true_rate(clip.fps))
        hits = [_hit(event) for event in clip.events]
        if not hits or not all(hits):
            drops.add("a clip without strokes" if not hits else "a stroke whose label is unknown", clip.video)
        else:
            yield from _of_rally(asker, [hit for hit in hits if hit], clip.num_frames, drops)


def true_rate(stated: float) -> float | None:
    """Frames a second, if what is stated can be believed."""
    return NTSC.get(int(stated), stated) if 1 <= stated <= 240 else None


def _hit(event: SpotEvent) -> Hit | None:
    label = _LABEL.fullmatch(event.label)
    if label is None:
        return None
    return Hit(event.frame, *(label[part] for part in ("kind", "hand", "technique", "direction", "outcome")))


def _of_rally(asker: Asker, hits: list[Hit], n_frames: int, drops: Drops) -> Iterator[Question]:
    first, last = hits[0], hits[-1]
    yield asker.number("strokes", HOW_MANY, len(hits), unit="strokes", frames=(first.frame, last.frame))
    if first.kind == "serve":
        frames = around(first.frame, n_frames, asker.fps)
        if first.direction in SERVES:
            yield asker.choice("serve", _SERVE, SERVES[first.direction], [*SERVES.values()], frames=frames)
        else:
            drops.add("an unknown direction of a serve", f"{asker.record}: {first.direction}")
    if last.kind != "serve":
        yield from _of_last(asker, last, around(last.frame, n_frames, asker.fps), drops)
    if last.outcome in ENDINGS:
        ending, end = ENDINGS[last.outcome], (last.frame, n_frames - 1)
        yield asker.choice("ending", _ENDING, ending, [*ENDINGS.values()], dimension=Dimension.RULES, frames=end)
    else:
        drops.add("a rally that does not end in its clip", asker.record)


def _of_last(asker: Asker, last: Hit, frames: tuple[int, int], drops: Drops) -> Iterator[Question]:
    """The last stroke, of which a serve would be given away by being the only one."""
    yield asker.choice("hand", _HAND, HANDS[last.hand], [*HANDS.values()], frames=frames)
    if last.technique in TECHNIQUES:
        yield asker.choice("technique", _TECHNIQUE, TECHNIQUES[last.technique], [*TECHNIQUES.values()], frames=frames)
    else:
        drops.add("an unknown technique", f"{asker.record}: {last.technique}")


SOURCE = Source(
    name="f3set",
    title="F3Set tennis",
    sports=("tennis",),
    dimensions=(Dimension.RECOGNITION, Dimension.RULES),
    licence=LICENCE,
    needs="train.json, val.json or test.json of F3Set's tennis data, or their folder",
    read=read,
)
