"""ShuttleSet22: every stroke of badminton matches, `set/<match>/set<n>.csv`, a row each, in Traditional Chinese.

https://github.com/wywyWang/CoachAI-Projects, CoachAI-Challenge-IJCAI2023/ShuttleSet22. `frame_num` and `time` count from the
start of the match's video, whose file we take to be named after the folder. Players are A and B, which nobody sees: we ask about
the server and the receiver. Times are whole seconds, to say which rally and for windows; corrections put some out of order.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from deepsport.data.annotation import annotation_files, record_of
from deepsport.data.asking import Asker
from deepsport.data.rows import csv_rows
from deepsport.data.source import Drops, Source
from deepsport.data.sources.badminton_words import ENDINGS, REASONS, STROKES, UNKNOWN_STROKE
from deepsport.errors import BadAnnotation
from deepsport.records import Dimension, Question, Window

LICENCE = ""

ABOUT_STROKE = 15
"""Frames to both sides of a stroke: half a second at the usual 30 a second."""

AFTER_LAST = 45
"""Frames after the last stroke, in which the shuttle lands."""

SIDES = ("the player who served", "the player who received the serve")

_LAST_STROKE = (
    "Which stroke ends the rally that begins at {start}?",
    "The rally from {start} on: what type is its last stroke?",
    "Name the stroke after which the shuttle is not played any more in the rally that begins at {start}.",
)
_WHO_WINS = (
    "Who wins the rally that begins at {start}?",
    "Who gets the point for the rally from {start} on?",
    "To whom does the rally go that begins at {start}?",
)
_WHY = (
    "Why is the rally over that begins at {start}?",
    "The rally from {start} on: how is the point decided?",
    "What ends the rally that begins at {start}?",
)
_HOW_MANY = (
    "How many strokes does the rally that begins at {start} have? The service counts as one.",
    "Counting the service, how often is the shuttle struck in the rally from {start} on?",
)


def _whole(cell: object) -> object:
    """A number that a spreadsheet may have made a fraction: "8", "8.0"."""
    text = str(cell).strip()
    return text.removesuffix(".0")


def _seconds(cell: object) -> object:
    hours, minutes, seconds = (int(part) for part in str(cell).strip().split(":"))
    return 3600 * hours + 60 * minutes + seconds


Whole = Annotated[int, Field(ge=0, le=10**9), BeforeValidator(_whole)]


class Stroke(BaseModel):
    """A row."""

    model_config = ConfigDict(frozen=True, str_strip_whitespace=True)

    rally: Whole
    ball_round: Whole
    time: Annotated[int, Field(ge=0), BeforeValidator(_seconds)]
    """Seconds."""
    frame_num: Whole
    player: str
    type: str
    lose_reason: str
    win_reason: str
    getpoint_player: str


def read(path: Path, drops: Drops) -> Iterator[Question]:
    """Of each rally: its last stroke, who wins it, why, and how many strokes it has."""
    for file in annotation_files(path, "**/set*.csv"):
        for number, strokes in groupby(_strokes(file, drops), key=lambda stroke: stroke.rally):
            rally = list(strokes)
            record = f"{file.absolute().parent.name}/{file.stem}/{number}"
            if not _is_whole(rally):
                drops.add("a rally with missing or repeated strokes", record)
            else:
                yield from _of_rally(_asker(file, record), rally, drops)


def _strokes(file: Path, drops: Drops) -> Iterator[Stroke]:
    for name, row in csv_rows(file, drops):
        if missing := [column for column in Stroke.model_fields if column not in row]:
            raise BadAnnotation(
                f"{file} has no column {missing[0]!r}. Name a CSV file of ShuttleSet22 with the strokes of a set."
            )
        if stroke := record_of(Stroke, row, name, drops):
            yield stroke


def _is_whole(rally: Sequence[Stroke]) -> bool:
    """Whether the strokes count from 1 to one that scores: a row that could not be read leaves a gap, or no end."""
    return [stroke.ball_round for stroke in rally] == list(range(1, len(rally) + 1)) and bool(rally[-1].getpoint_player)


def _asker(file: Path, record: str) -> Asker:
    match = file.absolute().parent.name
    return Asker(
        source="shuttleset22",
        licence=LICENCE,
        file=f"{match}/{file.name}",
        record=record,
        match=match,
        video=f"{match}.mp4",
        sport="badminton",
    )


def _of_rally(asker: Asker, rally: list[Stroke], drops: Drops) -> Iterator[Question]:
    first, last = rally[0], rally[-1]
    words = {"start": _clock(min(stroke.time for stroke in rally))}
    yield _how_many(asker, rally, words)
    questions: list[Question] = []
    if last.type in STROKES:
        name, family = STROKES[last.type]
        frames = (max(0, last.frame_num - ABOUT_STROKE), last.frame_num + ABOUT_STROKE)
        questions.append(asker.choice("stroke", _LAST_STROKE, name, family, frames=frames, words=words))
    else:
        unseen = last.type in ("", UNKNOWN_STROKE)
        drops.add("a last stroke without a type" if unseen else "an unknown stroke type", f"{asker.record}: {last.type}")
    after = (last.frame_num, last.frame_num + AFTER_LAST)
    if {first.player, last.getpoint_player} <= {"A", "B"}:
        side = SIDES[0] if last.getpoint_player == first.player else SIDES[1]
        questions.append(asker.choice("winner", _WHO_WINS, side, SIDES, dimension=Dimension.RULES, frames=after, words=words))
    else:
        drops.add("a player who is neither A nor B", asker.record)
    if why := _why(asker, last, drops):
        questions.append(asker.choice("reason", _WHY, why, ENDINGS, dimension=Dimension.RULES, frames=after, words=words))
    end = Window(start_s=max(0, last.time - 1), end_s=last.time + 2)
    yield from (question.model_copy(update={"window": end}) for question in questions)


def _how_many(asker: Asker, rally: list[Stroke], words: Mapping[str, object]) -> Question:
    frames = [stroke.frame_num for stroke in rally]
    times = [stroke.time for stroke in rally]
    whole = (min(frames), max(frames))
    window = Window(start_s=min(times), end_s=max(times) + 1)
    return asker.number("strokes", _HOW_MANY, len(rally), unit="strokes", frames=whole, window=window, words=words)


def _clock(at_s: int) -> str:
    return f"{at_s // 3600}:{at_s // 60 % 60:02d}:{at_s % 60:02d}"


def _why(asker: Asker, last: Stroke, drops: Drops) -> str | None:
    """Why the rally is over, if what is stated of loser and winner is known and the same."""
    given = [reason for reason in (last.lose_reason, last.win_reason) if reason]
    known = {REASONS[reason] for reason in given if reason in REASONS}
    if not given:
        drops.add("a rally without a reason", asker.record)
    elif any(reason not in REASONS for reason in given):
        drops.add("an unknown reason", f"{asker.record}: {given}")
    elif len(known) > 1:
        drops.add("reasons that contradict each other", f"{asker.record}: {given}")
    else:
        return known.pop()
    return None


SOURCE = Source(
    name="shuttleset22",
    title="ShuttleSet22",
    sports=("badminton",),
    dimensions=(Dimension.RECOGNITION, Dimension.RULES),
    licence=LICENCE,
    needs="the folder set of ShuttleSet22, with <match>/set1.csv and so on, or one such file",
    read=read,
)
