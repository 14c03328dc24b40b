"""Fault group D, and the paths of group S: whatever an annotation, a file of questions or a folder of clips holds, an import, a
link and a check end with counts or with one line that says what, where and what to do.

Decided here: a clip that is there but cannot be read drops its questions from an import with a reason; one that is not there sets
them apart. A link to a file counts as the file, since whoever made the folder put it there; no data file can name one that is not
in the folder.
"""

import json
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deepsport.cli.main import app
from deepsport.data.check import CheckReport, Fault, check
from deepsport.data.clips import Clips
from deepsport.data.fingerprint import CLIPS_NAME, content_hash, load_clips
from deepsport.data.importing import ImportReport, import_source
from deepsport.data.linking import link
from deepsport.data.question_lines import LineFault
from deepsport.data.source import Drops, Source, find_source
from deepsport.data.stats import stats
from deepsport.errors import BadVideo, RunError
from deepsport.records import Dimension, Question
from video_damage import Make, beginning, directory, empty, fifo, link_to_device, text
from video_files import Recipe, write

UNREADABLE = "a clip that cannot be read"


def serve(video: str, frame: int = 20) -> dict[str, object]:
    return {
        "video": video,
        "num_frames": 900,
        "fps": -1,
        "events": [{"frame": frame, "label": "near_court_serve", "comment": ""}],
    }


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    write(tmp_path / "videos" / "good.mkv", Recipe(n_frames=60, rate=Fraction(25)))
    return tmp_path / "videos"


def imported(tmp_path: Path, *clips: dict[str, object]) -> ImportReport:
    """Each annotated clip becomes three questions."""
    (tmp_path / "val.json").write_text(json.dumps(clips))
    return import_source(find_source("tennis"), tmp_path / "val.json", tmp_path / "set", tmp_path / "videos")


def reasons(report: ImportReport) -> dict[str, int]:
    return {dropped.reason: dropped.n_times for dropped in report.dropped}


def deepsport(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def one_line(done: Result) -> str:
    """What a refused command says, beside how far it came."""
    assert done.exit_code == 2
    [said] = [line for line in done.stderr.splitlines() if not line.endswith(" questions, 0 s")]
    return said


# --- clips that are there and cannot be used


@pytest.mark.parametrize("make", [fifo, empty, text, link_to_device, beginning(0.5), beginning(400)])
def test_a_clip_that_cannot_be_read_drops_its_questions_and_the_others_stay(make: Make, tmp_path: Path, videos: Path) -> None:
    bad = make(videos)
    report = imported(tmp_path, serve(bad.stem), serve("good"))
    assert (report.n_questions, report.n_missing, reasons(report)) == (3, 0, {UNREADABLE: 3})
    assert [Path(clip.video).name for clip in load_clips(tmp_path / "set").values()] == ["good.mkv"]


def test_a_folder_called_like_a_clip_is_no_clip(tmp_path: Path, videos: Path) -> None:
    report = imported(tmp_path, serve(directory(videos).stem), serve("good"))
    assert (report.n_questions, report.n_missing, report.dropped) == (3, 3, ())


def between(tmp_path: Path, videos: Path, happens: Callable[[], object]) -> ImportReport:
    """An import in which something happens to the folder of videos when its clips have been listed and before any is read."""
    (tmp_path / "val.json").write_text(json.dumps([serve("bad"), serve("good")]))
    tennis = find_source("tennis")

    def read(path: Path, drops: Drops) -> Iterator[Question]:
        happens()
        yield from tennis.read(path, drops)

    source = Source(name="t", title="", sports=("tennis",), dimensions=(Dimension.RULES,), licence="", needs="", read=read)
    return import_source(source, tmp_path / "val.json", tmp_path / "set", videos)


def test_a_clip_that_vanishes_during_an_import_costs_its_own_questions_only(tmp_path: Path, videos: Path) -> None:
    bad = write(videos / "bad.mkv", Recipe(n_frames=60))
    report = between(tmp_path, videos, bad.unlink)
    assert (report.n_questions, reasons(report)) == (3, {UNREADABLE: 3})


def test_a_file_whose_reading_fails_is_a_bad_video_and_no_fault_of_the_disk_of_the_questions() -> None:
    broken = Path("/proc/self/mem")  # can be opened; reading its first byte gives EIO
    if not broken.exists():
        pytest.skip("no /proc here")
    with pytest.raises(BadVideo, match="Input/output error"):
        content_hash(broken)


def test_a_folder_of_questions_that_cannot_be_written_is_named(tmp_path: Path, videos: Path) -> None:
    (tmp_path / "set").write_text("a file")
    with pytest.raises(RunError, match=r"set: a file of this name is in the way"):
        imported(tmp_path, serve("good"))


def test_an_error_of_a_source_is_not_taken_for_one_of_the_questions(tmp_path: Path, videos: Path) -> None:
    def fails() -> None:
        raise PermissionError(13, "Permission denied", "elsewhere.json")

    with pytest.raises(PermissionError, match=r"elsewhere\.json"):
        between(tmp_path, videos, fails)
    assert not (tmp_path / "set" / "questions.jsonl").exists()


@pytest.mark.parametrize("frame", [56, 59, 60, 899])
def test_a_label_outside_its_clip_is_dropped_and_counted(frame: int, tmp_path: Path, videos: Path) -> None:
    report = imported(tmp_path, serve("good", frame))
    assert (report.n_questions, reasons(report)) == (1, {"an event outside its clip": 2})


def test_a_clip_that_was_replaced_is_an_error_where_hashes_are_compared(tmp_path: Path, videos: Path) -> None:
    imported(tmp_path, serve("good"))
    write(videos / "good.mkv", Recipe(n_frames=61))
    assert check(tmp_path / "set").n_errors == 0
    assert found(check(tmp_path / "set", hash_clips=True))[Fault.CLIP_CHANGED] == 3
    assert deepsport("data", "check", tmp_path / "set", "--hash").exit_code == 1


def test_a_file_whose_name_is_no_text_is_passed_over(tmp_path: Path, videos: Path) -> None:
    imported(tmp_path, serve("good"))
    os.rename(videos / "good.mkv", os.fsencode(videos) + b"/g\xffd.mkv")
    os.mkdir(os.fsencode(videos) + b"/\xff")
    Path(os.fsdecode(os.fsencode(videos) + b"/\xff/good.mkv")).write_bytes(b"another")
    write(videos / "other.mkv", Recipe(n_frames=60))
    report = link(tmp_path / "set", videos)
    assert (report.n_missing, report.unfit) == (3, ())


def test_a_folder_of_videos_whose_name_is_no_text_is_refused_in_one_line(tmp_path: Path, videos: Path) -> None:
    (tmp_path / "val.json").write_text(json.dumps([serve("good")]))
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    videos.rename(odd)
    said = one_line(deepsport("data", "import", "tennis", tmp_path / "val.json", "-o", tmp_path / "set", "--videos", odd))
    assert "not text" in said


# --- paths


@pytest.fixture
def secret(videos: Path) -> Path:
    """A video outside the folder, reachable from it in every way that a path knows."""
    path = write(videos.parent / "secret.mkv", Recipe(n_frames=60))
    (videos.parent / "videos_evil").mkdir()
    (videos.parent / "videos_evil" / "secret.mkv").write_bytes(path.read_bytes())
    (videos / "out").symlink_to(videos.parent)
    return path


OUTSIDE = [
    "../secret.mkv",
    "x/../../secret.mkv",
    "./../secret.mkv",
    "..\\secret.mkv",
    "%2e%2e/secret.mkv",
    "%2e%2e%2fsecret.mkv",
    "..%00/secret.mkv",
    "secret.mkv\0.mkv",
    "../videos_evil/secret.mkv",
    "videos_evil/secret.mkv",
    "out/secret.mkv",
    "C:\\secret.mkv",
    "C:/secret.mkv",
    "\\\\server\\share\\secret.mkv",
    "//server/share/secret.mkv",
    "file:///secret.mkv",
    "{videos}/../secret.mkv",
    "{videos}_evil/secret.mkv",
    "{secret}",
]


@pytest.mark.parametrize("video", OUTSIDE)
def test_no_path_of_a_data_file_reaches_a_file_outside_the_folder(video: str, tmp_path: Path, videos: Path, secret: Path) -> None:
    video = video.format(videos=videos, secret=secret)
    assert Clips(videos).find(video) is None
    report = imported(tmp_path, serve(video), serve("good"))
    assert report.n_questions == 3
    assert [Path(clip.video).name for clip in load_clips(tmp_path / "set").values()] == ["good.mkv"]


@pytest.mark.parametrize("video", OUTSIDE)
def test_no_path_of_a_question_is_linked_to_a_file_outside_the_folder(
    video: str, tmp_path: Path, videos: Path, secret: Path
) -> None:
    imported(tmp_path, serve("gone"), serve("good"))
    named = json.dumps(video.format(videos=videos, secret=secret))
    missing = tmp_path / "set" / "missing.jsonl"
    missing.write_text(missing.read_text().replace('"gone.mp4"', named))
    assert link(tmp_path / "set", videos).n_missing == 3


def test_a_link_that_the_person_made_counts_as_the_file_and_one_to_a_folder_is_not_followed(videos: Path, secret: Path) -> None:
    (videos / "mine.mkv").symlink_to(secret)
    clips = Clips(videos)
    assert clips.find("mine") == videos / "mine.mkv"
    assert [file.name for file in clips.files] == ["good.mkv", "mine.mkv"]


def test_a_link_that_leads_nowhere_is_a_clip_that_cannot_be_read(tmp_path: Path, videos: Path) -> None:
    (videos / "bad.mkv").symlink_to(videos / "none.mkv")
    assert reasons(imported(tmp_path, serve("bad"))) == {UNREADABLE: 3}


# --- files of questions


def line(question_id: str = "q", **fields: object) -> str:
    gold = {"kind": "number", "answer": 2}
    known = {"id": question_id, "video": "a.mkv", "text": "How many?", "sport": "tennis", "dimension": "rules", "gold": gold}
    return json.dumps({**known, **fields}, ensure_ascii=False)


EXPECTED = {Fault.CLIP_MISSING, Fault.NO_PROVENANCE}
"""Of every such line."""


def found(report: CheckReport) -> dict[str, int]:
    return {each.fault: each.n_times for each in report.findings}


def checked(tmp_path: Path, content: bytes) -> dict[str, int]:
    """What is found in a file, beyond what is expected."""
    (tmp_path / "questions.jsonl").write_bytes(content)
    report = check(tmp_path / "questions.jsonl")
    return {"questions": report.n_questions} | {fault: n for fault, n in found(report).items() if fault not in EXPECTED}


@pytest.mark.parametrize(
    ("encoding", "end", "fault"),
    [
        ("utf-8", "\n", {}),
        ("utf-8-sig", "\n", {}),
        ("utf-8", "\r\n", {}),
        ("utf-8-sig", "\r\n\r\n", {}),
        ("utf-16", "\n", {LineFault.UTF_16: 1}),
        ("utf-16", "\r\n", {LineFault.UTF_16: 1}),
    ],
)
def test_questions_are_checked_in_any_usual_encoding(encoding: str, end: str, fault: dict[str, int], tmp_path: Path) -> None:
    content = end.join([line("發"), line("球"), line("發"), ""]).encode(encoding)
    assert checked(tmp_path, content) == {"questions": 3, Fault.DUPLICATE_ID: 1} | fault


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (b"{}", LineFault.BROKEN),
        (b'{"id": "q", "vid', LineFault.BROKEN),
        (b"[" * 100_000, LineFault.BROKEN),
        (b"null", LineFault.BROKEN),
        (line(unknown=1).encode(), LineFault.BROKEN),
        (line(window={"start_s": -1, "end_s": 2}).encode(), LineFault.BROKEN),
        (line(window={"start_s": 3, "end_s": 2}).encode(), LineFault.BROKEN),
        (line(gold={"kind": "choice", "options": ["a", "b"], "answer": "c"}).encode(), LineFault.BROKEN),
        (line().replace("How", "\\ud800").encode(), LineFault.BROKEN),
        (line().replace("How", "How\xff").encode("latin-1"), LineFault.NOT_TEXT),
        (line().encode() + b"\0", LineFault.BROKEN),
    ],
)
def test_a_broken_line_is_counted_with_its_place_and_the_next_is_read(bad: bytes, fault: LineFault, tmp_path: Path) -> None:
    content = line("a").encode() + b"\n\n" + bad + b"\n" + line("b").encode()
    assert checked(tmp_path, content) == {"questions": 2, fault: 1}
    report = check(tmp_path)
    assert report.findings[0].examples[0].startswith("questions.jsonl:3: ")
    assert (stats([tmp_path]).n_questions, stats([tmp_path]).n_broken) == (2, 1)


def test_utf_16_that_ends_within_a_character_is_said_and_ends_the_file(tmp_path: Path) -> None:
    content = (line("a") + "\n" + line("b") + "\n").encode("utf-16") + b"{"
    assert checked(tmp_path, content) == {"questions": 2, LineFault.UTF_16: 1, LineFault.NOT_TEXT: 1}


def test_a_line_of_50_mb_is_passed_over_without_being_held(tmp_path: Path) -> None:
    content = line("a").encode() + b"\n" + line("long", text="x" * 50_000_000).encode() + b"\n" + line("b").encode() + b"\n"
    started = time.monotonic()
    assert checked(tmp_path, content) == {"questions": 2, LineFault.TOO_LONG: 1}
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_found(number: str, tmp_path: Path) -> None:
    assert checked(tmp_path, line().replace('"answer": 2', f'"answer": {number}').encode())[Fault.NOT_FINITE] == 1


@pytest.mark.parametrize("video", ["", ".", "a\0b", "x" * 5000, "/dev/zero", "../" * 400])
def test_a_video_that_no_file_can_be_is_missing_and_nothing_is_waited_for(video: str, tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").write_text(line(video=video))
    report = check(tmp_path, open_clips=True, hash_clips=True)
    assert found(report)[Fault.CLIP_MISSING] == 1


def test_a_pipe_in_place_of_a_clip_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").write_text(line(video=fifo(tmp_path).name))
    reports: list[CheckReport] = []
    waiting = threading.Thread(target=lambda: reports.append(check(tmp_path, open_clips=True, hash_clips=True)), daemon=True)
    waiting.start()
    waiting.join(timeout=10)
    assert [found(report)[Fault.CLIP_MISSING] for report in reports] == [1]


def test_an_unknown_sport_and_a_missing_clip_are_said_and_are_no_errors(tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").write_text(line(sport="quidditch"))
    done = deepsport("data", "check", tmp_path)
    assert done.exit_code == 0
    assert "warning 1 x no sport, or an unknown one, such as q" in done.stdout
    assert "warning 1 x a clip that is not there, such as q" in done.stdout


@pytest.mark.parametrize("command", ["check", "stats"])
def test_a_path_that_holds_no_questions_is_refused_in_one_line(command: str, tmp_path: Path) -> None:
    assert "neither a file of questions, nor a folder" in one_line(deepsport("data", command, tmp_path / "none"))
    (tmp_path / "manifest.json").write_text("{")
    assert "manifest.json" in one_line(deepsport("data", command, tmp_path))


def test_clips_jsonl_that_is_broken_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").write_text(line())
    (tmp_path / CLIPS_NAME).write_text("{}\n")
    assert "clips.jsonl:1" in one_line(deepsport("data", "check", tmp_path))


# --- a poisoned annotation


class Poison:
    """An object whose pickle writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_poisoned_pickle_is_refused_with_the_name_of_what_it_would_call(protocol: int, tmp_path: Path) -> None:
    annotations = {(1, 19): {"final_score": 5.0}, (1, 20): Poison(tmp_path / "executed")}
    (tmp_path / "final_annotations_dict.pkl").write_bytes(pickle.dumps(annotations, protocol))
    said = one_line(deepsport("data", "import", "mtl-aqa", tmp_path, "-o", tmp_path / "set"))
    assert "final_annotations_dict.pkl" in said
    assert "posix" in said
    assert "system" in said
    assert not (tmp_path / "executed").exists()
    assert not (tmp_path / "set" / "questions.jsonl").exists()
