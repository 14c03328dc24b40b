"""Agreement of two judges, against values that others have published and counts made by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepsport.bench.judged.agreement import Agreement, Pair, agreement, kappa_interval, weighted_kappa

points = st.integers(0, 10)


def of(*pairs: tuple[int | None, int | None], videos: int = 1000) -> Agreement:
    return agreement("a", "b", [Pair(cluster=str(i % videos), first=a, second=b) for i, (a, b) in enumerate(pairs)])


def kappa(a: list[int], b: list[int]) -> float | None:
    return weighted_kappa(np.array(a, dtype=float), np.array(b, dtype=float))


def by_table(a: list[int], b: list[int]) -> float:
    """Weighted kappa as Cohen wrote it down: from the table of counts, observed against expected."""
    observed = [[sum(pair == (i, j) for pair in zip(a, b, strict=True)) for j in range(11)] for i in range(11)]
    apart = sum((i - j) ** 2 * observed[i][j] for i in range(11) for j in range(11))
    expected = sum((i - j) ** 2 * a.count(i) * b.count(j) / len(a) for i in range(11) for j in range(11))
    return 1 - apart / expected


def test_kappa_equals_the_published_examples_of_essay_scores():
    first = [9, 7, 8, 7, 6, 8, 3, 5, 10]
    assert kappa(first, [8, 8, 6, 6, 7, 6, 1, 4, 8]) == pytest.approx(0.758620689655172, abs=1e-12)
    assert kappa(first, [3, 5, 6, 6, 7, 6, 1, 4, 8]) == pytest.approx(0.438095238095238, abs=1e-12)


@pytest.mark.parametrize(
    ("both", "only_a", "only_b", "neither", "published"),
    [(20, 5, 10, 15, 0.4), (45, 15, 25, 15, 0.1304), (25, 35, 5, 35, 0.2593)],
)
def test_with_right_and_wrong_alone_it_is_cohens_plain_kappa(both: int, only_a: int, only_b: int, neither: int, published: float):
    a = [10] * (both + only_a) + [0] * (only_b + neither)
    b = [10] * both + [0] * only_a + [10] * only_b + [0] * neither
    assert kappa(a, b) == pytest.approx(published, abs=5e-5)


@given(st.lists(st.tuples(points, points), min_size=2, max_size=60))
def test_kappa_equals_the_count_by_table(pairs: list[tuple[int, int]]):
    a, b = [first for first, _ in pairs], [second for _, second in pairs]
    if len({*a, *b}) == 1:
        assert kappa(a, b) is None
    else:
        assert kappa(a, b) == pytest.approx(by_table(a, b), abs=1e-9)


def test_figures_are_counted_as_by_hand():
    found = of((10, 10), (7, 5), (4, 5), (0, 0), (None, 3), (3, None), (None, None))
    assert (found.n, found.n_first_silent, found.n_second_silent) == (4, 2, 2)
    assert (found.exact, found.bias) == (0.5, (2 - 1) / 4)
    assert (found.both_right, found.only_first_right, found.only_second_right, found.both_wrong) == (2, 0, 1, 1)


def test_half_the_points_are_right_and_less_is_not():
    found = of((5, 4), (4, 5))
    assert (found.only_first_right, found.only_second_right) == (1, 1)


def test_full_agreement_is_one_and_opposites_are_below_zero():
    assert of((0, 0), (10, 10)).kappa == 1
    assert of((0, 10), (10, 0)).kappa == -1


def test_a_judge_who_says_the_same_of_everything_agrees_no_better_than_chance():
    assert of((10, 3), (10, 10), (10, 0)).kappa == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("pairs", [[], [(None, 3)], [(10, 10), (10, 10)]])
def test_where_kappa_cannot_be_told_it_is_none_and_never_zero(pairs: list[tuple[int | None, int | None]]):
    found = of(*pairs)
    assert (found.kappa, found.kappa_ci95) == (None, None)


def test_judges_that_never_differ_have_no_interval_rather_than_one_of_no_width():
    assert of((0, 0), (10, 10), (3, 3)).kappa_ci95 is None


def test_one_video_tells_no_spread():
    assert of((0, 1), (10, 9), (3, 7), videos=1).kappa_ci95 is None


def test_answers_about_one_video_count_as_one():
    rng = np.random.default_rng(0)
    a = np.repeat(rng.integers(0, 11, 40), 5).astype(float)
    b = np.repeat(rng.integers(0, 11, 40), 5).astype(float)
    by_video = kappa_interval(a, b, [str(i // 5) for i in range(200)], seed=0)
    by_answer = kappa_interval(a, b, [str(i) for i in range(200)], seed=0)
    assert by_video is not None
    assert by_answer is not None
    assert by_video[1] - by_video[0] > 1.8 * (by_answer[1] - by_answer[0])


def test_the_interval_of_kappa_covers_the_true_one():
    """Two judges that see the same quality, each with an error of its own: kappa is 1 - 2 e^2 / (2 q^2 + 2 e^2)."""
    covered, spread, error = 0, 4.0, 2.0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        quality = np.repeat(rng.normal(5, spread, 40), 2)
        a, b = (quality + rng.normal(0, error, 80) for _ in range(2))
        interval = kappa_interval(a, b, [str(i // 2) for i in range(80)], seed=seed, n_resamples=1000)
        assert interval is not None
        covered += interval[0] <= spread**2 / (spread**2 + error**2) <= interval[1]
    assert 0.92 <= covered / 400 <= 0.98  # 400 draws of 0.95 have a standard error of 0.011


@given(st.lists(st.tuples(points, points, st.integers(0, 5)), max_size=30))
def test_agreement_never_raises_and_its_interval_repeats(drawn: list[tuple[int, int, int]]):
    pairs = [Pair(cluster=str(video), first=a, second=b) for a, b, video in drawn]
    found = agreement("a", "b", pairs, seed=3)
    assert found == agreement("a", "b", pairs, seed=3)
    assert found.both_right + found.only_first_right + found.only_second_right + found.both_wrong == found.n
    if found.kappa_ci95:
        assert -1 <= found.kappa_ci95[0] <= found.kappa_ci95[1] <= 1 + 1e-9


def test_judges_that_always_differ_by_the_same_have_no_interval_of_no_width():
    found = of(*[(5, 7)] * 6)
    assert (found.kappa, found.kappa_ci95) == (0, None)
