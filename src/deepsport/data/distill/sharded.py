"""Acting and playing back on a cluster: what looks at pixels is spread over hosts, what only waits for a model stays here.

Whoever started the run holds it, and records what comes back, a shard at a time.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from deepsport.agent.rollout import Limits
from deepsport.bench.endpoints import ALONE, Endpoints, desk_for, n_workers
from deepsport.bench.workers import lines_of, work_through
from deepsport.data.distill.acting import Acted, Sample, play_sample, samples_of
from deepsport.data.distill.cast import teacher_of, truths_for
from deepsport.data.distill.footage import Footage
from deepsport.data.distill.recipe import DistillRecipe
from deepsport.data.distill.selection import Playback, play_back
from deepsport.executor.cluster import AHEAD, Cluster
from deepsport.executor.remote import Remote
from deepsport.executor.shards import Portion, Shard, cut
from deepsport.policy.base import Policy
from deepsport.policy.openai.allowance import Allowance
from deepsport.policy.openai.lent import lent_allowance, lent_endpoint
from deepsport.records import Episode, Question, Record
from deepsport.video.source import FrameSource

SHARD = 16
"""Trajectories: so many are played again when a worker is lost."""

TABLE = "teacher"


class Tried(Record):
    """An item of a shard of acting."""

    question: Question
    number: int
    facts: str


class ToPlayBack(Record):
    """An item of a shard of playing back."""

    episode: Episode
    record: str


async def act_sharded(
    cluster: Cluster,
    acted: Acted,
    folder: Path,
    recipe: DistillRecipe,
    endpoints: Endpoints,
    questions: Sequence[Question],
    facts: Mapping[str, str],
) -> None:
    """As `act`, on a cluster; `folder` is that of the run. Raises ExecutorError too."""
    async with desk_for(endpoints, folder, {TABLE: recipe.teacher}) as desk:
        running = partial(cluster.run, Acting(recipe, desk), on_lost=partial(desk.ask, "lost"))

        async def play(piece: tuple[int, Sequence[Sample]]) -> None:
            todo = [sample for sample in piece[1] if acted.is_open(sample)]
            made = await running(_shard(piece[0], todo, facts)) if todo else []
            endpoints.count_spent()
            for sample, line in zip(todo, made, strict=True):
                if line:
                    await acted.keep(sample, Episode.model_validate_json(line))
            if not all(made):
                endpoints.allowance.stop(str(await desk.ask("why_stopped")))

        await work_through(cut([*samples_of(questions, recipe)], SHARD), play, n_workers=AHEAD, allowance=endpoints.allowance)


def _shard(index: int, samples: Sequence[Sample], facts: Mapping[str, str]) -> Shard:
    tried = (Tried(question=each.question, number=each.number, facts=facts[each.question.id]) for each in samples)
    return Shard(
        index=index,
        items=tuple(each.model_dump_json() for each in tried),
        names=tuple(sample.id for sample in samples),
        files=tuple(dict.fromkeys(sample.question.video for sample in samples)),
    )


@dataclass(frozen=True, slots=True)
class Acting:
    """The task of acting."""

    recipe: DistillRecipe
    desk: Remote

    def __call__(self, portion: Portion) -> list[str]:
        """The episodes of a portion, in order; empty for one that was not begun when the run was stopped."""
        return asyncio.run(self._played(portion))

    async def _played(self, portion: Portion) -> list[str]:
        tried = [Tried.model_validate_json(item) for item in portion.items]
        questions = list({each.question.id: each.question for each in tried}.values())
        facts = {each.question.id: each.facts for each in tried}
        footage = Footage()
        async with lent_allowance(self.desk, portion.attempt, TABLE) as allowance, self._teacher(questions, allowance) as teacher:
            with FrameSource() as source:

                async def play(each: Tried) -> str:
                    sample = Sample(each.question, each.number)
                    return (await play_sample(sample, self.recipe, teacher, facts, footage, source)).model_dump_json()

                return await lines_of(tried, play, n_workers=n_workers(self.recipe.teacher), allowance=allowance)

    @asynccontextmanager
    async def _teacher(self, questions: Sequence[Question], allowance: Allowance) -> AsyncGenerator[Policy]:
        if self.recipe.teacher is None:
            yield teacher_of(self.recipe, questions, truths_for(self.recipe), lent_endpoint)
            return
        native_tools = self.recipe.teacher.native_tools
        async with aclosing(lent_endpoint(self.recipe.teacher, self.desk, TABLE, allowance, native_tools=native_tools)) as policy:
            yield policy


async def play_back_sharded(
    cluster: Cluster,
    episode_ids: Sequence[str],
    reading: Callable[[str], tuple[Episode, str]],
    limits: Limits,
    keep: Callable[[str, Playback | None], Awaitable[None]],
    allowance: Allowance,
) -> None:
    """Plays trajectories back on a cluster: `reading` gives each and the hash of its record, `keep` is told what came of it."""

    async def check(piece: tuple[int, Sequence[str]]) -> None:
        index, ids = piece
        read = [await asyncio.to_thread(reading, episode_id) for episode_id in ids]
        shard = Shard(
            index=index,
            items=tuple(ToPlayBack(episode=episode, record=record).model_dump_json() for episode, record in read),
            names=tuple(ids),
            files=tuple(dict.fromkeys(episode.question.video for episode, _ in read)),
        )
        for episode_id, line in zip(ids, await cluster.run(PlayingBack(limits), shard), strict=True):
            await keep(episode_id, Playback.model_validate_json(line) if line else None)

    await work_through(cut(episode_ids, SHARD), check, n_workers=AHEAD, allowance=allowance)


@dataclass(frozen=True, slots=True)
class PlayingBack:
    """The task of playing back."""

    limits: Limits

    def __call__(self, portion: Portion) -> list[str]:
        """What came of each; empty where the video cannot be read now."""
        return asyncio.run(self._checked([ToPlayBack.model_validate_json(item) for item in portion.items]))

    async def _checked(self, asked: Sequence[ToPlayBack]) -> list[str]:
        footage = Footage()
        with FrameSource() as source:

            async def check(each: ToPlayBack) -> str:
                playback = await play_back(each.episode, each.record, footage, source, self.limits)
                return playback.model_dump_json() if playback else ""

            return await lines_of(asked, check, n_workers=ALONE, allowance=Allowance())
