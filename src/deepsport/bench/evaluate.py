"""A question set -> one recorded episode for each question and run, resumable.

Every episode is appended to the run as soon as it ends, so a killed evaluation goes on where it was: questions on record are
skipped, those lost to a fault of the server or of the video are tried again. A question draws from a seed of its own, made from
the seed and its id, so neither the order nor a restart changes an episode. An endpoint that loses one episode after another ends
the attempt, with the reason; see `Losses`.
"""

import asyncio
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from deepsport.agent.rollout import Limits, run_episode
from deepsport.bench.workers import Losses, work_through
from deepsport.data.moved import moved
from deepsport.errors import BadRecord, RunError
from deepsport.policy.base import Policy, Sampling
from deepsport.policy.openai.allowance import Allowance
from deepsport.progress import track
from deepsport.records import Episode, Question, StopReason
from deepsport.reward.gated import FAULTS
from deepsport.run import Run
from deepsport.video.source import FrameSource

OnEpisode = Callable[[Episode], None]

Asked = tuple[str, int]
"""A question, by its id, and the run, from 0."""


async def evaluate(
    questions: Sequence[Question],
    policy: Policy,
    source: FrameSource,
    run: Run,
    name: str,
    *,
    limits: Limits,
    sampling: Sampling,
    with_tool: bool = True,
    concurrency: int = 64,
    seed: int = 0,
    n_runs: int = 1,
    keep_tokens: bool = True,
    fail_on_error: bool = False,
    allowance: Allowance | None = None,
    on_episode: OnEpisode | None = None,
) -> list[Episode]:
    """Episodes in the order of the questions, all runs of one in a row, so that its frames are decoded once. They are recorded in
    the file `name` of the run; `on_episode` is told of each new one.

    At most `concurrency` episodes run at once and wait for nobody but the policy and the video. When one raises (a bug, a full
    disk, a cancellation), the others are cancelled and what is finished stays recorded; when the allowance is stopped, which the
    first lost episode does under `fail_on_error`, what is in flight comes to its end.
    Raises BadRecord if two questions share an id, RunError if the record on file answers another question of the same id,
    PolicyError if the endpoint is broken, Stopped if the allowance was."""
    allowance = allowance or Allowance()
    recorded = Recorded(questions, run, name, seed, n_runs, allowance, fail_on_error, on_episode)

    async def answer(asked: tuple[Question, int]) -> None:
        episode = await play(*asked, policy, source, limits=limits, sampling=sampling, with_tool=with_tool, seed=seed)
        recorded.keep(asked, episode if keep_tokens else episode.model_copy(update={"tokens": None}))

    todo = (asked for asked in recorded.asked() if recorded.is_open(asked))
    await work_through(todo, answer, n_workers=concurrency, allowance=allowance)
    return recorded.episodes()


async def play(
    question: Question,
    number: int,
    policy: Policy,
    source: FrameSource,
    *,
    limits: Limits,
    sampling: Sampling,
    with_tool: bool,
    seed: int,
) -> Episode:
    """The episode of one question in one run."""
    drawn = replace(sampling, seed=seed_of(seed + number, question.id))
    return await run_episode(question, policy, source, limits=limits, sampling=drawn, with_tool=with_tool)


class Recorded:
    """What is on record of an evaluation, and what is not yet."""

    def __init__(
        self,
        questions: Sequence[Question],
        run: Run,
        name: str,
        seed: int,
        n_runs: int,
        allowance: Allowance,
        fail_on_error: bool,
        on_episode: OnEpisode | None,
    ) -> None:
        """Raises BadRecord and RunError as `evaluate`."""
        require_distinct(questions)
        self._questions, self._n_runs, self._run, self._name = questions, n_runs, run, name
        self._finished, self._lost = on_record(questions, run, name, seed, n_runs)
        self._allowance, self._fail_on_error, self._on_episode = allowance, fail_on_error, on_episode
        self._losses = Losses("episodes")

    def asked(self) -> Iterator[tuple[Question, int]]:
        """Every question with the number of every run."""
        return ((question, number) for question in self._questions for number in range(self._n_runs))

    def is_open(self, asked: tuple[Question, int]) -> bool:
        """Whether no episode that stands is on record."""
        question, number = asked
        return (question.id, number) not in self._finished

    def keep(self, asked: tuple[Question, int], episode: Episode) -> None:
        """Records an episode. Raises PolicyError if too many were lost by the endpoint."""
        question, number = asked
        self._run.append(self._name, episode)
        self._finished[question.id, number] = episode
        if self._on_episode:
            self._on_episode(episode)
        if self._fail_on_error and episode.stop in FAULTS:
            self._allowance.stop(f"question {question.id} was lost: {episode.detail} What is finished is kept.")
        if episode.stop is not StopReason.VIDEO_ERROR and (question.id, number) not in self._lost:
            self._losses.count(episode.detail if episode.stop is StopReason.POLICY_ERROR else "")

    def episodes(self) -> list[Episode]:
        """All of them, in order; to be asked when none is open."""
        return [self._finished[question.id, number] for question, number in self.asked()]


def ask(
    questions: Sequence[Question],
    policy: Policy,
    source: FrameSource,
    run: Run,
    name: str,
    *,
    shown_as: str,
    limits: Limits,
    sampling: Sampling,
    with_tool: bool = True,
    concurrency: int = 64,
    seed: int = 0,
) -> list[Episode]:
    """`evaluate`, waited for, with a line of progress."""
    with track(shown_as, total=len(questions), unit="episodes") as tick:
        return asyncio.run(
            evaluate(
                questions,
                policy,
                source,
                run,
                name,
                limits=limits,
                sampling=sampling,
                with_tool=with_tool,
                concurrency=concurrency,
                seed=seed,
                on_episode=lambda _: tick(),
            )
        )


def seed_of(seed: int, question_id: str) -> int:
    """The seed of one question: 31 bits, the same on every machine."""
    return zlib.crc32(f"{seed}/{question_id}".encode()) & 0x7FFF_FFFF


def number_of(episode: Episode, seed: int, n_runs: int) -> int:
    """In which of several runs an episode was played, told by its seed; 0 for a seed of none of them."""
    seeds = (seed_of(seed + number, episode.question.id) for number in range(n_runs))
    return next((number for number, drawn in enumerate(seeds) if drawn == episode.seed), 0)


def on_record(
    questions: Sequence[Question], run: Run, name: str, seed: int, n_runs: int
) -> tuple[dict[Asked, Episode], set[Asked]]:
    """Recorded episodes that stand, of several the last, and what is on record as lost to a fault. The question as asked now is
    put in: files may move. Raises RunError if another question of the same id was answered."""
    by_id = {question.id: question for question in questions}
    finished, lost = dict[Asked, Episode](), set[Asked]()
    for episode in run.read(name, Episode):
        question = by_id.get(episode.question.id)
        if question is None:
            continue
        asked = question.id, number_of(episode, seed, n_runs)
        if episode.stop in FAULTS:
            lost.add(asked)
            continue
        if episode.question.model_copy(update={"video": question.video}) != question:
            raise RunError(
                f"{run.path(name)} answers another question under the id {question.id!r}: {episode.question.text!r} then, "
                f"{question.text!r} now. The questions have changed: use another folder, or start afresh."
            )
        finished[asked] = moved(episode, question.video)
    return finished, lost - finished.keys()


def require_distinct(questions: Sequence[Question]) -> None:
    """Raises BadRecord if two questions share an id."""
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise BadRecord(f"two questions have the id {question.id!r}; ids must differ, since episodes are recorded under them")
        seen.add(question.id)
