"""What any judge says of a case that need not be read: no answer, an answer that says nothing, nothing to compare it with."""

from deepsport.reward.empty_answer import says_nothing
from deepsport.reward.judge import Case, Matter, Unscored, Verdict, scored, unscored


def verdict_unread(case: Case, judge: str) -> Verdict | None:
    """The verdict in the name of `judge`; None if the case has to be read."""
    if case.matter is Matter.THOUGHTS:
        return None if case.turns else unscored(Unscored.ABSTAINED, "there are no thoughts to judge", judge)
    if case.answer is None:
        return scored(0, "there is no answer", judge)
    if (why := says_nothing(case.answer, case.question)) is not None:
        return scored(0, why, judge)
    if case.question.gold is None:
        return unscored(Unscored.ABSTAINED, "nobody knows the right answer, so there is nothing to compare with", judge)
    return None
