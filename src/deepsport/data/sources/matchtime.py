"""MatchTime's comments as rows of a CSV file: `league,game,half,timestamp,type,anonymized,...`.

https://github.com/jyrao/MatchTime. A row is an instant of a half, in seconds of the half's video
`<league>/<game>/<half>_224p.mkv`; its type is one of SoccerNet-Caption's, and is empty for most. Columns after the comment are
what models said, and are not read.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from deepsport.data.annotation import annotation_files, record_of
from deepsport.data.asking import Asker
from deepsport.data.clip_path import clip_path
from deepsport.data.rows import csv_rows
from deepsport.data.source import Drops, Source
from deepsport.data.sources.soccer import SPORT
from deepsport.data.sources.soccer_half import Moment, questions_of_half
from deepsport.errors import BadAnnotation
from deepsport.records import Dimension, Question

LICENCE = ""


class Comment(BaseModel):
    """A comment on an instant of a half."""

    model_config = ConfigDict(frozen=True)

    league: str = Field(min_length=1)
    """With its season: england_epl_2016-2017."""
    game: str = Field(min_length=1)
    half: Literal["1", "2"]
    timestamp: float = Field(ge=0, allow_inf_nan=False)
    type: str
    anonymized: str


def read(path: Path, drops: Drops) -> Iterator[Question]:
    """What a commentator says about an instant, and which event it is if the row says so."""
    for file in annotation_files(path, "*.csv"):
        comments = _comments(file, drops)
        for _, half in groupby(comments, key=lambda comment: (comment.league, comment.game, comment.half)):
            yield from questions_of_half([_moment(file, comment) for comment in half], drops)


def _comments(file: Path, drops: Drops) -> Iterator[Comment]:
    for name, row in csv_rows(file, drops):
        if missing := [column for column in Comment.model_fields if column not in row]:
            raise BadAnnotation(f"{file} has no column {missing[0]!r}. Name a CSV file of MatchTime.")
        if (comment := record_of(Comment, row, name, drops)) is None:
            continue
        if clip_path(f"{comment.league}/{comment.game}"):
            yield comment
        else:
            drops.add("a game that is no relative path", name)


def _moment(file: Path, comment: Comment) -> Moment:
    match = f"{comment.league}/{comment.game}"
    asker = Asker(
        source="matchtime",
        licence=LICENCE,
        file=file.name,
        record=f"{match}/{comment.half}/{comment.timestamp:g}",
        match=match,
        video=f"{match}/{comment.half}_224p.mkv",
        sport=SPORT,
    )
    return Moment(asker=asker, at_s=comment.timestamp, label=comment.type, comment=comment.anonymized)


SOURCE = Source(
    name="matchtime",
    title="MatchTime comments",
    sports=(SPORT,),
    dimensions=(Dimension.RECOGNITION, Dimension.COMMENTARY),
    licence=LICENCE,
    needs="a CSV file with the columns league, game, half, timestamp, type and anonymized, or the folder of such files",
    read=read,
)
