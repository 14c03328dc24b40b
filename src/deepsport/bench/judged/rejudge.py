"""Another judge for the answers of a run, without asking the system again.

verdicts-JUDGE.jsonl     what it says of answers that no rule can score
ruled-JUDGE.jsonl        what it says of those that a rule has scored, if it was asked: a test of the judge, not of the system
scores-JUDGE.jsonl, report-JUDGE.json, agreement-JUDGE.json
judge-JUDGE/             every reply that was paid for

The run's own files stay as they are, whoever judges. Verdicts that the run already has from the same judge are taken over, so
that one whose judge was down is completed here without asking twice; its own files `bench run` completes, run again. Killed and
run again, this goes on where it was.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deepsport.bench.endpoints import Endpoints, n_workers, open_endpoints
from deepsport.bench.judged.agreement import Agreement
from deepsport.bench.judged.judging import judge_answers, needs_judge
from deepsport.bench.judged.labels import Labels, labelled
from deepsport.bench.judged.opinions import Opinion, agreed, of_judge, of_people, of_rules, with_people
from deepsport.bench.report import Report
from deepsport.bench.result import Judged, Result, load_result, report_of, scores_of
from deepsport.bench.score import answered
from deepsport.bench.unscored import unscored_because
from deepsport.bench.workers import interruptible
from deepsport.errors import RunError
from deepsport.policy.openai import EndpointConfig
from deepsport.progress import track
from deepsport.records import Episode, Record
from deepsport.reward.gated import answer_accuracy
from deepsport.reward.judge import Judge, Unscored
from deepsport.reward.model_judge import ModelJudge
from deepsport.reward.offline_judge import OfflineJudge
from deepsport.reward.rubric import prompt_version
from deepsport.run import Run

LONGEST_NAME = 80
"""Characters of a judge's name in the name of a file."""


class Agreements(Record):
    """`agreement-JUDGE.json`."""

    judge: str
    agreements: tuple[Agreement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejudged:
    """What came of it."""

    judge: str
    verdicts: Path
    before: Report
    """With the verdicts of the run's own judge."""
    report: Report
    unscored: dict[str, int]
    """Answers without a score, by the reason."""
    agreements: list[Agreement]
    usd: float
    """Paid to this judge by all attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    judged: list[Judged]
    ruled: list[Judged]
    usd: float


def rejudge(
    folder: Path,
    config: EndpointConfig | None,
    *,
    everything: bool = False,
    labels: Labels | None = None,
    max_usd: float | None = None,
) -> Rejudged:
    """Judges the answers of a run anew; `config`: None is the judge by rule. `everything`: those too that a rule has scored.

    Raises BadRecord for a folder without a run, BadConfig, RunError, Stopped if interrupted or out of money."""
    own = load_result(folder)
    people = of_people(labelled(labels.labels, own.episodes)) if labels else []
    name = f"{config.model}/{prompt_version()}" if config else OfflineJudge.name
    slug = slug_of(name)
    with Run.open(folder, None) as run:
        for file in (f"verdicts-{slug}.jsonl", f"ruled-{slug}.jsonl"):
            _require_own(run, file, name)
        _take_over(run, own, name, f"verdicts-{slug}.jsonl")
        said = asyncio.run(_judge(run, own, config, slug, everything, max_usd))
        new = of_judge(own, [*said.judged, *said.ruled], name)
        found = agreed(own, _couples(own, new, people, ruled=everything))
        made = scores_of(own.episodes, said.judged, own.config)
        report = report_of(own.config, made, run.versions)
        run.rewrite(f"verdicts-{slug}.jsonl", said.judged)
        if said.ruled:
            run.rewrite(f"ruled-{slug}.jsonl", said.ruled)
        run.rewrite(f"scores-{slug}.jsonl", made)
        run.write(f"report-{slug}.json", report.model_dump_json(indent=1) + "\n")
        run.write(f"agreement-{slug}.json", Agreements(judge=name, agreements=tuple(found)).model_dump_json(indent=1) + "\n")
    return Rejudged(
        judge=name,
        verdicts=folder / f"verdicts-{slug}.jsonl",
        before=report_of(own.config, own.scores),
        report=report,
        unscored=unscored_because(made),
        agreements=found,
        usd=said.usd,
    )


def held_against_people(run: Result, labels: Labels) -> list[Agreement]:
    """How far people agree with the scores that a run has: with rules, with its judge, and with each other."""
    people = of_people(labelled(labels.labels, run.episodes))
    return agreed(run, with_people([of_rules(run), of_judge(run, run.judged)], people))


def slug_of(judge: str) -> str:
    """A judge's name as part of the name of a file."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", judge).strip("-.")[:LONGEST_NAME] or "judge"


def _couples(own: Result, new: Opinion, people: list[Opinion], *, ruled: bool) -> list[tuple[Opinion, Opinion]]:
    before = of_judge(own, own.judged)
    couples = [(before, new)] if before.points and before.name != new.name else []
    return [*couples, *([(new, of_rules(own))] if ruled else []), *with_people([new], people)]


def _require_own(run: Run, file: str, judge: str) -> None:
    """Two judges may differ only in what a file's name cannot tell. Raises RunError if the file is another judge's."""
    if other := next((one.verdict.judge for one in run.read(file, Judged) if one.verdict.judge != judge), None):
        raise RunError(
            f"{run.path(file)} holds verdicts of {other!r}, not of {judge!r}. Move it away, or give the judge another name."
        )


def _take_over(run: Run, own: Result, judge: str, file: str) -> None:
    """Verdicts of the same judge that the run has already, and that are not open."""
    present = {(one.episode_id, one.case) for one in run.read(file, Judged) if one.verdict.why is not Unscored.UNJUDGED}
    for one in own.judged:
        settled = one.verdict.judge == judge and one.verdict.why is not Unscored.UNJUDGED
        if settled and (one.episode_id, one.case) not in present:
            run.append(file, one)


async def _judge(
    run: Run, own: Result, config: EndpointConfig | None, slug: str, everything: bool, max_usd: float | None
) -> _Said:
    async with open_endpoints(run.path(f"judge-{slug}"), {"judge": config}, max_usd) as endpoints:
        judge = ModelJudge(endpoints.open(config), max_tokens=config.max_reply_tokens) if config else OfflineJudge()
        workers = n_workers(config)
        with interruptible(endpoints.allowance):
            judged = await _asked(run, own, judge, endpoints, workers, f"verdicts-{slug}.jsonl", needs_judge)
            ruled = await _asked(run, own, judge, endpoints, workers, f"ruled-{slug}.jsonl", _is_ruled) if everything else []
    return _Said(judged=judged, ruled=ruled, usd=endpoints.allowance.spent_usd)


async def _asked(
    run: Run, own: Result, judge: Judge, endpoints: Endpoints, n: int, file: str, which: Callable[[Episode], bool]
) -> list[Judged]:
    n_cases = sum(map(which, own.episodes))
    with track("judge", total=n_cases, unit="answers", shown=n_cases > 0) as tick:
        return await judge_answers(
            run,
            own.episodes,
            judge,
            n_workers=n,
            allowance=endpoints.allowance,
            on_verdict=lambda _: tick(),
            file=file,
            which=which,
        )


def _is_ruled(episode: Episode) -> bool:
    """Whether there is an answer, and a rule has scored it."""
    return answered(episode) is not None and answer_accuracy(episode) is not None
