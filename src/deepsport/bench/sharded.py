"""The questions of a benchmark on a cluster: shards of neighbouring questions, each answered by a worker as it would be here.

Whoever started the run holds it: what comes back is recorded there, a shard at a time. A worker loads the model once, asks an
endpoint through the desk that all share, and plays with the code of `evaluate`.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from deepsport.agent.prompt import PromptStyle
from deepsport.bench.endpoints import Endpoints, desk_for
from deepsport.bench.evaluate import OnEpisode, Recorded, play
from deepsport.bench.recipe import BenchConfig, Protocol
from deepsport.bench.result import EPISODES
from deepsport.bench.workers import lines_of, work_through
from deepsport.config import dump
from deepsport.executor.cluster import AHEAD, Cluster
from deepsport.executor.remote import Remote
from deepsport.executor.shards import Portion, Shard, cut
from deepsport.policy.base import Policy
from deepsport.policy.openai.allowance import Allowance
from deepsport.policy.openai.lent import lent_allowance, lent_endpoint
from deepsport.records import Episode, Question, Record
from deepsport.run import Run
from deepsport.video.source import FrameSource

SHARD = 16
"""Answers: so much is done again when a worker is lost."""

TABLE = "endpoint"

Local = Callable[[], tuple[Policy, PromptStyle]]
"""Loads the model that runs here, once it is certain that it is needed."""

_LOADED: dict[str, tuple[Policy, PromptStyle]] = {}
"""In a worker: the model of its run, by the configuration."""


class Asked(Record):
    """An item of a shard."""

    question: Question
    number: int
    """Of the run."""


async def evaluate_sharded(
    cluster: Cluster,
    questions: Sequence[Question],
    run: Run,
    config: BenchConfig,
    local: Local,
    endpoints: Endpoints,
    *,
    fail_on_error: bool,
    on_episode: OnEpisode,
) -> list[Episode]:
    """As `evaluate`, on a cluster. Raises ExecutorError too."""
    recorded = Recorded(questions, run, EPISODES, config.seed, config.runs, endpoints.allowance, fail_on_error, on_episode)
    async with desk_for(endpoints, run.folder, {TABLE: config.endpoint}) as desk:
        player = Player(config=config, local=local, desk=desk)
        running = partial(cluster.run, player, with_gpu=config.endpoint is None, on_lost=partial(desk.ask, "lost"))

        async def answer(piece: tuple[int, Sequence[tuple[Question, int]]]) -> None:
            asked = [each for each in piece[1] if recorded.is_open(each)]
            made = await running(_shard(piece[0], asked, config)) if asked else []
            endpoints.count_spent()
            for each, line in zip(asked, made, strict=True):
                if line:
                    recorded.keep(each, Episode.model_validate_json(line))
            if not all(made):
                endpoints.allowance.stop(str(await desk.ask("why_stopped")))

        await work_through(cut([*recorded.asked()], SHARD), answer, n_workers=AHEAD, allowance=endpoints.allowance)
    return recorded.episodes()


def _shard(index: int, asked: Sequence[tuple[Question, int]], config: BenchConfig) -> Shard:
    videos = dict.fromkeys(question.video for question, _ in asked) if config.protocol is not Protocol.BLIND else ()
    return Shard(
        index=index,
        items=tuple(Asked(question=question, number=number).model_dump_json() for question, number in asked),
        names=tuple(f"{question.id}, run {number}" if config.runs > 1 else question.id for question, number in asked),
        files=tuple(videos),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """The task: all that a worker has to know."""

    config: BenchConfig
    local: Local
    desk: Remote

    def __call__(self, portion: Portion) -> list[str]:
        """The episodes of a portion, in order; empty for one that was not begun when the run was stopped."""
        return asyncio.run(self._played(portion))

    async def _played(self, portion: Portion) -> list[str]:
        config, asked = self.config, [Asked.model_validate_json(item) for item in portion.items]
        async with lent_allowance(self.desk, portion.attempt, TABLE) as allowance, self._system(allowance) as (policy, style):
            with FrameSource() as source:

                async def answer(each: Asked) -> str:
                    episode = await play(
                        each.question,
                        each.number,
                        policy,
                        source,
                        limits=config.limits(style),
                        sampling=config.sampling,
                        with_tool=config.with_tool,
                        seed=config.seed,
                    )
                    return episode.model_copy(update={"tokens": None}).model_dump_json()

                return await lines_of(asked, answer, n_workers=config.concurrency, allowance=allowance)

    @asynccontextmanager
    async def _system(self, allowance: Allowance) -> AsyncGenerator[tuple[Policy, PromptStyle]]:
        config = self.config
        if config.endpoint is None:
            key = dump(config)
            if key not in _LOADED:
                _LOADED.clear()
                _LOADED[key] = self.local()
            yield _LOADED[key]
            return
        native_tools = config.native_tools and config.with_tool
        async with aclosing(lent_endpoint(config.endpoint, self.desk, TABLE, allowance, native_tools=native_tools)) as policy:
            yield policy, PromptStyle.FULL
