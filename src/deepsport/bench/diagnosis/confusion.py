"""Which label is taken for which, in closed questions: of what is right, how often something else was answered.

Rates are of all questions with that right answer, so that a label that is asked for often is told from one that is often
confused. No answer, or one that names no option or several, is counted under a name of its own.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from deepsport.bench.diagnose import FAILED_BELOW
from deepsport.bench.score import Score
from deepsport.records import Choice, Episode, Record
from deepsport.reward.choice import named_options

NO_OPTION = "no option, or several"


class Confused(Record):
    """One label taken for another."""

    sport: str | None
    right: str
    said: str
    """An option, or `NO_OPTION`."""
    n: int
    n_right: int
    """Scored questions whose right answer is this label."""


def confused_labels(episodes: Sequence[Episode], scores: Sequence[Score]) -> Iterator[Confused]:
    """The most frequent first."""
    asked: Counter[tuple[str | None, str]] = Counter()
    wrong: Counter[tuple[str | None, str, str]] = Counter()
    for episode, score in zip(episodes, scores, strict=True):
        gold = episode.question.gold
        if not isinstance(gold, Choice) or score.accuracy is None:
            continue
        asked[score.sport, gold.answer] += 1
        if score.accuracy < FAILED_BELOW:
            wrong[score.sport, gold.answer, _said(gold, score.answer)] += 1
    for (sport, right, said), n in sorted(wrong.items(), key=lambda item: (-item[1], str(item[0]))):
        yield Confused(sport=sport, right=right, said=said, n=n, n_right=asked[sport, right])


def _said(gold: Choice, answer: str | None) -> str:
    named = named_options(gold.options, answer) if answer else set[int]()
    return gold.options[named.pop()] if len(named) == 1 else NO_OPTION
