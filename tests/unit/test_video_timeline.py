"""The timeline's own rules, the ones that ordinary files rarely need."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from deepsport.video.container import open_video
from deepsport.video.decode import Decoder
from deepsport.video.pixels import Orientation
from deepsport.video.probe import average_fps
from deepsport.video.skipping import can_skip
from deepsport.video.timeline import names_frames
from video_files import Recipe, write

KEYFRAMES = np.array([True, False, True, False, False, True, False, False])


@pytest.mark.parametrize(
    ("pts", "fit"),
    [
        ([0, 2, 5, 3, 4, 9, 7, 8], True),
        ([0, 6, 5, 3, 4, 9, 7, 8], False),
        ([0, 4, 5, 3, 6, 9, 7, 8], False),
        ([0, 2, 5, 3, 3, 9, 7, 8], False),
    ],
    ids=["open GOPs", "a frame shown after the next keyframe", "a leading frame shown too early", "one timestamp twice"],
)
def test_timestamps_that_do_not_tell_the_order_are_not_used(pts: list[int], fit: bool):
    assert names_frames(np.array(pts), KEYFRAMES) is fit


def test_a_claimed_rate_that_fits_the_timestamps_is_taken_exactly():
    rate = Fraction(30000, 1001)
    rounded_span_s = Fraction(round(1799 / rate * 1000), 1000)
    assert average_fps(1800, rounded_span_s, rate) == rate


def test_a_claimed_rate_that_does_not_fit_is_replaced_by_the_measured_one():
    assert average_fps(101, Fraction(10), Fraction(30)) == Fraction(10)
    assert average_fps(101, Fraction(10), None) == Fraction(10)


def test_a_single_frame_has_the_claimed_rate_or_25():
    assert average_fps(1, Fraction(0), Fraction(50)) == 50
    assert average_fps(1, Fraction(0), None) == 25


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(50)])
def test_the_rate_is_an_exact_fraction(rate: Fraction, suffix: str, tmp_path: Path):
    with Decoder(str(write(tmp_path / f"v.{suffix}", Recipe(rate=rate)))) as decoder:
        assert decoder.info.fps == rate
        assert decoder.info.duration_s == pytest.approx(float(60 / rate), abs=0.002)


def test_container_metadata_is_reported(tmp_path: Path):
    path = write(tmp_path / "v.mp4", Recipe(metadata={"comment": '{"truth": [1, 2]}'}))
    with Decoder(str(path)) as decoder:
        assert decoder.info.metadata["comment"] == '{"truth": [1, 2]}'


@pytest.mark.parametrize(
    ("recipe", "skips"),
    [
        (Recipe(), True),
        (Recipe(codec="libx265"), True),
        (Recipe(codec="libx265", options={"x265-params": "temporal-layers=3:log-level=none:bframes=4"}), False),
        (Recipe(codec="mpeg4"), False),
    ],
    ids=["H.264", "HEVC", "HEVC of three temporal layers", "MPEG-4 part 2"],
)
def test_pictures_are_skipped_only_where_that_changes_no_other(recipe: Recipe, skips: bool, tmp_path: Path):
    container, stream = open_video(str(write(tmp_path / "v.mp4", recipe)))
    assert can_skip(stream) is skips
    container.close()


@pytest.mark.parametrize(
    ("matrix", "rotation", "corners"),
    [
        ((1, 0, 0, 1), 0, "ABCD"),
        ((0, 1, -1, 0), 90, "CADB"),
        ((-1, 0, 0, -1), 180, "DCBA"),
        ((0, -1, 1, 0), 270, "BDAC"),
        ((-1, 0, 0, 1), 0, "BADC"),
        ((1, 0, 0, -1), 180, "CDAB"),
    ],
    ids=["upright", "90 clockwise", "180", "270 clockwise", "mirrored", "upside down mirrored"],
)
def test_a_display_matrix_puts_each_corner_in_its_place(matrix: tuple[int, int, int, int], rotation: int, corners: str):
    stored = np.array([[ord("A"), ord("B")], [ord("C"), ord("D")]], dtype=np.uint8)[:, :, None].repeat(3, axis=2)
    orientation = Orientation.of_matrix(*matrix)
    shown = orientation.apply(stored)
    assert "".join(chr(value) for value in shown[:, :, 0].ravel()) == corners
    assert orientation.rotation == rotation
