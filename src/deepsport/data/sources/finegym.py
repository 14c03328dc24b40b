"""FineGym in the layout of E2E-Spot: routines on four apparatus, every element with its name in words.

A vault is four events, `VT_0` to `VT_3`, that carry the same comment; any other element is a pair `<group>_start`, `<group>_end`.
A comment is `A_0003_0005;(UB) clear pike circle backward to handstand`. A clip is named after its broadcast and the seconds
it was cut from: `1rkcLEAMTpw_E_000176_000183`.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from deepsport.data.asking import Asker, ordinal
from deepsport.data.source import Drops, Source
from deepsport.data.sources.spot import SpotClip, SpotEvent, spot_asker, spot_clips
from deepsport.records import Dimension, Question

LICENCE = "CC-BY-NC-4.0"

APPARATUS = {"VT": "vault", "UB": "uneven bars", "BB": "balance beam", "FX": "floor exercise"}

_COMMENT = re.compile(r"[^;]*;\((?P<apparatus>\w+)\) (?P<words>.+)$")
_CUT = re.compile(r"_E_\d+_\d+$")
_TURNS_OFF = re.compile(r"(?P<n>\d+(?:\.\d+)?) turns? off$")

_WHICH_ELEMENT = (
    "Which element is the {nth} one of this routine that belongs to the group {group}?",
    "Of the elements of the group {group}: what is the {nth} one?",
    "Name the {nth} element of the group {group}.",
)
_WHICH_VAULT = ("Which vault is this?", "Name the vault.", "What does the gymnast do on and off the vault table?")
_WHICH_APPARATUS = ("Which apparatus is this?", "On which apparatus does the gymnast perform?")
_TURNS = (
    "How many turns about the long axis does the gymnast make after leaving the vault table? Half ones count as 0.5.",
    "Count the turns about the long axis between the vault table and the landing, to the half.",
)


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a routine."""

    group: str
    """Such as UB_circles; VT of every vault."""
    apparatus: str
    words: str
    frames: tuple[int, int]


def read(path: Path, drops: Drops) -> Iterator[Question]:
    """Which element each one is, on what; how many turns a vault has."""
    families: defaultdict[str, set[str]] = defaultdict(set)
    for _, clip in spot_clips(path, SpotClip, Drops()):
        for element in _elements(clip, Drops()):
            families[element.group].add(element.words)
    for file, clip in spot_clips(path, SpotClip, drops):
        match = _CUT.sub("", clip.video)
        asker = spot_asker(file, clip, source="finegym", licence=LICENCE, sport="gymnastics", match=match, fps=clip.rate)
        yield from _of_clip(asker, list(_elements(clip, drops)), families, drops)


def _of_clip(asker: Asker, elements: list[Element], families: Mapping[str, set[str]], drops: Drops) -> Iterator[Question]:
    n_before: defaultdict[str, int] = defaultdict(int)
    for element in elements:
        place = n_before[element.group]
        n_before[element.group] += 1
        if len(families[element.group]) < 2:
            drops.add("an element that nothing else could be taken for", f"{asker.record}: {element.words}")
        elif element.group == "VT":
            yield asker.choice("vault", _WHICH_VAULT, element.words, [*families["VT"]], frames=element.frames)
        else:
            words = {"nth": ordinal(place), "group": element.group.partition("_")[2].replace("_", " ")}
            family = [*families[element.group]]
            yield asker.choice(
                f"{element.group}-{place}", _WHICH_ELEMENT, element.words, family, frames=element.frames, words=words
            )
        if element.group == "VT" and (turns := _TURNS_OFF.search(element.words)):
            yield asker.number("turns", _TURNS, float(turns["n"]), unit="turns", frames=element.frames)
    if len(apparatus := {element.apparatus for element in elements}) == 1:
        yield asker.choice("apparatus", _WHICH_APPARATUS, apparatus.pop(), [*APPARATUS.values()], easy=True)


def _elements(clip: SpotClip, drops: Drops) -> Iterator[Element]:
    """The elements of a routine, in order."""
    open_at: dict[tuple[str, str], int] = {}
    for event in clip.events:
        group, _, edge = event.label.rpartition("_")
        if edge in ("start", "0"):
            open_at[group, event.comment] = event.frame
        elif edge in ("end", "3"):
            begun = open_at.pop((group, event.comment), None)
            element = None if begun is None else _element(group, event, begun)
            if element is None:
                drops.add("an element without a beginning or a name", f"{clip.video} frame {event.frame}")
            else:
                yield element
    for (_, _), frame in open_at.items():
        drops.add("an element without an end", f"{clip.video} frame {frame}")


def _element(group: str, end: SpotEvent, begun: int) -> Element | None:
    comment = _COMMENT.match(end.comment)
    if comment is None or comment["apparatus"] not in APPARATUS:
        return None
    return Element(group, APPARATUS[comment["apparatus"]], comment["words"], (begun, end.frame))


SOURCE = Source(
    name="finegym",
    title="FineGym",
    sports=("gymnastics",),
    dimensions=(Dimension.RECOGNITION,),
    licence=LICENCE,
    needs="train.json, val.json or test.json of data/finegym in E2E-Spot's repository, or their folder",
    read=read,
)
