"""Benchmark runs side by side, finished or not: one report of all, as a page, Markdown, CSV, LaTeX and JSON.

Systems keep the order in which their runs are named, each is compared with the one before it, and the last two fill the gallery.
Runs are read only. What is missing, or makes the scores unfit to be held against each other, is said at the top.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from pydantic import ValidationError

from deepsport.bench.measure import accuracies, measure, paired
from deepsport.bench.recipe import Protocol
from deepsport.bench.report import PairedReport, Report, Timing
from deepsport.bench.reporting.report_html import report_page
from deepsport.bench.reporting.report_text import csv_table, latex, markdown
from deepsport.bench.reporting.showcase import Played
from deepsport.bench.result import VERDICTS, Result, as_known, load_result
from deepsport.bench.score import Score
from deepsport.bench.tasks import load_questions
from deepsport.durable import disk_errors, write_atomic
from deepsport.errors import BadConfig, BadRecord, DeepSportError
from deepsport.records import Question
from deepsport.reward.gated import FAULTS
from deepsport.versions import versions
from deepsport.video.source import FrameSource

TIMING_FILE = "timing.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """Everything that a report of several runs is made of."""

    report: Report
    systems: dict[str, list[Played]]
    timings: dict[str, Timing]
    notes: list[str]
    """What a reader must know before all else."""


def write_side_by_side(folders: Sequence[Path], out: Path, *, verdicts: str = VERDICTS) -> SideBySide:
    """Reads the runs and writes report.html, .md, .csv, .tex and .json into `out`.

    Raises BadRecord for a folder without a run or a damaged file, BadConfig for a run named twice, RunError for the disk."""
    made = side_by_side(folders, verdicts=verdicts)
    with FrameSource() as source:
        page = report_page(made.report, {}, made.systems, source, timings=made.timings, notes=made.notes)
    write_atomic(out / "report.html", page)
    write_atomic(out / "report.md", markdown(made.report, made.timings, made.notes))
    write_atomic(out / "report.csv", csv_table(made.report, made.timings))
    write_atomic(out / "report.tex", latex(made.report))
    write_atomic(out / "report.json", made.report.model_dump_json(indent=1) + "\n")
    return made


def side_by_side(folders: Sequence[Path], *, verdicts: str = VERDICTS) -> SideBySide:
    """The same without writing anything. Raises as `write_side_by_side`."""
    _require_distinct(folders)
    _require_verdicts(folders, verdicts)
    results = [load_result(folder, verdicts) for folder in folders]
    named = dict(zip(names([*results]), results, strict=True))
    asked = {name: _asked(result) for name, result in named.items()}
    scores = {name: result.scores for name, result in named.items()}
    seed = results[-1].config.seed
    report = Report(
        systems={name: as_known(measure(result.scores, seed=seed), result.config) for name, result in named.items()},
        paired=_pairs(scores, seed),
        seed=seed,
        versions=versions(),
    )
    return SideBySide(
        report=report,
        systems={name: _played(result, asked[name]) for name, result in named.items()},
        timings={name: timing for name, result in named.items() if (timing := _timing(result.folder))},
        notes=[*(note for name, result in named.items() if (note := _missing(name, result, asked[name]))), *_unlike(scores)],
    )


def names(results: Sequence[Result]) -> list[str]:
    """What each run is called: its system, with its protocol where that is needed to tell them apart, else its folder."""
    ways: tuple[Callable[[Result], str], ...] = (
        lambda result: result.name,
        lambda result: f"{result.name} {_protocol(result)}",
        lambda result: f"{result.name} {result.folder.name}",
    )
    tried = ([way(result) for result in results] for way in ways)
    return next((found for found in tried if len(set(found)) == len(found)), [str(result.folder) for result in results])


def _protocol(result: Result) -> str:
    config = result.config
    return f"{config.protocol} {config.first_frames}" if config.protocol is Protocol.PASSIVE else config.protocol.value


def _pairs(scores: Mapping[str, Sequence[Score]], seed: int) -> dict[str, PairedReport]:
    """Each system against the one before it, where both have a verdict on any question."""
    known = {name: accuracies(each).keys() for name, each in scores.items()}
    couples = [(a, b) for a, b in pairwise(scores) if known[a] & known[b]]
    return {f"{b}_minus_{a}": paired(scores[b], scores[a], seed=seed) for a, b in reversed(couples)}


def _asked(result: Result) -> dict[str, Question] | None:
    """The questions as they are now, by id; None if they cannot be had any more."""
    try:
        questions = load_questions(Path(result.config.questions))[: result.config.limit]
    except DeepSportError:
        return None
    return {question.id: question for question in questions}


def _played(result: Result, asked: Mapping[str, Question] | None) -> list[Played]:
    """Answers with their scores; of a question set that was moved, the videos are where they are now."""
    played: list[Played] = []
    for episode, score in zip(result.episodes, result.scores, strict=True):
        now = (asked or {}).get(episode.question.id)
        question = episode.question.model_copy(update={"video": now.video}) if now else episode.question
        played.append((episode.model_copy(update={"question": question}), score))
    return played


def _missing(name: str, result: Result, asked: Mapping[str, Question] | None) -> str:
    """Says so if the run has not finished; empty if it has."""
    if asked is None:
        return f"{name}: {result.config.questions} cannot be read, so nobody can tell whether every question was answered."
    n_asked = len(asked) * result.config.runs
    n_answered = sum(score.stop not in FAULTS for score in result.scores)
    n_lost = len(result.scores) - n_answered
    if n_answered >= n_asked:
        return ""
    missing = f"{name}: {n_asked - n_answered} of {n_asked} answers are missing"
    if result.config.protocol is Protocol.IMPORTED:
        return f"{missing} from what was imported, and are not scored."
    return f"{missing}{f', {n_lost} of them lost to faults' if n_lost else ''}. Run it again to get them."


def _unlike(scores: Mapping[str, Sequence[Score]]) -> list[str]:
    asked = [{score.question_id for score in each} for each in scores.values()]
    if all(each == asked[0] for each in asked):
        return []
    shared = len(set[str].intersection(*asked))
    return [
        f"The systems did not answer the same questions ({shared} are common to all): their scores stand side by side, but only "
        "the comparisons, which are over common questions, say which is better."
    ]


def _timing(folder: Path) -> Timing | None:
    path = folder / TIMING_FILE
    if not path.is_file():
        return None
    with disk_errors(path):
        raw = path.read_bytes()
    try:
        return Timing.model_validate_json(raw)
    except ValidationError as error:
        raise BadRecord(
            f"{path} is not what `bench run` wrote: {error.errors()[0]['msg']}. Remove it, or run it again."
        ) from None


def _require_distinct(folders: Sequence[Path]) -> None:
    if not folders:
        raise BadConfig("no run is named. Give the folders that `deepsport bench run` has made.")
    seen: set[Path] = set()
    for folder in folders:
        if folder.resolve() in seen:
            raise BadConfig(f"{folder} is named twice. Name each run once.")
        seen.add(folder.resolve())


def _require_verdicts(folders: Sequence[Path], verdicts: str) -> None:
    if verdicts != VERDICTS and not any((folder / verdicts).is_file() for folder in folders):
        raise BadConfig(
            f"none of the runs has a file {verdicts}. `deepsport bench rejudge` makes one, and says how it is called."
        )
