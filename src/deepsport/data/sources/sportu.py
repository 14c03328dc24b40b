"""SPORTU: closed and open questions about short clips of seven sports, in the words of the source.

`SportU_Video_mc.json` has options and a letter, `SportU_Video_oe.json` an answer in words, `SportU_text.json` no video. An id
names a clip and not a question: many rows share one. `Basketball_13_0` and `Basketball_13_1` are two views of moment 13, each
a video file of its own, asked the same; splits keep the moment together. Capitals are as the source has them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from pydantic import BaseModel, ConfigDict, Field

from deepsport.agent.prompt import with_options
from deepsport.data.annotation import annotation_files, json_records
from deepsport.data.asking import Asker
from deepsport.data.source import Drops, Source
from deepsport.records import Choice, Dimension, FreeText, Question

LICENCE = ""
"""The repository states none."""

SPORTS = {
    "american_football": "american_football",
    "football": "american_football",  # the source says soccer for the other one
    "badminton": "badminton",
    "baseball": "baseball",
    "basketball": "basketball",
    "hockey": "ice_hockey",
    "ice_hockey": "ice_hockey",
    "soccer": "soccer",
    "volleyball": "volleyball",
}
"""What an id begins with, in small letters."""

_ID = re.compile(r"(?P<sport>[A-Za-z]+(?:[ _-][A-Za-z]+)*)_(?P<n>\d+)(?:_\d+)?$")

_ABOUT_RULES = re.compile(r"\b(?:fouls?|violat\w+|rules?|penalt\w+|faults?|illegal\w*|infractions?)\b", re.IGNORECASE)
"""Words by which a question is one about the rules."""


class Row(BaseModel):
    """A row of any of the three files."""

    model_config = ConfigDict(frozen=True, str_strip_whitespace=True)

    id: str | None = None
    question: str = Field(min_length=1)
    options: dict[str, str] | None = None
    answer: str = ""
    level: str = Field(default="", alias="difficulty level")


@dataclass(frozen=True, slots=True)
class Clip:
    """What an id says."""

    name: str
    sport: str
    moment: str
    """What the views of one moment share."""


def read(path: Path, drops: Drops) -> Iterator[Question]:
    """The questions as the source asks them."""
    for file in annotation_files(path, "[Ss]port[Uu]_*.json"):
        for place, row in json_records(file, Row, drops):
            if (clip := _clip(row, place, drops)) is None:
                continue
            asker = Asker(
                source="sportu",
                licence=LICENCE,
                file=file.name,
                record=clip.name,
                match=clip.moment,
                video=f"{clip.name}.mp4",
                sport=clip.sport,
            )
            yield from _closed(asker, row, drops) if row.options is not None else _open(asker, row, drops)


def _clip(row: Row, place: str, drops: Drops) -> Clip | None:
    if row.id is None:
        drops.add("a question without a video", place)
        return None
    if not (name := row.id):
        drops.add("a question without an id", place)
        return None
    if (parts := _ID.match(name)) is None:
        drops.add("an id that is not <sport>_<number>", f"{place}: {name}")
        return None
    sport = SPORTS.get(re.sub("[ -]", "_", parts["sport"].lower()))
    if sport is None:
        drops.add("an unknown sport", f"{place}: {name}")
        return None
    return Clip(name, sport, f"{sport}_{parts['n']}")


def _closed(asker: Asker, row: Row, drops: Drops) -> Iterator[Question]:
    by_letter = {letter.upper(): option for letter, option in (row.options or {}).items()}
    options = tuple(by_letter.values())
    if len(options) < 2 or not all(options) or len(set(options)) < len(row.options or {}):
        drops.add("options that are not two or more distinct ones", f"{asker.record}: {row.question}")
    elif (answer := by_letter.get(row.answer.upper())) is None:
        drops.add("an answer that is none of the options", f"{asker.record}: {row.answer}")
    else:
        text = with_options(row.question, options)
        gold = Choice(options=options, answer=answer)
        yield asker.given(_topic("choice", text), text, gold, _dimension(row), easy=row.level.lower() == "easy")


def _open(asker: Asker, row: Row, drops: Drops) -> Iterator[Question]:
    if row.answer:
        yield asker.given(_topic("open", row.question), row.question, FreeText(answer=row.answer), _dimension(row))
    else:
        drops.add("an open question without an answer", f"{asker.record}: {row.question}")


def _topic(kind: str, text: str) -> str:
    """Names a question by its words: the rows of a clip share its id, and their order is not part of the layout."""
    return f"{kind}-{crc32(text.encode()):08x}"


def _dimension(row: Row) -> Dimension:
    return Dimension.RULES if _ABOUT_RULES.search(row.question) else Dimension.RECOGNITION


SOURCE = Source(
    name="sportu",
    title="SPORTU",
    sports=tuple(sorted(set(SPORTS.values()))),
    dimensions=(Dimension.RECOGNITION, Dimension.RULES),
    licence=LICENCE,
    needs="SportU_Video_mc.json or SportU_Video_oe.json of the SPORTU repository, or their folder",
    read=read,
)
