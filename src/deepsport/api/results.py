"""What a run has found, read when it is asked for: episodes, scores, the report, a pandas table.

Read are the runs of `evaluate` and `deepsport bench run`, runs with several systems such as the demo's, and any `.jsonl` file of
episodes. A finished benchmark run has its scores on record; elsewhere they are made, by the rules alone. A training run has no
answers, but metrics; the few episodes that it samples along the way measure nothing, and are for the viewer.
"""
# pyright: reportMissingTypeStubs=false
# (pandas has none)

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from deepsport.api.answers import Answers, BenchAnswers, Brief, PlainAnswers
from deepsport.bench.measure import compare
from deepsport.bench.report import Report
from deepsport.bench.reporting.curves import METRICS_FILE, MetricLine, curves
from deepsport.bench.result import EPISODES, report_of, stored_report
from deepsport.bench.score import Score
from deepsport.bench.suite import REPORT
from deepsport.bench.unscored import unscored_because
from deepsport.durable import read_records
from deepsport.errors import BadRecord
from deepsport.records import Episode

if TYPE_CHECKING:
    from pandas import DataFrame


class Results:
    """The answers of one system, or of several, and their scores."""

    def __init__(self, path: Path) -> None:
        """Reads nothing but what kind of run it is. Raises BadRecord."""
        self.path = path
        self._answers = _answers_in(path)

    @property
    def systems(self) -> tuple[str, ...]:
        """What the systems are called: one, or for a run such as the demo's one after the other; none of a training run."""
        return tuple(each.system for each in self._answers)

    @cached_property
    def episodes(self) -> list[Episode]:
        """Every episode, system by system, in the order of the questions; all runs of a question in a row."""
        return [episode for each in self._answers for episode in each.episodes()]

    @cached_property
    def scores(self) -> list[Score]:
        """As many scores, in the same order."""
        return [score for each in self._answers for _, score in each.scored()]

    @cached_property
    def report(self) -> Report:
        """Every figure: `.systems[name]` has scores (0 to 100) with intervals, rates (0 to 1), counts and parts."""
        stored = stored_report(self.path / REPORT)
        return stored if stored and set(self.systems) <= stored.systems.keys() else self._report_made()

    @property
    def score(self) -> float | None:
        """Mean accuracy x 100 over the scored answers, 0 to 100; None if none is. Of several systems, that of the last one: in a
        demo, the one that was trained longest."""
        return self.report.systems[self.systems[-1]].score if self.systems else None

    @property
    def unscored(self) -> dict[str, int]:
        """Answers without a score by the reason, the most frequent first."""
        return unscored_because(self.scores)

    def to_pandas(self) -> "DataFrame":
        """One row per answer. Names carry units; docs/api.md lists the columns. Raises BadConfig if pandas is not installed."""
        from deepsport.api.table import data_frame

        return data_frame(self._rows())

    def metrics(self) -> "DataFrame":
        """What training logged: a row per stage and step, a column per metric, named as in `metrics.jsonl`.

        Raises BadRecord for a run that logged nothing, and BadConfig if pandas is not installed."""
        from deepsport.api.table import metrics_frame

        path = self.path / METRICS_FILE
        if not path.is_file():
            raise BadRecord(f"{self.path} logged no metrics: it is no run of `deepsport sft`, `deepsport rl` or the demo")
        return metrics_frame(curves(read_records(path, MetricLine)))

    def __len__(self) -> int:
        """Number of answers."""
        return len(self.scores)

    def __repr__(self) -> str:
        """One line."""
        return f"Results({str(self.path)!r}, systems={list(self.systems)})"

    def _repr_html_(self) -> str:
        """A small table, for notebooks."""
        from deepsport.api.notebook import results_html

        return results_html(self)

    def _rows(self) -> Iterator[tuple[str, Brief, Score]]:
        return ((each.system, answered, score) for each in self._answers for answered, score in each.scored())

    def _report_made(self) -> Report:
        for each in self._answers:
            if isinstance(each, BenchAnswers):
                return report_of(each.config, self.scores)
        return compare({each.system: [score for _, score in each.scored()] for each in self._answers}, seed=0)


def load_run(path: str | Path) -> Results:
    """What a run directory, of a benchmark, a training or the demo, or a `.jsonl` file of episodes holds; finished or not. Little
    is read before it is asked for.

    Raises BadRecord if it is neither, and later for a damaged line."""
    return Results(Path(os.path.abspath(path)))  # it may be read after the working directory has changed


def _answers_in(path: Path) -> list[Answers]:
    """Where the answers lie. Raises BadRecord."""
    if path.is_file():
        return [PlainAnswers(path.stem, path)]
    if (path / EPISODES).is_file() and (path / "config.toml").is_file():
        return [BenchAnswers(path)]
    if found := sorted((path / "episodes").glob("*.jsonl")):
        return [PlainAnswers(file.stem, file) for file in _in_order(found, path / REPORT)]
    if (path / METRICS_FILE).is_file():
        return []
    what = "holds no run" if path.is_dir() else "does not exist"
    raise BadRecord(f"{path} {what}. Give a folder made by `evaluate`, `bench run`, training or the demo, or a file of episodes.")


def _in_order(files: list[Path], report: Path) -> list[Path]:
    """Those that a report speaks of, in its order: other episodes are a teacher's. Without a report, all."""
    by_name = {file.stem: file for file in files}
    stored = stored_report(report)
    return [by_name[name] for name in stored.systems if name in by_name] if stored else files
