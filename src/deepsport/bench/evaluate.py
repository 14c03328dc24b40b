"""A question set -> one recorded episode per question, resumable.

Every episode is appended to the run as soon as it ends, so a killed evaluation goes on where it was: questions on record are
skipped, those lost to a fault of the server or of the video are tried again. A question draws from a seed of its own, made from
the seed and its id, so neither the order nor a restart changes an episode.
"""

import asyncio
import zlib
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace

from deepsport.agent.rollout import Limits, run_episode
from deepsport.errors import BadRecord, DeepSportError, RunError
from deepsport.policy.base import Policy, Sampling
from deepsport.progress import track
from deepsport.records import Episode, Question
from deepsport.reward.gated import FAULTS
from deepsport.run import Run
from deepsport.video.source import FrameSource

OnEpisode = Callable[[Episode], None]


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
    on_episode: OnEpisode | None = None,
) -> list[Episode]:
    """Episodes in the order of the questions, recorded in the file `name` of the run; `on_episode` is told of each new one.

    At most `concurrency` episodes run at once and wait for nobody but the policy and the video. When one raises (a bug, a full
    disk, a cancellation), the others are cancelled and what is finished stays recorded.
    Raises BadRecord if two questions share an id, RunError if the record on file answers another question of the same id."""
    _require_distinct(questions)
    finished = _finished(questions, run, name)
    room = asyncio.Semaphore(concurrency)

    async def answer(question: Question) -> None:
        async with room:
            drawn = replace(sampling, seed=seed_of(seed, question.id))
            episode = await run_episode(question, policy, source, limits=limits, sampling=drawn, with_tool=with_tool)
        run.append(name, episode)
        finished[question.id] = episode
        if on_episode:
            on_episode(episode)

    await together([answer(question) for question in questions if question.id not in finished])
    return [finished[question.id] for question in questions]


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


def _require_distinct(questions: Sequence[Question]) -> None:
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise BadRecord(f"two questions have the id {question.id!r}; ids must differ, since episodes are recorded under them")
        seen.add(question.id)


def _finished(questions: Sequence[Question], run: Run, name: str) -> dict[str, Episode]:
    """Recorded episodes that stand, by question id; of several the last. The question as asked now is put in: files may move."""
    asked = {question.id: question for question in questions}
    finished: dict[str, Episode] = {}
    for episode in run.read(name, Episode):
        question = asked.get(episode.question.id)
        if question is None or episode.stop in FAULTS:
            continue
        if episode.question.model_copy(update={"video": question.video}) != question:
            raise RunError(
                f"{run.path(name)} answers another question under the id {question.id!r}: {episode.question.text!r} then, "
                f"{question.text!r} now. The questions have changed: use another folder, or start afresh."
            )
        finished[question.id] = episode.model_copy(update={"question": question})
    return finished


async def together(jobs: Iterable[Coroutine[None, None, None]]) -> None:
    """Waits for all; the first one that raises ends the others, and an error with a message of its own is raised bare."""
    try:
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(job)
    except ExceptionGroup as failed:
        known, others = failed.split(DeepSportError)
        if known is None or others is not None:
            raise
        raise known.exceptions[0] from failed
