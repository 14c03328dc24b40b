"""Runs side by side: what is read from their folders, what is said about what is missing, and what is written."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from deepsport.bench.recipe import BenchConfig, Protocol
from deepsport.bench.report import Report
from deepsport.bench.reporting.side_by_side import names, side_by_side, write_side_by_side
from deepsport.bench.result import Judged
from deepsport.cli.report import report as report_command
from deepsport.errors import BadConfig, BadRecord
from deepsport.records import Episode, FreeText, Question, StopReason
from deepsport.reward.judge import case_of_answer, scored
from deepsport.run import Run
from made_episodes import episode, look, question

WRITTEN = ("report.html", "report.md", "report.csv", "report.tex", "report.json")
ASKED = [question(name, video=f"{name}.mp4") for name in "abc"]


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """The question set that the runs were asked."""
    path = tmp_path / "set" / "questions.jsonl"
    path.parent.mkdir()
    path.write_text("".join(each.model_dump_json() + "\n" for each in ASKED), encoding="utf-8")
    return path


def run_of(folder: Path, questions: Path, episodes: Sequence[Episode], **settings: object) -> Path:
    """A run as it lies on disk."""
    config = BenchConfig.model_validate({"questions": str(questions), "system": "nano", **settings})
    with Run.open(folder, config) as run:
        for each in episodes:
            run.append("episodes.jsonl", each)
    return folder


def answers(*given: str | None, of: Sequence[Question] = ASKED) -> list[Episode]:
    """None: the policy was not reached."""
    return [
        episode(answer, [look(28, 42)], each) if answer else episode(None, [], each, StopReason.POLICY_ERROR)
        for each, answer in zip(of, given, strict=False)
    ]


def test_several_runs_become_one_report_of_every_kind(tmp_path: Path, asked: Path):
    runs = [
        run_of(tmp_path / "a", asked, answers("volley", "header", "header"), system="first"),
        run_of(tmp_path / "b", asked, answers("volley", "volley", "header"), system="second"),
    ]
    made = write_side_by_side(runs, tmp_path / "out")
    assert [name for name in WRITTEN if not (tmp_path / "out" / name).stat().st_size] == []
    assert Report.model_validate_json((tmp_path / "out/report.json").read_bytes()) == made.report
    assert list(made.report.systems) == ["first", "second"]
    assert made.report.paired["second_minus_first"].difference == pytest.approx(100 / 3)
    assert made.notes == []


def test_a_run_that_has_not_finished_says_how_many_answers_are_missing(tmp_path: Path, asked: Path):
    run = run_of(tmp_path / "a", asked, answers("volley", None), runs=2)
    made = side_by_side([run])
    assert made.notes == ["nano: 5 of 6 answers are missing, 1 of them lost to faults. Run it again to get them."]


def test_a_run_whose_questions_are_gone_says_that_nobody_can_tell(tmp_path: Path, asked: Path):
    run = run_of(tmp_path / "a", asked, answers("volley", "header", "header"))
    asked.unlink()
    (note,) = side_by_side([run]).notes
    assert "cannot be read" in note


def test_a_run_without_a_single_verdict_is_reported_beside_others(tmp_path: Path, asked: Path):
    lost = run_of(tmp_path / "a", asked, answers(None, None, None), system="lost")
    sound = run_of(tmp_path / "b", asked, answers("volley", "header", "header"), system="sound")
    made = write_side_by_side([lost, sound], tmp_path / "out")
    assert made.report.paired == {}
    assert "sound 33.3" in (tmp_path / "out/report.html").read_text(encoding="utf-8")


def test_runs_that_answered_different_questions_are_reported_with_a_warning(tmp_path: Path, asked: Path):
    part = run_of(tmp_path / "a", asked, answers("volley"), system="part", limit=1)
    whole = run_of(tmp_path / "b", asked, answers("volley", "header", "header"), system="whole")
    (note,) = side_by_side([part, whole]).notes
    assert "did not answer the same questions (1 are common to all)" in note


def test_videos_of_a_set_that_was_moved_are_looked_for_where_it_is_now(tmp_path: Path, asked: Path):
    run = run_of(tmp_path / "a", asked, answers("volley", "header", "header"))
    made = side_by_side([run])
    assert [played.question.video for played, _ in made.systems["nano"]] == [
        str(asked.parent / f"{each.id}.mp4") for each in ASKED
    ]


def test_the_verdicts_of_the_named_judge_count(tmp_path: Path, asked: Path):
    gold = FreeText(answer="a volley from outside the box")
    (said,) = answers("a shot", of=[question("a", gold=gold)])
    run = run_of(tmp_path / "a", asked, [said])
    case = case_of_answer(said.question, said.answer).content_key
    for name, points in (("verdicts.jsonl", 2), ("verdicts-mild.jsonl", 8)):
        line = Judged(episode_id=said.id, case=case, verdict=scored(points, "so", "a judge"))
        (run / name).write_text(line.model_dump_json() + "\n", encoding="utf-8")
    assert side_by_side([run]).report.systems["nano"].score == pytest.approx(20)
    assert side_by_side([run], verdicts="verdicts-mild.jsonl").report.systems["nano"].score == pytest.approx(80)
    with pytest.raises(BadConfig, match=r"none of the runs has a file verdicts-none.jsonl"):
        side_by_side([run], verdicts="verdicts-none.jsonl")


def test_seconds_are_read_where_a_run_kept_them_and_a_damaged_file_is_named(tmp_path: Path, asked: Path):
    run = run_of(tmp_path / "a", asked, answers("volley", "header", "header"))
    assert side_by_side([run]).timings == {}
    timing = {"seconds_per_question": 1.5, "seconds_median": 1.0, "seconds_p95": 2.0, "wall_seconds_per_right": 4.5}
    (run / "timing.json").write_text(json.dumps(timing))
    assert side_by_side([run]).timings["nano"].wall_seconds_per_right == 4.5
    (run / "timing.json").write_text("{")
    with pytest.raises(BadRecord, match=r"timing\.json"):
        side_by_side([run])


@pytest.mark.parametrize(
    ("settings", "called"),
    [
        ([{"system": "a"}, {"system": "b"}], ["a", "b"]),
        (
            [{"protocol": Protocol.AGENT}, {"protocol": Protocol.PASSIVE}, {"protocol": Protocol.PASSIVE, "first_frames": 16}],
            ["nano agent", "nano passive 8", "nano passive 16"],
        ),
        ([{"seed": 1}, {"seed": 2}], ["nano run0", "nano run1"]),
    ],
)
def test_runs_are_called_by_what_tells_them_apart(
    tmp_path: Path, asked: Path, settings: list[dict[str, object]], called: list[str]
):
    runs = [run_of(tmp_path / f"run{n}", asked, answers("volley"), **each) for n, each in enumerate(settings)]
    assert list(side_by_side(runs).systems) == called


def test_runs_of_one_name_in_folders_of_one_name_are_called_by_their_paths(tmp_path: Path, asked: Path):
    runs = [run_of(tmp_path / part / "run", asked, answers("volley")) for part in "ab"]
    assert list(side_by_side(runs).systems) == [str(run) for run in runs]


def test_of_answers_that_were_imported_nobody_knows_the_frames_they_were_given_on(tmp_path: Path, asked: Path):
    given = [each.model_copy(update={"first_frames": ()}) for each in answers("volley", "header", None)]
    made = side_by_side([run_of(tmp_path / "a", asked, given, protocol=Protocol.IMPORTED)])
    one = made.report.systems["nano"]
    assert (one.score, one.frames_per_question, one.frames_per_right, one.turns) == (50, None, None, ())
    assert made.notes == ["nano: 1 of 3 answers are missing from what was imported, and are not scored."]


def test_a_run_is_not_reported_beside_itself(tmp_path: Path, asked: Path):
    run = run_of(tmp_path / "a", asked, answers("volley"))
    with pytest.raises(BadConfig, match="named twice"):
        side_by_side([run, tmp_path / "x" / ".." / "a"])


def test_no_names_are_needed_for_no_runs():
    assert names([]) == []


def test_the_command_prints_what_is_missing_and_where_the_report_is(tmp_path: Path, asked: Path):
    app = typer.Typer()
    app.command()(report_command)
    run = run_of(tmp_path / "a", asked, answers("volley", "header"))
    done = CliRunner().invoke(app, [str(run), "--out", str(tmp_path / "out")], env={"COLUMNS": "80"})
    assert done.exit_code == 0
    assert "nano: 1 of 3 answers are missing" in done.output
    assert all((tmp_path / "out" / name).is_file() for name in WRITTEN)


def test_the_command_refuses_a_folder_without_a_run_in_one_line(tmp_path: Path):
    app = typer.Typer()
    app.command()(report_command)
    done = CliRunner().invoke(app, [str(tmp_path)])
    assert done.exit_code == 2
    assert "holds no benchmark run" in done.output
