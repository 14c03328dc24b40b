"""What a distillation made: what was kept of what, and what was not, by reason, with examples."""

from collections import Counter
from collections.abc import Iterable, Sequence

from deepsport.data.distill.judging import Judgement
from deepsport.data.distill.recipe import Hints
from deepsport.data.source import Dropped, Drops
from deepsport.records import Question, Record


class DistillReport(Record):
    """`report.json`."""

    teacher: str
    judge: str
    writer: str
    hints: Hints
    n_questions: int
    n_without_facts: int
    """Questions that were not asked because no facts could be stated; only where the teacher is given hints."""
    n_trajectories: int
    n_kept: int
    n_questions_kept: int
    """Questions with at least one kept trajectory."""
    kept_by_sport: dict[str, int]
    kept_by_dimension: dict[str, int]
    calls_per_kept: float
    n_not_judged: int
    """Kept trajectories on whose thoughts the judge abstained."""
    dropped: tuple[Dropped, ...]
    prompt_tokens: int
    """Of all trajectories that were played to their end."""
    reply_tokens: int
    usd: float
    """Of every reply, at the prices of the recipe; facts and judge included."""


def dropped_of(judgements: Iterable[Judgement]) -> tuple[Dropped, ...]:
    """Reasons, the most frequent first."""
    drops = Drops()
    for judgement in judgements:
        if judgement.drop:
            drops.add(judgement.drop, ": ".join(part for part in (judgement.episode_id, judgement.detail) if part))
    return Dropped.all_of(drops)


def counted(kept: Sequence[Judgement], questions: Sequence[Question]) -> tuple[dict[str, int], dict[str, int]]:
    """Kept trajectories by sport and by dimension."""
    by_id = {question.id: question for question in questions}
    asked = [by_id[judgement.question_id] for judgement in kept]
    sports = Counter(question.sport or "none" for question in asked)
    dimensions = Counter(str(question.dimension or "none") for question in asked)
    return dict(sports.most_common()), dict(dimensions.most_common())
