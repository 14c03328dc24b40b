"""The frame tool: windows inside the video are shown with both ends, all others are refused with the valid range."""

from hypothesis import given
from hypothesis import strategies as st

from deepsport.agent.rollout import Limits
from deepsport.agent.tool import Refused, choose_frames
from deepsport.video.sample import uniform

LONG = 100_000
"""Frames: an hour at 25 fps, and a little more."""
CALLS = Limits().max_turns - 1
"""Looks of an episode; the last turn is the answer."""


def brought(start_index: int, end_index: int, n_frames: int = LONG) -> tuple[int, ...]:
    indices = choose_frames(start_index, end_index, n_frames=n_frames, k=8)
    assert not isinstance(indices, Refused), indices
    return indices


def zoom(target: int, n_frames: int, n_calls: int) -> tuple[int, ...]:
    """What the last of the calls brings when each takes the gap in which the target lies; ends early once it is shown."""
    indices = uniform(n_frames, 8)
    for _ in range(n_calls):
        if target in indices:
            break
        indices = brought(max(i for i in indices if i < target), min(i for i in indices if i > target), n_frames)
    return indices


@given(st.integers(0, LONG - 1))
def test_within_the_turns_of_an_episode_zooming_comes_within_three_frames_of_any_instant_of_an_hour(target: int) -> None:
    assert min(abs(index - target) for index in zoom(target, LONG, CALLS)) <= 3


@given(st.integers(0, LONG - 1))
def test_one_turn_more_shows_any_frame_of_an_hour_itself(target: int) -> None:
    assert target in zoom(target, LONG, CALLS + 1)


@given(st.integers(1, 7**5 + 1).flatmap(lambda n_frames: st.tuples(st.integers(0, n_frames - 1), st.just(n_frames))))
def test_within_the_turns_of_an_episode_any_frame_of_eleven_minutes_is_shown_itself(target_of: tuple[int, int]) -> None:
    target, n_frames = target_of
    assert target in zoom(target, n_frames, CALLS)


@given(start=st.integers(0, LONG - 1), length=st.integers(1, 8))
def test_a_window_of_at_most_eight_frames_brings_every_frame(start: int, length: int) -> None:
    end = min(start + length - 1, LONG - 1)
    assert brought(start, end) == tuple(range(start, end + 1))


@given(st.integers(-5, 105), st.integers(-5, 105), st.integers(2, 16))
def test_a_window_is_shown_with_both_ends_or_refused_with_the_valid_range(start: int, end: int, k: int) -> None:
    indices = choose_frames(start, end, n_frames=100, k=k)
    if 0 <= start <= end < 100:
        assert not isinstance(indices, Refused)
        assert (indices[0], indices[-1]) == (start, end)
        assert len(indices) == len(set(indices)) == min(k, end - start + 1)
    else:
        assert isinstance(indices, Refused)
        assert "Valid frames are 0 to 99." in indices.reason
