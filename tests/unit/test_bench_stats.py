"""Intervals hold what they promise, which is checked by simulation; the sign test is checked against counts by hand."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deepsport.bench.stats import cluster_sums, difference_interval, mean_interval, sign_test, t_quantile

scores = st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 5)), min_size=1, max_size=40)


def simulated(rng: np.random.Generator, n_videos: int, mean: float) -> tuple[NDArray[np.float64], list[int]]:
    """Right or wrong on 1 to 4 questions a video, videos differing in difficulty (beta with a concentration of 4)."""
    difficulty_C = rng.beta(4 * mean, 4 * (1 - mean), n_videos)
    clusters = np.repeat(np.arange(n_videos), rng.integers(1, 5, n_videos))
    return (rng.random(len(clusters)) < difficulty_C[clusters]).astype(np.float64), clusters.tolist()


@pytest.mark.parametrize("mean", [0.15, 0.5, 0.8])
def test_the_interval_covers_the_true_mean_in_95_of_100_simulated_benchmarks(mean: float):
    covered = 0
    for seed in range(600):
        values, clusters = simulated(np.random.default_rng(seed), 60, mean)
        interval = mean_interval(values, clusters, seed=seed, n_resamples=1000)
        assert interval is not None
        covered += interval[0] <= mean <= interval[1]
    assert 0.93 <= covered / 600 <= 0.97  # 600 draws of 0.95 have a standard error of 0.009


def test_an_interval_that_forgot_the_videos_would_cover_too_seldom():
    covered = 0
    for seed in range(600):
        rng = np.random.default_rng(seed)
        per_video = (rng.random(30) < 0.5).astype(np.float64)  # four questions per video, all right or all wrong
        interval = mean_interval(np.repeat(per_video, 4), list(range(120)), seed=seed, n_resamples=1000)
        assert interval is not None
        covered += interval[0] <= 0.5 <= interval[1]
    assert covered / 600 < 0.8


def test_the_paired_interval_covers_the_true_difference():
    covered = 0
    for seed in range(600):
        rng = np.random.default_rng(seed)
        easy_C = rng.random(60)
        clusters = np.repeat(np.arange(60), 3)
        a, b = ((rng.random(180) < np.clip(easy_C[clusters] * scale, 0, 1)).astype(np.float64) for scale in (0.9, 0.7))
        interval = difference_interval(a, b, clusters.tolist(), seed=seed, n_resamples=1000)
        assert interval is not None
        covered += interval[0] <= 0.1 <= interval[1]
    assert 0.93 <= covered / 600 <= 0.97


def test_pairing_narrows_the_interval_of_two_systems_that_fail_on_the_same_questions():
    rng = np.random.default_rng(0)
    b, clusters = simulated(rng, 100, 0.5)
    a = np.where(rng.random(len(b)) < 0.1, 1.0, b)
    paired, single = difference_interval(a, b, clusters, seed=0), mean_interval(a, clusters, seed=0)
    assert paired is not None
    assert single is not None
    assert paired[1] - paired[0] < (single[1] - single[0]) / 2


@given(scores, st.integers(0, 2**32))
def test_an_interval_lies_within_the_bounds_and_repeats_with_its_seed(drawn: list[tuple[float, int]], seed: int):
    values, clusters = [value for value, _ in drawn], [cluster for _, cluster in drawn]
    interval = mean_interval(values, clusters, seed=seed, n_resamples=200)
    assert interval == mean_interval(values, clusters, seed=seed, n_resamples=200)
    if len(set(clusters)) < 2:
        assert interval is None
    else:
        assert interval is not None
        assert 0 <= interval[0] <= interval[1] <= 1


def test_nothing_right_in_thirty_videos_does_not_prove_zero():
    interval = mean_interval([0.0] * 60, [index // 2 for index in range(60)], seed=0)
    assert interval == pytest.approx((0.0, 1 - 0.025 ** (1 / 30)))
    assert mean_interval([1.0] * 30, range(30), seed=0) == pytest.approx((0.025 ** (1 / 30), 1.0))


def test_two_equal_systems_differ_by_nothing_give_or_take_what_so_few_videos_can_show():
    interval = difference_interval([1.0, 0.0, 1.0], [1.0, 0.0, 1.0], ["a", "b", "c"], seed=0)
    assert interval is not None
    assert interval[0] == -interval[1] < 0


def test_ten_thousand_resamples_of_the_papers_benchmark_take_under_two_seconds_of_cpu():
    rng = np.random.default_rng(0)
    clusters = rng.integers(0, 1500, 6700).tolist()
    start = time.process_time()
    mean_interval(rng.random(6700), clusters, seed=0)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("differences", "p"),
    [([1] * 5, 2 / 32), ([1] * 6, 2 / 64), ([1] * 9 + [-1], 2 * 11 / 1024), ([1, -1], 1.0), ([0, 0], 1.0), ([], 1.0)],
)
def test_the_sign_test_counts_as_by_hand(differences: list[int], p: float):
    assert sign_test(differences, range(len(differences))) == pytest.approx(p)


def test_a_video_has_one_vote_however_many_questions_it_has():
    assert sign_test([1] * 20, [index // 10 for index in range(20)]) == sign_test([1, 1], ["a", "b"])
    assert sign_test([0.1, 0.2, -0.3], ["a", "a", "a"]) == 1.0


def test_clusters_and_values_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="2 values but 1 clusters"):
        cluster_sums(np.zeros(2), ["a"])


@pytest.mark.parametrize(("freedom", "tabled"), [(2, 4.3027), (4, 2.7764), (9, 2.2622), (29, 2.0452), (1000, 1.9623)])
def test_the_t_quantile_matches_the_table_within_one_percent(freedom: int, tabled: float):
    assert t_quantile(0.975, freedom) == pytest.approx(tabled, rel=0.01)
