"""FineDiving in the layout of E2E-Spot: dives cut into steps, with the number of the dive and the judges' score.

An event is the frame at which one step passes into the next: "Arm.Back -> 2.5 Twists", "2.5 Twists -> 2 Soms.Pike", ... up to
"Entry". The frame rate is -1 throughout. A clip is named `<competition>__<number>`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from deepsport.data.asking import Asker
from deepsport.data.source import Drops, Source
from deepsport.data.sources.spot import SpotClip, spot_asker, spot_clips
from deepsport.records import Dimension, Question

LICENCE = "MIT"

SCORE_TOLERANCE = 5.0
"""Points within which a score is right: about a tenth of the range that dives of a final are given."""

TAKE_OFFS = {
    "Forward": "forward",
    "Back": "back",
    "Reverse": "reverse",
    "Inward": "inward",
    "Arm.Forward": "armstand forward",
    "Arm.Back": "armstand back",
    "Arm.Reverse": "armstand reverse",
}
POSITIONS = {"Pike": "pike", "Tuck": "tuck", "Straight": "straight"}

_TURNS = re.compile(r"(?P<n>\d+(?:\.\d+)?) (?:(?P<twists>Twists?)|Soms?\.(?P<position>\w+))$")

_TAKE_OFF = (
    "How does the diver leave the platform or board?",
    "From which group is this dive: how does it begin?",
    "What is the take-off of this dive?",
)
_POSITION = ("In which position are the somersaults made?", "What is the body position in the somersaults?")
_SOMERSAULTS = (
    "How many somersaults does the diver make? Half ones count as 0.5.",
    "Count the somersaults of this dive, to the half.",
)
_TWISTS = ("How many twists does the diver make? Half ones count as 0.5.", "Count the twists of this dive, to the half.")
SCORE = (
    "What score did the judges give this dive? It includes the difficulty, which is {difficulty:g}.",
    "The degree of difficulty is {difficulty:g}. How many points was this dive awarded?",
)


class DiveFacts(BaseModel):
    """What the source knows of a dive as a whole."""

    model_config = ConfigDict(frozen=True)

    action_type: str = ""
    difficulty: float = Field(gt=0)
    dive_score: float = Field(ge=0)


class Dive(SpotClip):
    """A clip of one dive."""

    facts: DiveFacts | None = Field(default=None, alias="_source_info")


def read(path: Path, drops: Drops) -> Iterator[Question]:
    """Take-off, position, somersaults and twists as annotated; the score as awarded."""
    for file, dive in spot_clips(path, Dive, drops):
        match = dive.video.split("__")[0]
        asker = spot_asker(file, dive, source="finediving", licence=LICENCE, sport="diving", match=match, fps=dive.rate)
        yield from _of_dive(asker, dive, drops)


def _of_dive(asker: Asker, dive: Dive, drops: Drops) -> Iterator[Question]:
    steps = [event.comment.split(" -> ") for event in dive.events]
    if not steps or any(len(step) != 2 for step in steps) or steps[-1][1] != "Entry":
        drops.add("steps that do not lead to an entry", dive.video)
        return
    whole = (dive.events[0].frame, dive.events[-1].frame)
    if (take_off := TAKE_OFFS.get(steps[0][0])) is None:
        drops.add("an unknown take-off", f"{dive.video}: {steps[0][0]}")
    else:
        yield asker.choice("take-off", _TAKE_OFF, take_off, [*TAKE_OFFS.values()], frames=(0, dive.events[0].frame))
    yield from _of_turns(asker, [step for step, _ in steps[1:]], whole, drops)
    if dive.facts is None:
        drops.add("a dive without a score", dive.video)
    else:
        yield asker.number(
            "score",
            SCORE,
            dive.facts.dive_score,
            unit="points",
            tolerance=SCORE_TOLERANCE,
            dimension=Dimension.ASSESSMENT,
            frames=whole,
            words={"difficulty": dive.facts.difficulty},
        )


def _of_turns(asker: Asker, steps: list[str], whole: tuple[int, int], drops: Drops) -> Iterator[Question]:
    """Questions about the steps between take-off and entry, of which none may be unknown."""
    turns = [_TURNS.match(step) for step in steps]
    if not turns or not all(turns):
        drops.add("a step that is neither twists nor somersaults", f"{asker.record}: {steps}")
        return
    known = [turn for turn in turns if turn]
    n_twists = sum(float(turn["n"]) for turn in known if turn["twists"])
    n_somersaults = sum(float(turn["n"]) for turn in known if turn["position"])
    positions = {turn["position"] for turn in known if turn["position"]}
    if n_somersaults:
        yield asker.number("somersaults", _SOMERSAULTS, n_somersaults, unit="somersaults", frames=whole)
    if n_twists:
        yield asker.number("twists", _TWISTS, n_twists, unit="twists", frames=whole)
    if len(positions) == 1 and (position := POSITIONS.get(positions.pop())):
        yield asker.choice("position", _POSITION, position, [*POSITIONS.values()], frames=whole)


SOURCE = Source(
    name="finediving",
    title="FineDiving",
    sports=("diving",),
    dimensions=(Dimension.RECOGNITION, Dimension.ASSESSMENT),
    licence=LICENCE,
    needs="train.json, val.json or test.json of data/finediving in E2E-Spot's repository, or their folder",
    read=read,
)
