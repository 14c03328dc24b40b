"""Learning curves as logged, and the charts that show them."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepsport.bench.reporting.charts import Bar, Series, interval_chart, line_chart, nice_ticks, tick_label
from deepsport.bench.reporting.curves import MetricLine, curves, panels_of, read_curves, smooth, thin
from deepsport.run import Run

values = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: value if abs(value) > 1e-6 else 0.0)


def line(stage: str, step: int, **metrics: object) -> MetricLine:
    return MetricLine.model_validate({"stage": stage, "step": step, **metrics})


def test_the_curves_of_a_run_are_read_per_stage_and_metric(tmp_path: Path):
    with Run.open(tmp_path / "run", None) as run:
        run.append("metrics.jsonl", {"stage": "sft", "step": 0, "loss": 3.0})
        run.append("metrics.jsonl", {"stage": "rl", "step": 0, "reward": 0.4, "accuracy": 0.3})
        run.append("metrics.jsonl", {"stage": "sft", "step": 1, "loss": 2.0})
        assert read_curves(run) == {
            "sft": {"loss": [(0, 3.0), (1, 2.0)]},
            "rl": {"reward": [(0, 0.4)], "accuracy": [(0, 0.3)]},
        }


def test_a_run_that_logged_nothing_has_no_curves(tmp_path: Path):
    with Run.open(tmp_path / "run", None) as run:
        assert read_curves(run) == {}


def test_of_a_step_that_was_run_again_after_a_kill_the_last_line_counts():
    lines = [line("sft", 0, loss=3.0), line("sft", 1, loss=2.0), line("sft", 1, loss=1.9), line("sft", 2, loss=1.5)]
    assert curves(lines)["sft"]["loss"] == [(0, 3.0), (1, 1.9), (2, 1.5)]


def test_what_is_no_finite_number_is_left_out():
    assert curves([line("rl", 0, loss=float("nan"), note="warm-up", reward=float("inf"), accuracy=0.5)]) == {
        "rl": {"accuracy": [(0, 0.5)]}
    }


def test_a_metric_nobody_expected_gets_a_panel_of_its_own():
    known, others = panels_of(["loss", "reward", "accuracy", "dreams"])
    assert [(panel.title, list(panel.labels)) for panel in known] == [
        ("Loss", ["loss"]),
        ("Reward and its parts", ["reward", "accuracy"]),
    ]
    assert [panel.title for panel in others] == ["dreams"]


@given(st.lists(values, min_size=1, max_size=500))
def test_thinning_and_smoothing_stay_within_the_curve_and_keep_its_end(drawn: list[float]):
    curve = list(enumerate(drawn))
    low, high = min(drawn), max(drawn)
    for made in (thin(curve), smooth(curve)):
        assert len(made) <= len(curve)
        assert made[-1][0] == curve[-1][0]
        assert all(low - 1e-6 <= value <= high + 1e-6 for _, value in made)
    assert len(thin(curve)) <= 240


@given(st.lists(values, min_size=1, max_size=20))
def test_ticks_are_few_rise_evenly_and_span_the_values(drawn: list[float]):
    ticks = nice_ticks(drawn)
    assert 2 <= len(ticks) <= 8
    assert ticks == sorted(set(ticks))
    slack = 1e-6 * max(1, *map(abs, drawn))
    assert ticks[0] <= min(drawn) + slack
    assert ticks[-1] >= max(drawn) - slack


@pytest.mark.parametrize(
    ("drawn", "ticks"),
    [([0.1, 0.9], [0, 0.25, 0.5, 0.75, 1]), ([3], [1, 2, 3, 4, 5]), ([0, 0], [0, 0.25, 0.5, 0.75, 1])],
)
def test_ticks_are_round_numbers(drawn: list[float], ticks: list[float]):
    assert nice_ticks(drawn) == pytest.approx(ticks)


def test_ticks_are_said_in_few_characters():
    assert [tick_label(value) for value in (0.25, -0.5, 1500, 12000, 2.5e6)] == ["0.25", "-0.5", "1500", "12k", "2500k"]


def test_a_curve_is_drawn_inside_its_frame():
    drawn = line_chart([Series("loss", [(step, 3 / (step + 1)) for step in range(20)])], "Loss")
    [points] = re.findall(r'points="([^"]+)"', drawn)
    places = [tuple(map(float, place.split(","))) for place in points.split()]
    assert len(places) == 20
    assert all(0 <= x <= 340 and 0 <= y <= 190 for x, y in places)
    assert places[0][1] < places[-1][1]  # a falling loss falls on the page, where y grows downwards


def test_a_long_curve_is_drawn_as_logged_and_smoothed():
    drawn = line_chart([Series("loss", [(step, step % 7) for step in range(1000)])], "Loss")
    assert drawn.count("<polyline") == 2


def test_a_single_point_is_a_dot_and_no_point_is_no_chart():
    assert "<circle" in line_chart([Series("loss", [(0, 1.0)])], "Loss")
    assert line_chart([Series("loss", [])], "Loss") == ""


def test_names_in_charts_are_escaped():
    evil = "<script>alert(1)</script>"
    assert "<script" not in interval_chart([Bar(evil, 50, (40, 60))], 25)
    assert "<script" not in line_chart([Series(evil, [(0, 1.0)])], evil)


def test_an_interval_is_drawn_around_its_score_with_the_chance_level():
    drawn = interval_chart([Bar("SFT", 50, (40, 60))], 25)
    assert 'class="span" x1="40.100%" x2="59.900%"' in drawn
    assert 'class="mark" cx="50.000%"' in drawn
    assert 'class="chance" x1="25.250%"' in drawn
    assert "chance" not in interval_chart([Bar("SFT", 50, None)], None)
