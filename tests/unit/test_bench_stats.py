"""Intervals hold what they promise, which is checked by simulation; the sign test is checked against counts by hand."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deepsport.bench.stats import (
    bootstrap_test,
    cluster_sums,
    difference_interval,
    macro_interval,
    mean_interval,
    rank_correlation,
    sign_test,
    t_quantile,
)

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


# The macro average


def cells_of(
    rng: np.random.Generator, n_videos: int, shares: list[float]
) -> tuple[NDArray[np.float64], list[int], list[int], float]:
    """Right or wrong, cell and video of each question, and the true macro average; cells differ in size and difficulty."""
    means = np.linspace(0.2, 0.9, len(shares))
    cell_C = rng.choice(len(shares), n_videos, p=shares)
    cell_C[: len(shares)] = range(len(shares))  # no cell is empty
    difficulty_C = rng.beta(4 * means[cell_C], 4 * (1 - means[cell_C]))
    clusters = np.repeat(np.arange(n_videos), rng.integers(1, 5, n_videos))
    rights = (rng.random(len(clusters)) < difficulty_C[clusters]).astype(np.float64)
    return rights, cell_C[clusters].tolist(), clusters.tolist(), float(means.mean())


@pytest.mark.parametrize(("n_videos", "shares"), [(100, [0.7, 0.2, 0.1]), (60, [0.4, 0.3, 0.3]), (80, [0.1] * 10)])
def test_the_interval_of_the_macro_average_covers_the_true_one(n_videos: int, shares: list[float]):
    covered = 0
    for seed in range(600):
        rights, cells, clusters, truth = cells_of(np.random.default_rng(seed), n_videos, shares)
        interval = macro_interval(rights, cells, clusters, seed=seed, n_resamples=1000)
        assert interval is not None
        covered += interval[0] <= truth <= interval[1]
    assert 0.93 <= covered / 600 <= 0.97


def test_it_covers_where_every_video_has_a_question_in_each_of_several_cells():
    covered, add_K = 0, np.array([-0.2, 0.0, 0.2])
    for seed in range(600):
        rng = np.random.default_rng(seed)
        easy_N = np.repeat(rng.uniform(0.3, 0.7, 40), 3) + np.tile(add_K, 40)
        rights = (rng.random(120) < easy_N).astype(np.float64)
        interval = macro_interval(
            rights, [index % 3 for index in range(120)], [index // 3 for index in range(120)], seed=seed, n_resamples=1000
        )
        assert interval is not None
        covered += interval[0] <= 0.5 <= interval[1]
    assert 0.93 <= covered / 600 <= 0.97


def test_one_cell_has_the_interval_of_the_plain_mean():
    values, clusters = simulated(np.random.default_rng(1), 60, 0.4)
    macro, plain = macro_interval(values, [0] * len(values), clusters, seed=3), mean_interval(values, clusters, seed=3)
    assert macro == pytest.approx(plain, abs=0.01)  # drawn otherwise, so equal but for chance


def test_a_macro_average_of_one_video_or_of_nothing_has_no_interval():
    assert macro_interval([0.0, 1.0], ["a", "b"], ["v", "v"], seed=0) is None
    assert macro_interval([], [], [], seed=0) is None


def test_a_macro_average_of_a_constant_is_bounded_as_a_mean_is():
    assert macro_interval([1.0] * 30, [index % 2 for index in range(30)], range(30), seed=0) == pytest.approx(
        (0.025 ** (1 / 30), 1.0)
    )


@pytest.mark.parametrize("shift", [0.0, 0.2, -0.1])
def test_the_interval_of_a_difference_covers_it_whatever_it_is(shift: float):
    covered = 0
    for seed in range(600):
        rng = np.random.default_rng(seed)
        easy_C = rng.uniform(0.3, 0.7, 40)
        clusters = np.repeat(np.arange(40), 3)
        a, b = ((rng.random(120) < easy_C[clusters] + add).astype(np.float64) for add in (shift, 0.0))
        interval = difference_interval(a, b, clusters.tolist(), seed=seed, n_resamples=1000)
        assert interval is not None
        covered += interval[0] <= shift <= interval[1]
    assert 0.93 <= covered / 600 <= 0.97


# The bootstrap test


def p_values(shift: float, n_videos: int = 60, n_draws: int = 600) -> list[float]:
    """Of two systems on the same videos, the first better by so much."""
    found: list[float] = []
    for seed in range(n_draws):
        rng = np.random.default_rng(seed)
        easy_C = rng.uniform(0.2, 0.7, n_videos)
        clusters = np.repeat(np.arange(n_videos), 3)
        a, b = ((rng.random(3 * n_videos) < easy_C[clusters] + add).astype(np.float64) for add in (shift, 0.0))
        p = bootstrap_test(a - b, clusters.tolist(), seed=seed, n_resamples=1000)
        assert p is not None
        found.append(p)
    return found


def test_where_nothing_differs_the_bootstrap_test_says_so_in_95_of_100_draws():
    rejected = np.mean(np.array(p_values(0.0)) <= 0.05)
    assert 0.03 <= rejected <= 0.08  # 600 draws of 0.05 have a standard error of 0.009


def test_a_real_difference_is_found_the_more_often_the_larger_it_is():
    power = [float(np.mean(np.array(p_values(shift, n_draws=200)) <= 0.05)) for shift in (0.05, 0.15, 0.25)]
    assert power[0] < power[1] < power[2]
    assert power[1] > 0.6
    assert power[2] > 0.95


def test_a_bootstrap_that_forgot_the_videos_would_find_differences_where_there_are_none():
    rejected = 0
    for seed in range(300):
        per_video = np.random.default_rng(seed).choice([-1.0, 1.0], 30)  # four questions per video, all better or all worse
        p = bootstrap_test(np.repeat(per_video, 4), list(range(120)), seed=seed, n_resamples=500)
        assert p is not None
        rejected += p <= 0.05
    assert rejected / 300 > 0.2


def test_the_bootstrap_test_is_never_zero_and_none_below_two_videos():
    assert bootstrap_test([1.0] * 20, range(20), seed=0, n_resamples=999) == pytest.approx(1 / 1000)
    assert bootstrap_test([0.0, 0.0], ["a", "b"], seed=0) == 1.0
    assert bootstrap_test([1.0, 0.0], ["a", "a"], seed=0) is None
    assert bootstrap_test([], [], seed=0) is None


def test_swapping_the_systems_changes_no_p():
    differences = np.random.default_rng(2).choice([-1.0, 0.0, 1.0], 50)
    clusters = [index // 2 for index in range(50)]
    assert bootstrap_test(differences, clusters, seed=1) == bootstrap_test(-differences, clusters, seed=1)


# Ranks


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, 2, 3], [10, 20, 30], 1.0),
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([86, 97, 99, 100, 101, 103, 106, 110, 112, 113], [2, 20, 28, 27, 50, 29, 7, 17, 6, 12], -29 / 165),  # as commonly shown
        ([1, 2, 2, 3], [1, 3, 2, 4], 4.5 / (4.5 * 5) ** 0.5),  # ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4
        ([1, 1, 2, 2], [1, 2, 1, 2], 0.0),
        ([1, 1, 2], [5, 5, 9], 1.0),
    ],
)
def test_rank_correlation_equals_values_by_hand(a: list[float], b: list[float], expected: float):
    assert rank_correlation(a, b) == pytest.approx(expected)


@pytest.mark.parametrize(("a", "b"), [([], []), ([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [4, 4, 4])])
def test_where_ranks_tell_nothing_there_is_no_correlation(a: list[float], b: list[float]):
    assert rank_correlation(a, b) is None


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=3, max_size=30))
def test_rank_correlation_minds_only_the_order(pairs: list[tuple[int, int]]):
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    assert rank_correlation(a, b) == pytest.approx(rank_correlation([x**3 for x in a], [2.0**y for y in b]))


# Videos that are all alike


ALIKE = ([1.0, 0.0] * 10, [index // 2 for index in range(20)])
"""Ten videos of one right and one wrong answer: questions differ, videos do not."""


def test_videos_that_are_all_alike_have_no_interval_of_no_width():
    interval = mean_interval(*ALIKE, seed=0)
    unseen = 1 - 0.025 ** (1 / 10)
    assert interval == pytest.approx((0.5 - 0.5 * unseen, 0.5 + 0.5 * unseen))
    assert macro_interval(ALIKE[0], [index % 2 for index in range(20)], ALIKE[1], seed=0) == pytest.approx(interval)
    assert difference_interval(ALIKE[0], [0.0] * 20, ALIKE[1], seed=0) == pytest.approx((0.5 - 1.5 * unseen, 0.5 + 0.5 * unseen))


def test_where_values_have_no_bounds_nothing_tells_how_far_other_videos_may_lie():
    assert mean_interval(*ALIKE, seed=0, bounds=None) is None
    assert mean_interval([1.0, 2.0, 4.0], "abc", seed=0, bounds=None) is not None


@pytest.mark.parametrize("differences", [[1.0, 1.0], [0.5, 0.6, 0.5], [0.1] * 5, [0.3] * 4 + [0.0] * 3])
def test_few_videos_that_agree_prove_no_more_by_bootstrap_than_by_signs(differences: list[float]):
    p = bootstrap_test(differences, range(len(differences)), seed=0)
    assert p is not None
    assert p >= sign_test(differences, range(len(differences)))


def test_thousands_of_alike_videos_are_drawn_as_a_few_kinds_and_cover_no_less():
    """The interval of a share of independent answers, as the normal approximation has it."""
    rights = [float(index % 4 == 0) for index in range(4000)]
    spread = 1.96 * (0.25 * 0.75 / 4000) ** 0.5
    assert mean_interval(rights, range(4000), seed=0) == pytest.approx((0.25 - spread, 0.25 + spread), abs=0.001)
    start = time.process_time()
    macro_interval(rights, [index % 48 for index in range(4000)], range(4000), seed=0)
    assert time.process_time() - start < 2
