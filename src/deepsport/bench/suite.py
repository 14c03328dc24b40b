"""One system on one question set: ask, judge, finish. Run again, it goes on where it was; finished, it only says what it found.

What is written at the end follows from the answers and verdicts alone and holds no clock, so a run that was killed and gone on
with ends with the same files as one that was left in peace. The clock has a file of its own, `timing.json`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepsport.bench.answering import Answers, Bench, answers, tables_of
from deepsport.bench.endpoints import require_usable
from deepsport.bench.evaluate import require_distinct
from deepsport.bench.measure import compare
from deepsport.bench.recipe import BenchConfig
from deepsport.bench.report import Report, Timing
from deepsport.bench.reporting.curves import read_curves
from deepsport.bench.reporting.report_html import report_page
from deepsport.bench.result import EPISODES, SCORES, VERDICTS, report_of, scores_of, stored_report
from deepsport.bench.score import Score, scores
from deepsport.bench.sharded import Local
from deepsport.bench.tasks import hold_to, load_questions
from deepsport.bench.timing import timing_of
from deepsport.bench.unscored import is_open, unscored_because
from deepsport.config import dump, load
from deepsport.errors import BadRecord
from deepsport.executor.cluster import cluster_for
from deepsport.executor.shards import Executor
from deepsport.records import Episode
from deepsport.run import Run
from deepsport.video.source import FrameSource

REPORT, TIMING, PAGE = "report.json", "timing.json", "report.html"

FINISH = "finish"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run has found."""

    report: Report
    unscored: dict[str, int]
    """Answers without a score, by the reason."""
    n_open: int
    """Of these, such as may get one when the run goes on."""
    usd: float
    """Paid for replies by all attempts."""


def run_bench(
    folder: Path,
    config: BenchConfig,
    local: Local,
    *,
    max_usd: float | None = None,
    fail_on_error: bool = False,
    fresh: bool = False,
    executor: Executor = Executor.LOCAL,
    run_loop: Callable[[Coroutine[None, None, Answers]], Answers] = asyncio.run,
) -> Outcome:
    """Asks and judges what is not yet on record, and writes every file of a result (see `bench.result`). `executor`: where
    questions are asked. `run_loop` runs what waits, for who wants to end it from outside.

    Raises BadConfig, BadRecord, RunError, PolicyError if the endpoint is broken, and Stopped if the run was interrupted, has
    spent what it may, or lost an answer under `fail_on_error`: what is finished is kept, and the same command goes on. On a
    cluster ExecutorError too."""
    questions = load_questions(Path(config.questions))[: config.limit]
    require_distinct(questions)
    require_usable(tables_of(config), max_usd)
    learnt_from = load_questions(Path(config.majority_of)) if config.majority_of else questions
    with Run.open(folder, config, fresh=fresh) as run, FrameSource() as source:
        hold_to(run, questions if learnt_from is questions else [*questions, *learnt_from])
        found = _outcome(run, config)
        if found and not found.n_open:
            return found
        with cluster_for(executor) as cluster:
            bench = Bench(
                run=run,
                config=config,
                questions=questions,
                learnt_from=learnt_from,
                source=source,
                local=local,
                fail_on_error=fail_on_error,
                cluster=cluster,
            )
            said = run_loop(answers(bench, max_usd))
        return _finish(bench, said)


def write_report(run: Run, systems: Mapping[str, Sequence[Episode]], source: FrameSource, *, seed: int) -> Report:
    """`report.json`: every figure, and each system against the one before it; `report.html`: the same to look at."""
    made = {name: scores(episodes) for name, episodes in systems.items()}
    report = compare(made, seed=seed, seconds_per_stage=run.seconds_per_stage(), versions=run.versions)
    run.write(REPORT, report.model_dump_json(indent=1))
    played = {name: list(zip(episodes, made[name], strict=True)) for name, episodes in systems.items()}
    write_page(run, report, played, source)
    return report


def write_page(
    run: Run,
    report: Report,
    systems: Mapping[str, Sequence[tuple[Episode, Score]]],
    source: FrameSource,
    timings: Mapping[str, Timing] | None = None,
) -> Path:
    """`report.html`."""
    return run.write(PAGE, report_page(report, read_curves(run), systems, source, timings=timings))


def _finish(bench: Bench, answers: Answers) -> Outcome:
    """Writes the files of a result, each whole."""
    run, config = bench.run, bench.config
    with run.stage(FINISH) as facts:
        made = scores_of(answers.episodes, answers.judged, config)
        report = report_of(config, made, run.versions)
        timing = timing_of(answers.episodes, made, run.seconds_per_stage())
        run.rewrite(EPISODES, answers.episodes)
        if answers.judged:
            run.rewrite(VERDICTS, answers.judged)
        run.write(REPORT, report.model_dump_json(indent=1) + "\n")
        run.write(TIMING, timing.model_dump_json(indent=1) + "\n")
        first = [(episode, score) for episode, score in zip(answers.episodes, made, strict=True) if not score.run]
        write_page(run, report, {config.system: first}, bench.source, {config.system: timing})
        run.rewrite(SCORES, made)  # after the others: while it speaks of open answers, the run is not finished
        run.write("config.toml", dump(config))  # last: while it holds other prices, the figures are not those of these
        facts["usd"] = answers.usd
    return Outcome(report=report, unscored=unscored_because(made), n_open=sum(map(is_open, made)), usd=answers.usd)


def _outcome(run: Run, config: BenchConfig) -> Outcome | None:
    """What the files of a finished run say; None if one is missing, or was written by another version or at other prices."""
    stage = run.stage_record(FINISH)
    if not stage.done or load(BenchConfig, run.path("config.toml")).price != config.price:
        return None
    report = stored_report(run.path(REPORT))
    if report is None or not run.path(SCORES).is_file():
        return None
    try:
        made = run.read(SCORES, Score)
    except BadRecord:
        return None
    usd = stage.facts.get("usd")
    return Outcome(
        report=report,
        unscored=unscored_because(made),
        n_open=sum(map(is_open, made)),
        usd=float(usd) if isinstance(usd, int | float) else 0.0,
    )
