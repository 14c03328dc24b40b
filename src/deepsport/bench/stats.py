"""Intervals and tests that respect that questions about one video are not independent.

Videos are resampled, not questions (Efron's BCa bootstrap). Its tails are widened for few videos, as a t interval is (Hesterberg
2015), and where every value is equal, so that resampling sees no spread at all, the exact binomial bound over videos stands
in: 0 right of 30 does not prove 0 %. Pure: seeds are arguments. Axes: N questions, C videos (clusters), R resamples, K cells.
"""

from collections.abc import Hashable, Sequence
from math import comb, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Interval = tuple[float, float]
LEVEL = 0.95
_NORMAL = NormalDist()
_BLOCK = 4_000_000
"""Cluster draws held in memory at once: 32 MB of indices."""


def mean_interval(
    values_N: ArrayLike,
    clusters_N: Sequence[Hashable],
    *,
    seed: int,
    bounds: Interval = (0.0, 1.0),
    n_resamples: int = 10_000,
) -> Interval | None:
    """95 % interval of the mean of values that lie within `bounds`; None below two clusters, where nothing tells the spread."""
    values = np.asarray(values_N, dtype=np.float64)
    sums_C, counts_C = cluster_sums(values, clusters_N)
    if len(sums_C) < 2:
        return None
    if np.ptp(values) == 0:
        return _interval_of_a_constant(float(values[0]), len(sums_C), bounds)
    means_R = _resampled_means(sums_C, counts_C, np.random.default_rng(seed), n_resamples)
    left_out_C = (sums_C.sum() - sums_C) / (counts_C.sum() - counts_C)
    return _interval_of(means_R, sums_C.sum() / counts_C.sum(), left_out_C)


def macro_interval(
    values_N: ArrayLike,
    cells_N: Sequence[Hashable],
    clusters_N: Sequence[Hashable],
    *,
    seed: int,
    bounds: Interval = (0.0, 1.0),
    n_resamples: int = 10_000,
) -> Interval | None:
    """95 % interval of the mean over cells of their means; None below two clusters.

    Each resample has cell means of its own, so that how many videos a cell happens to have adds no spread. A cell that a resample
    left empty is left out of it: where many cells have fewer than three videos, the interval covers less than it says."""
    values, cells = np.asarray(values_N, dtype=np.float64), list(dict.fromkeys(cells_N))
    of_cell = [cluster_sums(values, clusters_N, [float(each == cell) for each in cells_N]) for cell in cells]
    if not cells or len(of_cell[0][0]) < 2:
        return None
    if np.ptp(values) == 0:
        return _interval_of_a_constant(float(values[0]), len(of_cell[0][0]), bounds)
    sums_CK, counts_CK = (np.stack(part, axis=1) for part in zip(*of_cell, strict=True))
    means_R = _resampled_macros(sums_CK, counts_CK, np.random.default_rng(seed), n_resamples)
    left_out_C = _macros(sums_CK.sum(axis=0) - sums_CK, counts_CK.sum(axis=0) - counts_CK)
    return _interval_of(means_R, _macros(sums_CK.sum(axis=0), counts_CK.sum(axis=0)), left_out_C)


def difference_interval(
    a_N: ArrayLike, b_N: ArrayLike, clusters_N: Sequence[Hashable], *, seed: int, n_resamples: int = 10_000
) -> Interval | None:
    """95 % interval of mean(a - b) of two systems on the same questions, values of each in [0, 1]; None as `mean_interval`."""
    differences = np.asarray(a_N, dtype=np.float64) - np.asarray(b_N, dtype=np.float64)
    return mean_interval(differences, clusters_N, seed=seed, bounds=(-1.0, 1.0), n_resamples=n_resamples)


def sign_test(differences_N: ArrayLike, clusters_N: Sequence[Hashable]) -> float:
    """Two-sided exact p that videos favour neither side. A video votes by the sign of its summed difference; ties do not vote."""
    sums_C, _ = cluster_sums(np.asarray(differences_N, dtype=np.float64), clusters_N)
    votes_C = np.sign(np.round(sums_C, 9))  # 0.5 + 0.5 - 1 is a tie, whatever the order of summing
    n, fewer = int(np.count_nonzero(votes_C)), int(min((votes_C > 0).sum(), (votes_C < 0).sum()))
    return min(1.0, 2 * sum(comb(n, k) for k in range(fewer + 1)) / 2**n)


def bootstrap_test(
    differences_N: ArrayLike, clusters_N: Sequence[Hashable], *, seed: int, n_resamples: int = 10_000
) -> float | None:
    """Two-sided p that the mean difference is zero: how often videos, resampled after their mean was taken off, stray as far.

    None below two clusters. Never 0: the least is one in `n_resamples` + 1 (Davison & Hinkley 1997, 4.2.1)."""
    sums_C, counts_C = cluster_sums(np.asarray(differences_N, dtype=np.float64), clusters_N)
    if len(sums_C) < 2:
        return None
    mean = sums_C.sum() / counts_C.sum()
    strayed_R = np.abs(_resampled_means(sums_C - mean * counts_C, counts_C, np.random.default_rng(seed), n_resamples))
    return float((1 + np.count_nonzero(strayed_R >= abs(mean) - 1e-12)) / (n_resamples + 1))


def rank_correlation(a_N: ArrayLike, b_N: ArrayLike) -> float | None:
    """Spearman's, equal values sharing their mean rank; None below three pairs, or if either side is all equal."""
    ranks_a, ranks_b = (_mean_ranks(np.asarray(values, dtype=np.float64)) for values in (a_N, b_N))
    if len(ranks_a) < 3 or np.ptp(ranks_a) == 0 or np.ptp(ranks_b) == 0:
        return None
    return float(np.corrcoef(ranks_a, ranks_b)[0, 1])


def _mean_ranks(values_N: Floats) -> Floats:
    _, inverse, counts = np.unique(values_N, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def cluster_sums(values_N: Floats, clusters_N: Sequence[Hashable], weights_N: ArrayLike | None = None) -> tuple[Floats, Floats]:
    """Sum and number of values of each cluster, both weighted, in order of first appearance.

    Raises ValueError if the lengths differ."""
    if len(values_N) != len(clusters_N):
        raise ValueError(f"{len(values_N)} values but {len(clusters_N)} clusters")
    order = {cluster: index for index, cluster in enumerate(dict.fromkeys(clusters_N))}
    sums_C, counts_C = np.zeros(len(order)), np.zeros(len(order))
    index_N = np.array([order[cluster] for cluster in clusters_N], dtype=np.intp)
    weights = np.ones(len(values_N)) if weights_N is None else np.asarray(weights_N, dtype=np.float64)
    np.add.at(sums_C, index_N, weights * values_N)
    np.add.at(counts_C, index_N, weights)
    return sums_C, counts_C


def t_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t by Cornish-Fisher (Abramowitz & Stegun 26.7.5): the 97.5 % one is within 1 % from 2 degrees on."""
    z = _NORMAL.inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))


def _resampled_means(sums_C: Floats, counts_C: Floats, rng: np.random.Generator, n_resamples: int) -> Floats:
    """[R] means over as many clusters as there are, drawn with replacement."""
    n_clusters = len(sums_C)
    rows = max(1, _BLOCK // n_clusters)
    means: list[Floats] = []
    for start in range(0, n_resamples, rows):
        drawn = rng.integers(0, n_clusters, (min(rows, n_resamples - start), n_clusters))
        means.append(sums_C[drawn].sum(axis=1) / counts_C[drawn].sum(axis=1))
    return np.concatenate(means)


def _resampled_macros(sums_CK: Floats, counts_CK: Floats, rng: np.random.Generator, n_resamples: int) -> Floats:
    """[R] means over cells, each of as many clusters as there are."""
    n_clusters = len(sums_CK)
    rows, evenly = max(1, _BLOCK // n_clusters), np.full(n_clusters, 1 / n_clusters)
    macros: list[Floats] = []
    for start in range(0, n_resamples, rows):
        times_RC = rng.multinomial(n_clusters, evenly, min(rows, n_resamples - start)).astype(np.float64)
        macros.append(_macros(times_RC @ sums_CK, times_RC @ counts_CK))
    return np.concatenate(macros)


def _macros(sums_K: Floats, counts_K: Floats) -> Floats:
    """[...] mean over the cells of [..., K] that hold anything."""
    held_K = counts_K > 0
    means_K = np.divide(sums_K, counts_K, out=np.zeros_like(sums_K), where=held_K)
    return means_K.sum(axis=-1) / np.maximum(held_K.sum(axis=-1), 1)


def _interval_of(means_R: Floats, mean: float | Floats, left_out_C: Floats) -> Interval:
    """The quantiles of the resampled means that bound the interval: corrected for bias, skew (jackknife) and few clusters."""
    n = len(left_out_C)
    below = ((means_R < mean).mean() + (means_R <= mean).mean()) / 2
    bias = _NORMAL.inv_cdf(float(np.clip(below, 1 / len(means_R), 1 - 1 / len(means_R))))
    pull_C = left_out_C.mean() - left_out_C
    spread = float((pull_C**2).sum())
    skew = float((pull_C**3).sum()) / (6 * spread**1.5) if spread > 1e-18 else 0.0
    reach = sqrt(n / (n - 1)) * t_quantile((1 + LEVEL) / 2, n - 1)
    low, high = (_NORMAL.cdf(bias + (bias + z) / (1 - skew * (bias + z))) for z in (-reach, reach))
    bounds = np.quantile(means_R, [low, high])
    return float(bounds[0]), float(bounds[1])


def _interval_of_a_constant(value: float, n_clusters: int, bounds: Interval) -> Interval:
    """Up to a share `unseen` of videos may behave otherwise without one having turned up, by no more than the bounds allow."""
    unseen = 1 - ((1 - LEVEL) / 2) ** (1 / n_clusters)
    return value - unseen * (value - bounds[0]), value + unseen * (bounds[1] - value)
