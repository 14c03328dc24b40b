"""Sampling: the same indices on every machine, evenly spread, both ends included."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepsport.video.sample import uniform, window


def test_eight_frames_of_a_hundred_include_the_first_and_the_last():
    assert uniform(100, 8) == (0, 14, 28, 42, 57, 71, 85, 99)


def test_a_half_is_rounded_up():
    assert uniform(4, 3) == (0, 2, 3)
    assert window(10, 13, 3) == (10, 12, 13)


def test_a_window_of_eight_frames_gives_every_frame():
    assert window(100, 107, 8) == tuple(range(100, 108))


def test_a_window_shorter_than_the_count_gives_each_frame_once():
    assert window(5, 7, 8) == (5, 6, 7)


def test_a_window_of_one_frame_gives_that_frame():
    assert window(5, 5, 8) == (5,)


def test_a_billion_frames_of_a_short_video_are_its_frames():
    assert uniform(3, 10**9) == (0, 1, 2)


def test_one_frame_is_the_first():
    assert uniform(100, 1) == (0,)
    assert window(30, 60, 1) == (30,)


@pytest.mark.parametrize(("n_frames", "k"), [(0, 8), (-1, 8), (10, 0), (10, -3)])
def test_a_count_that_is_not_positive_is_refused(n_frames: int, k: int):
    with pytest.raises(ValueError):
        uniform(n_frames, k)


def test_a_reversed_window_is_refused():
    with pytest.raises(ValueError, match="before its start"):
        window(8, 7, 4)


@given(start=st.integers(0, 10**7), span=st.integers(0, 10**7), k=st.integers(2, 64))
def test_indices_are_the_exactly_rounded_linspace_without_repeats(start: int, span: int, k: int):
    exact = [Fraction(start) + Fraction(j * span, k - 1) for j in range(k)]
    rounded = [int((2 * value + 1) // 2) for value in exact]
    assert window(start, start + span, k) == tuple(dict.fromkeys(rounded))
