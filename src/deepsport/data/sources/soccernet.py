"""SoccerNet's events and comments: `<league>/<season>/<game>/Labels-v2.json` and `Labels-caption.json`.

`position` is a string of milliseconds in the half's video, `gameTime` is `<half> - MM:SS`; MatchTime's better
`contrastive_aligned_gameTime` goes before both, where there is one. MatchTime's own folders are `<league>_<season>/<game>`; both
are one match to us. An event that the broadcast does not show cannot be asked about.
"""

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from deepsport.data.annotation import annotation_files, record_of
from deepsport.data.asking import Asker
from deepsport.data.document import json_document
from deepsport.data.source import Drops, Source
from deepsport.data.sources.soccer import SOCCERNET_FAMILIES, SPORT
from deepsport.data.sources.soccer_half import Moment, questions_of_half
from deepsport.errors import BadAnnotation
from deepsport.records import Dimension, Question

LICENCE = ""

FILES = ("Labels-v2.json", "Labels-caption.json")

_TIME = re.compile(r"(?P<half>[12]) - (?P<minutes>\d{1,3}):(?P<seconds>[0-5]?\d)", re.ASCII)
_SEASON = re.compile(r"\d{4}-\d{4}")


class Annotation(BaseModel):
    """An event, or a comment."""

    model_config = ConfigDict(frozen=True)

    gameTime: str
    label: str
    position: str | None = None
    visibility: str = ""
    anonymized: str | None = None
    contrastive_aligned_gameTime: str = ""


def read(path: Path, drops: Drops) -> Iterator[Question]:
    """Which event happens at an instant of a half, and what a commentator says about it."""
    files = [file for file in annotation_files(path, "**/Labels-*.json") if file.name in FILES]
    if not files:
        raise BadAnnotation(f"{path} holds neither {FILES[0]} nor {FILES[1]}. Name a folder of SoccerNet's annotations.")
    for file in files:
        timed = sorted(_timed(file, drops), key=lambda item: item[0])
        for _, half in groupby(timed, key=lambda item: item[0]):
            yield from questions_of_half([moment for _, moment in half], drops, SOCCERNET_FAMILIES)


def _timed(file: Path, drops: Drops) -> Iterator[tuple[int, Moment]]:
    """The moments of a match, each with its half."""
    annotations = json_document(file).get("annotations")
    if not isinstance(annotations, list):
        raise BadAnnotation(f"{file} has no list of annotations. Download it again, or name another file.")
    folder, match = _match(file)
    for place, item in enumerate(annotations):
        name = f"{match}/{file.stem}[{place}]"
        if (annotation := record_of(Annotation, item, name, drops)) is None:
            continue
        instant = _instant(annotation)
        if annotation.visibility == "not shown":
            drops.add("not shown", name)
        elif instant is None:
            drops.add("a time that is no instant of a half", name)
        else:
            half, at_s = instant
            asker = _asker(file, name, match, f"{folder}/{half}_224p.mkv")
            yield half, Moment(asker=asker, at_s=at_s, label=annotation.label, comment=annotation.anonymized)


def _asker(file: Path, record: str, match: str, video: str) -> Asker:
    return Asker(source="soccernet", licence=LICENCE, file=file.name, record=record, match=match, video=video, sport=SPORT)


def _match(file: Path) -> tuple[str, str]:
    """The folder of a match, as far as it belongs to the layout, and the match's name."""
    league, season, game = ("", "", "", *file.absolute().parent.parts)[-3:]
    if _SEASON.fullmatch(season):
        return f"{league}/{season}/{game}", f"{league}_{season}/{game}"
    return f"{season}/{game}", f"{season}/{game}"


def _instant(annotation: Annotation) -> tuple[int, float] | None:
    """Half and seconds; the milliseconds are of the half that the time of the match names."""
    if aligned := _TIME.fullmatch(annotation.contrastive_aligned_gameTime.strip()):
        return _of_clock(aligned)
    stated = _TIME.fullmatch(annotation.gameTime.strip())
    if stated is None:
        return None
    position = annotation.position or ""
    if position.isascii() and position.isdecimal() and len(position) <= 9:
        return int(stated["half"]), int(position) / 1000
    return _of_clock(stated)


def _of_clock(time: re.Match[str]) -> tuple[int, float]:
    return int(time["half"]), 60.0 * int(time["minutes"]) + int(time["seconds"])


SOURCE = Source(
    name="soccernet",
    title="SoccerNet-v2 events and SoccerNet-Caption comments",
    sports=(SPORT,),
    dimensions=(Dimension.RECOGNITION, Dimension.COMMENTARY),
    licence=LICENCE,
    needs="the folder that holds <league>/<season>/<game>/Labels-v2.json or Labels-caption.json, or one such file",
    read=read,
)
