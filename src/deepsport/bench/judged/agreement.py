"""How far two judges agree on the same answers, points 0 to 10 each.

    kappa = 1 - sum (a_i - b_i)^2 / sum over all pairs i, j of (a_i - b_j)^2 / n     (Cohen 1968, squared distances as weights)

1 is full agreement, 0 what two judges would reach who never read the answers but kept their habits. Its interval is the
bootstrap over videos, its tails widened for few videos as in `stats`. An answer that either judge gave no points to is counted
and left out of every figure: silence is not disagreement.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from deepsport.bench.diagnose import FAILED_BELOW
from deepsport.bench.stats import LEVEL, Interval, mean_interval, t_quantile
from deepsport.records import Record
from deepsport.reward.judge import FULL_POINTS

Floats = NDArray[np.float64]
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What two judges said of one answer."""

    cluster: str
    """What is resampled as one: see `Score.cluster`."""
    first: int | None
    """Points; None if that judge gave none."""
    second: int | None


class Agreement(Record):
    """Two judges side by side."""

    first: str
    second: str
    n: int
    """Answers that both gave points to."""
    n_videos: int
    n_first_silent: int
    """Answers that the first gave no points to: it abstained, could not be read or could not be reached."""
    n_second_silent: int
    kappa: float | None
    """Quadratic weighted; None where both gave one and the same number of points to everything, and below one answer."""
    kappa_ci95: tuple[float, float] | None
    """None below two videos, and where resampling sees no spread, as where the judges never differ, or always by the same."""
    exact: float | None
    """Share of answers with equal points."""
    bias: float | None
    """Mean of the first's points minus the second's."""
    bias_ci95: tuple[float, float] | None
    both_right: int
    """Right is half the points or more, as everywhere (`FAILED_BELOW`)."""
    only_first_right: int
    only_second_right: int
    both_wrong: int


def agreement(first: str, second: str, pairs: Iterable[Pair], *, seed: int = 0) -> Agreement:
    """The figures of two judges, called `first` and `second`. Pure."""
    told = list(pairs)
    both = [pair for pair in told if pair.first is not None and pair.second is not None]
    a_N = np.array([pair.first for pair in both], dtype=np.float64)
    b_N = np.array([pair.second for pair in both], dtype=np.float64)
    clusters = [pair.cluster for pair in both]
    right_a, right_b = a_N >= FAILED_BELOW * FULL_POINTS, b_N >= FAILED_BELOW * FULL_POINTS
    return Agreement(
        first=first,
        second=second,
        n=len(both),
        n_videos=len(set(clusters)),
        n_first_silent=sum(pair.first is None for pair in told),
        n_second_silent=sum(pair.second is None for pair in told),
        kappa=weighted_kappa(a_N, b_N),
        kappa_ci95=kappa_interval(a_N, b_N, clusters, seed=seed),
        exact=float((a_N == b_N).mean()) if both else None,
        bias=float((a_N - b_N).mean()) if both else None,
        bias_ci95=mean_interval(a_N - b_N, clusters, seed=seed, bounds=(-FULL_POINTS, FULL_POINTS)) if both else None,
        both_right=int(np.count_nonzero(right_a & right_b)),
        only_first_right=int(np.count_nonzero(right_a & ~right_b)),
        only_second_right=int(np.count_nonzero(~right_a & right_b)),
        both_wrong=int(np.count_nonzero(~right_a & ~right_b)),
    )


def weighted_kappa(a_N: Floats, b_N: Floats) -> float | None:
    """Cohen's, with squared distances as weights; None where chance alone would leave no disagreement."""
    if not len(a_N):
        return None
    kappa = float(_kappas(_moments(a_N, b_N).sum(axis=0, keepdims=True))[0])
    return None if np.isnan(kappa) else kappa


def kappa_interval(
    a_N: Floats, b_N: Floats, clusters_N: Sequence[str], *, seed: int, n_resamples: int = 10_000
) -> Interval | None:
    """95 % interval of the weighted kappa; None where it has no spread that resampling could see."""
    order = {cluster: index for index, cluster in enumerate(dict.fromkeys(clusters_N))}
    if len(order) < 2 or np.array_equal(a_N, b_N):
        return None
    n_clusters = len(order)
    moments_C = np.zeros((n_clusters, 6))
    np.add.at(moments_C, [order[cluster] for cluster in clusters_N], _moments(a_N, b_N))
    drawn = np.random.default_rng(seed).multinomial(n_clusters, np.full(n_clusters, 1 / n_clusters), n_resamples)
    kappas_R = _kappas(drawn @ moments_C)
    known_R = kappas_R[~np.isnan(kappas_R)]
    if not len(known_R) or np.ptp(known_R) < 1e-9:
        return None
    reach = sqrt(n_clusters / (n_clusters - 1)) * t_quantile((1 + LEVEL) / 2, n_clusters - 1)
    low, high = np.quantile(known_R, [_NORMAL.cdf(-reach), _NORMAL.cdf(reach)])
    return float(low), float(high)


def _moments(a_N: Floats, b_N: Floats) -> Floats:
    """[N, 6] all that kappa needs of an answer; they add up over answers."""
    return np.stack([np.ones_like(a_N), a_N, b_N, a_N**2, b_N**2, (a_N - b_N) ** 2], axis=1)


def _kappas(moments: Floats) -> Floats:
    """[R] kappas of summed moments [R, 6]; NaN where the expected disagreement is 0."""
    n, a, b, aa, bb, apart = moments.T
    by_chance = aa / n + bb / n - 2 * (a / n) * (b / n)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(by_chance > 1e-12, 1 - (apart / n) / by_chance, np.nan)
