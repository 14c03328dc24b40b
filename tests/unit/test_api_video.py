"""`ds.Video`: frames of a window, the same that the tool shows."""

import asyncio
import gc
import os
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import deepsport as ds
from deepsport.agent.grammar import write_answer, write_call
from deepsport.policy.scripted import Scripted
from deepsport.video.sample import uniform
from deepsport.video.source import FrameSource
from video_files import Recipe, write, write_sound


@pytest.fixture(scope="module")
def match(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("videos") / "match.mp4")


@pytest.fixture
def video(match: Path):
    with ds.Video(match) as video:
        yield video


def test_a_video_says_what_it_is(video):
    facts = video.info
    assert (facts.n_frames, facts.fps, facts.duration_s, facts.width, facts.height) == (60, Fraction(25), 2.4, 96, 64)
    assert repr(video).endswith("match.mp4', 60 frames, 2.40 s, 25 fps, 96x64)")


def test_frames_come_with_index_time_and_pixels(video, match):
    clip = video.frames(0.4, 1.2, 5)
    assert clip.indices == (10, 15, 20, 25, 30)
    assert clip.times_s == pytest.approx((0.4, 0.6, 0.8, 1.0, 1.2))
    assert (clip.pixels.shape, clip.pixels.dtype) == ((5, 64, 96, 3), np.uint8)
    with FrameSource() as source:
        assert np.array_equal(clip.pixels, np.stack(source.frames(str(match), clip.indices)))


def test_the_frames_of_a_window_are_those_that_the_tool_shows(video, match):
    episode = ds.ask(match, "What?", model=Scripted([write_call("look", 7, 41), write_answer("so", "it")]))
    call = episode.turns[0].call
    assert call is not None
    assert call.window is not None
    shown = video.frames(call.window.start_s, call.window.end_s, 8)
    assert [(one.index, one.time_s) for one in shown] == [(one.index, one.time_s) for one in episode.turns[0].frames]


def test_without_a_window_frames_are_spread_over_the_whole_video(video):
    assert video.frames().indices == uniform(60, 8)
    assert video.frames(n=1).indices == (0,)
    assert video.frames(2.2).indices == (55, 56, 57, 58, 59)


def test_a_window_shorter_than_a_frame_shows_the_frame_that_is_on_screen(video):
    assert video.frames(1.005, 1.03, 8).indices == (25,)
    assert video.frames(2.4, 2.4).indices == (59,)


def test_times_count_where_frames_are_not_evenly_spaced(tmp_path):
    ticks = [0, 1, 2, 3, 10, 20, 21, 22, 23, 30]
    path = write(tmp_path / "uneven.mp4", Recipe(n_frames=10, ticks=ticks, time_base=Fraction(1, 25), b_frames=0))
    with ds.Video(path) as video:
        assert video.frames(8 / 25, 22 / 25, 8).indices == (3, 4, 5, 6, 7)


@pytest.mark.parametrize("window", [(-0.1, 1), (0, 9), (1.2, 0.4), (float("nan"), 1), (0, float("nan")), (float("-inf"), 1)])
def test_a_window_outside_the_video_is_refused_with_the_times_that_are_in_it(window, video):
    with pytest.raises(ds.BadVideo, match=r"match\.mp4: no window from .* Times run from 0 to 2\.4 s"):
        video.frames(*window)


@pytest.mark.parametrize("n", [0, -3])
def test_no_frames_cannot_be_asked_for(n, video):
    with pytest.raises(ValueError, match="at least 1"):
        video.frames(0, 1, n)


def test_a_file_that_is_no_video_is_told_when_it_is_first_looked_at(tmp_path):
    for path in (write_sound(tmp_path / "sound.mp4"), tmp_path / "missing.mp4"):
        with ds.Video(path) as video, pytest.raises(ds.BadVideo, match=path.name):
            video.frames()


def test_a_file_that_was_replaced_is_refused_whoever_else_has_looked_at_the_new_one(match, tmp_path):
    path = tmp_path / "clip.mp4"
    shutil.copy(match, path)
    with ds.Video(path) as video:
        video.frames()
        write(tmp_path / "new.mp4", Recipe(n_frames=90)).replace(path)
        with ds.Video(path) as other:
            assert other.info.n_frames == 90
        with pytest.raises(ds.BadVideo, match="replaced"):
            video.frames()


def test_frames_can_be_awaited_many_at_once(video):
    async def together() -> list[ds.Clip]:
        return await asyncio.gather(*(video.frames_async(start_s=n / 25, n=1) for n in range(0, 50, 10)))

    assert [clip.indices for clip in asyncio.run(together())] == [(0,), (10,), (20,), (30,), (40,)]


def test_a_clip_is_a_sequence(video):
    clip = video.frames(0, 0.4, 3)
    assert [shown.index for shown in clip] == [clip[0].index, clip[1].index, clip[-1].index] == [0, 5, 10]
    assert clip[1:].indices == (5, 10)
    assert repr(clip) == "Clip('match.mp4', frames 0 (0.00 s), 5 (0.20 s), 10 (0.40 s))"


def test_pixels_belong_to_who_asked(video):
    clip = video.frames(0, 0, 1)
    clip.pixels[:] = 0
    clip[0].pixels[:] = 0
    assert video.frames(0, 0, 1).pixels.max() > 0


def children() -> set[int]:
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


@pytest.mark.skipif(not Path(f"/proc/self/task/{os.getpid()}/children").exists(), reason="the system does not list children")
@pytest.mark.parametrize("how", ["with", "close", "forgotten"])
def test_its_process_ends_with_the_video(how, match):
    before = children()
    video = ds.Video(match)
    video.frames()
    assert len(children() - before) == 1
    if how == "with":
        with video:
            pass
    elif how == "close":
        video.close()
        video.close()
    else:
        del video
        gc.collect()
    assert children() <= before


def test_a_closed_video_opens_again(video):
    video.frames()
    video.close()
    assert video.frames(n=1).indices == (0,)


def test_the_working_folder_may_change(match, monkeypatch, tmp_path):
    monkeypatch.chdir(match.parent)
    with ds.Video(match.name) as video:
        monkeypatch.chdir(tmp_path)
        assert video.info.n_frames == 60


def test_the_end_that_a_refusal_tells_can_be_asked_for(tmp_path):
    path = write(tmp_path / "odd.mp4", Recipe(n_frames=14, rate=Fraction(3, 1009)))  # 4708.667 s; 4708.67 is too late
    with ds.Video(path) as video:
        with pytest.raises(ds.BadVideo) as refused:
            video.frames(0, 99999)
        told = float(str(refused.value).partition("Times run from 0 to ")[2].partition(" s")[0])
        assert video.frames(told - 1, told).indices == (13,)


def test_a_start_that_is_below_nought_by_rounding_alone_is_nought(video):
    assert video.frames(0.3 - 0.1 - 0.2, 0, 1).indices == (0,)


def test_clips_can_be_compared_and_kept_in_sets(video):
    one, other = video.frames(0, 0.4, 3), video.frames(0, 0.4, 3)
    assert one == one
    assert one != other
    assert len({one, other}) == 2
