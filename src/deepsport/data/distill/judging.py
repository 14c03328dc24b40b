"""Step 3, judging: every trajectory is checked by rule, then judged, and gets one judgement with the reason why it is not kept.

Rules come first: a judge is asked only about what they let through, and about an answer only where no rule can tell.
"""

import hashlib

from pydantic import Field

from deepsport.data.distill.canonical import canonical
from deepsport.data.distill.checks import Drop, fault_of_ending, fault_of_form, saw_the_event
from deepsport.data.distill.hints import gives_away
from deepsport.data.distill.recipe import DistillRecipe, Hints
from deepsport.records import Episode, Record
from deepsport.reward.judge import Judge, Unscored, Verdict, accuracy_and_verdict, case_of_thoughts


class Judgement(Record):
    """What became of one trajectory."""

    episode_id: str
    question_id: str
    record: str = ""
    """Hash of the trajectory's record (`EpisodeIndex.digest`)."""
    drop: Drop | None = None
    """None: it may be kept."""
    detail: str = ""
    accuracy: float | None = None
    thought_points: int | None = None
    """None if not judged, or if the judge abstained."""
    n_calls: int = Field(default=0, ge=0)
    n_characters: int = Field(default=0, ge=0)
    """Of all thoughts."""
    prompt_tokens: int = Field(default=0, ge=0)
    reply_tokens: int = Field(default=0, ge=0)
    words_sha256: str = ""
    """Of all replies, in the canonical spelling: two trajectories that say the same share it."""


async def judge_episode(episode: Episode, facts: str, judge: Judge, recipe: DistillRecipe) -> Judgement:
    """Checks, then the judge. Raises only what ends the run."""
    kept = Judgement(
        episode_id=episode.id,
        question_id=episode.question.id,
        n_calls=len(episode.calls),
        n_characters=sum(len(turn.thought) for turn in episode.turns),
        prompt_tokens=episode.usage.prompt_tokens,
        reply_tokens=episode.usage.reply_tokens,
        words_sha256=hashlib.sha256("\n".join(turn.text for turn in canonical(episode).turns).encode()).hexdigest(),
    )

    def dropped(drop: Drop, detail: str = "") -> Judgement:
        return kept.model_copy(update={"drop": drop, "detail": detail})

    if drop := fault_of_ending(episode):
        return dropped(drop, episode.detail)
    accuracy, verdict = await accuracy_and_verdict(episode, judge)
    if accuracy is None:
        return dropped((verdict and _without_verdict(verdict)) or Drop.UNDECIDED, verdict.reason if verdict else "")
    kept = kept.model_copy(update={"accuracy": accuracy})
    if accuracy < recipe.bounds.accuracy_floor:
        return dropped(Drop.WRONG, str(episode.answer))
    if not saw_the_event(episode):
        return dropped(Drop.MISSED)
    if recipe.hints is Hints.GIVEN and (how := gives_away(episode, facts, recipe.bounds.hint_words)):
        return dropped(Drop.GIVES_AWAY, how)
    if fault := fault_of_form(episode, recipe.bounds):
        return dropped(*fault)
    verdict = await judge.judge(case_of_thoughts(episode, facts))
    if drop := _without_verdict(verdict):
        return dropped(drop, verdict.reason)
    kept = kept.model_copy(update={"thought_points": verdict.points})
    if verdict.points is not None and verdict.points < recipe.bounds.thought_points:
        return dropped(Drop.INCONSISTENT, f"{verdict.points} points: {verdict.reason}")
    return kept


def _without_verdict(verdict: Verdict) -> Drop | None:
    """Not judged, for reasons that say nothing about what was to be judged; None if the judge said something."""
    match verdict.why:
        case Unscored.UNJUDGED:
            return Drop.UNJUDGED
        case Unscored.UNREADABLE:
            return Drop.UNREADABLE
        case Unscored.ABSTAINED | None:
            return None
