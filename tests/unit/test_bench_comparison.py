"""Two runs held against each other, on a handful of answers that can be counted by hand."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from deepsport.bench.comparing.comparison import Comparison, compare_runs
from deepsport.bench.comparing.comparison_text import CSV_COLUMNS, comparison_page, flips_csv, lead, slice_rows
from deepsport.bench.comparing.slices import holm, length_cuts
from deepsport.bench.result import EPISODES
from deepsport.cli.compare import compare
from deepsport.errors import BadRecord
from deepsport.records import Choice, Dimension, Episode, Frame, FreeText, StopReason, Usage
from deepsport.reward.judge import scored
from made_episodes import episode, look, question
from made_runs import made_run, numbered

app = typer.Typer()
app.command()(compare)
SPORTS = ("soccer", "tennis")


def answers(right: str, *, calls: int = 0, n: int = 12) -> list[Episode]:
    """Twelve questions about as many videos; those named in `right` ("0 3 7") are answered rightly."""
    named = {int(place) for place in right.split()}
    return [
        episode(
            "volley" if place in named else "header",
            [look(28 + number, 42 + number) for number in range(calls)],
            question(f"q{place}", video=f"{place}.mp4", sport=SPORTS[place % 2], easy=place < 3),
        )
        for place in range(n)
    ]


def compared(tmp_path: Path, a: list[Episode], b: list[Episode]) -> Comparison:
    return compare_runs(made_run(tmp_path / "a", a), made_run(tmp_path / "b", b))


def test_flips_are_named_with_both_answers_and_the_right_one(tmp_path: Path):
    found = compared(tmp_path, answers("0 1 2 3"), answers("2 3 4"))
    assert [(flip.question_id, flip.outcome) for flip in found.flips] == [("q0", "broken"), ("q1", "broken"), ("q4", "fixed")]
    fixed = found.flipped("fixed")[0]
    assert (fixed.answers_a, fixed.answers_b, fixed.reference, fixed.sport) == (("header",), ("volley",), "volley", "soccer")


def test_the_difference_is_the_second_minus_the_first(tmp_path: Path):
    found = compared(tmp_path, answers("0 1 2 3"), answers("2 3 4"))
    assert found.pair.difference == pytest.approx(100 * (3 - 4) / 12)
    assert (found.pair.n, found.pair.better, found.pair.worse) == (12, 1, 2)
    assert found.pair.p == 1.0
    assert found.a.score == pytest.approx(100 * 4 / 12)


def test_slices_add_up_to_the_whole(tmp_path: Path):
    found = compared(tmp_path, answers("0 1 2 3"), answers("1 3 5 7 9 11"))
    by_sport = {one.name: one for one in found.slices if one.by == "sport"}
    assert {name: (one.n, one.score_a, one.score_b) for name, one in by_sport.items()} == {
        "soccer": (6, pytest.approx(100 / 3), 0),
        "tennis": (6, pytest.approx(100 / 3), 100),
    }
    assert sum(one.difference * one.n for one in by_sport.values()) / 12 == pytest.approx(found.pair.difference)
    assert {one.name: one.n for one in found.slices if one.by == "ease"} == {"easy": 3, "needs a look": 9}


def test_a_kind_that_every_question_is_of_is_no_slice(tmp_path: Path):
    found = compared(tmp_path, answers("0"), answers("1"))
    assert {one.by for one in found.slices} == {"sport", "ease"}


def test_a_difference_that_is_no_chance_in_one_slice_is_adjusted_for_the_others(tmp_path: Path):
    right = " ".join(str(place) for place in range(1, 24, 2))
    found = compared(tmp_path, answers("", n=24), answers(right, n=24))
    tennis = next(one for one in found.slices if one.name == "tennis")
    assert tennis.p == pytest.approx(2 / 2**12)
    assert tennis.p_adjusted == pytest.approx(len(found.slices) * tennis.p)
    assert [row.label for row in slice_rows(found) if row.marked] == ["sport: tennis", "ease: needs a look"]


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [
        ([], []),
        ([0.03], [0.03]),
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.6, 0.9], [1.0, 1.0, 1.0]),
    ],
)
def test_holm_is_counted_as_by_hand(p: list[float], adjusted: list[float]):
    assert holm(p) == pytest.approx(adjusted)


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_keeps_the_order_and_never_lowers_a_p(p: list[float]):
    adjusted = holm(p)
    assert all(raw <= held <= 1 for raw, held in zip(p, adjusted, strict=True))
    by_raw = [held for _, held in sorted(zip(p, adjusted, strict=True))]
    assert by_raw == sorted(by_raw)


def test_clips_are_cut_into_thirds_and_equal_lengths_stay_together():
    assert length_cuts([1, 2, 3, 4, 5, 6]) == [2, 4]
    assert length_cuts([4.0] * 9) == []
    assert length_cuts([1, 1, 1, 1, 9]) == [1]
    assert length_cuts([]) == []


def test_slices_by_length_of_the_clip_are_named_by_seconds(tmp_path: Path):
    def long(made: Episode, seconds: float) -> Episode:
        return made.model_copy(update={"first_frames": (Frame(video="v", index=0, time_s=seconds),)})

    runs = [[long(made, 4 + place // 4) for place, made in enumerate(answers(right))] for right in ("0 1", "8 9")]
    found = [(one.name, one.n, one.difference) for one in compared(tmp_path, *runs).slices if one.by == "clip length"]
    assert found == [("up to 4.0 s", 4, -50), ("over 4.0 up to 5.0 s", 4, 0), ("over 5.0 s", 4, 50)]


def test_a_blind_run_is_sliced_by_the_lengths_that_the_other_has_seen(tmp_path: Path):
    seen = [
        made.model_copy(update={"first_frames": (Frame(video="v", index=0, time_s=4 + place),)})
        for place, made in enumerate(answers("0"))
    ]
    blind = [made.model_copy(update={"first_frames": ()}) for made in answers("1")]
    assert any(one.by == "clip length" for one in compared(tmp_path, blind, seen).slices)


def test_tool_use_and_cost_are_compared_per_question(tmp_path: Path):
    dear = [made.model_copy(update={"usage": Usage(prompt_tokens=1000, reply_tokens=10)}) for made in answers("0", calls=2)]
    found = {change.name: change for change in compared(tmp_path, answers("0"), dear).changes}
    assert (found["tool calls"].a, found["tool calls"].b, found["tool calls"].difference) == (0, 2, 2)
    assert found["frames shown"].difference == 16
    assert found["prompt tokens"].difference == 1000
    assert found["prompt tokens"].ci95 is None  # every question differs by the same
    assert "US dollars" not in found  # nobody named a price


def test_a_change_that_varies_has_an_interval(tmp_path: Path):
    some = [made if place % 2 else answers("0", calls=1)[place] for place, made in enumerate(answers("0"))]
    change = compared(tmp_path, answers("0"), some).changes[0]
    assert (change.name, change.difference) == ("tool calls", 0.5)
    assert change.ci95 is not None
    assert 0 < change.ci95[0] < 0.5 < change.ci95[1] < 1


def test_a_change_that_is_the_same_in_every_video_has_no_interval_of_no_width(tmp_path: Path):
    """Two questions about each video, one of which is looked at."""

    def per_video(made: list[Episode]) -> list[Episode]:
        names = [one.question.model_copy(update={"video": f"{place // 2}.mp4"}) for place, one in enumerate(made)]
        return [one.model_copy(update={"question": asked}) for one, asked in zip(made, names, strict=True)]

    some = [made if place % 2 else answers("0", calls=1)[place] for place, made in enumerate(answers("0"))]
    change = compared(tmp_path, per_video(answers("0")), per_video(some)).changes[0]
    assert (change.difference, change.ci95) == (0.5, None)


def test_several_runs_of_a_system_are_averaged_before_anything_flips(tmp_path: Path):
    once = made_run(tmp_path / "a", answers("0 1"))
    folder = tmp_path / "b"
    made_run(folder, answers("0 1"), runs=range(3))
    played = [numbered(made, number) for right, number in (("0", 0), ("0", 1), ("0 1", 2)) for made in answers(right)]
    (folder / EPISODES).write_text("".join(f"{one.model_dump_json()}\n" for one in played))
    from deepsport.bench.result import load_result

    found = compare_runs(once, load_result(folder))
    assert (found.b.n_runs, found.pair.n) == (3, 12)
    assert found.pair.difference == pytest.approx(-100 * (2 / 3) / 12)
    assert [(flip.question_id, flip.answers_b) for flip in found.flips] == [("q1", ("header", "header", "volley"))]


def test_questions_of_one_run_only_are_named_and_left_out(tmp_path: Path):
    found = compared(tmp_path, answers("0 10 11", n=12), answers("0", n=10))
    assert (found.a.score, found.b.score, found.flips) == (10, 10, ())
    assert (found.only_a, found.only_b, found.pair.n) == (("q10", "q11"), (), 10)
    assert f"2 questions are in {tmp_path / 'a'} only, and left out: q10, q11" in found.warnings


def test_runs_without_a_common_question_are_refused(tmp_path: Path):
    other = [made.model_copy(update={"question": question("other"), "id": "other/0"}) for made in answers("0")[:1]]
    with pytest.raises(BadRecord, match="have no question in common"):
        compared(tmp_path, answers("0"), other)


@pytest.mark.parametrize(
    "change", [{"text": "Who scored?"}, {"gold": Choice(options=("header", "volley"), answer="header")}], ids=["text", "answer"]
)
def test_an_id_that_means_two_questions_is_refused_by_name(tmp_path: Path, change: dict[str, object]):
    other = answers("0")
    other[3] = other[3].model_copy(update={"question": other[3].question.model_copy(update=change)})
    with pytest.raises(BadRecord, match="question 'q3' is not the same in both runs"):
        compared(tmp_path, answers("0"), other)


def test_a_question_may_have_been_moved_to_another_folder(tmp_path: Path):
    moved = [
        made.model_copy(update={"question": made.question.model_copy(update={"video": f"elsewhere/{made.id}"})})
        for made in answers("0")
    ]
    assert compared(tmp_path, answers("0"), moved).pair.n == 12


def test_other_question_files_and_other_judges_are_warned_of(tmp_path: Path):
    free = [
        episode("a stop", [], question(f"q{place}", video=f"{place}.mp4", gold=FreeText(answer="a save"))) for place in range(3)
    ]
    runs = [
        made_run(tmp_path / name, free, {made.id: scored(7, "so", f"judge-{name}") for made in free}, questions=f"{name}.jsonl")
        for name in ("a", "b")
    ]
    warnings = compare_runs(*runs).warnings
    assert "the questions come from a.jsonl and b.jsonl" in warnings
    assert any("were judged by judge-a and by judge-b" in warning for warning in warnings)


def test_an_unscored_answer_flips_nothing_and_is_counted(tmp_path: Path):
    lost = answers("0 1")
    lost[0] = episode(None, [], lost[0].question, StopReason.POLICY_ERROR)
    found = compared(tmp_path, answers("0 1"), lost)
    assert (found.pair.n, found.flips, found.b.unscored) == (11, (), 1)


def test_half_right_is_no_failure_so_it_does_not_flip(tmp_path: Path):
    free = [
        episode("a stop", [], question(f"q{place}", video=f"{place}.mp4", gold=FreeText(answer="a save"))) for place in range(3)
    ]
    runs = [
        made_run(tmp_path / name, free, {made.id: scored(points, "so", "judge") for made in free})
        for name, points in (("a", 5), ("b", 10))
    ]
    found = compare_runs(*runs)
    assert (found.flips, found.pair.difference, found.pair.better) == ((), 50, 3)


HOSTILE = '=cmd|"/C calc"!A0<script>alert(1)</script>'


def hostile(right: str) -> list[Episode]:
    asked = question("q0", gold=Choice(options=(HOSTILE, "volley"), answer="volley"), sport=HOSTILE, dimension=Dimension.RULES)
    return [episode(right, [], asked), episode("volley", [], question("q1", video="b.mp4"))]


def test_csv_holds_every_flip_and_nothing_that_a_spreadsheet_runs(tmp_path: Path):
    rows = list(csv.reader(io.StringIO(flips_csv(compared(tmp_path, hostile(HOSTILE), hostile("volley"))))))
    assert rows[0] == list(CSV_COLUMNS)
    (row,) = rows[1:]
    assert (row[0], row[1], row[7], row[8:]) == ("q0", "fixed", "volley", ["0.0", "1.0"])
    assert row[6] == row[2] == f"'{HOSTILE}"


def test_the_page_is_whole_and_escaped(tmp_path: Path):
    page = comparison_page(compared(tmp_path, hostile(HOSTILE), hostile("volley")))
    assert "<script" not in page
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    assert "Wrong before, right now: 1" in page
    assert "&lt;script&gt;" in page


def test_the_lead_says_difference_p_and_flips(tmp_path: Path):
    said = lead(compared(tmp_path, answers("0 1 2 3"), answers("2 3 4")))
    assert said.startswith("b 25.0 against a 33.3: -8.3 points (")
    assert said.endswith("1 were fixed and 2 broken.")


def test_the_command_writes_what_it_is_asked_for(tmp_path: Path):
    made_run(tmp_path / "a", answers("0 1 2 3 4 5 6"))
    made_run(tmp_path / "b", answers("2 3 4", calls=1))
    files = [f"--{kind}={tmp_path / kind}" for kind in ("csv", "html", "json")]
    said = CliRunner().invoke(app, [str(tmp_path / "a"), str(tmp_path / "b"), *files])
    assert said.exit_code == 0, said.output
    assert "broken: q0: 'volley', then 'header'; right is 'volley'" in said.output
    assert "sport: soccer" in said.output
    assert "tool calls" in said.output
    assert Comparison.model_validate(json.loads((tmp_path / "json").read_text())).a.name == "a"
    assert (tmp_path / "csv").read_text().count("broken") == 4
    assert (tmp_path / "html").read_text().startswith("<!doctype html>")


def test_the_command_names_the_flips_it_leaves_out(tmp_path: Path):
    made_run(tmp_path / "a", answers("0 1 2 3 4 5 6"))
    made_run(tmp_path / "b", answers(""))
    said = CliRunner().invoke(app, [str(tmp_path / "a"), str(tmp_path / "b")])
    assert "... and 2 more broken: see --csv FILE" in said.output


def test_two_runs_of_one_system_are_told_apart(tmp_path: Path):
    runs = [made_run(tmp_path / name, answers(right), system="nano") for name, right in (("a", "0"), ("b", "1"))]
    assert {compare_runs(*runs).a.name, compare_runs(*runs).b.name} == {"nano a", "nano b"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["nowhere", "a"], "holds no benchmark run"), (["a", "a", "--verdicts", "verdicts-x.jsonl"], "neither run has a file")],
)
def test_what_is_no_run_ends_the_command_with_one_line(tmp_path: Path, arguments: list[str], message: str):
    made_run(tmp_path / "a", answers("0"))
    said = CliRunner().invoke(app, [str(tmp_path / each) if each in ("a", "nowhere") else each for each in arguments])
    assert said.exit_code == 2
    assert message in said.output


def test_the_scores_differ_by_the_difference_where_one_run_has_lost_an_answer(tmp_path: Path):
    """Otherwise "50.0 against 40.0: -12.5 points" stands in one sentence."""
    lost = answers("0 1")
    lost[0] = episode(None, [], lost[0].question, StopReason.POLICY_ERROR)
    found = compared(tmp_path, answers("0 1 2"), lost)
    assert (found.a.score, found.b.score) == (pytest.approx(200 / 11), pytest.approx(100 / 11))
    assert found.b.score - found.a.score == pytest.approx(found.pair.difference)


def test_verdicts_that_only_one_run_has_are_not_held_against_none(tmp_path: Path):
    free = [episode("a stop", [], question("t", gold=FreeText(answer="a save"))), episode("volley", [], question("c"))]
    runs = [made_run(tmp_path / name, free, {made.id: scored(7, "so", "j") for made in free}) for name in ("a", "b")]
    (runs[0].folder / "verdicts.jsonl").rename(runs[0].folder / "verdicts-j.jsonl")
    said = CliRunner().invoke(app, [str(tmp_path / "a"), str(tmp_path / "b"), "--verdicts", "verdicts-j.jsonl"])
    assert said.exit_code == 2
    assert f"{tmp_path / 'b'} has no file verdicts-j.jsonl" in said.output.replace("\n", "")
