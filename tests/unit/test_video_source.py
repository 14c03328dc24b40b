"""One source of frames for many callers: cache, threads, worker process."""

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from deepsport.errors import BadVideo
from deepsport.video.cache import DecoderCache
from deepsport.video.container import stamp_of
from deepsport.video.decode import Decoder
from deepsport.video.pictures import Pictures
from deepsport.video.pixels import Pixels
from deepsport.video.remote import RemoteDecoders
from deepsport.video.source import FrameSource
from video_files import Recipe, full_decode, write


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("videos")
    return [str(write(folder / f"{i}.mp4", Recipe(n_frames=30 + i))) for i in range(5)]


@pytest.fixture(params=[True, False], ids=["trusted", "untrusted"])
def source(request: pytest.FixtureRequest):
    with FrameSource(trusted=request.param, max_open=3) as opened:
        yield opened


def test_info_frames_and_times_agree_with_a_full_decode(source: FrameSource, videos: list[str]):
    pictures, times = full_decode(Path(videos[0]))
    assert source.info(videos[0]).n_frames == len(pictures)
    got = source.frames(videos[0], [29, 3, 3])
    assert all(np.array_equal(mine, pictures[index]) for mine, index in zip(got, (29, 3, 3), strict=True))
    assert source.times(videos[0], [0, 29]) == pytest.approx([times[0], times[29]])


@pytest.mark.parametrize(("first_s", "audio_s", "start_s"), [(0, 0, 0), (2, 0, 2), (2, 1, 2), (-1, 0, 0)])
def test_the_first_frame_stands_where_a_player_shows_it(
    first_s: int, audio_s: int, start_s: int, source: FrameSource, tmp_path: Path
):
    recipe = Recipe(
        n_frames=10, ticks=[25 * first_s + i for i in range(10)], time_base=Fraction(1, 25), audio_s=audio_s, b_frames=0
    )
    path = str(write(tmp_path / "late.mkv", recipe))
    assert source.info(path).start_s == pytest.approx(start_s, abs=0.05)
    assert source.times(path, [0, 5]) == pytest.approx([0, 0.2], abs=0.002)


def test_frames_can_be_had_without_asking_for_info_first(source: FrameSource, videos: list[str]):
    assert source.frames(videos[1], [0])[0].shape == (64, 96, 3)


def test_an_index_outside_is_refused_with_the_valid_range_and_the_next_call_works(source: FrameSource, videos: list[str]):
    with pytest.raises(BadVideo, match="0 to 29"):
        source.frames(videos[0], [30])
    assert len(source.frames(videos[0], [29])) == 1


def test_frames_may_be_written_to(source: FrameSource, videos: list[str]):
    picture = source.frames(videos[0], [0])[0]
    picture[:] = 0
    assert source.frames(videos[0], [0])[0].any()


def test_a_picture_is_decoded_once_and_nobody_writes_on_anothers(videos: list[str], monkeypatch: pytest.MonkeyPatch):
    decoded: list[int] = []
    decode = Decoder.frames

    def noted(self: Decoder, indices: Sequence[int]) -> list[Pixels]:
        decoded.extend(indices)
        return decode(self, indices)

    monkeypatch.setattr(Decoder, "frames", noted)
    with FrameSource() as source:
        first = source.frames(videos[0], [0, 4, 4])
        as_it_was = first[1].copy()
        first[1][:] = 0
        again = source.frames(videos[0], [4, 2])
    assert decoded == [0, 4, 2]
    assert np.array_equal(again[0], as_it_was)


def test_no_more_pictures_are_kept_than_there_is_room_for(videos: list[str]):
    stamp, picture = stamp_of(videos[0]), np.zeros((2, 2, 3), np.uint8)
    pictures = Pictures(3 * picture.nbytes)
    for index in range(4):
        pictures.keep(videos[0], stamp, {index: picture})
        pictures.known(videos[0], stamp, [0])
    assert list(pictures.known(videos[0], stamp, range(4))) == [0, 2, 3]
    large = np.zeros((9, 9, 3), np.uint8)
    assert pictures.keep(videos[0], stamp, {9: large})[9] is large  # it would turn all others out, and a copy may be too much
    assert list(pictures.known(videos[0], stamp, range(10))) == [0, 2, 3]


def test_many_threads_on_more_files_than_may_be_open_get_the_right_frames(source: FrameSource, videos: list[str]):
    expected = {path: full_decode(Path(path))[0] for path in videos}

    def ask(request: int) -> bool:
        path, index = videos[request % 5], (request * 7) % 30
        return np.array_equal(source.frames(path, [index])[0], expected[path][index])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(80)))


def open_files() -> list[str]:
    """What this process has open."""
    return [os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.exists()]


def test_at_most_max_open_files_stay_open(videos: list[str]):
    with FrameSource(max_open=3) as source:
        for path in videos:
            source.info(path)
        assert set(open_files()) & set(videos) == set(videos[2:])
        source.frames(videos[0], [0])
        assert set(open_files()) & set(videos) == {videos[0], *videos[3:]}
    assert not set(open_files()) & set(videos)


def test_what_is_known_of_a_file_is_not_read_again_when_its_decoder_was_closed(videos: list[str]):
    with FrameSource(max_open=1) as source:
        first = source.info(videos[0]), source.look(videos[0], [3, 9])
        source.info(videos[1])
        again = source.info(videos[0]), source.look(videos[0], [3, 9])
        assert set(open_files()) & set(videos) == {videos[1]}
    assert again[0] == first[0]
    assert all(
        here.pixels is there.pixels and here.time_s == there.time_s for here, there in zip(again[1], first[1], strict=True)
    )


def test_a_look_shows_frames_and_times_in_the_order_asked(source: FrameSource, videos: list[str]):
    pictures, times = full_decode(Path(videos[0]))
    shown = source.look(videos[0], [29, 3, 3])
    assert [each.index for each in shown] == [29, 3, 3]
    assert [each.time_s for each in shown] == pytest.approx([times[29], times[3], times[3]])
    assert all(np.array_equal(each.pixels, pictures[each.index]) for each in shown)


def test_nobody_can_write_on_what_others_look_at_too(videos: list[str]):
    with FrameSource() as source:
        pixels = source.look(videos[0], [0])[0].pixels
        with pytest.raises(ValueError, match="read-only"):
            pixels[:] = 0


def test_a_file_that_was_replaced_is_refused_although_its_frames_are_kept(tmp_path: Path):
    path = str(write(tmp_path / "a.mp4", Recipe(n_frames=30)))
    with FrameSource() as source:
        assert source.info(path).n_frames == 30
        source.look(path, [0])
        write(tmp_path / "a.mp4", Recipe(n_frames=40))
        with pytest.raises(BadVideo, match="replaced"):
            source.look(path, [0])
        assert source.info(path).n_frames == 40


def test_a_file_that_cannot_be_opened_is_not_remembered(tmp_path: Path):
    path = tmp_path / "v.mp4"
    path.write_text("no video yet")
    with FrameSource() as source:
        with pytest.raises(BadVideo):
            source.info(str(path))
        write(path)
        assert source.info(str(path)).n_frames == 60


def test_a_closed_source_opens_again_when_asked(source: FrameSource, videos: list[str]):
    source.info(videos[0])
    source.close()
    assert source.info(videos[0]).n_frames == 30


def test_untrusted_files_are_never_opened_in_this_process(videos: list[str]):
    with FrameSource(trusted=False) as source:
        source.frames(videos[0], [0])
        assert videos[0] not in open_files()
        assert isinstance(source.decoders, RemoteDecoders)


def test_the_worker_gets_no_secrets_from_the_environment(videos: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SOME_API_KEY", "secret")
    with FrameSource(trusted=False) as source:
        source.info(videos[0])
        assert isinstance(source.decoders, RemoteDecoders)
        environment = Path(f"/proc/{source.decoders.pid}/environ").read_text()
    assert "secret" not in environment


def test_the_worker_ends_with_its_source(videos: list[str]):
    source = FrameSource(trusted=False)
    source.info(videos[0])
    assert isinstance(source.decoders, RemoteDecoders)
    pid = source.decoders.pid
    source.close()
    assert not Path(f"/proc/{pid}").exists()


def test_memory_beyond_the_limit_is_refused_and_the_source_lives_on(tmp_path: Path, videos: list[str]):
    recipe = Recipe(width=3840, height=2160, n_frames=4, b_frames=0, options={"preset": "ultrafast"})
    path = str(write(tmp_path / "big.mp4", recipe))
    with FrameSource(trusted=False, memory_limit_mb=64) as source:
        with pytest.raises(BadVideo):
            source.frames(path, range(4))
        assert len(source.frames(videos[0], [5])) == 1


def test_two_calls_for_different_files_do_not_wait_for_each_other(videos: list[str]):
    cache_source = FrameSource()
    assert isinstance(cache_source.decoders, DecoderCache)
    cache_source.info(videos[0])
    slot = next(iter(cache_source.decoders._slots.values()))
    with slot.lock:
        other = threading.Thread(target=cache_source.info, args=(videos[1],))
        other.start()
        other.join(timeout=10)
        assert not other.is_alive()
    cache_source.close()
