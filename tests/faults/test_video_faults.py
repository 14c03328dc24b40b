"""Fault group V: whatever the file, the answer is a picture or a BadVideo, within 10 s and 512 MB, and the process stays alive.

Every file is probed and decoded in the worker process, as an untrusted one would be. Time is the worker's CPU time, so that a
busy machine fails no test. Files that are only unusual, not broken, must also give exactly the pictures of a full decode.
"""

import os
import random
import time
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from deepsport.errors import BadVideo
from deepsport.video.decode import Decoder
from deepsport.video.probe import VideoInfo
from deepsport.video.remote import RemoteDecoders
from deepsport.video.sample import uniform
from deepsport.video.source import FrameSource
from video_damage import (
    Make,
    all_samples_of_zero_duration,
    beginning,
    empty,
    jpeg_of_16k_by_16k,
    jpeg_that_grows_to_16k_by_16k,
    plain,
    png_named_mp4,
    text,
    with_durations,
    without_moov,
)
from video_files import Recipe, boxes_named, full_decode, repeat, rotate, write, write_sound

CPU_LIMIT_S = 10.0
TIME_LIMIT_S = 120.0
MEMORY_LIMIT_MB = 512
N_SEEDS = 200 if os.environ.get("DEEPSPORT_NIGHTLY") == "1" else 20


@pytest.fixture(scope="module")
def source() -> Generator[FrameSource]:
    with FrameSource(trusted=False, time_limit_s=TIME_LIMIT_S, memory_limit_mb=MEMORY_LIMIT_MB) as opened:
        yield opened


def worker_pid(source: FrameSource) -> int | None:
    assert isinstance(source.decoders, RemoteDecoders)
    return source.decoders.pid


def look(source: FrameSource, path: Path | str) -> VideoInfo | BadVideo:
    """Probes a file and decodes eight frames of it, checking time and memory."""
    spent_s = cpu_s(source)
    outcome = attempt(source, str(path))
    assert cpu_s(source) - spent_s < CPU_LIMIT_S
    assert peak_memory_mb(source) < MEMORY_LIMIT_MB
    return outcome


def attempt(source: FrameSource, path: str) -> VideoInfo | BadVideo:
    try:
        info = source.info(path)
        pictures = source.frames(path, uniform(info.n_frames, 8))
    except BadVideo as refusal:
        return refusal
    assert all(picture.dtype == np.uint8 and picture.shape[2] == 3 for picture in pictures)
    return info


def cpu_s(source: FrameSource) -> float:
    """CPU seconds of the worker so far; 0 if none runs."""
    pid = worker_pid(source)
    if pid is None:
        return 0.0
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def peak_memory_mb(source: FrameSource) -> float:
    """Highest resident memory of the worker so far; 0 if none runs."""
    pid = worker_pid(source)
    if pid is None:
        return 0.0
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


BROKEN: dict[str, Make] = {
    "V1 empty file": empty,
    "V2 text renamed mp4": text,
    "V2 picture renamed mp4": png_named_mp4,
    "V3 cut at 1 byte": beginning(1),
    "V3 cut at 10 bytes": beginning(10),
    "V3 cut at 406 bytes": beginning(406),
    "V3 cut at 50 %": beginning(0.5),
    "V3 cut at 99 %": beginning(0.99),
    "V4 without moov": without_moov,
    "V22 tiny file of 16k x 16k pixels": jpeg_of_16k_by_16k,
}


@pytest.mark.parametrize("make", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_refused(make: Make, source: FrameSource, tmp_path: Path):
    assert isinstance(look(source, make(tmp_path)), BadVideo)


def test_a_file_without_pictures_is_refused_with_what_it_holds_v6(source: FrameSource, tmp_path: Path):
    outcome = look(source, write_sound(tmp_path / "sound.mp4"))
    assert "no video stream (1 audio stream)" in str(outcome)


def test_pictures_that_grow_into_a_bomb_are_lost_and_those_before_are_not_v22(source: FrameSource, tmp_path: Path):
    path = str(jpeg_that_grows_to_16k_by_16k(tmp_path))
    assert source.frames(path, [0, 9])[1].shape == (64, 96, 3)
    with pytest.raises(BadVideo, match="frame 10 cannot be decoded"):
        source.frames(path, [10])
    assert peak_memory_mb(source) < MEMORY_LIMIT_MB


HDR = {"x265-params": "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:log-level=none:pools=1"}

UNUSUAL: dict[str, Make] = {
    "V4 moov in front": plain("v.mp4", mux_options={"movflags": "faststart"}),
    "V5 moov at the end": plain("v.mp4"),
    "V7 two video streams": plain("v.mp4", n_streams=2),
    "V8 one frame": plain("v.mp4", n_frames=1),
    "V11 variable frame rate": plain("v.mp4", ticks=[i * i + 7 * i for i in range(60)], time_base=Fraction(1, 1000)),
    "V12 start not 0": plain("v.ts", ticks=range(100, 160), time_base=Fraction(1, 25)),
    "V13 negative start": plain("v.mkv", ticks=range(-10, 50), time_base=Fraction(1, 25)),
    "V15 non-square pixels": plain("v.mp4", aspect=Fraction(16, 11)),
    "V16 1 x 1": plain("v.mp4", width=1, height=1, pixel_format="yuv444p"),
    "V16 16 x 8000": plain("v.mp4", width=16, height=8000, n_frames=10),
    "V17 HEVC": plain("v.mp4", codec="libx265"),
    "V17 AV1": plain("v.mp4", codec="libsvtav1", b_frames=0, n_frames=10, options={"preset": "12", "svtav1-params": "lp=1"}),
    "V17 VP9": plain("v.webm", codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"}),
    "V17 ProRes": plain("v.mov", codec="prores_ks", pixel_format="yuv422p10le", b_frames=0, n_frames=10),
    "V17 10-bit": plain("v.mp4", pixel_format="yuv420p10le"),
    "V17 HDR": plain("v.mp4", codec="libx265", pixel_format="yuv420p10le", options=HDR),
    "V18 alpha in ProRes": plain("v.mov", codec="prores_ks", pixel_format="yuva444p10le", b_frames=0, n_frames=10),
    "V18 alpha in QuickTime Animation": plain("v.mov", codec="qtrle", pixel_format="argb", b_frames=0, n_frames=10),
    "V19 interlaced": plain("v.mp4", options={"x264-params": "interlaced=1:keyint=25"}),
}


@pytest.mark.parametrize("make", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_an_unusual_file_gives_the_frames_of_a_full_decode(make: Make, source: FrameSource, tmp_path: Path):
    path = make(tmp_path)
    pictures, times = full_decode(path)
    info = look(source, path)
    assert isinstance(info, VideoInfo)
    assert info.n_frames == len(pictures)
    indices = uniform(len(pictures), 8)
    for index, got in zip(indices, source.frames(str(path), indices), strict=True):
        assert np.array_equal(got, pictures[index])
    assert source.times(str(path), indices) == pytest.approx([times[index] for index in indices], abs=1e-9)


def test_an_8k_video_is_decoded_within_the_memory_limit_v16(tmp_path: Path):
    path = write(tmp_path / "v.mp4", Recipe(width=7680, height=4320, n_frames=2, b_frames=0, options={"preset": "ultrafast"}))
    with FrameSource(trusted=False, time_limit_s=TIME_LIMIT_S, memory_limit_mb=MEMORY_LIMIT_MB) as source:
        info = look(source, path)
    assert isinstance(info, VideoInfo)
    assert (info.width, info.height) == (7680, 4320)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_rotated_file_is_reported_as_it_is_shown_v14(degrees: int, source: FrameSource, tmp_path: Path):
    path = str(rotate(write(tmp_path / "v.mp4", Recipe(n_frames=3)), degrees))
    info = source.info(path)
    assert (info.rotation, info.width, info.height) == (degrees, *((96, 64) if degrees == 180 else (64, 96)))
    assert source.frames(path, [1])[0].shape == (info.height, info.width, 3)


LYING: dict[str, Make] = {
    "duration None": plain("v.mkv", mux_options={"live": "1"}),
    "duration 0": with_durations(0),
    "duration wrong by 100x": with_durations(100),
}


@pytest.mark.parametrize("make", LYING.values(), ids=LYING.keys())
def test_a_duration_is_measured_and_not_believed_v9(make: Make, source: FrameSource, tmp_path: Path):
    info = look(source, make(tmp_path))
    assert isinstance(info, VideoInfo)
    assert info.n_frames == 60
    assert info.duration_s == pytest.approx(2.4, abs=0.002)


@pytest.mark.parametrize(
    "rate",
    [Fraction(1), Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001), Fraction(240)],
    ids=["1", "23.976", "29.97", "59.94", "240"],
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_time_is_right_to_a_frame_after_ten_minutes_v10(rate: Fraction, suffix: str, source: FrameSource, tmp_path: Path):
    seed = write(tmp_path / "seed.mp4", Recipe(n_frames=2, width=16, height=16, gop=2, b_frames=0))
    n_frames = int(600 * rate)
    path = str(repeat(tmp_path / f"v.{suffix}", seed, n_frames // 2, rate))
    info = source.info(path)
    last = info.n_frames - 1
    true_s = last / rate
    assert info.n_frames == n_frames // 2 * 2
    assert abs(source.times(path, [last])[0] - true_s) < 1 / rate
    assert abs(last / info.fps - true_s) < 1 / rate
    assert info.duration_s == pytest.approx(float(info.n_frames / rate), abs=float(1 / rate))


def test_a_frame_rate_of_0_ends_in_a_result_or_a_refusal_v10(source: FrameSource, tmp_path: Path):
    outcome = look(source, all_samples_of_zero_duration(tmp_path))
    assert isinstance(outcome, BadVideo) or (outcome.n_frames == 60 and outcome.fps > 0)


def test_a_corrupt_gop_does_not_touch_the_others_v20(source: FrameSource, tmp_path: Path):
    path = write(tmp_path / "v.mp4", Recipe(n_frames=75))
    pictures, _ = full_decode(path)
    content = bytearray(path.read_bytes())
    (mdat,) = boxes_named(path, b"mdat")
    (moov,) = boxes_named(path, b"moov")
    middle = mdat + (moov - mdat) // 2
    content[middle - 300 : middle + 300] = random.Random(0).randbytes(600)
    path.write_bytes(content)
    for index in (0, 10, 24, 50, 60, 74):
        assert np.array_equal(source.frames(str(path), [index])[0], pictures[index])
    refusals = {index: refusal for index in range(25, 50) if (refusal := refusal_of(source, path, index))}
    assert all(f"frame {index} cannot be decoded" in refusal for index, refusal in refusals.items())
    assert len(refusals) < 25


def refusal_of(source: FrameSource, path: Path, index: int) -> str | None:
    try:
        source.frames(str(path), [index])
    except BadVideo as refusal:
        return str(refusal)
    return None


@pytest.fixture(scope="module")
def fuzz_seeds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("fuzz")
    small = {"n_frames": 40, "gop": 20}
    return [
        write(folder / "v.mp4", Recipe(**small)),
        write(folder / "v.ts", Recipe(**small)),
        write(folder / "v.mkv", Recipe(**small)),
        write(folder / "h.mp4", Recipe(codec="libx265", **small)),
        write(folder / "v.avi", Recipe(codec="mpeg4", **small)),
    ]


@pytest.mark.parametrize("seed", range(N_SEEDS))
def test_random_damage_never_kills_the_caller_v21(seed: int, fuzz_seeds: list[Path], source: FrameSource, tmp_path: Path):
    draw = random.Random(seed)
    original = fuzz_seeds[seed % len(fuzz_seeds)]
    content = bytearray(original.read_bytes())
    for _ in range(draw.choice((1, 4, 16, 64, 256))):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path = tmp_path / original.name
    path.write_bytes(content)
    outcome = look(source, path)
    assert isinstance(outcome, VideoInfo) or original.name in str(outcome)


def test_a_ten_hour_file_is_not_read_whole_v23(tmp_path: Path):
    noise = {"x264-params": "qp=1:keyint=25:scenecut=0"}
    seed = write(tmp_path / "seed.mp4", Recipe(n_frames=25, width=64, height=64, b_frames=0, options=noise))
    path = repeat(tmp_path / "long.mp4", seed, 7200, Fraction(5))
    size = path.stat().st_size
    before, started = bytes_read(), time.process_time()
    with Decoder(str(path)) as decoder:
        assert decoder.info.n_frames == 180_000
        assert decoder.info.duration_s == pytest.approx(36_000, abs=0.3)
        indices = uniform(decoder.info.n_frames, 8)
        assert len(decoder.frames(indices)) == 8
        assert decoder.time_s(indices[4]) == pytest.approx(indices[4] / 5, abs=1e-6)
    assert time.process_time() - started < CPU_LIMIT_S
    assert size > 100 * 2**20
    assert bytes_read() - before < 0.05 * size


def bytes_read() -> int:
    """Bytes this process has asked the kernel for so far."""
    return int(Path("/proc/self/io").read_text().split("rchar:")[1].split()[0])
