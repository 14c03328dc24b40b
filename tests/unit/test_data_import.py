"""From an annotation and a folder of clips to questions that can be asked: what is found, what is missing, what does not fit."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deepsport import lock
from deepsport.bench.tasks import load_questions
from deepsport.cli.main import app
from deepsport.data.clips import Clips
from deepsport.data.fingerprint import Clip, fingerprint, load_clips
from deepsport.data.importing import ImportReport, import_source
from deepsport.data.source import Drops, Source, find_source
from deepsport.errors import BadAnnotation, BadRecord, RunError
from deepsport.records import Dimension, Question
from deepsport.video.source import FrameSource
from video_files import Recipe, write


def rally(video: str, frame: int, fps: float = -1) -> dict[str, object]:
    events = [{"frame": frame, "label": "near_court_serve", "comment": ""}]
    return {"video": video, "num_frames": 1000, "events": events, "fps": fps}


def annotated(folder: Path, *clips: dict[str, object]) -> Path:
    (folder / "val.json").write_text(json.dumps(clips))
    return folder / "val.json"


def lines(path: Path) -> list[Question]:
    return [Question.model_validate_json(line) for line in path.read_text().splitlines()]


def imported(tmp_path: Path, *clips: dict[str, object]) -> ImportReport:
    return import_source(find_source("tennis"), annotated(tmp_path, *clips), tmp_path / "set", tmp_path / "videos")


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    (tmp_path / "videos" / "2019").mkdir(parents=True)
    write(tmp_path / "videos" / "2019" / "a_1_2.mkv", Recipe(n_frames=60, rate=Fraction(50)))
    return tmp_path / "videos"


def test_a_clip_is_found_by_its_name_and_its_event_gets_the_clips_own_time(tmp_path: Path, videos: Path) -> None:
    report = imported(tmp_path, rally("a_1_2", 20, fps=25))
    asked = load_questions(tmp_path / "set" / "questions.jsonl")
    assert (report.n_questions, report.n_clips, report.n_missing, report.dropped) == (3, 1, 0, ())
    assert {question.video for question in asked} == {str(videos / "2019" / "a_1_2.mkv")}
    serve = next(question for question in asked if question.id.endswith("serve"))
    assert serve.window is not None
    assert (serve.window.start_s, serve.window.end_s) == pytest.approx((15 / 50, 25 / 50))  # 25 frames a second would say twice
    assert serve.provenance is not None
    assert serve.provenance.video_sha256 == hashlib.sha256((videos / "2019" / "a_1_2.mkv").read_bytes()).hexdigest()


def test_a_question_without_its_clip_is_kept_apart_and_not_asked(tmp_path: Path, videos: Path) -> None:
    report = imported(tmp_path, rally("a_1_2", 20), rally("b_1_2", 20))
    assert (report.n_questions, report.n_missing) == (3, 3)
    assert {question.video for question in lines(tmp_path / "set" / "missing.jsonl")} == {"b_1_2.mp4"}


def test_an_event_that_the_clip_does_not_have_and_a_clip_that_is_none_are_left_out(tmp_path: Path, videos: Path) -> None:
    (videos / "c_1_2.mp4").write_text("not a video")
    report = imported(tmp_path, rally("a_1_2", 59), rally("c_1_2", 5))
    assert {each.reason: each.n_times for each in report.dropped} == {
        "an event outside its clip": 2,
        "a clip that cannot be read": 3,
    }
    assert [question.id for question in lines(tmp_path / "set" / "questions.jsonl")] == ["tennis/a_1_2/strokes"]


@pytest.mark.parametrize(
    "video", ["../secret.mp4", "/etc/secret.mp4", "..\\secret.mp4", "x/../../secret.mp4", "secret\x00.mp4", ""]
)
def test_no_path_of_an_annotation_leads_out_of_the_folder(tmp_path: Path, videos: Path, video: str) -> None:
    (tmp_path / "secret.mp4").write_bytes((videos / "2019" / "a_1_2.mkv").read_bytes())
    assert Clips(videos).find(video) is None


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("one/x_y_z.mkv", "x_y_z"),
        ("one/1_224p.mkv", "league/one/1_224p.mkv"),
        ("deep/league/one/1_224p.mkv", "league/one/1_224p.mkv"),
        ("1_224p.mkv", "league/videos/1_224p.mkv"),
        ("x_y_z.mkv", "videos/x_y_z"),
        ("one/x_y_z.mkv", "/elsewhere/one/x_y_z.mkv"),
    ],
)
def test_a_clip_is_found_where_all_of_the_shorter_path_agrees(file: str, wanted: str, videos: Path) -> None:
    (videos / file).parent.mkdir(parents=True, exist_ok=True)
    (videos / file).touch()
    assert Clips(videos).find(wanted) == videos / file


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("league/one/1_224p.mkv", "league/two/1_224p.mkv"),
        ("league/one/1_224p.mkv", "1_224p/1_224p.mkv"),
        ("1_224p.mkv", "league/one/1_224p.mkv"),
        ("test/one/clip_0.mp4", "train/one/clip_0.mp4"),
        ("one/x_y_z.mkv", "/elsewhere/x_y_z.mkv"),
    ],
)
def test_a_name_that_clips_of_other_folders_may_have_too_is_not_enough(file: str, wanted: str, videos: Path) -> None:
    (videos / file).parent.mkdir(parents=True, exist_ok=True)
    (videos / file).touch()
    assert Clips(videos).find(wanted) is None


def test_the_videos_of_one_match_are_not_linked_to_the_questions_of_another(tmp_path: Path, videos: Path) -> None:
    games = ("2015-02-21 - 18-00 A 1 - 1 B", "2016-05-07 - 17-00 C 3 - 1 D")
    (videos / "epl_2014" / games[0]).mkdir(parents=True)
    write(videos / "epl_2014" / games[0] / "1_224p.mkv", Recipe(n_frames=300))
    rows = [f"epl_2014,{game},1,{at},corner,[PLAYER] takes it at {at}." for game in games for at in (3, 7)]
    (tmp_path / "a.csv").write_text("\n".join(["league,game,half,timestamp,type,anonymized", *rows]) + "\n")
    report = import_source(find_source("matchtime"), tmp_path / "a.csv", tmp_path / "set", videos)
    assert report.n_questions > 0
    for name, game in (("questions.jsonl", games[0]), ("missing.jsonl", games[1])):
        assert {q.provenance.match for q in lines(tmp_path / "set" / name) if q.provenance} == {f"epl_2014/{game}"}


def test_two_clips_of_one_name_are_told_apart_by_path_or_not_at_all(tmp_path: Path, videos: Path) -> None:
    (videos / "2020").mkdir()
    (videos / "2020" / "a_1_2.mp4").write_bytes(b"another")
    clips = Clips(videos)
    assert clips.find("a_1_2.mp4") is None
    assert clips.find("2019/a_1_2.mp4") == videos / "2019" / "a_1_2.mkv"
    assert clips.find("2020/a_1_2") == videos / "2020" / "a_1_2.mp4"


def test_files_that_differ_in_their_ending_alone_are_told_apart_by_it_or_not_at_all(videos: Path) -> None:
    (videos / "2019" / "a_1_2.mp4").write_bytes(b"another")
    clips = Clips(videos)
    assert clips.find("2019/a_1_2.mp4") == videos / "2019" / "a_1_2.mp4"
    assert clips.find("2019/a_1_2.mkv") == videos / "2019" / "a_1_2.mkv"
    assert clips.find("2019/a_1_2") is None


def test_the_clips_of_the_questions_are_described_once_each(tmp_path: Path, videos: Path) -> None:
    write(videos / "b_1_2.mkv", Recipe(n_frames=40))
    write(videos / "nobody_asks.mkv", Recipe(n_frames=40))
    imported(tmp_path, rally("a_1_2", 20), rally("b_1_2", 20), rally("a_1_2", 30))
    text = (tmp_path / "set" / "clips.jsonl").read_text()
    clips = [Clip.model_validate_json(line) for line in text.splitlines()]
    with FrameSource() as source:
        assert clips == [fingerprint(videos / name, source) for name in ("2019/a_1_2.mkv", "b_1_2.mkv")]
    hashes = {q.provenance.video_sha256 for q in lines(tmp_path / "set" / "questions.jsonl") if q.provenance}
    assert set(load_clips(tmp_path / "set")) == hashes


def test_without_videos_nothing_is_said_of_clips_and_what_was_said_is_gone(tmp_path: Path, videos: Path) -> None:
    imported(tmp_path, rally("a_1_2", 20))
    assert (tmp_path / "set" / "clips.jsonl").exists()
    import_source(find_source("tennis"), tmp_path / "val.json", tmp_path / "set")
    assert not (tmp_path / "set" / "clips.jsonl").exists()


def test_an_import_made_again_reads_no_clip_again_even_if_the_first_was_broken_off(tmp_path: Path, videos: Path) -> None:
    tennis = find_source("tennis")

    def interrupted(path: Path, drops: Drops) -> Iterator[Question]:
        yield from tennis.read(path, drops)
        raise KeyboardInterrupt

    def clips_read(source: Source) -> int:
        read: list[None] = []
        with suppress(KeyboardInterrupt):
            import_source(source, path, tmp_path / "set", videos, on_clip=lambda: read.append(None))
        return len(read)

    path = annotated(tmp_path, rally("a_1_2", 20))
    odd = Source(name="odd", title="", sports=("tennis",), dimensions=(Dimension.RULES,), licence="", needs="", read=interrupted)
    assert clips_read(odd) == 1
    assert not (tmp_path / "set" / "questions.jsonl").exists()
    assert clips_read(tennis) == 0
    assert len(lines(tmp_path / "set" / "questions.jsonl")) == len(load_clips(tmp_path / "set")) * 3 == 3


def test_the_folder_of_an_import_is_refused_with_the_path_of_its_questions(tmp_path: Path, videos: Path) -> None:
    imported(tmp_path, rally("a_1_2", 20))
    with pytest.raises(BadRecord, match=r"set is a folder.*/set/questions\.jsonl"):
        load_questions(tmp_path / "set")


def test_a_folder_without_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadAnnotation, match="holds no video file"):
        imported(tmp_path, rally("a_1_2", 20))


def test_an_import_that_breaks_off_leaves_what_was_there(tmp_path: Path) -> None:
    source = find_source("tennis")
    import_source(source, annotated(tmp_path, rally("a_1_2", 20)), tmp_path / "set")
    before = (tmp_path / "set" / "questions.jsonl").read_text()

    def broken(path: Path, drops: Drops) -> Iterator[Question]:
        yield next(iter(source.read(path, drops)))
        raise BadAnnotation("the rest is missing")

    odd = Source(name="odd", title="", sports=("tennis",), dimensions=(Dimension.RULES,), licence="", needs="", read=broken)
    with pytest.raises(BadAnnotation, match="the rest is missing"):
        import_source(odd, tmp_path / "val.json", tmp_path / "set")
    assert (tmp_path / "set" / "questions.jsonl").read_text() == before
    assert sorted(path.name for path in (tmp_path / "set").iterdir() if path.name != ".lock") == [
        "import.json",
        "missing.jsonl",
        "questions.jsonl",
    ]


def deepsport(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_says_what_it_made_and_what_it_left_out(tmp_path: Path) -> None:
    path = annotated(tmp_path, rally("a_1_2", 20), rally("a_1_2", 20), {"video": "x"})
    done = deepsport("data", "import", "tennis", path, "-o", tmp_path / "set")
    assert done.exit_code == 0
    assert "3 questions about 1 clips" in done.stdout
    assert "left out 3 x an id that was there before, such as tennis/a_1_2/" in done.stdout
    report = ImportReport.model_validate_json((tmp_path / "set" / "import.json").read_text())
    assert sum(dropped.n_times for dropped in report.dropped) == 4
    assert len(lines(tmp_path / "set" / "questions.jsonl")) == report.n_questions == 3


def test_the_sources_are_listed_with_their_licence_and_what_they_need() -> None:
    listed = deepsport("data", "sources")
    assert listed.exit_code == 0
    assert "finegym: FineGym" in listed.stdout
    assert "licence     CC-BY-NC-4.0" in listed.stdout


def test_a_wrong_name_and_a_wrong_file_are_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_text("{}")
    for arguments, said in ((("tenis", "x"), "Did you mean 'tennis'"), (("tennis", tmp_path / "odd.json"), "odd.json cannot be")):
        done = deepsport("data", "import", *arguments, "-o", tmp_path / "set")
        assert done.exit_code == 2
        assert said in done.stderr


def test_an_import_has_its_folder_to_itself(tmp_path: Path) -> None:
    held = lock.take(tmp_path / "set")
    try:
        with pytest.raises(RunError, match="is in use by process"):
            import_source(find_source("tennis"), annotated(tmp_path, rally("a_1_2", 20)), tmp_path / "set")
    finally:
        lock.release(held)
