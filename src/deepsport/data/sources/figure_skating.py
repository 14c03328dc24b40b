"""Figure skating programmes in the layout of E2E-Spot (FS-Comp and FS-Perf, the same clips split in two ways).

A jump or a spin is a pair of events, from take-off to landing, both naming the element. A clip is named after its broadcast and
the frames it was cut from: `men_olympic_short_program_2010_02_00021650_00025875`.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from deepsport.data.asking import Asker, ordinal
from deepsport.data.source import Drops, Source
from deepsport.data.sources.spot import SpotClip, spot_asker, spot_clips
from deepsport.records import Dimension, Question

LICENCE = "BSD-3-Clause"

JUMPS = ("axel", "flip", "loop", "lutz", "salchow", "toe loop")
SPINS = ("flying camel spin", "flying sit spin", "flying upright spin")

_CUT = re.compile(r"(?:_\d{2})?_\d+_\d+$")
"""Part of the broadcast, first and last frame."""

_WHICH_JUMP = (
    "Which jump is the {nth} of this programme? Jumps of a combination count one by one.",
    "Counting every jump, those in combinations too: what is the {nth} jump?",
    "Name the {nth} jump that the skater takes off for.",
)
_WHICH_SPIN = (
    "How does the skater enter the {nth} flying spin of this programme?",
    "Which flying spin is the {nth} one?",
    "Name the {nth} flying spin.",
)
_HOW_MANY_JUMPS = (
    "How many jumps are there in this programme? Jumps of a combination count one by one.",
    "Counting every jump, those in combinations too: how often does the skater take off?",
)


def read(path: Path, drops: Drops) -> Iterator[Question]:
    """Which element each one is, and how many jumps there are."""
    for file, clip in spot_clips(path, SpotClip, drops):
        match = _CUT.sub("", clip.video)
        asker = spot_asker(
            file, clip, source="figure-skating", licence=LICENCE, sport="figure_skating", match=match, fps=clip.rate
        )
        yield from _of_clip(asker, clip, drops)


def _of_clip(asker: Asker, clip: SpotClip, drops: Drops) -> Iterator[Question]:
    jumps, spins = (list(_elements(clip, kind, drops)) for kind in ("jump", "spin"))
    for index, (name, frames) in enumerate(jumps):
        if name in JUMPS:
            yield asker.choice(f"jump-{index}", _WHICH_JUMP, name, JUMPS, frames=frames, words={"nth": ordinal(index)})
        else:
            drops.add("an unknown jump", f"{clip.video}: {name}")
    for index, (name, frames) in enumerate(spins):
        if f"{name} spin" in SPINS:
            yield asker.choice(f"spin-{index}", _WHICH_SPIN, f"{name} spin", SPINS, frames=frames, words={"nth": ordinal(index)})
        else:
            drops.add("an unknown spin", f"{clip.video}: {name}")
    if jumps:
        yield asker.number("jumps", _HOW_MANY_JUMPS, len(jumps), unit="jumps")


def _elements(clip: SpotClip, kind: str, drops: Drops) -> Iterator[tuple[str, tuple[int, int]]]:
    """Elements in order, each from its take-off to its landing."""
    events = [event for event in clip.events if event.label in (f"{kind}_takeoff", f"{kind}_landing")]
    for event, following in pairwise([*events, None]):
        if event is None or event.label != f"{kind}_takeoff":
            continue
        if following and following.label == f"{kind}_landing" and following.comment == event.comment:
            yield event.comment.replace("_", " "), (event.frame, following.frame)
        else:
            drops.add(f"a {kind} without a landing", f"{clip.video} frame {event.frame}")


SOURCE = Source(
    name="figure-skating",
    title="Figure skating programmes (FS-Comp, FS-Perf)",
    sports=("figure_skating",),
    dimensions=(Dimension.RECOGNITION,),
    licence=LICENCE,
    needs="train.json, val.json or test.json of data/fs_comp or data/fs_perf in E2E-Spot's repository, or their folder",
    read=read,
)
