"""Two benchmark runs on the same questions: which answers flipped, by how much the scores differ, and at what price.

Differences are the second run minus the first, over the questions that both have a verdict on; a question that was asked several
times counts by its mean. What makes two runs hard to compare is said, not mended.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Literal

import numpy as np

from deepsport.bench.comparing.pairing import Paired, clusters_of, pair_up, rights_of
from deepsport.bench.comparing.slices import Slice, slices_of
from deepsport.bench.diagnose import FAILED_BELOW
from deepsport.bench.measure import paired
from deepsport.bench.recipe import Protocol
from deepsport.bench.report import PairedReport
from deepsport.bench.reporting.side_by_side import names
from deepsport.bench.result import Result
from deepsport.bench.score import Score
from deepsport.bench.stats import mean_interval
from deepsport.records import Record
from deepsport.reward.gated import FAULTS

MOST_NAMED = 3
"""Ids that a warning names."""

# fmt: off
_FIGURES: Mapping[str, str] = {"tool calls": "n_calls", "calls that taught nothing": "n_redundant", "frames shown": "n_frames",
                               "prompt tokens": "prompt_tokens", "reply tokens": "reply_tokens", "US dollars": "usd"}
# fmt: on


class Flip(Record):
    """A question that one run got right and the other did not."""

    question_id: str
    outcome: Literal["fixed", "broken"]
    """Fixed: wrong in the first run, right in the second."""
    sport: str | None
    dimension: str | None
    text: str
    reference: str | None
    answers_a: tuple[str | None, ...]
    """One for each time it was asked; None where the episode ended otherwise."""
    answers_b: tuple[str | None, ...]
    accuracy_a: float
    accuracy_b: float


class Change(Record):
    """A figure of looking or of cost, per question."""

    name: str
    a: float
    b: float
    difference: float
    ci95: tuple[float, float] | None
    """None below two videos, and where every video differs by the same."""


class Side(Record):
    """One of the two runs, on the questions that both answered; its score on those that both have a verdict on, each once."""

    name: str
    """Of the system, with what tells it from the other."""
    system: str
    protocol: str
    score: float
    ci95: tuple[float, float] | None
    unscored: int
    """Answers without a verdict."""
    n_runs: int
    judges: tuple[str, ...]


class Comparison(Record):
    """The whole comparison."""

    a: Side
    b: Side
    pair: PairedReport
    """The second minus the first; better and worse count the questions on which the second scored higher and lower."""
    only_a: tuple[str, ...]
    """Questions that only the first run answered."""
    only_b: tuple[str, ...]
    flips: tuple[Flip, ...]
    """In the order of the questions."""
    slices: tuple[Slice, ...]
    changes: tuple[Change, ...]
    warnings: tuple[str, ...]
    """What makes the two hard to compare."""
    seed: int

    def flipped(self, outcome: Literal["fixed", "broken"]) -> list[Flip]:
        """The flips of one kind."""
        return [flip for flip in self.flips if flip.outcome == outcome]


def compare_runs(a: Result, b: Result, *, seed: int = 0) -> Comparison:
    """Everything that can be said of two runs. Pure.

    Raises BadRecord if they have no scored question in common, or if one id means two different questions."""
    asked = pair_up(a, b)
    elsewhere = Protocol.IMPORTED in (a.config.protocol, b.config.protocol)  # nobody knows what it looked at and paid
    scored = [one for one in asked if one.scored]
    scores_a, scores_b = [score for one in asked for score in one.a], [score for one in asked for score in one.b]
    pair = paired(scores_b, scores_a, seed=seed)
    (right_a, right_b), clusters, (name_a, name_b) = rights_of(scored), clusters_of(scored), names([a, b])
    side_a = _side(name_a, a, scores_a, right_a, clusters, seed)
    side_b = _side(name_b, b, scores_b, right_b, clusters, seed)
    return Comparison(
        a=side_a,
        b=side_b,
        pair=pair,
        only_a=_only(a, b),
        only_b=_only(b, a),
        flips=tuple(_flips(scored)),
        slices=tuple(slices_of(scored, seed=seed)),
        changes=() if elsewhere else tuple(_changes([one for one in asked if not one.lost], seed)),
        warnings=(*_other_questions(a, b), *_other_judges(side_a, side_b)),
        seed=seed,
    )


def _only(run: Result, other: Result) -> tuple[str, ...]:
    theirs = {score.question_id for score in other.scores}
    return tuple(dict.fromkeys(score.question_id for score in run.scores if score.question_id not in theirs))


def _side(name: str, run: Result, scores: Sequence[Score], right_N: Sequence[float], clusters: Sequence[str], seed: int) -> Side:
    span = mean_interval(right_N, clusters, seed=seed)
    return Side(
        name=name,
        system=run.name,
        protocol=run.config.protocol,
        score=100 * fmean(right_N),
        ci95=span and (100 * span[0], 100 * span[1]),
        unscored=sum(score.accuracy is None for score in scores),
        n_runs=len({score.run for score in scores}),
        judges=tuple(sorted({score.verdict.judge for score in scores if score.verdict})),
    )


def _flips(scored: Sequence[Paired]) -> Iterator[Flip]:
    for one in scored:
        right_a, right_b = one.right_a or 0.0, one.right_b or 0.0
        if (right_a < FAILED_BELOW) == (right_b < FAILED_BELOW):
            continue
        yield Flip(
            question_id=one.question.id,
            outcome="fixed" if right_a < FAILED_BELOW else "broken",
            sport=one.known.sport,
            dimension=one.known.dimension,
            text=one.question.text,
            reference=one.known.reference,
            answers_a=tuple(score.answer for score in one.a),
            answers_b=tuple(score.answer for score in one.b),
            accuracy_a=right_a,
            accuracy_b=right_b,
        )


def _changes(asked: Sequence[Paired], seed: int) -> Iterator[Change]:
    """Over all questions that neither run lost, scored or not; figures that are 0 throughout are left out."""
    for name, field in _FIGURES.items():
        a_N, b_N = [_figure(one.a, field) for one in asked], [_figure(one.b, field) for one in asked]
        if not any(a_N) and not any(b_N):
            continue
        differences = np.subtract(b_N, a_N)
        yield Change(
            name=name,
            a=fmean(a_N),
            b=fmean(b_N),
            difference=float(differences.mean()),
            ci95=mean_interval(differences, clusters_of(asked), seed=seed, bounds=None),
        )


def _figure(scores: Sequence[Score], field: str) -> float:
    return fmean(float(getattr(score, field)) for score in scores if score.stop not in FAULTS)


def _other_questions(a: Result, b: Result) -> Iterator[str]:
    for run, only in ((a, _only(a, b)), (b, _only(b, a))):
        if only:
            named = ", ".join(only[:MOST_NAMED]) + (", ..." if len(only) > MOST_NAMED else "")
            yield f"{len(only)} questions are in {run.folder} only, and left out: {named}"
    if a.config.questions != b.config.questions:
        yield f"the questions come from {a.config.questions} and {b.config.questions}"


def _other_judges(a: Side, b: Side) -> Iterator[str]:
    if a.judges and b.judges and set(a.judges) != set(b.judges):
        yield (
            f"free answers were judged by {', '.join(a.judges)} and by {', '.join(b.judges)}: "
            "`deepsport bench rejudge` both with the same judge"
        )
