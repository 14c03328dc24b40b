"""Sparse decoding gives, pixel for pixel, what a full sequential decode gives: for every container, timing and GOP structure."""

import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from deepsport.errors import BadVideo
from deepsport.video.decode import Decoder
from video_files import Recipe, copy_packets, edit, full_decode, rotate, second_keyframe, write

Make = Callable[[Path], Path]

UNEVEN = tuple(np.cumsum([40 + 37 * (i % 5) for i in range(60)]).tolist())
"""Milliseconds of a video of variable frame rate."""


def plain(name: str, **recipe: object) -> Make:
    return lambda folder: write(folder / name, Recipe(**recipe))


def trimmed(*edits: tuple[int, int], **recipe: object) -> Make:
    """Shows spans of frames only: first frame and number of frames of each, at 25 fps and 512 ticks a frame."""
    spans = [(n_frames * 40, 1024 + first * 512 if first >= 0 else -1) for first, n_frames in edits]
    return lambda folder: edit(write(folder / "v.mp4", Recipe(**recipe)), *spans)


def cut(name: str, source: str, packets_off: int, **recipe: object) -> Make:
    return lambda folder: copy_packets(write(folder / source, Recipe(**recipe)), folder / name, range(packets_off, 10**6))


def cut_at_keyframe(name: str, source: str, **recipe: object) -> Make:
    def make(folder: Path) -> Path:
        whole = write(folder / source, Recipe(**recipe))
        return copy_packets(whole, folder / name, range(second_keyframe(whole), 10**6))

    return make


FILES: dict[str, Make] = {
    "GOP 25": plain("v.mp4"),
    "GOP 25 without B-frames": plain("v.mp4", b_frames=0),
    "GOP 250": plain("v.mp4", n_frames=270, gop=250),
    "GOP 250 without B-frames": plain("v.mp4", n_frames=270, gop=250, b_frames=0),
    "B-pyramid of 8": plain("v.mp4", b_frames=8, options={"preset": "slow"}, gop=40),
    "all intra": plain("v.mp4", gop=1, b_frames=0),
    "23.976 fps": plain("v.mp4", rate=Fraction(24000, 1001)),
    "29.97 fps": plain("v.mp4", rate=Fraction(30000, 1001)),
    "50 fps": plain("v.mp4", rate=Fraction(50)),
    "variable frame rate": plain("v.mp4", ticks=UNEVEN, time_base=Fraction(1, 1000)),
    "variable frame rate in Matroska": plain("v.mkv", ticks=UNEVEN, time_base=Fraction(1, 1000)),
    "start at 3 s": plain("v.mp4", ticks=range(75, 135), time_base=Fraction(1, 25)),
    "start at 3 s in MPEG-TS": plain("v.ts", ticks=range(75, 135), time_base=Fraction(1, 25)),
    "negative start": plain("v.mkv", ticks=range(-5, 55), time_base=Fraction(1, 25)),
    "edit list that cuts 10 frames off": trimmed((10, 50)),
    "edit list that cuts a GOP off": trimmed((30, 30)),
    "edit list that keeps the middle": trimmed((12, 30)),
    "edit list within an open GOP": trimmed((20, 30), open_gop=True, b_frames=3),
    "edit list with a gap in front": trimmed((-1, 10), (10, 40)),
    "open GOP": plain("v.mp4", open_gop=True),
    "open GOP in MPEG-TS": plain("v.ts", open_gop=True),
    "open GOP in Matroska": plain("v.mkv", open_gop=True, b_frames=3),
    "open GOP cut at a keyframe": cut_at_keyframe("c.mp4", "v.mp4", open_gop=True),
    "open GOP cut at a keyframe in MPEG-TS": cut_at_keyframe("c.ts", "v.ts", open_gop=True),
    "mp4 cut within a GOP": cut("c.mp4", "v.mp4", 7),
    "MPEG-TS": plain("v.ts"),
    "MPEG-TS cut within a GOP": cut("c.ts", "v.ts", 7),
    "Matroska": plain("v.mkv"),
    "fragmented mp4": plain("v.mp4", mux_options={"movflags": "frag_keyframe+empty_moov"}),
    "fragmented mp4 of half-second fragments": plain("v.mp4", mux_options={"movflags": "empty_moov", "frag_duration": "500000"}),
    "fast start": plain("v.mp4", mux_options={"movflags": "faststart"}),
    "with a sound track": plain("v.mp4", audio_s=2.4),
    "two video streams": plain("v.mp4", n_streams=2),
    "intra refresh": plain("v.mp4", options={"x264-params": "intra-refresh=1:keyint=25:scenecut=0"}, b_frames=0),
    "HEVC": plain("v.mp4", codec="libx265"),
    "HEVC open GOP": plain("v.mp4", codec="libx265", open_gop=True, b_frames=3),
    "HEVC open GOP cut at a keyframe": cut_at_keyframe("c.mp4", "v.mp4", codec="libx265", open_gop=True, b_frames=3),
    "HEVC in MPEG-TS": plain("v.ts", codec="libx265"),
    "HEVC of three temporal layers": plain("v.mp4", codec="libx265", options={"x265-params": "temporal-layers=3:log-level=none"}),
    "MPEG-4 part 2 in AVI": plain("v.avi", codec="mpeg4"),
    "MPEG-4 part 2 in AVI without B-frames": plain("v.avi", codec="mpeg4", b_frames=0),
    "H.264 in AVI": plain("v.avi", b_frames=0),
    "MPEG-2 program stream": plain("v.mpg", codec="mpeg2video"),
    "MPEG-2 in MPEG-TS": plain("v.ts", codec="mpeg2video"),
    "VP9": plain("v.webm", codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "1"}),
    "VP8": plain("v.webm", codec="libvpx", options={"deadline": "realtime", "cpu-used": "8"}),
    "FLV": plain("v.flv"),
    "one frame": plain("v.mp4", n_frames=1),
    "one frame in MPEG-TS": plain("v.ts", n_frames=1),
    "two frames": plain("v.mp4", n_frames=2),
    "one GOP of infinite length": plain("v.mp4", gop=10000),
    "interlaced": plain("v.mp4", options={"x264-params": "interlaced=1"}),
}


@pytest.mark.parametrize("make", FILES.values(), ids=FILES.keys())
def test_sparse_frames_equal_a_full_decode(make: Make, tmp_path: Path):
    path = make(tmp_path)
    pictures, times = full_decode(path)
    with Decoder(str(path)) as decoder:
        assert decoder.info.n_frames == len(pictures)
        for indices in requests(len(pictures)):
            for index, got in zip(indices, decoder.frames(indices), strict=True):
                assert np.array_equal(got, pictures[index]), f"frame {index} of {indices}"
        assert [decoder.time_s(index) for index in range(len(times))] == pytest.approx(times, abs=1e-9)


def requests(n_frames: int) -> list[list[int]]:
    """What is asked for: ends, single frames, random sets in any order with repeats, windows, everything."""
    draw = random.Random(n_frames)
    last = n_frames - 1
    random_sets = [[draw.randrange(n_frames) for _ in range(8)] for _ in range(6)]
    windows = [[min(start + step, last) for step in range(8)] for start in (draw.randrange(n_frames) for _ in range(4))]
    singles = [[draw.randrange(n_frames)] for _ in range(8)]
    return [[last], [0], [last, 0, last], *random_sets, *windows, *singles, list(range(n_frames))]


@pytest.mark.parametrize(
    "make",
    [
        trimmed((10, 15), (35, 15)),
        trimmed((10, 15), (10, 15)),
        trimmed((35, 15), (10, 15)),
        trimmed((10, 15), (35, 15), gop=250),
    ],
    ids=["two spans", "a span twice", "spans in reverse", "two spans of one GOP"],
)
def test_an_edit_list_of_several_spans_shows_what_a_full_decode_shows(make: Make, tmp_path: Path):
    path = make(tmp_path)
    pictures, _ = full_decode(path)
    with Decoder(str(path)) as decoder:
        assert decoder.info.n_frames == len(pictures)
        for indices in requests(len(pictures)):
            for index, got in zip(indices, decoder.frames(indices), strict=True):
                assert np.array_equal(got, pictures[index])
        times = [decoder.time_s(index) for index in range(len(pictures))]
        assert times == sorted(set(times))


def test_a_file_whose_timestamps_repeat_is_addressed_by_counting(tmp_path: Path):
    path = tmp_path / "v.mkv"
    with av.open(str(write(tmp_path / "whole.mkv", Recipe(b_frames=0)))) as given, av.open(str(path), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for position, packet in enumerate(packet for packet in given.demux(given.streams.video[0]) if packet.size):
            packet.pts = packet.dts = position // 2 * 80
            packet.stream = stream
            made.mux(packet)
    pictures, _ = full_decode(path)
    with Decoder(str(path)) as decoder:
        assert decoder.info.n_frames == len(pictures) == 60
        for index, got in zip((59, 0, 31, 30), decoder.frames([59, 0, 31, 30]), strict=True):
            assert np.array_equal(got, pictures[index])
        times = [decoder.time_s(index) for index in range(60)]
        assert times == sorted(set(times))


@pytest.mark.parametrize("start", [60, 75, 0], ids=["the clock jumps back a little", "a gap", "the clock starts over"])
def test_a_joined_recording_with_sound_from_the_middle_on_is_addressed_by_decode_order(start: int, tmp_path: Path):
    silent = write(tmp_path / "a.ts", Recipe())
    later = write(tmp_path / "b.ts", Recipe(ticks=range(start, start + 60), time_base=Fraction(1, 25), audio_s=1.0))
    both = tmp_path / "both.ts"
    both.write_bytes(silent.read_bytes() + later.read_bytes())
    pictures = full_decode(silent)[0] + full_decode(later)[0]
    with Decoder(str(both)) as decoder:
        assert decoder.info.n_frames == 120
        for index, got in zip((0, 59, 60, 119), decoder.frames([0, 59, 60, 119]), strict=True):
            assert np.array_equal(got, pictures[index])


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotated_frames_are_shown_upright(degrees: int, tmp_path: Path):
    path = rotate(write(tmp_path / "v.mp4", Recipe(n_frames=10)), degrees)
    pictures, _ = full_decode(path)
    upright = [np.rot90(picture, k=-degrees // 90) for picture in pictures]
    with Decoder(str(path)) as decoder:
        assert decoder.info.rotation == degrees
        assert (decoder.info.height, decoder.info.width) == upright[0].shape[:2]
        for index in (0, 5, 9):
            assert np.array_equal(decoder.frames([index])[0], upright[index])


def test_the_texture_of_a_rotated_file_really_turns_clockwise(tmp_path: Path):
    path = rotate(write(tmp_path / "v.mp4", Recipe(n_frames=1)), 90)
    with Decoder(str(path)) as decoder:
        shown = decoder.frames([0])[0].astype(int)
    stored_top_left_strip = shown[:4, -12:].mean()
    stored_bottom = shown[:, :10].std()
    assert shown.shape == (96, 64, 3)
    assert stored_top_left_strip < 60, "the black number strip along the stored top stands at the right after a clockwise turn"
    assert stored_bottom > 20


@pytest.mark.parametrize("index", [-1, 60, 10**9])
def test_an_index_outside_the_video_is_refused_with_the_valid_range(index: int, tmp_path: Path):
    with Decoder(str(write(tmp_path / "v.mp4"))) as decoder:
        with pytest.raises(BadVideo, match="0 to 59"):
            decoder.frames([0, index])
        with pytest.raises(BadVideo, match="0 to 59"):
            decoder.time_s(index)


def test_asking_for_nothing_gives_nothing(tmp_path: Path):
    with Decoder(str(write(tmp_path / "v.mp4"))) as decoder:
        assert decoder.frames([]) == []


def test_frames_of_a_call_do_not_change_with_the_next_call(tmp_path: Path):
    with Decoder(str(write(tmp_path / "v.mp4"))) as decoder:
        first = decoder.frames([10])[0]
        kept = first.copy()
        decoder.frames(range(60))
        assert np.array_equal(first, kept)
