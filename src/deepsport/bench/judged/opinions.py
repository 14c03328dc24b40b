"""Everybody who said something of a run's answers, and how far they agree: rules, judges, people.

Rules and judges give points; so do people, unless they said no more than right or wrong. An answer of which one side said no more
is compared as right or wrong on both sides: a judge is not off by two points for 8 of 10 where somebody said "right".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from deepsport.bench.diagnose import FAILED_BELOW
from deepsport.bench.judged.agreement import Agreement, Pair, agreement
from deepsport.bench.judged.labels import Labelled
from deepsport.bench.result import Judged, Result
from deepsport.bench.score import answered
from deepsport.reward.gated import answer_accuracy
from deepsport.reward.judge import FULL_POINTS, case_of_answer

RULES = "rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What one of them said."""

    name: str
    points: Mapping[str, int | None]
    """By the id of the episode; None if asked and silent."""
    rough: frozenset[str] = frozenset()
    """Episodes of which no more was said than right or wrong."""


def of_rules(run: Result) -> Opinion:
    """What rules say of the answers that they can score; an episode without an answer needs no opinion."""
    scored = ((one.id, answer_accuracy(one)) for one in run.episodes if answered(one) is not None)
    return Opinion(name=RULES, points={name: round(FULL_POINTS * right) for name, right in scored if right is not None})


def of_judge(run: Result, judged: Iterable[Judged], name: str = "") -> Opinion:
    """What a judge said of the answers as they are; under the names in its verdicts, unless it is given one."""
    keys = {one.id: case_of_answer(one.question, one.answer).content_key for one in run.episodes}
    sound = [one for one in judged if keys.get(one.episode_id) == one.case]
    names = sorted({one.verdict.judge for one in sound})
    return Opinion(name=name or ", ".join(names), points={one.episode_id: one.verdict.points for one in sound})


def of_people(labelled: Labelled) -> list[Opinion]:
    """What each of them said of answers; labels of a failure alone are none."""
    found = [
        Opinion(
            name=f"labels by {name}" if name else "labels",
            points={of: label.judged_points for of, label in labels.items() if label.judged_points is not None},
            rough=frozenset(of for of, label in labels.items() if label.points is None),
        )
        for name, labels in labelled.by_labeller.items()
    ]
    return [opinion for opinion in found if opinion.points]


def agreed(run: Result, couples: Iterable[tuple[Opinion, Opinion]]) -> list[Agreement]:
    """How far each couple agrees, over the answers that both were asked about; couples with none are left out."""
    clusters = {episode.id: score.cluster for episode, score in zip(run.episodes, run.scores, strict=True)}
    return [
        agreement(first.name, second.name, pairs, seed=run.config.seed)
        for first, second in couples
        if (pairs := _pairs(first, second, clusters))
    ]


def with_people(machines: Sequence[Opinion], people: Sequence[Opinion]) -> list[tuple[Opinion, Opinion]]:
    """Every machine with every person, and people with each other: machines need not agree with people better than that."""
    return [*((machine, person) for machine in machines for person in people), *combinations(people, 2)]


def _pairs(first: Opinion, second: Opinion, clusters: Mapping[str, str]) -> list[Pair]:
    rough = first.rough | second.rough
    return [
        Pair(
            cluster=cluster,
            first=_points(first.points[name], rough=name in rough),
            second=_points(second.points[name], rough=name in rough),
        )
        for name, cluster in clusters.items()
        if name in first.points and name in second.points
    ]


def _points(points: int | None, *, rough: bool) -> int | None:
    if points is None or not rough:
        return points
    return FULL_POINTS * (points >= FAILED_BELOW * FULL_POINTS)
