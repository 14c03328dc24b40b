"""The questions that two benchmark runs have in common, each with what both made of it.

Questions are paired by id, and an id must mean the same question in both: same text, same right answer. Where
files lie may differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deepsport.bench.measure import accuracies
from deepsport.bench.result import Result
from deepsport.bench.score import Score
from deepsport.errors import BadRecord
from deepsport.records import Question
from deepsport.reward.gated import FAULTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """One question and what both runs made of it."""

    question: Question
    a: tuple[Score, ...]
    """Of every time it was asked."""
    b: tuple[Score, ...]
    right_a: float | None
    """Mean accuracy of the scored ones, None if none was."""
    right_b: float | None

    @property
    def known(self) -> Score:
        """What is known of the question: the same in both runs, but a run without frames does not know how long the clip is."""
        return max((*self.a, *self.b), key=lambda score: score.clip_s is not None)

    @property
    def scored(self) -> bool:
        """Whether both have a verdict."""
        return self.right_a is not None and self.right_b is not None

    @property
    def lost(self) -> bool:
        """Whether either run lost every answer to a fault of the server or of the video."""
        return any(all(score.stop in FAULTS for score in scores) for scores in (self.a, self.b))


def pair_up(a: Result, b: Result) -> list[Paired]:
    """In the order of the first run. Raises BadRecord if no question is common, or if an id means two questions."""
    questions = _same_questions(a, b)
    if not questions:
        raise BadRecord(
            f"{a.folder} and {b.folder} have no question in common, so they cannot be compared: ask both the same questions."
        )
    by_a, by_b = _by_question(a.scores), _by_question(b.scores)
    right_a, right_b = accuracies(a.scores), accuracies(b.scores)
    return [
        Paired(question=question, a=by_a[name], b=by_b[name], right_a=right_a.get(name), right_b=right_b.get(name))
        for name, question in questions.items()
    ]


def clusters_of(pairs: Sequence[Paired]) -> list[str]:
    """What is resampled as one; as the first run calls it, since files may lie elsewhere for the second."""
    return [one.a[0].cluster for one in pairs]


def rights_of(pairs: Sequence[Paired]) -> tuple[list[float], list[float]]:
    """Accuracies of both runs on questions that both have a verdict on."""
    return [one.right_a or 0.0 for one in pairs], [one.right_b or 0.0 for one in pairs]


def _by_question(scores: Sequence[Score]) -> Mapping[str, tuple[Score, ...]]:
    found: dict[str, list[Score]] = {}
    for score in scores:
        found.setdefault(score.question_id, []).append(score)
    return {name: tuple(sorted(of_it, key=lambda score: score.run)) for name, of_it in found.items()}


def _same_questions(a: Result, b: Result) -> dict[str, Question]:
    of_b = {episode.question.id: episode.question for episode in b.episodes}
    shared = {episode.question.id: episode.question for episode in a.episodes if episode.question.id in of_b}
    for name, question in shared.items():
        other = of_b[name]
        if (question.text, question.gold) != (other.text, other.gold):
            raise BadRecord(
                f"question {name!r} is not the same in both runs: {question.text[:80]!r} in {a.folder}, {other.text[:80]!r} in "
                f"{b.folder}, or its right answer differs. Measure both systems on one question set."
            )
    return shared
