"""The report page and the terminal table say what the records say, and show failures as readily as successes."""

import re
from collections.abc import Mapping, Sequence

from rich.console import Console

from deepsport.bench.curves import Curves
from deepsport.bench.measure import compare
from deepsport.bench.report_html import report_page
from deepsport.bench.score import Score, scores
from deepsport.bench.showcase import showcase
from deepsport.bench.table import render
from deepsport.records import Episode, FreeText, StopReason
from deepsport.reward.gated import GatedReward
from deepsport.video.source import FrameSource
from made_episodes import episode, look, malformed, question

REWARD = GatedReward()


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
    return report_page(report, curves or {}, systems, SOURCE)


def headings(after: Sequence[Episode], before: Sequence[Episode] = ()) -> list[tuple[str, str]]:
    return [(exhibit.heading, exhibit.episode.question.id) for exhibit in showcase(after, before, REWARD)]


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
        ("Wrong: never looked, or gave no answer", "4"),
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
    assert [name for heading, name in headings(right, wrong) if heading == "Fixed"] == ["b", "d", "c"]


def test_no_question_is_shown_twice_and_about_a_dozen_at_most():
    many = outcomes(*["header", "volley", None] * 30)
    shown = headings(many, outcomes(*["volley", "header", None] * 30))
    assert len({name for _, name in shown}) == len(shown) <= 12


def test_the_terminal_table_says_the_same_figures():
    console = Console(width=120, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as captured:
        console.print(render(compare(scored(SYSTEMS))))
    text = captured.get()
    assert re.search(r"Score +20\.0 \(.*\) +40\.0 \(.*\) +60\.0 \(", text)
    assert "SFT + RL" in text
    assert "tennis" in text


def test_a_system_named_like_markup_is_printed_as_it_is():
    console = Console(width=120)
    with console.capture() as captured:
        console.print(render(compare(scored({"[red]x[/red]": SFT}))))
    assert "[red]x[/red]" in captured.get()
