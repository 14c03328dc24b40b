"""Which episodes a report shows: some of every kind of outcome, the failures too.

Nothing is picked for looks: of each kind the first in the order of the questions are taken, sports in turn, questions that need a
look before easy ones. Where two systems are at hand, what the second one fixed and what it broke come first.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from deepsport.bench.diagnose import FAILED_BELOW, Failure
from deepsport.bench.reporting.rows import FAILURE_NAMES
from deepsport.bench.score import Score
from deepsport.records import Episode

Played = tuple[Episode, Score]
"""An answer and its figures, the verdict of a judge among them."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """An episode, why it is shown, and what the earlier system did on the same question."""

    heading: str
    episode: Episode
    score: Score
    before: Played | None


@dataclass(frozen=True, slots=True)
class Case:
    """One question with both answers."""

    after: Episode
    score: Score
    before: Played | None

    @property
    def right(self) -> bool | None:
        """None where there is no verdict."""
        return _is_right(self.score)

    @property
    def was_right(self) -> bool | None:
        """Of the earlier system; None too if it was not asked."""
        return self.before and _is_right(self.before[1])

    @property
    def judged(self) -> bool:
        """Whether a judge gave points."""
        return self.score.verdict is not None and self.score.verdict.points is not None


_WRONG = {failure: f"Wrong: {name}" for failure, name in FAILURE_NAMES.items()}
Kind = tuple[str, int, Callable[[Case], bool]]
KINDS: tuple[Kind, ...] = (
    ("Fixed", 2, lambda case: bool(case.right) and case.was_right is False),
    ("Broken", 1, lambda case: case.right is False and bool(case.was_right)),
    (_WRONG[Failure.TOOL_GROUNDING], 1, lambda case: case.score.failure is Failure.TOOL_GROUNDING),
    (_WRONG[Failure.HALLUCINATION], 1, lambda case: case.score.failure is Failure.HALLUCINATION),
    (_WRONG[Failure.OTHER], 1, lambda case: case.score.failure is Failure.OTHER),
    ("Without a verdict", 1, lambda case: case.score.kind is not None and case.right is None),
    ("Scored by a judge", 1, lambda case: case.judged),
    ("Looked without need", 1, lambda case: case.after.question.easy and bool(case.after.calls)),
    ("Right after looking twice or more", 1, lambda case: bool(case.right) and len(case.after.calls) > 1),
    ("Right after one look", 1, lambda case: bool(case.right) and len(case.after.calls) == 1),
    ("Right at first sight", 1, lambda case: bool(case.right) and not case.after.calls),
)
"""Heading, how many are shown at most, and which cases belong."""


def showcase(after: Sequence[Played], before: Sequence[Played]) -> list[Exhibit]:
    """At most a dozen exhibits, each question once; of several runs the first."""
    earlier = _first_of_each(before)
    known = [Case(episode, score, earlier.get(name)) for name, (episode, score) in _first_of_each(after).items()]
    cases = [case for easy in (False, True) for case in _sports_in_turn([c for c in known if c.after.question.easy is easy])]
    shown: dict[str, Exhibit] = {}
    for heading, most, belongs in KINDS:
        fitting = [case for case in cases if belongs(case) and case.after.question.id not in shown]
        shown |= {case.after.question.id: Exhibit(heading, case.after, case.score, case.before) for case in fitting[:most]}
    return list(shown.values())


def _first_of_each(played: Sequence[Played]) -> dict[str, Played]:
    """By question, in their order."""
    first: dict[str, Played] = {}
    for each in played:
        first.setdefault(each[0].question.id, each)
    return first


def _is_right(score: Score) -> bool | None:
    return None if score.accuracy is None else score.accuracy >= FAILED_BELOW


def _sports_in_turn(cases: Sequence[Case]) -> list[Case]:
    by_sport: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_sport[case.after.question.sport or ""].append(case)
    return list(_in_turn([*by_sport.values()]))


def _in_turn(queues: Sequence[Sequence[Case]]) -> Iterator[Case]:
    for place in range(max(map(len, queues), default=0)):
        yield from (queue[place] for queue in queues if place < len(queue))
