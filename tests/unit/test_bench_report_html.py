"""The report page and the terminal table say what the records say, and show failures as readily as successes."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from deepsport.arena.generate import make_set
from deepsport.arena.script import Dials
from deepsport.bench.measure import compare
from deepsport.bench.report import Report, Timing
from deepsport.bench.reporting import gallery as gallery_module
from deepsport.bench.reporting.curves import Curves
from deepsport.bench.reporting.gallery import gallery
from deepsport.bench.reporting.report_html import joined, report_page
from deepsport.bench.reporting.showcase import Played, showcase
from deepsport.bench.reporting.table import render
from deepsport.bench.score import Score, scores
from deepsport.records import Dimension, Episode, FreeText, Number, StopReason
from deepsport.reward.judge import Unscored, Verdict
from deepsport.reward.judge import scored as with_points
from deepsport.video.source import FrameSource
from made_episodes import episode, look, malformed, question

OPEN = FreeText(answer="a volley from outside the box")


def played(episodes: Sequence[Episode], verdicts: Mapping[str, Verdict] | None = None) -> list[Played]:
    return list(zip(episodes, scores(episodes, verdicts), strict=True))


def scored(systems: Mapping[str, Sequence[Episode]]) -> dict[str, list[Score]]:
    return {name: scores(episodes) for name, episodes in systems.items()}


SOURCE = FrameSource()
CURVES: Curves = {
    "sft": {"loss": [(step, 3 / (step + 1)) for step in range(50)]},
    "rl": {name: [(step, step / 40) for step in range(40)] for name in ("reward", "accuracy", "tool_calls", "groups_phantom")},
}


def outcomes(*answers: str | None, calls: bool = True) -> list[Episode]:
    """Question 0, 1, ... each answered as said, after a look if `calls`; None is a malformed turn."""
    turns = [look(28, 42)] if calls else []
    return [
        episode(answer, turns, question(str(n), video=f"{n}.mp4", sport=("soccer", "tennis")[n % 2]))
        if answer
        else episode(None, [malformed()], question(str(n), video=f"{n}.mp4"), StopReason.FORMAT_ERROR)
        for n, answer in enumerate(answers)
    ]


NO_TOOL = outcomes("header", "header", "volley", "header", "header", calls=False)
SFT = outcomes("header", "volley", "volley", None, "header")
SFT_RL = outcomes("volley", "volley", "header", "volley", None)
SYSTEMS = {"no_tool": NO_TOOL, "sft": SFT, "sft_rl": SFT_RL}


def page(systems: dict[str, list[Episode]], curves: Curves | None = None) -> str:
    report = compare(scored(systems), seed=4, seconds_per_stage={"sft": 65.0}, versions={"av": "18.1"})
    return report_page(report, curves or {}, {name: played(episodes) for name, episodes in systems.items()}, SOURCE)


def headings(after: Sequence[Episode], before: Sequence[Episode] = ()) -> list[tuple[str, str]]:
    return [(exhibit.heading, exhibit.episode.question.id) for exhibit in showcase(played(after), played(before))]


def printed(report: Report, width: int, timings: Mapping[str, Timing] | None = None) -> str:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(render(report, timings))
    return captured.get()


def test_the_page_says_scores_intervals_and_comparisons():
    made = page(SYSTEMS)
    for said in (
        "No tool 20.0, SFT 40.0, SFT + RL 60.0",
        "SFT + RL against SFT:",
        "+20.0 points",
        "SFT against No tool:",
        "1 min 05 s",
    ):
        assert said in made
    assert made.count('class="mark" cx') == 3


def test_names_with_commas_are_told_apart_in_the_lead():
    assert "nano, blind 20.0; nano 40.0." in page({"nano, blind": NO_TOOL, "nano": SFT})


def test_every_stage_has_its_charts_and_a_missing_one_is_left_out():
    assert page(SYSTEMS).count('class="chart"') == 0
    made = page(SYSTEMS, CURVES)
    assert made.count('class="chart"') == 4
    assert "Supervised fine-tuning" in made
    assert "phantom" in made


def test_a_single_system_of_any_name_has_a_page_too():
    made = page({"my_<model>": SFT})
    assert "my &lt;model&gt;" in made
    assert "my_<model>" not in made


def test_a_page_without_a_single_verdict_says_so():
    assert "Nothing was scored." in page({"sft": [episode("so", [], question(gold=FreeText(answer="thus")))]})


def test_the_page_fetches_nothing_and_runs_nothing():
    made = page(SYSTEMS, CURVES)
    assert "<script" not in made
    assert not re.search(r"(?:src|href)=\"(?!data:)", made)


def test_the_gallery_shows_what_was_fixed_what_was_broken_and_what_still_fails():
    assert headings(SFT_RL, SFT) == [
        ("Fixed", "0"),
        ("Fixed", "3"),
        ("Broken", "2"),
        ("Wrong: no look, no answer, or nobody knows", "4"),
        ("Right after one look", "1"),
    ]


def test_a_failure_is_shown_under_its_cause():
    wrong_place = episode("header", [look(70, 84)], question("a"))
    misread = episode("header", [look(28, 42)], question("b"))
    needless = episode("volley", [look(0, 5)], question("c", event=None, easy=True))
    assert headings([needless, misread, wrong_place]) == [
        ("Wrong: looked in the wrong place", "a"),
        ("Wrong: saw it and misread it", "b"),
        ("Looked without need", "c"),
    ]


def test_sports_take_turns_and_easy_questions_come_last():
    wrong = [
        episode("header", [], question(name, sport=sport, easy=easy))
        for name, sport, easy in [("a", "soccer", True), ("b", "soccer", False), ("c", "soccer", False), ("d", "tennis", False)]
    ]
    right = [episode("volley", [], made.question) for made in wrong]
    assert [name for heading, name in headings(right, wrong) if heading == "Fixed"] == ["b", "d"]


def test_no_question_is_shown_twice_and_about_a_dozen_at_most():
    many = outcomes(*["header", "volley", None] * 30)
    shown = headings(many, outcomes(*["volley", "header", None] * 30))
    assert len({name for _, name in shown}) == len(shown) <= 12


def test_a_system_is_drawn_against_frames_only_where_there_is_another_to_hold_it_against():
    assert 'class="plot scatter"' in page(SYSTEMS)
    alone = page({"sft": SFT})
    assert 'class="plot scatter"' not in alone
    assert "What an answer costs" in alone


def test_a_page_without_a_second_turn_or_a_free_answer_has_no_section_for_them():
    made = page({"no_tool": NO_TOOL})
    for section in ("Learning from each turn", "Free answers", "Numbers", ">Runs<"):
        assert section not in made
    assert "Learning from each turn" in page({"sft": SFT})


def test_numbers_and_runs_have_their_section_where_they_occur():
    asked = question("n", gold=Number(answer=10, unit="s"))
    report = compare({"a": [*scores([episode("8 s", [], asked)]), *scores([episode("10 s", [], asked)], run=1)]})
    made = report_page(report, {}, {}, SOURCE)
    assert "soccer: s, relative error" in made
    assert "Best less worst" in made


def test_what_a_reader_must_know_stands_at_the_top():
    made = report_page(compare(scored(SYSTEMS)), {}, {}, SOURCE, notes=["sft: 7 of <9> answers are missing."])
    assert "sft: 7 of &lt;9&gt; answers are missing." in made.partition("<h2>")[0]


def test_seconds_are_told_where_a_clock_was_kept():
    timing = Timing(seconds_per_question=1.25, seconds_median=1.0, seconds_p95=3.5, wall_seconds_per_right=2.5)
    made = report_page(compare(scored(SYSTEMS)), {}, {}, SOURCE, timings={"sft": timing})
    assert "Seconds, 95th percentile" in made
    assert "3.50" in made
    assert "Seconds, 95th percentile" not in page(SYSTEMS)


def test_every_table_of_the_page_has_a_caption_and_every_head_a_scope():
    made = page(SYSTEMS)
    assert made.count("<table") == made.count("<caption>") > 5
    assert re.search(r"<th(?!ead| scope)", made) is None


def test_a_judged_answer_counts_as_right_in_the_gallery_and_its_card_says_why():
    before, after = episode("a header", [], question("q", gold=OPEN)), episode("a volley", [], question("q", gold=OPEN))
    harsh, mild = (with_points(points, f"says {points}", "a judge") for points in (1, 9))
    systems = {"before": played([before], {before.id: harsh}), "after": played([after], {after.id: mild})}
    assert [exhibit.heading for exhibit in showcase(systems["after"], systems["before"])] == ["Fixed"]
    made = report_page(compare({name: [one for _, one in pairs] for name, pairs in systems.items()}), {}, systems, SOURCE)
    for said in ("9 of 10 points", "says 9", "(a judge)", "90 % right", "before on the same question: a header (10 % right"):
        assert said in made
    assert made.count(">90 % right<") == 2  # on the fold and on the card


def test_an_answer_without_a_verdict_is_shown_as_such_and_not_as_wrong():
    waiting = episode("a volley", [], question("q", gold=OPEN))
    abstained = Verdict(why=Unscored.ABSTAINED, reason="cannot tell", judge="a judge")
    found = gallery({"a": played([waiting], {waiting.id: abstained})}, SOURCE)
    assert found is not None
    assert [(shown.heading, shown.verdict.text) for shown in found.shown] == [("Without a verdict", "not scored")]
    assert "No verdict: abstained" in found.shown[0].card


def test_of_several_runs_the_gallery_shows_the_first():
    first, second = episode("header", [], question("q")), episode("volley", [], question("q"))
    assert headings([first, second]) == [("Wrong: no look, no answer, or nobody knows", "q")]
    assert headings([second, first]) == [("Right at first sight", "q")]


def test_pictures_are_made_smaller_until_the_page_can_carry_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    video = str(tmp_path / make_set(tmp_path, n_clips=1, seed=5, sports=("soccer",), dials=Dials(shortest=100))[0].video)

    def n_chars() -> int:
        found = gallery({"a": played([episode("volley", [look(28, 42)], question(video=video))])}, SOURCE)
        return sum(len(shown.card) for shown in found.shown) if found else 0

    as_wide_as_can_be = n_chars()
    monkeypatch.setattr(gallery_module, "MOST_CHARS", as_wide_as_can_be - 1)
    assert n_chars() < as_wide_as_can_be


def test_systems_are_joined_where_one_policy_was_shown_ever_more_frames_without_the_tool():
    shown = [episode("volley", [], question("q")).model_copy(update={"with_tool": False})]
    blind = [each.model_copy(update={"first_frames": ()}) for each in shown]
    other = [each.model_copy(update={"policy": "other"}) for each in shown]
    agent = [episode("volley", [look(28, 42)], question("q"))]
    systems = {name: played(each) for name, each in {"8": shown, "a": agent, "b": blind, "o": other, "16": shown}.items()}
    assert joined(systems) == [[0, 4]]


def test_the_terminal_table_says_the_same_figures():
    text = printed(compare(scored(SYSTEMS)), 120)
    assert re.search(r"Score +20\.0 \(.*\) +40\.0 \(.*\) +60\.0 \(", text)
    assert re.search(r"Macro average +16\.7 .* 62\.5 .* 66\.7 ", text)
    assert re.search(r"Frames per right answer +40\.0 ", text)
    assert "SFT + RL" in text
    assert "tennis" in text


def test_three_systems_fit_into_80_columns_with_their_intervals():
    named = {f"a model of a long name, {name}": episodes for name, episodes in SYSTEMS.items()}
    lines = printed(compare(scored(named)), 80).splitlines()
    assert max(map(len, lines)) <= 80
    (score,) = (line for line in lines if line.startswith("Score"))
    assert score.count(" to ") == 3


def test_many_systems_stand_one_below_the_other_with_their_headlines():
    many = {f"system {number} of {'a long name ' * 5}": SFT for number in range(6)}
    lines = printed(compare(scored(many)), 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(bool(re.match(r"system \d of a.* +40\.0 \(\d+ to \d+\) +62\.5 ", line)) for line in lines) == 6


def test_a_system_named_like_markup_is_printed_as_it_is():
    assert "[red]x[/red]" in printed(compare(scored({"[red]x[/red]": SFT})), 120)


def test_cells_of_few_questions_are_marked_and_others_are_not():
    def asked(n: int, dimension: Dimension) -> list[Episode]:
        return [episode("volley", [], question(f"{dimension}{i}", video=f"{i}.mp4", dimension=dimension)) for i in range(n)]

    made = page({"a": [*asked(9, Dimension.RULES), *asked(10, Dimension.RECOGNITION)]})
    assert re.search(r'class="few" [^>]*title="100\.0 \(\d+ to 100\), 9 scored answers"', made)
    assert re.search(r'class="" [^>]*title="100\.0 \(\d+ to 100\), 10 scored answers"', made)
