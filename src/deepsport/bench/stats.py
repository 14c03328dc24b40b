"""Intervals and tests that respect that questions about one video are not independent.

Videos are resampled, not questions (Efron's BCa bootstrap). Its tails are widened for few videos, as a t interval is (Hesterberg
2015), and where every video is alike, so that resampling sees no spread at all, the exact binomial bound over videos stands
in: 0 right of 30 does not prove 0 %. Below six videos no interval can reach as far as it should, and a test can find nothing.
Pure: seeds are arguments. Axes: N questions, C videos (clusters), R resamples, K cells or columns, T kinds of video.
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
"""Numbers of draws held in memory at once: 32 MB."""


def mean_interval(
    values_N: ArrayLike,
    clusters_N: Sequence[Hashable],
    *,
    seed: int,
    bounds: Interval | None = (0.0, 1.0),
    n_resamples: int = 10_000,
) -> Interval | None:
    """95 % interval of the mean of values that lie within `bounds`.

    None below two clusters, where nothing tells the spread, and where all clusters are alike and there are no bounds."""
    sums_C, counts_C = cluster_sums(np.asarray(values_N, dtype=np.float64), clusters_N)
    if len(sums_C) < 2:
        return None
    means_R = _resampled_means(sums_C, counts_C, np.random.default_rng(seed), n_resamples)
    left_out_C = (sums_C.sum() - sums_C) / (counts_C.sum() - counts_C)
    return _interval_of(means_R, float(sums_C.sum() / counts_C.sum()), left_out_C, bounds)


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
    cluster_N, n_clusters = _numbered(clusters_N)
    cell_N, n_cells = _numbered(cells_N)
    if n_clusters < 2:
        return None
    sums_CK, counts_CK = np.zeros((n_clusters, n_cells)), np.zeros((n_clusters, n_cells))
    np.add.at(sums_CK, (cluster_N, cell_N), np.asarray(values_N, dtype=np.float64))
    np.add.at(counts_CK, (cluster_N, cell_N), 1)
    drawn_RK = _resampled_sums(np.hstack([sums_CK, counts_CK]), np.random.default_rng(seed), n_resamples)
    left_out_C = _macros(sums_CK.sum(axis=0) - sums_CK, counts_CK.sum(axis=0) - counts_CK)
    macro = float(_macros(sums_CK.sum(axis=0), counts_CK.sum(axis=0)))
    return _interval_of(_macros(drawn_RK[:, :n_cells], drawn_RK[:, n_cells:]), macro, left_out_C, bounds)


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

    None below two clusters. Never 0: the least is one in `n_resamples` + 1 (Davison & Hinkley 1997, 4.2.1). Nor below what the
    sign test says of as many videos that all agree: three alike have little spread, and prove little."""
    sums_C, counts_C = cluster_sums(np.asarray(differences_N, dtype=np.float64), clusters_N)
    if len(sums_C) < 2:
        return None
    mean = sums_C.sum() / counts_C.sum()
    strayed_R = np.abs(_resampled_means(sums_C - mean * counts_C, counts_C, np.random.default_rng(seed), n_resamples))
    p = float((1 + np.count_nonzero(strayed_R >= abs(mean) - 1e-12)) / (n_resamples + 1))
    return max(p, min(1.0, 2.0 ** (1 - np.count_nonzero(np.round(sums_C, 9)))))


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


def cluster_sums(values_N: Floats, clusters_N: Sequence[Hashable]) -> tuple[Floats, Floats]:
    """Sum and number of values of each cluster, in order of first appearance. Raises ValueError if the lengths differ."""
    if len(values_N) != len(clusters_N):
        raise ValueError(f"{len(values_N)} values but {len(clusters_N)} clusters")
    index_N, n_clusters = _numbered(clusters_N)
    sums_C, counts_C = np.zeros(n_clusters), np.zeros(n_clusters)
    np.add.at(sums_C, index_N, values_N)
    np.add.at(counts_C, index_N, 1)
    return sums_C, counts_C


def _numbered(names_N: Sequence[Hashable]) -> tuple[NDArray[np.intp], int]:
    """The number of each name, in order of first appearance, and how many names there are."""
    order = {name: number for number, name in enumerate(dict.fromkeys(names_N))}
    return np.array([order[name] for name in names_N], dtype=np.intp), len(order)


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
    drawn_RK = _resampled_sums(np.stack([sums_C, counts_C], axis=1), rng, n_resamples)
    return drawn_RK[:, 0] / drawn_RK[:, 1]


def _resampled_sums(parts_CK: Floats, rng: np.random.Generator, n_resamples: int) -> Floats:
    """[R, K] sums over as many clusters as there are, drawn with replacement. Clusters that are alike are drawn as one kind: how
    often a kind comes follows the same distribution, and thousands of videos with a question or two are of a handful of kinds."""
    _, first_T, sizes_T = np.unique(parts_CK, axis=0, return_index=True, return_counts=True)
    appearing_T = np.argsort(first_T)  # not by size, so that swapped systems are drawn alike
    kinds_TK, sizes_T = parts_CK[first_T[appearing_T]], sizes_T[appearing_T]
    few = 4 * len(kinds_TK) <= len(parts_CK)
    rows = max(1, _BLOCK // (len(kinds_TK) if few else len(parts_CK)))
    blocks: list[Floats] = []
    for start in range(0, n_resamples, rows):
        n_rows = min(rows, n_resamples - start)
        if few:
            blocks.append(rng.multinomial(len(parts_CK), sizes_T / len(parts_CK), n_rows) @ kinds_TK)
        else:
            blocks.append(_times_drawn(len(parts_CK), rng, n_rows) @ parts_CK)
    return np.concatenate(blocks)


def _times_drawn(n_clusters: int, rng: np.random.Generator, n_rows: int) -> Floats:
    """[R, C] how often each cluster comes in as many draws; faster than a multinomial distribution over many."""
    drawn_RC = rng.integers(0, n_clusters, (n_rows, n_clusters)) + n_clusters * np.arange(n_rows)[:, None]
    times = np.bincount(drawn_RC.ravel(), minlength=n_rows * n_clusters)
    return times.reshape(n_rows, n_clusters).astype(np.float64)


def _macros(sums_K: Floats, counts_K: Floats) -> Floats:
    """[...] mean over the cells of [..., K] that hold anything."""
    held_K = counts_K > 0
    means_K = np.divide(sums_K, counts_K, out=np.zeros_like(sums_K), where=held_K)
    return means_K.sum(axis=-1) / np.maximum(held_K.sum(axis=-1), 1)


def _interval_of(means_R: Floats, mean: float, left_out_C: Floats, bounds: Interval | None) -> Interval | None:
    """The quantiles of the resampled means that bound the interval: corrected for bias, skew (jackknife) and few clusters."""
    n, tiny = len(left_out_C), 1e-9 * float(np.abs(means_R).max())
    if np.ptp(means_R) <= tiny:
        return bounds and _interval_of_a_constant(mean, n, bounds)
    below = ((means_R < mean - tiny).mean() + (means_R <= mean + tiny).mean()) / 2
    bias = _NORMAL.inv_cdf(float(np.clip(below, 1 / len(means_R), 1 - 1 / len(means_R))))
    pull_C = left_out_C.mean() - left_out_C
    spread = float((pull_C**2).sum())
    skew = float((pull_C**3).sum()) / (6 * spread**1.5) if spread > 1e-18 else 0.0
    reach = sqrt(n / (n - 1)) * t_quantile((1 + LEVEL) / 2, n - 1)
    low, high = (_NORMAL.cdf(bias + (bias + z) / (1 - skew * (bias + z))) for z in (-reach, reach))
    ends = np.quantile(means_R, [low, high])
    return float(ends[0]), float(ends[1])


def _interval_of_a_constant(value: float, n_clusters: int, bounds: Interval) -> Interval:
    """Up to a share `unseen` of videos may behave otherwise without one having turned up, by no more than the bounds allow."""
    unseen = 1 - ((1 - LEVEL) / 2) ** (1 / n_clusters)
    return value - unseen * (value - bounds[0]), value + unseen * (bounds[1] - value)
