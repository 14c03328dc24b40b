"""Which episodes a report shows: some of every kind of outcome, the failures too.

Nothing is picked for looks: of each kind the first in the order of the questions are taken, sports in turn, questions that need a
look before easy ones. Where two systems are at hand, what the second one fixed and what it broke come first.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from deepsport.bench.diagnose import FAILED_BELOW, Failure, failure
from deepsport.records import Episode
from deepsport.reward.gated import GatedReward


@dataclass(frozen=True, slots=True)
class Exhibit:
    """An episode, why it is shown, and what the earlier system did on the same question."""

    heading: str
    episode: Episode
    before: Episode | None


@dataclass(frozen=True, slots=True)
class Case:
    """One question with what is known about both answers; accuracy None where there is no verdict."""

    after: Episode
    before: Episode | None
    right: bool | None
    was_right: bool | None
    cause: Failure | None


Kind = tuple[str, int, Callable[[Case], bool]]
KINDS: tuple[Kind, ...] = (
    ("Fixed", 3, lambda case: bool(case.right) and case.was_right is False),
    ("Broken", 1, lambda case: case.right is False and bool(case.was_right)),
    ("Wrong: looked in the wrong place", 2, lambda case: case.cause is Failure.TOOL_GROUNDING),
    ("Wrong: saw it and misread it", 2, lambda case: case.cause is Failure.HALLUCINATION),
    ("Wrong: never looked, or gave no answer", 1, lambda case: case.cause is Failure.OTHER),
    ("Looked without need", 1, lambda case: case.after.question.easy and bool(case.after.calls)),
    ("Right after looking twice or more", 1, lambda case: bool(case.right) and len(case.after.calls) > 1),
    ("Right at first sight", 1, lambda case: bool(case.right) and not case.after.calls),
)
"""Heading, how many are shown at most, and which cases belong."""


def showcase(after: Sequence[Episode], before: Sequence[Episode], reward: GatedReward) -> list[Exhibit]:
    """About a dozen exhibits, each question once."""
    earlier = {episode.question.id: episode for episode in before}
    known = [_case(episode, earlier, reward) for episode in after]
    cases = [case for easy in (False, True) for case in _sports_in_turn([c for c in known if c.after.question.easy is easy])]
    shown: dict[str, Exhibit] = {}
    for heading, most, belongs in KINDS:
        fitting = [case for case in cases if belongs(case) and case.after.question.id not in shown]
        shown |= {case.after.question.id: Exhibit(heading, case.after, case.before) for case in fitting[:most]}
    return list(shown.values())


def _case(episode: Episode, earlier: Mapping[str, Episode], reward: GatedReward) -> Case:
    before, made = earlier.get(episode.question.id), reward.score(episode)
    accuracies = (made.accuracy, reward.score(before).accuracy if before else None)
    right, was_right = (None if accuracy is None else accuracy >= FAILED_BELOW for accuracy in accuracies)
    return Case(episode, before, right, was_right, failure(episode, made))


def _sports_in_turn(cases: Sequence[Case]) -> list[Case]:
    by_sport: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_sport[case.after.question.sport or ""].append(case)
    return list(_in_turn([*by_sport.values()]))


def _in_turn(queues: Sequence[Sequence[Case]]) -> Iterator[Case]:
    for place in range(max(map(len, queues), default=0)):
        yield from (queue[place] for queue in queues if place < len(queue))
