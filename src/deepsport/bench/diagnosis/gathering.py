"""Gathers the evidence on failed answers: replays, what a judge says of them, what an examiner says. Resumable.

What is on record is not asked again. A replay or an examination that was lost to a fault leaves its case with less evidence,
and is tried again the next time.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from deepsport.agent.prompt import PromptStyle
from deepsport.bench.diagnosis.arena_truth import examiner_of_set
from deepsport.bench.diagnosis.examiner import Examiner, ModelExaminer, case_key
from deepsport.bench.diagnosis.record import Examined
from deepsport.bench.diagnosis.replay import can_be_replayed, outcome, replay, replay_id, still_holds
from deepsport.bench.diagnosis.rules import Case, failed, is_unsettled
from deepsport.bench.endpoints import Endpoints, n_workers, open_endpoints
from deepsport.bench.judged.judging import judge_answers, needs_judge
from deepsport.bench.recipe import BenchConfig, Protocol
from deepsport.bench.result import Result
from deepsport.bench.suite import Local
from deepsport.bench.workers import Losses, interruptible, work_through
from deepsport.errors import PolicyError
from deepsport.policy.base import Policy
from deepsport.policy.openai import EndpointConfig
from deepsport.policy.openai.allowance import Allowance
from deepsport.progress import track
from deepsport.records import Episode, StopReason
from deepsport.reward.gated import FAULTS
from deepsport.reward.judge import Judge, Verdict
from deepsport.reward.model_judge import ModelJudge
from deepsport.reward.offline_judge import OfflineJudge
from deepsport.run import Run
from deepsport.video.source import FrameSource

COUNTERFACTUALS, THEIR_VERDICTS, FINDINGS = "counterfactual.jsonl", "counterfactual-verdicts.jsonl", "findings.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a diagnosis may use."""

    local: Local
    """Loads the model that runs here, once it is needed."""
    with_replay: bool = True
    examiner: EndpointConfig | None = None
    """Who looks at frames; None: on an arena set its truth, elsewhere nobody."""
    without_truth: bool = False
    """Leave the arena's truth aside, as if it were any other set."""
    max_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """A diagnosis under way."""

    run: Run
    """Where it is written: the run itself, or another folder."""
    config: BenchConfig
    source: FrameSource
    means: Means
    endpoints: Endpoints

    @property
    def allowance(self) -> Allowance:
        return self.endpoints.allowance


def can_replay(config: BenchConfig) -> bool:
    """Whether there is a policy to ask again."""
    return config.protocol in (Protocol.AGENT, Protocol.PASSIVE, Protocol.BLIND)


async def gather(run: Run, result: Result, means: Means, source: FrameSource) -> list[Case]:
    """The failed answers of a run, in their order, each with the evidence on it; written to the files of `run`.

    Raises as `diagnose_run`."""
    played = zip(result.episodes, result.scores, strict=True)
    known = result.config.protocol is not Protocol.IMPORTED
    cases = [Case(episode, score, sights_known=known) for episode, score in played if failed(score)]
    config = result.config
    replays = means.with_replay and can_replay(config)
    asked, judge = (config.endpoint, config.judge) if replays else (None, None)
    tables = {"endpoint": asked, "judge": judge, "examiner": means.examiner}
    async with open_endpoints(run.folder, tables, means.max_usd) as endpoints:
        work = _Work(run=run, config=config, source=source, means=means, endpoints=endpoints)
        if replays:
            cases = await _replayed(work, cases)
        with interruptible(endpoints.allowance):
            return await _examined(work, cases)


async def _replayed(work: _Work, cases: Sequence[Case]) -> list[Case]:
    """The cases with their replays, played as far as they are not on record."""
    episodes = {replay_id(case.episode): case.episode for case in cases if can_be_replayed(case)}
    recorded = (each for each in work.run.read(COUNTERFACTUALS, Episode) if each.id in episodes)
    played = {each.id: each for each in recorded if still_holds(each, episodes[each.id])}
    missing = [episode for name, episode in episodes.items() if name not in played]
    model = _policy(work) if missing else None  # loaded where Ctrl-C still ends at once
    with interruptible(work.allowance):
        if model:
            await _play(work, missing, played, *model)
        verdicts = await _verdicts(work, list(played.values()))
    outcomes = {name: outcome(each, verdicts.get(name)) for name, each in played.items()}
    return [replace(case, replayed=outcomes.get(replay_id(case.episode))) for case in cases]


async def _play(work: _Work, episodes: Sequence[Episode], played: dict[str, Episode], policy: Policy, style: PromptStyle) -> None:
    """Replays, each on record before the next one of its worker begins."""
    losses = Losses("replays")

    async def play(episode: Episode) -> None:
        replayed = await replay(episode, policy, work.source, work.config, style)
        if replayed is not None:
            await asyncio.to_thread(work.run.append, COUNTERFACTUALS, replayed)
        if replayed is not None and replayed.stop not in FAULTS:
            played[replayed.id] = replayed
        losses.count(replayed.detail if replayed and replayed.stop is StopReason.POLICY_ERROR else "")
        tick()

    with work.run.stage("replay"), track("replay", total=len(episodes), unit="episodes") as tick:
        await work_through(episodes, play, n_workers=work.config.concurrency, allowance=work.allowance)


def _policy(work: _Work) -> tuple[Policy, PromptStyle]:
    endpoint = work.config.endpoint
    return (work.endpoints.open(endpoint), PromptStyle.FULL) if endpoint else work.means.local()


async def _verdicts(work: _Work, played: Sequence[Episode]) -> dict[str, Verdict]:
    """On the replays that no rule can score, by the judge of the run."""
    judge = work.config.judge
    if not any(map(needs_judge, played)):
        return {}
    asked: Judge = ModelJudge(work.endpoints.open(judge), max_tokens=judge.max_reply_tokens) if judge else OfflineJudge()
    with work.run.stage("judge replays"):
        judged = await judge_answers(
            work.run, played, asked, n_workers=n_workers(judge), allowance=work.allowance, file=THEIR_VERDICTS
        )
    return {each.episode_id: each.verdict for each in judged}


async def _examined(work: _Work, cases: Sequence[Case]) -> list[Case]:
    """The cases with what the examiner says of those that nothing else settles."""
    examiner = _examiner(work)
    if examiner is None:
        return list(cases)
    keys = {case.episode.id: case_key(case.episode) for case in cases if is_unsettled(case)}
    recorded = (each for each in work.run.read(FINDINGS, Examined) if each.case == keys.get(each.episode_id))
    found = {each.episode_id: each for each in recorded if each.examiner == examiner.name}
    missing = [case.episode for case in cases if case.episode.id in keys and case.episode.id not in found]

    losses = Losses("examinations")

    async def examine(episode: Episode) -> None:
        examined, fault = None, ""
        try:
            examined = await examiner.examine(episode)
        except PolicyError as error:
            fault = str(error)
        if examined is not None:
            await asyncio.to_thread(work.run.append, FINDINGS, examined)
            found[episode.id] = examined
        losses.count(fault)
        tick()

    shown = track("examine", total=len(missing), unit="answers", shown=bool(missing))
    with suppress(PolicyError), work.run.stage("examine"), shown as tick:  # without it, what is known is told all the same
        await work_through(missing, examine, n_workers=n_workers(work.means.examiner), allowance=work.allowance)
    return [replace(case, examined=found.get(case.episode.id)) for case in cases]


def _examiner(work: _Work) -> Examiner | None:
    config = work.means.examiner
    if config is not None:
        return ModelExaminer(work.endpoints.open(config), work.source, config.max_reply_tokens)
    return None if work.means.without_truth else examiner_of_set(Path(work.config.questions))
