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
from deepsport.data.distill.footage import Footage
from deepsport.data.distill.hints import Hinted
from deepsport.data.distill.recipe import DistillRecipe, Hints
from deepsport.data.distill.record_index import EpisodeIndex
from deepsport.errors import BadVideo
from deepsport.policy.base import Policy, Sampling
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


class Acted:
    """The trajectories of a run: what is on record, and what comes."""

    def __init__(self, run: Run, played: EpisodeIndex, on_episode: Callable[[Episode], None]) -> None:
        """`played`: of this run; `on_episode` is told of each new one."""
        self._run, self._played, self._on_episode = run, played, on_episode
        self._losses = Losses("trajectories")

    def is_open(self, sample: Sample) -> bool:
        """Whether it is to be played: for the first time, or because it was lost."""
        return sample.id not in self._played or sample.id in self._played.lost

    async def keep(self, sample: Sample, episode: Episode) -> None:
        """Records a trajectory. Raises PolicyError if too many were lost by the endpoint."""
        await asyncio.to_thread(self._run.append, ACTED, episode)
        self._on_episode(episode)
        if episode.stop is not StopReason.VIDEO_ERROR and sample.id not in self._played.lost:
            self._losses.count(episode.detail if episode.stop is StopReason.POLICY_ERROR else "")


async def act(
    acted: Acted,
    recipe: DistillRecipe,
    cast: Cast,
    questions: Sequence[Question],
    facts: Mapping[str, str],
    source: FrameSource,
) -> None:
    """Plays and records what is not yet played. Raises Stopped, and PolicyError if nothing gets through."""

    async def play(sample: Sample) -> None:
        await acted.keep(sample, await play_sample(sample, recipe, cast.teacher, facts, cast.footage, source))

    todo = (sample for sample in samples_of(questions, recipe) if acted.is_open(sample))
    await work_through(todo, play, n_workers=n_workers(recipe.teacher), allowance=cast.allowance)


async def play_sample(
    sample: Sample, recipe: DistillRecipe, teacher: Policy, facts: Mapping[str, str], footage: Footage, source: FrameSource
) -> Episode:
    """One trajectory, with the hash of the video that it was played on."""
    acting = Hinted(teacher, facts[sample.question.id]) if recipe.hints is Hints.GIVEN else teacher
    try:
        video_sha256 = await footage.sha256(sample.question.video)
    except BadVideo:
        video_sha256 = ""  # the episode says what is wrong with it
    sampling = _sampling(sample, recipe)
    episode = await run_episode(sample.question, acting, source, limits=recipe.limits, sampling=sampling, episode_id=sample.id)
    return episode.model_copy(update={"video_sha256": video_sha256})


def _sampling(sample: Sample, recipe: DistillRecipe) -> Sampling:
    seed = seed_of(recipe.seed, sample.id)
    if recipe.teacher is None:
        return Sampling(seed=seed)
    return Sampling(temperature=recipe.teacher.temperature, max_tokens=recipe.teacher.max_reply_tokens, seed=seed)
