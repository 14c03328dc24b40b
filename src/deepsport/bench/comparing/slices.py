"""Two runs by kind of question: where one is better, and whether that can be believed.

The p of a slice is the exact sign test over videos, which holds however few there are. All slices are adjusted together (Holm
1979): whoever looks at twenty slices finds one below 0.05 where nothing differs.
"""

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Literal

from deepsport.bench.comparing.pairing import Paired, clusters_of, rights_of
from deepsport.bench.stats import difference_interval, sign_test
from deepsport.records import Record

By = Literal["sport", "dimension", "kind of answer", "ease", "clip length"]
NameOf = Callable[[Paired], str | None]


class Slice(Record):
    """One kind of question."""

    by: By
    name: str
    n: int
    n_videos: int
    score_a: float
    score_b: float
    difference: float
    """In points of the score, second minus first."""
    ci95: tuple[float, float] | None
    p: float
    """Two-sided sign test over videos."""
    p_adjusted: float
    """By Holm, over all slices of the comparison."""


def slices_of(scored: Sequence[Paired], *, seed: int) -> list[Slice]:
    """The slices of questions that both runs have a verdict on. A kind that all of them are of is left out: it is the whole."""
    found: list[tuple[By, str, list[Paired]]] = []
    for by, name_of in _names(scored).items():
        groups = _grouped(scored, by, name_of)
        if len(groups) > 1:
            found.extend((by, name, of_it) for name, of_it in groups.items())
    p_values = [_p(of_it) for _, _, of_it in found]
    adjusted = zip(found, p_values, holm(p_values), strict=True)
    return [_slice(by, name, of_it, p, p_adjusted, seed) for (by, name, of_it), p, p_adjusted in adjusted]


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for being looked at together: step-down Bonferroni, in the order given."""
    adjusted, highest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def length_cuts(lengths_s: Sequence[float]) -> list[float]:
    """Where lengths are cut into thirds; equal lengths stay together, so that thirds may be uneven, or fewer."""
    known = sorted(lengths_s)
    last = len(known) - 1
    return sorted({known[last // 3], known[2 * last // 3]} - {known[-1]}) if known else []


def _names(scored: Sequence[Paired]) -> dict[By, NameOf]:
    cuts = length_cuts([one.known.clip_s for one in scored if one.known.clip_s is not None])
    return {
        "sport": lambda one: one.known.sport,
        "dimension": lambda one: one.known.dimension,
        "kind of answer": lambda one: one.known.kind,
        "ease": lambda one: "easy" if one.known.easy else "needs a look",
        "clip length": lambda one: _third(one.known.clip_s, cuts),
    }


def _third(length_s: float | None, cuts: Sequence[float]) -> str | None:
    if length_s is None:
        return None
    floor = max((cut for cut in cuts if length_s > cut), default=None)
    ceiling = min((cut for cut in cuts if length_s <= cut), default=None)
    if floor is None:
        return "any" if ceiling is None else f"up to {ceiling:.1f} s"
    return f"over {floor:.1f} s" if ceiling is None else f"over {floor:.1f} up to {ceiling:.1f} s"


def _grouped(scored: Sequence[Paired], by: By, name_of: NameOf) -> dict[str, list[Paired]]:
    """By name, in the order of the alphabet, lengths in theirs; questions without a name are in none."""
    named = [(name, one) for one in scored if (name := name_of(one))]
    named.sort(key=lambda each: ((each[1].known.clip_s or 0.0) if by == "clip length" else 0.0, each[0]))
    groups: dict[str, list[Paired]] = {}
    for name, one in named:
        groups.setdefault(name, []).append(one)
    return groups


def _p(of_it: Sequence[Paired]) -> float:
    right_a, right_b = rights_of(of_it)
    return sign_test([b - a for a, b in zip(right_a, right_b, strict=True)], clusters_of(of_it))


def _slice(by: By, name: str, of_it: Sequence[Paired], p: float, p_adjusted: float, seed: int) -> Slice:
    (right_a, right_b), clusters = rights_of(of_it), clusters_of(of_it)
    span = difference_interval(right_b, right_a, clusters, seed=seed)
    return Slice(
        by=by,
        name=name,
        n=len(of_it),
        n_videos=len(set(clusters)),
        score_a=100 * fmean(right_a),
        score_b=100 * fmean(right_b),
        difference=100 * (fmean(right_b) - fmean(right_a)),
        ci95=span and (100 * span[0], 100 * span[1]),
        p=p,
        p_adjusted=p_adjusted,
    )
