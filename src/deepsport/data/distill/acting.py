"""Step 2, acting: the teacher answers each question several times, in the same loop that a trained model acts in.

Every trajectory is on disk when it ends. What was lost to a fault of the endpoint or of a video is tried again when the run
goes on. An endpoint that fails every one of the first trajectories is broken, or wrongly addressed: the run ends with its first
fault.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from deepsport.agent.rollout import run_episode
from deepsport.bench.endpoints import n_workers
from deepsport.bench.evaluate import seed_of
from deepsport.bench.workers import Losses, work_through
from deepsport.data.distill.cast import Cast
from deepsport.data.distill.hints import Hinted
from deepsport.data.distill.recipe import DistillRecipe, Hints
from deepsport.data.distill.record_index import EpisodeIndex
from deepsport.errors import BadVideo
from deepsport.policy.base import Sampling
from deepsport.records import Episode, Question, StopReason
from deepsport.run import Run
from deepsport.video.source import FrameSource

ACTED = "acted.jsonl"


@dataclass(frozen=True, slots=True)
class Sample:
    """One try at one question."""

    question: Question
    number: int

    @property
    def id(self) -> str:
        """Of the episode."""
        return f"{self.question.id}/{self.number}"


def samples_of(questions: Sequence[Question], recipe: DistillRecipe) -> Iterator[Sample]:
    """All tries, those of one question in a row, so that its frames are decoded once."""
    return (Sample(question, number) for question in questions for number in range(recipe.samples))


async def act(
    run: Run,
    recipe: DistillRecipe,
    cast: Cast,
    questions: Sequence[Question],
    facts: Mapping[str, str],
    played: EpisodeIndex,
    source: FrameSource,
    on_episode: Callable[[Episode], None],
) -> None:
    """Plays and records what is not yet `played`. Raises Stopped, and PolicyError if nothing gets through."""
    losses = Losses("trajectories")

    async def play(sample: Sample) -> None:
        hinted = recipe.hints is Hints.GIVEN
        teacher = Hinted(cast.teacher, facts[sample.question.id]) if hinted else cast.teacher
        try:
            video_sha256 = await cast.footage.sha256(sample.question.video)
        except BadVideo:
            video_sha256 = ""  # the episode says what is wrong with it
        episode = await run_episode(
            sample.question, teacher, source, limits=recipe.limits, sampling=_sampling(sample, recipe), episode_id=sample.id
        )
        await asyncio.to_thread(run.append, ACTED, episode.model_copy(update={"video_sha256": video_sha256}))
        on_episode(episode)
        if episode.stop is not StopReason.VIDEO_ERROR and sample.id not in played.lost:
            losses.count(episode.detail if episode.stop is StopReason.POLICY_ERROR else "")

    todo = (sample for sample in samples_of(questions, recipe) if sample.id not in played or sample.id in played.lost)
    await work_through(todo, play, n_workers=n_workers(recipe.teacher), allowance=cast.allowance)


def _sampling(sample: Sample, recipe: DistillRecipe) -> Sampling:
    seed = seed_of(recipe.seed, sample.id)
    if recipe.teacher is None:
        return Sampling(seed=seed)
    return Sampling(temperature=recipe.teacher.temperature, max_tokens=recipe.teacher.max_reply_tokens, seed=seed)
