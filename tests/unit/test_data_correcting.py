"""Windows that people gave, put into questions."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from deepsport.bench.judged.windows import read_windows
from deepsport.bench.tasks import load_questions
from deepsport.cli.main import app
from deepsport.data.correcting import correct
from deepsport.durable import read_records
from deepsport.errors import BadRecord
from deepsport.records import Provenance, Question, Window
from made_episodes import question


def question_file(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "questions.jsonl"
    path.write_text("".join(question(name, video=f"clips/{name}.mp4").model_dump_json() + "\n" for name in names))
    return path


def window_file(folder: Path, *rows: str) -> Path:
    path = folder / "windows.csv"
    path.write_text("\n".join(["question_id,start_s,end_s,labeller", *rows]) + "\n")
    return path


def test_a_question_gets_the_window_that_was_given_and_the_others_stay(tmp_path: Path) -> None:
    asked = question_file(tmp_path, "a", "b")
    before = asked.read_bytes()
    found = correct(asked, read_windows(window_file(tmp_path, "b,2.5,3,anna")), tmp_path / "new.jsonl")
    made = list(read_records(tmp_path / "new.jsonl", Question))
    assert made == [
        question("a", video="clips/a.mp4"),
        question("b", video="clips/b.mp4").model_copy(update={"window": Window(start_s=2.5, end_s=3)}),
    ]
    assert (found.n_changed, found.unknown) == (1, ())
    assert asked.read_bytes() == before


def test_frames_that_the_source_counted_go_with_the_window_they_stood_for(tmp_path: Path) -> None:
    origin = Provenance(source="s", file="f", record="1", match="m", licence="", event_frames=(30, 34))
    asked = tmp_path / "questions.jsonl"
    asked.write_text(question("a").model_copy(update={"provenance": origin}).model_dump_json() + "\n")
    for row, kept in [("a,1,2,", None), ("a,1.2,1.36,", (30, 34))]:  # the second is the window that it had
        correct(asked, read_windows(window_file(tmp_path, row)), tmp_path / "new.jsonl")
        provenance = load_questions(tmp_path / "new.jsonl")[0].provenance
        assert provenance is not None
        assert provenance.event_frames == kept


@pytest.mark.parametrize("place", ["new.jsonl", "elsewhere/deeper/new.jsonl"])
def test_the_videos_are_found_from_wherever_the_new_file_stands(place: str, tmp_path: Path) -> None:
    asked = question_file(tmp_path / "set", "a")
    correct(asked, read_windows(window_file(tmp_path, "a,1,2,")), tmp_path / place)
    (made,) = load_questions(tmp_path / place)
    assert Path(made.video).resolve() == (tmp_path / "set/clips/a.mp4").resolve()


def test_where_people_differ_nothing_is_written_until_one_is_chosen(tmp_path: Path) -> None:
    asked = question_file(tmp_path, "a")
    windows = read_windows(window_file(tmp_path, "a,1,2,anna", "a,1,3,ben"))
    with pytest.raises(BadRecord, match="'anna' and 'ben' differ about 'a'"):
        correct(asked, windows, tmp_path / "new.jsonl")
    assert not (tmp_path / "new.jsonl").exists()
    correct(asked, windows, tmp_path / "new.jsonl", "ben")
    assert load_questions(tmp_path / "new.jsonl")[0].window == Window(start_s=1, end_s=3)


def test_people_who_agree_need_no_choice(tmp_path: Path) -> None:
    windows = read_windows(window_file(tmp_path, "a,1,2,anna", "a,1,2,ben"))
    assert correct(question_file(tmp_path, "a"), windows, tmp_path / "new.jsonl").n_changed == 1


@pytest.mark.parametrize(
    ("rows", "out", "labeller", "why"),
    [
        (["z,1,2,"], "new.jsonl", None, "none of the windows is about"),
        (["a,1,2,anna"], "new.jsonl", "carl", "'carl' gave no window. Those who did: 'anna'"),
        (["a,1,2,"], "questions.jsonl", None, "is the file that is corrected"),
    ],
)
def test_what_cannot_be_meant_is_refused(rows: list[str], out: str, labeller: str | None, why: str, tmp_path: Path) -> None:
    asked = question_file(tmp_path, "a")
    before = asked.read_bytes()
    with pytest.raises(BadRecord, match=why):
        correct(asked, read_windows(window_file(tmp_path, *rows)), tmp_path / out, labeller)
    assert asked.read_bytes() == before


def test_the_command_says_what_it_changed_and_what_it_did_not_find(tmp_path: Path) -> None:
    asked, windows = question_file(tmp_path, "a", "b"), window_file(tmp_path, "a,1,2,", "z,1,2,")
    done = CliRunner().invoke(app, ["data", "correct", str(asked), str(windows), "-o", str(tmp_path / "new.jsonl")])
    assert done.exit_code == 0, done.output
    assert "1 of 2 questions have another window" in done.stdout
    assert "1 window is of other questions: z" in done.stderr
