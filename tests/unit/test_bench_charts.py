"""The charts of systems: figures become places, and nothing is drawn where there is nothing to see."""

import re
from collections.abc import Sequence

import pytest

from deepsport.bench.measure import compare, measure
from deepsport.bench.report import SystemReport
from deepsport.bench.reporting.heat_map import DEEPEST, grid, heat_map
from deepsport.bench.reporting.plot import BOTTOM_PX, HEIGHT_PX, LEFT_SHARE, RIGHT_SHARE, TOP_PX, Axis, Plot, axis_of
from deepsport.bench.reporting.scatter import ASIDE_PX, FARTHEST_PX, Point, asides, points, scatter
from deepsport.bench.reporting.turn_chart import turn_panels
from deepsport.bench.score import scores
from deepsport.records import Dimension, Episode
from made_episodes import episode, look, question

PLACE = re.compile(r'<circle cx="([\d.]+)%" cy="([\d.]+)"')


def point(number: int, frames: float, score: float) -> Point:
    return Point(number, f"system {number}", frames, score, (score - 5, score + 5))


def places(drawing: str) -> list[tuple[float, float]]:
    return [(float(left), float(top)) for left, top in PLACE.findall(drawing)]


def cell(sport: str, dimension: Dimension, *answers: str) -> list[Episode]:
    return [
        episode(answer, [], question(f"{sport}{dimension}{n}", video=f"{n}.mp4", sport=sport, dimension=dimension))
        for n, answer in enumerate(answers)
    ]


def report(*episodes: Sequence[Episode]) -> SystemReport:
    return measure(scores([each for part in episodes for each in part]))


@pytest.mark.parametrize(
    ("values", "ticks", "doubling"),
    [
        ([8, 16], [8, 10, 12, 14, 16], False),
        ([8, 16, 32], [8, 16, 32], True),
        ([0, 8, 32], [0, 8, 16, 32], True),
        ([0, 8], [0, 2, 4, 6, 8], False),
        ([12.5, 200], [8, 16, 32, 64, 128, 256], True),
        ([0.5, 8], [1, 2, 4, 8], True),
        ([0, 0], None, False),
    ],
)
def test_the_axis_of_frames_doubles_where_systems_are_far_apart(values: list[float], ticks: list[float] | None, doubling: bool):
    axis = axis_of(values)
    assert axis.doubling is doubling
    if ticks is not None:
        assert [round(tick, 6) for tick in axis.ticks] == ticks
    assert axis.ticks[0] <= max(values) <= axis.ticks[-1]


def test_a_doubling_axis_sets_doubles_nearly_equally_apart_and_keeps_zero():
    axis = Axis((0, 8, 16, 32), doubling=True)
    assert axis.share(0) == 0
    assert axis.share(32) == 1
    assert 0.9 < (axis.share(32) - axis.share(16)) / (axis.share(16) - axis.share(8)) < 1.1


def test_the_corners_of_a_plot_are_its_first_and_last_ticks():
    plot = Plot(Axis((0, 10)), Axis((0, 50, 100)))
    assert (plot.left(0), plot.top(0)) == (LEFT_SHARE, HEIGHT_PX - BOTTOM_PX)
    assert (plot.left(10), plot.top(100)) == (RIGHT_SHARE, TOP_PX)
    assert plot.left(5) == pytest.approx((LEFT_SHARE + RIGHT_SHARE) / 2)


def test_a_higher_score_stands_higher_and_more_frames_further_right():
    (left_a, top_a), (left_b, top_b) = places(scatter([point(0, 8, 40), point(1, 12, 70)]))
    assert left_a < left_b
    assert top_a > top_b


def test_one_system_alone_is_not_drawn_against_frames():
    assert scatter([point(0, 8, 40)]) == ""


def test_only_systems_that_were_scored_are_drawn():
    unscored = measure(scores([episode("so", [], question(gold=None))]))
    known = report(cell("soccer", Dimension.RULES, "volley"))
    assert [(one.number, one.frames, one.score) for one in points({"a": unscored, "b": known})] == [(1, 8, 100)]


def test_a_line_joins_what_belongs_together_in_the_order_of_frames():
    found = [point(0, 32, 90), point(1, 14, 80), point(2, 8, 40), point(3, 16, 70)]
    drawing = scatter(found, [[0, 2, 3]])
    ends = re.findall(r'<line class="join sys0" x1="([\d.]+)%" y1="[\d.]+" x2="([\d.]+)%"', drawing)
    lefts = [left for left, _ in places(drawing)]
    assert [(float(a), float(b)) for a, b in ends] == [(lefts[2], lefts[3]), (lefts[3], lefts[0])]


def test_what_a_chart_shows_is_told_to_a_reader_who_cannot_see_it():
    drawing = scatter([point(0, 8, 40), point(1, 16, 70)])
    assert 'role="img"' in drawing
    assert "1, system 0: 40.0 (35.0 to 45.0) with 8.0 frames; 2, system 1: 70.0 (65.0 to 75.0) with 16.0 frames" in drawing


def test_marks_that_would_cover_each_other_are_moved_aside_and_no_others():
    assert asides([(50, 100), (50, 100), (51, 105), (80, 100), (50, 200)]) == [0, ASIDE_PX, 2 * ASIDE_PX, 0, 0]


def test_marks_at_the_right_edge_are_moved_to_the_left():
    assert asides([(95, 100), (95, 100)]) == [0, -ASIDE_PX]


def test_many_marks_in_one_place_stay_within_the_reach_of_a_phone_and_apart():
    moved = asides([(50, 100)] * 16)
    assert max(moved) == FARTHEST_PX
    assert len(set(moved)) == 16


def test_the_heat_map_has_a_cell_for_each_sport_and_dimension_and_sums_at_its_edges():
    made = report(
        cell("tennis", Dimension.RULES, "volley", "header"),
        cell("soccer", Dimension.RULES, "volley"),
        cell("soccer", Dimension.RECOGNITION, "header"),
    )
    columns, rows = grid(made)
    assert columns == ["recognition", "rules", "all"]
    said = {name: [part and (part.score, part.n) for part in parts] for name, parts in rows}
    assert said == {
        "soccer": [(0, 1), (100, 1), (50, 2)],
        "tennis": [None, (50, 2), (50, 2)],
        "all": [(0, 1), (pytest.approx(200 / 3), 3), (50, 4)],
    }


def test_the_colour_of_a_cell_grows_with_its_score():
    made = heat_map(report(cell("soccer", Dimension.RULES, "volley"), cell("tennis", Dimension.RULES, "header")), "a")
    heats = [float(heat) for heat in re.findall(r"--heat:([\d.]+)", made)]
    assert heats[0] == pytest.approx(DEEPEST)
    assert heats[2] == 0
    assert heats[-1] == pytest.approx(DEEPEST / 2)


def test_a_cell_says_score_interval_and_number_without_being_pointed_at():
    made = heat_map(report(cell("soccer", Dimension.RULES, *["volley", "header"] * 6)), "a")
    assert re.search(r"<b>50\.0</b><span>\d+ to \d+</span><span>n 12</span>", made)


def test_questions_without_sport_or_dimension_have_no_heat_map():
    assert heat_map(report([episode("volley", [], question(sport=None))]), "a") == ""


def test_a_name_of_a_sport_is_text_and_never_markup():
    made = heat_map(report(cell("<b>curling</b>", Dimension.RULES, "volley")), "<i>a</i>")
    assert "&lt;b&gt;curling" in made
    assert "<i>" not in made


def test_turns_are_drawn_from_the_opening_to_the_end_of_each_system():
    looked = [episode("volley", [look(28, 42)], question("a")), episode("volley", [], question("b", video="b.mp4"))]
    at_once = [episode("volley", [], each.question) for each in looked]
    systems = compare({"at once": scores(at_once), "looked": scores(looked)}).systems
    score, answered, seen = turn_panels(systems)
    ends = places(score.drawing)
    assert ends[0][0] == pytest.approx((LEFT_SHARE + RIGHT_SHARE) / 2, abs=0.01)  # turn 1 of 2
    assert ends[1][0] == RIGHT_SHARE
    assert "2, looked: 100.0 after turn 2" in score.drawing
    assert answered.drawing.count('class="step sys1"') == 2
    assert "1, at once: 0.0 after turn 1; 2, looked: 50.0 after turn 2" in seen.drawing


def test_without_a_second_turn_no_turns_are_drawn():
    assert turn_panels({"a": report(cell("soccer", Dimension.RULES, "volley"))}) == []
