"""`deepsport arena` and `deepsport doctor` from the command line."""

from pathlib import Path

import PIL.Image
import pytest
from typer.testing import CliRunner, Result

from deepsport.arena.generate import load_truths
from deepsport.arena.truth import Difficulty
from deepsport.cli.main import app
from deepsport.records import Question
from model_server import ModelServer


def deepsport(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_set_is_rendered_with_its_questions_and_truths(tmp_path: Path) -> None:
    done = deepsport("arena", "render", tmp_path / "set", "--clips", "2", "--seed", "5", "--sport", "soccer")
    questions = [Question.model_validate_json(line) for line in (tmp_path / "set" / "questions.jsonl").read_text().splitlines()]
    assert done.exit_code == 0
    assert f"2 clips, {len(questions)} questions" in done.stdout
    truths = load_truths(tmp_path / "set")
    assert {question.video for question in questions} == set(truths)
    assert all((tmp_path / "set" / video).stat().st_size > 1000 for video in truths)
    assert {truth.sport for truth in truths.values()} == {"soccer"}


def test_the_dials_of_a_set_are_its_clips_lengths(tmp_path: Path) -> None:
    lengths = ("--shortest", "40", "--longest", "41", "--event-shortest", "1", "--event-longest", "2")
    assert deepsport("arena", "render", tmp_path, "--clips", "2", *lengths).exit_code == 0
    truths = load_truths(tmp_path).values()
    assert all(40 <= truth.n_frames <= 41 for truth in truths)
    assert all(truth.event.last_index - truth.event.first_index + 1 <= 2 for truth in truths)


@pytest.mark.parametrize("level", Difficulty)
def test_a_set_is_as_difficult_as_asked(tmp_path: Path, level: Difficulty) -> None:
    lengths = ("--shortest", "200", "--longest", "200")
    assert deepsport("arena", "render", tmp_path, "--clips", "1", "--difficulty", level, *lengths).exit_code == 0
    (truth,) = load_truths(tmp_path).values()
    assert truth.difficulty == level
    assert len(truth.attempts) >= 2 if level is Difficulty.HARD else len(truth.attempts) <= 2


def test_the_unseen_sport_is_rendered_when_it_is_asked_for_by_name(tmp_path: Path) -> None:
    assert deepsport("arena", "render", tmp_path, "--clips", "1", "--sport", "fencing").exit_code == 0
    assert [truth.sport for truth in load_truths(tmp_path).values()] == ["fencing"]


def test_a_folder_with_clips_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    holiday = tmp_path / "clips" / "holiday.mp4"
    holiday.parent.mkdir()
    holiday.write_bytes(b"irreplaceable")
    done = deepsport("arena", "render", tmp_path, "--clips", "1")
    assert done.exit_code == 2
    assert "holiday.mp4" in done.stderr
    assert holiday.read_bytes() == b"irreplaceable"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["render", "set", "--sport", "quidditch"], "soccer"),
        (["render", "a file/set"], "a file"),
        (["render", "set", "--event-longest", "90"], "does not fit"),
        (["render", "set", "--shortest", "99", "--longest", "70"], "longer than its longest"),
        (["render", "set", "--longest", "15001"], "--longest: Input should be less than or equal to 15000"),
        (["render", "set", "--event-shortest", "0"], "--event-shortest: "),
        (["gallery", "sheet.png", "--sport", "quidditch"], "soccer"),
        (["gallery", "no/such/folder/sheet.png", "--sport", "soccer"], "existing folder"),
        (["gallery", "sheet.notes", "--sport", "soccer"], "gallery.png"),
    ],
)
def test_what_the_arena_cannot_do_is_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a file").touch()
    done = deepsport("arena", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert len([line for line in done.stderr.splitlines() if not line.startswith("arena 0/48")]) == 1


def test_a_contact_sheet_is_drawn(tmp_path: Path) -> None:
    assert deepsport("arena", "gallery", tmp_path / "sheet.png", "--sport", "soccer").exit_code == 0
    assert PIL.Image.open(tmp_path / "sheet.png").width > 1000


def test_the_doctor_finds_this_machine_fit_and_names_every_part() -> None:
    done = deepsport("doctor")
    assert done.exit_code == 0
    parts = [line.split()[1] for line in done.stdout.splitlines()]
    assert parts == ["deepsport", "cores", "memory", "disk", "torch", "packages", "ffmpeg", "decoding"]
    assert "fault" not in done.stdout


def test_the_doctor_lists_what_a_server_serves() -> None:
    with ModelServer([]) as server:
        done = deepsport("doctor", "--endpoint", server.url)
    assert done.exit_code == 0
    assert "serves m\n" in done.stdout


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "not an address"])
def test_a_server_that_cannot_be_reached_is_a_fault_with_exit_code_1(url: str) -> None:
    done = deepsport("doctor", "--endpoint", url)
    assert done.exit_code == 1
    [line] = [line for line in done.stdout.splitlines() if line.startswith("fault")]
    assert "endpoint" in line


def test_the_help_of_render_names_every_level_of_difficulty() -> None:
    done = deepsport("arena", "render", "--help")
    assert "|".join(Difficulty) in done.stdout


def test_a_level_of_difficulty_that_there_is_not_is_refused_with_those_there_are(tmp_path: Path) -> None:
    done = deepsport("arena", "render", tmp_path / "set", "--difficulty", "impossible")
    assert done.exit_code == 2
    assert all(level in done.stderr for level in Difficulty)
    assert not (tmp_path / "set").exists()


def test_the_version_is_printed() -> None:
    assert deepsport("--version").stdout.startswith("deepsport 0.")
