"""Answers that no rule can score go to the judge; what it says is on disk as soon as it is said.

A verdict holds for the very answer and reference that it was given on, and for the judge that gave it. A judge that could not be
reached is asked again when the run goes on; it never fails a run, and one that is down is not asked about every answer there is.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from deepsport.bench.result import VERDICTS, Judged
from deepsport.bench.workers import Losses, work_through
from deepsport.errors import PolicyError
from deepsport.policy.openai.allowance import Allowance
from deepsport.records import Episode
from deepsport.reward.gated import FAULTS, answer_accuracy
from deepsport.reward.judge import Judge, Unscored, Verdict, case_of_answer
from deepsport.run import Run


def needs_judge(episode: Episode) -> bool:
    """Whether there is a right answer, and no rule that tells whether this one is."""
    return episode.question.gold is not None and episode.stop not in FAULTS and answer_accuracy(episode) is None


async def judge_answers(
    run: Run,
    episodes: Sequence[Episode],
    judge: Judge,
    *,
    n_workers: int,
    allowance: Allowance,
    on_verdict: Callable[[Verdict], None] = lambda _: None,
    file: str = VERDICTS,
    which: Callable[[Episode], bool] = needs_judge,
) -> list[Judged]:
    """What the judge says, in the order of the episodes; nothing about those that it was not asked about, because it is down.

    `file` of the run holds what it said; `which` answers it is asked about. Raises Stopped if the run was."""
    cases = {episode.id: case_of_answer(episode.question, episode.answer) for episode in episodes if which(episode)}
    keys = {episode_id: case.content_key for episode_id, case in cases.items()}
    known = {
        judged.episode_id: judged
        for judged in run.read(file, Judged)
        if judged.case == keys.get(judged.episode_id) and judged.verdict.judge == judge.name
    }
    losses = Losses("verdicts")

    async def settle(episode_id: str) -> None:
        verdict = await judge.judge(cases[episode_id])
        judged = Judged(episode_id=episode_id, case=keys[episode_id], verdict=verdict)
        if known.get(episode_id) != judged:
            await asyncio.to_thread(run.append, file, judged)
        known[episode_id] = judged
        on_verdict(verdict)
        losses.count(verdict.reason if verdict.why is Unscored.UNJUDGED else "")

    todo = [each for each in cases if each not in known or known[each].verdict.why is Unscored.UNJUDGED]
    with suppress(PolicyError):  # it is down, which `unscored_because` says
        await work_through(todo, settle, n_workers=n_workers, allowance=allowance)
    return [known[each] for each in cases if each in known]
