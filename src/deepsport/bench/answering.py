"""A run under way: every question asked of the system, then every answer that no rule can score given to the judge.

Both go on where they were, and both spend from one allowance. Addresses and keys are looked at, and the model is loaded, before
anything is paid for.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count

from deepsport.agent.prompt import PromptStyle
from deepsport.bench.endpoints import Endpoints, Tables, n_workers, open_endpoints
from deepsport.bench.evaluate import evaluate, on_record
from deepsport.bench.judged.judging import judge_answers, needs_judge
from deepsport.bench.majority import Majority, guess_all
from deepsport.bench.recipe import BenchConfig, Protocol
from deepsport.bench.result import EPISODES, Judged
from deepsport.bench.sharded import Local, evaluate_sharded
from deepsport.bench.workers import interruptible
from deepsport.executor.cluster import Cluster
from deepsport.policy.base import Policy
from deepsport.policy.openai.allowance import Allowance
from deepsport.progress import Tick, track
from deepsport.records import Episode, Question
from deepsport.reward.judge import Judge
from deepsport.reward.model_judge import ModelJudge
from deepsport.reward.offline_judge import OfflineJudge
from deepsport.run import Run
from deepsport.video.source import FrameSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A run under way."""

    run: Run
    config: BenchConfig
    questions: Sequence[Question]
    learnt_from: Sequence[Question]
    """By the majority protocol."""
    source: FrameSource
    local: Local
    fail_on_error: bool
    cluster: Cluster | None = None
    """Where questions are asked; None is here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a system said, and a judge of it."""

    episodes: list[Episode]
    judged: list[Judged]
    usd: float


def tables_of(config: BenchConfig) -> Tables:
    """The endpoints that are asked under the protocol."""
    return {"endpoint": None if config.protocol is Protocol.MAJORITY else config.endpoint, "judge": config.judge}


async def answers(bench: Bench, max_usd: float | None) -> Answers:
    """Everything on record, and what was missing. Raises as `run_bench`."""
    config = bench.config
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_n_threads(config.concurrency)))
    async with open_endpoints(bench.run.folder, tables_of(config), max_usd) as endpoints:
        episodes = await _asked(bench, endpoints)
        judged = await _judged(bench, episodes, _judge(config, endpoints), endpoints.allowance)
    return Answers(episodes=episodes, judged=judged, usd=endpoints.allowance.spent_usd)


async def _asked(bench: Bench, endpoints: Endpoints) -> list[Episode]:
    """An answer to every question in every run."""
    run, config, questions = bench.run, bench.config, bench.questions
    known, _ = on_record(questions, run, EPISODES, config.seed, config.runs)
    total = len(questions) * config.runs
    with run.stage("ask"), track(config.system, total=total, done=len(known), unit="answers") as tick:
        if config.protocol is Protocol.MAJORITY:
            guessed = guess_all(questions, Majority(bench.learnt_from), run, EPISODES, seed=config.seed)
            tick(total - len(known))
            return guessed
        if len(known) == total:
            return [known[question.id, number] for question in questions for number in range(config.runs)]
        if bench.cluster:
            return await _asked_on(bench.cluster, bench, endpoints, tick)
        policy, style = _system(bench, endpoints)
        with interruptible(endpoints.allowance):  # not before: loading a model hears no signal, and nothing is in flight yet
            return await evaluate(
                questions,
                policy,
                bench.source,
                run,
                EPISODES,
                limits=config.limits(style),
                sampling=config.sampling,
                with_tool=config.with_tool,
                concurrency=config.concurrency,
                seed=config.seed,
                n_runs=config.runs,
                keep_tokens=False,
                fail_on_error=bench.fail_on_error,
                allowance=endpoints.allowance,
                on_episode=lambda _: tick(extra=_spent(endpoints.allowance)),
            )


async def _asked_on(cluster: Cluster, bench: Bench, endpoints: Endpoints, tick: Tick) -> list[Episode]:
    def show(_: Episode) -> None:
        tick(extra=", ".join(filter(None, [_spent(endpoints.allowance), cluster.said])))

    with interruptible(endpoints.allowance):
        return await evaluate_sharded(
            cluster,
            bench.questions,
            bench.run,
            bench.config,
            bench.local,
            endpoints,
            fail_on_error=bench.fail_on_error,
            on_episode=show,
        )


async def _judged(bench: Bench, episodes: Sequence[Episode], judge: Judge, allowance: Allowance) -> list[Judged]:
    n_cases = sum(map(needs_judge, episodes))
    if not n_cases:
        return []
    shown = track("judge", total=n_cases, unit="answers")
    with bench.run.stage("judge"), shown as tick, interruptible(allowance):
        return await judge_answers(
            bench.run,
            episodes,
            judge,
            n_workers=n_workers(bench.config.judge),
            allowance=allowance,
            on_verdict=lambda _: tick(extra=_spent(allowance)),
        )


def _system(bench: Bench, endpoints: Endpoints) -> tuple[Policy, PromptStyle]:
    config = bench.config
    if config.endpoint is None:
        return bench.local()
    return endpoints.open(config.endpoint, native_tools=config.native_tools and config.with_tool), PromptStyle.FULL


def _judge(config: BenchConfig, endpoints: Endpoints) -> Judge:
    return ModelJudge(endpoints.open(config.judge), max_tokens=config.judge.max_reply_tokens) if config.judge else OfflineJudge()


def _n_threads(concurrency: int) -> int:
    """For decoding, which wants cores, and for waiting for disks, which wants company; no more than can be of use."""
    return min(concurrency + 2, 4 + 2 * (cpu_count() or 1))


def _spent(allowance: Allowance) -> str:
    return f"${allowance.spent_usd:.2f}" if allowance.spent_usd else ""
