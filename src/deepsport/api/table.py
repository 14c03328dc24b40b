"""Answers, and what training logged, as pandas tables: one row each, in the order of the run. An empty cell is not known.

The name of a column of answers carries its unit. pandas is imported here only, when a table is asked for.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false
# (pandas is only partly typed)

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from deepsport.api.answers import Brief
from deepsport.bench.reporting.curves import Curves
from deepsport.bench.score import Score
from deepsport.errors import BadConfig

if TYPE_CHECKING:
    from pandas import DataFrame

Row = tuple[str, Brief, Score]
Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table."""

    name: str
    dtype: Literal["category", "string", "Int64", "Float64", "boolean"]
    about: str
    found: Callable[[str, Brief, Score], Cell] | None = None
    """None: the score has it under this name."""

    def cell(self, system: str, brief: Brief, score: Score) -> Cell:
        """What stands in it for one answer."""
        if self.found is not None:
            return self.found(system, brief, score)
        value: Cell = getattr(score, self.name)
        return value.value if isinstance(value, StrEnum) else value


COLUMNS = (
    Column("system", "category", "what the system is called", lambda system, b, s: system),
    Column("question_id", "string", "id of the question"),
    Column("run", "Int64", "which of several runs, from 0"),
    Column("episode_id", "string", "id of the episode", lambda system, b, s: b.id),
    Column("policy", "category", "name of the policy that acted", lambda system, b, s: b.policy),
    Column("video", "string", "path of the video, as it is on record"),
    Column("match", "string", "the match that the clip was cut from, else the video", lambda system, b, s: s.cluster),
    Column("sport", "category", "sport of the question"),
    Column("dimension", "category", "recognition, rules, assessment or commentary"),
    Column("kind", "category", "of the right answer: choice, number or text"),
    Column("easy", "boolean", "the sparse frames alone are enough"),
    Column("question", "string", "text of the question", lambda system, b, s: b.question.text),
    Column("reference", "string", "the right answer"),
    Column("answer", "string", "the answer given; empty if the episode ended without one"),
    Column("accuracy", "Float64", "0 to 1; empty: not scored, which is not wrong"),
    Column("chance", "Float64", "what a blind guess scores on average, 0 to 1"),
    Column("reward", "Float64", "total of the gated reward", lambda system, b, s: s.reward.total),
    Column("stop", "category", "why the episode ended"),
    Column("detail", "string", "what went wrong, if a fault ended it", lambda system, b, s: b.detail or None),
    Column("failure", "category", "class of a wrong answer"),
    Column("judge_points", "Float64", "points of the judge, 0 to 10", lambda system, b, s: s.verdict and s.verdict.points),
    Column("n_turns", "Int64", "replies of the policy"),
    Column("n_calls", "Int64", "tool calls, refused ones included"),
    Column("n_redundant", "Int64", "calls that could teach nothing new"),
    Column("n_frames", "Int64", "frames shown, the sparse ones included"),
    Column("hit", "boolean", "a window met the event"),
    Column("seen", "boolean", "a frame of the event was shown"),
    Column("seen_at_turn", "Int64", "the turn that first showed it; 0: a sparse frame did", lambda system, b, s: s.seen_at),
    Column("iou", "Float64", "temporal IoU of the best window with the event, 0 to 1"),
    Column("offset_s", "Float64", "its centre minus the event's, in seconds"),
    Column("event_start_s", "Float64", "start of the event, in seconds", lambda system, b, s: _window(b, 0)),
    Column("event_end_s", "Float64", "its end, in seconds", lambda system, b, s: _window(b, 1)),
    Column("clip_s", "Float64", "time of the last sparse frame, in seconds"),
    Column("prompt_tokens", "Int64", "tokens read, over all turns"),
    Column("reply_tokens", "Int64", "tokens written, over all turns"),
    Column("usd", "Float64", "cost of the tokens, in US dollars"),
    Column("wall_s", "Float64", "from the opening of the episode to its end, in seconds", lambda system, b, s: b.usage.seconds),
)


def data_frame(rows: Iterable[Row]) -> "DataFrame":
    """Answers. Raises BadConfig if pandas is not installed."""
    pandas = _pandas()
    cells: list[list[Cell]] = [[] for _ in COLUMNS]
    for row in rows:
        for column, filled in zip(COLUMNS, cells, strict=True):
            filled.append(column.cell(*row))
    made = {column.name: pandas.Series(filled, dtype=column.dtype) for column, filled in zip(COLUMNS, cells, strict=True)}
    return pandas.DataFrame(made)


def metrics_frame(curves: Curves) -> "DataFrame":
    """Curves side by side: stages in the order they were trained, each step once. Raises BadConfig as `data_frame`."""
    pandas = _pandas()
    names = dict.fromkeys(name for by_name in curves.values() for name in by_name)
    steps = [
        (stage, step) for stage, by_name in curves.items() for step in sorted({x for line in by_name.values() for x, _ in line})
    ]
    made = {
        "stage": pandas.Series([stage for stage, _ in steps], dtype="category"),
        "step": pandas.Series([step for _, step in steps], dtype="Int64"),
    }
    for name in names:
        values = {(stage, step): value for stage, by_name in curves.items() for step, value in by_name.get(name, ())}
        made[name] = pandas.Series([values.get(at) for at in steps], dtype="Float64")
    return pandas.DataFrame(made)


def _pandas() -> ModuleType:
    try:
        import pandas
    except ModuleNotFoundError:
        raise BadConfig("tables need pandas: pip install 'deepsport[pandas]'") from None
    return pandas


def _window(brief: Brief, end: Literal[0, 1]) -> float | None:
    window = brief.question.window
    return window and (window.start_s, window.end_s)[end]
