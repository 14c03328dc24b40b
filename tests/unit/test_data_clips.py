"""Clips known by content: what survives a re-encoding, what is told apart, and how questions find their clips again."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from deepsport.arena.generate import make_set
from deepsport.arena.sports import SPORTS
from deepsport.data.clips import NOTES_NAME, Clips, Looked
from deepsport.data.fingerprint import ALIKE_BITS, Clip, alike_pairs, content_hash, fingerprint, frame_hash, load_clips
from deepsport.data.importing import import_source
from deepsport.data.linking import OTHER_CONTENT, LinkReport, link
from deepsport.data.source import find_source
from deepsport.errors import BadAnnotation, BadRecord, BadVideo, RunError
from deepsport.lock import release, take
from deepsport.records import Question
from deepsport.video.source import FrameSource
from video_damage import Make, beginning, directory, empty, fifo, link_to_device, text
from video_files import Pixels, Recipe, full_decode, write

Frames = Sequence[Pixels]


# --- looks


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three clips of each sport."""
    folder = tmp_path_factory.mktemp("arena")
    make_set(folder, n_clips=3 * len(SPORTS), seed=11, sports=tuple(SPORTS))
    return sorted((folder / "clips").glob("*.mp4"))


def encoded(path: Path, frames: Frames, fps: int = 25, crf: int = 23, size: tuple[int, int] | None = None) -> Path:
    height, width = frames[0].shape[:2]
    width, height = size or (width, height)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": str(crf), "preset": "veryfast", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(width=width, height=height, format="yuv420p")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def with_logo(pixels: Pixels) -> Pixels:
    marked = pixels.copy()
    marked[4:22, -40:-4] = (250, 240, 30)
    return marked


def at_15_fps(frames: Frames) -> Frames:
    return [frames[min(round(index * 25 / 15), len(frames) - 1)] for index in range(round(len(frames) * 15 / 25))]


REENCODINGS = {
    "coarsely": lambda path, frames: encoded(path, frames, crf=36),
    "at half the size": lambda path, frames: encoded(path, frames, size=(112, 62)),
    "at 15 frames a second": lambda path, frames: encoded(path, at_15_fps(frames), fps=15),
    "with a logo": lambda path, frames: encoded(path, [with_logo(pixels) for pixels in frames]),
}


@pytest.mark.parametrize("how", REENCODINGS)
def test_a_clip_that_was_encoded_again_looks_like_the_first(how: str, arena: list[Path], tmp_path: Path) -> None:
    with FrameSource() as source:
        for place, path in enumerate(arena[::6]):
            again = REENCODINGS[how](tmp_path / f"{place}.mp4", full_decode(path)[0])
            pairs = alike_pairs([fingerprint(path, source), fingerprint(again, source)])
            assert [pair[:2] for pair in pairs] == [(0, 1)], path.name
            assert pairs[0][2] <= 8 * ALIKE_BITS


def test_clips_of_the_arena_are_told_apart_within_every_sport(arena: list[Path]) -> None:
    with FrameSource() as source:
        clips = [fingerprint(path, source) for path in arena]
    as_long = [clip.model_copy(update={"duration_s": 5.0}) for clip in clips]  # so that all are compared
    assert alike_pairs(as_long) == []


def test_a_clip_is_described_by_its_content_and_its_facts(tmp_path: Path) -> None:
    path = write(tmp_path / "v.mkv", Recipe(n_frames=60, rate=Fraction(50)))
    with FrameSource() as source:
        clip = fingerprint(path, source)
    assert (clip.video, clip.sha256) == (str(path), content_hash(path))
    assert (clip.n_frames, clip.duration_s, clip.size_wh) == (60, pytest.approx(1.2), (96, 64))
    assert len(clip.frame_hashes) == 8


@pytest.mark.parametrize("make", [fifo, directory, empty, text, link_to_device, beginning(0.5), beginning(400)])
def test_what_is_no_whole_video_has_no_fingerprint(make: Make, tmp_path: Path) -> None:
    path = make(tmp_path)
    with FrameSource() as source, pytest.raises(BadVideo, match=path.name):
        fingerprint(path, source)


def steps(*columns: int) -> Pixels:
    """A picture of nine columns, eight rows."""
    return np.repeat(np.tile(np.array(columns, dtype=np.uint8)[None, :, None], (8, 1, 3)), 1, axis=0)


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        ((0, 20, 40, 60, 80, 100, 120, 140, 160), "ff"),
        ((90,) * 9, "00"),
        ((90, 92, 90, 92, 90, 92, 90, 92, 90), "00"),
        ((0, 90, 0, 0, 0, 0, 0, 0, 90), "81"),
        ((200, 180, 160, 140, 120, 100, 80, 60, 40), "00"),
    ],
)
def test_a_bit_stands_for_a_rise_that_compression_does_not_make(columns: tuple[int, ...], row: str) -> None:
    assert frame_hash(steps(*columns)) == row * 8


def clip(name: str, *hashes: int, duration_s: float = 5.0) -> Clip:
    words = tuple(f"{word:016x}" for word in hashes)
    return Clip(video=name, sha256=name, n_frames=125, duration_s=duration_s, size_wh=(224, 126), frame_hashes=words)


FRAMES = tuple(int(word) for word in np.random.default_rng(3).integers(0, 2**63, 8, dtype=np.uint64))
NEARLY = tuple(word ^ 0b10110 for word in FRAMES)


def test_bits_that_differ_are_counted_over_all_frames() -> None:
    assert alike_pairs([clip("a", *FRAMES), clip("b", *NEARLY)]) == [(0, 1, 24)]


def test_so_many_bits_and_no_more_may_differ() -> None:
    def others(n_bits: int) -> tuple[int, ...]:
        return tuple(word ^ ((1 << n_bits) - 1) for word in FRAMES)

    assert alike_pairs([clip("a", *FRAMES), clip("b", *others(6))]) == [(0, 1, 48)]
    assert alike_pairs([clip("a", *FRAMES), clip("b", *others(7))]) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (clip("a", *FRAMES), clip("a", *NEARLY)),
        (clip("a", *FRAMES), clip("b", *NEARLY, duration_s=5.3)),
        (clip("a", *FRAMES), clip("b", *NEARLY[:7])),
        (clip("a", *FRAMES[:3]), clip("b", *NEARLY[:3])),
        (clip("a", *[0] * 8), clip("b", *[0] * 8)),
        (clip("a", *[0] * 8), clip("b", *[0b1111] * 8)),
        (clip("a", *FRAMES[:3], *[0] * 5), clip("b", *FRAMES[:3], *[1] * 5)),
        (clip("a", *FRAMES), clip("b", *FRAMES[:5], 0, 0, 0)),
    ],
    ids=["one file", "other length", "other count", "few frames", "black", "nearly black", "mostly black", "black at the end"],
)
def test_clips_that_cannot_be_or_are_not_compared_are_not_alike(first: Clip, second: Clip) -> None:
    assert alike_pairs([first, second]) == []


def test_black_frames_in_both_clips_are_left_out_of_the_comparison() -> None:
    assert alike_pairs([clip("a", *FRAMES[:4], *[0] * 4), clip("b", *FRAMES[:4], *[1] * 4)]) == [(0, 1, 0)]
    off = tuple(word ^ 0b1111111 for word in FRAMES[:4])  # 28 bits: few of eight frames, many of four
    assert alike_pairs([clip("a", *FRAMES[:4], *[0] * 4), clip("b", *off, *[0] * 4)]) == []


@pytest.mark.parametrize("as_long", [True, False], ids=["all as long", "of many lengths"])
def test_every_pair_is_found_wherever_its_clips_stand(as_long: bool) -> None:
    draw = np.random.default_rng(5)
    words = draw.integers(0, 2**63, (1400, 8), dtype=np.uint64)
    planted = sorted((int(i), int(i) + 700) for i in draw.choice(700, 40, replace=False))
    for i, j in planted:
        words[j] = words[i] ^ np.uint64(1 << 40)
    lengths = [5.0 if as_long else 3 + float(draw.random()) * 20 for _ in range(700)]
    clips = [clip(str(n), *map(int, row), duration_s=lengths[n % 700]) for n, row in enumerate(words)]
    assert alike_pairs(clips) == [(i, j, 8) for i, j in planted]


def test_copies_of_copies_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepsport.data.fingerprint.MOST_PAIRS", 7)
    assert len(alike_pairs([clip(str(n), *FRAMES) for n in range(10)])) == 7


def test_clips_are_read_from_their_file_or_its_folder_by_content(tmp_path: Path) -> None:
    assert load_clips(tmp_path) == load_clips(tmp_path / "clips.jsonl") == {}
    (tmp_path / "clips.jsonl").write_text(clip("a", *FRAMES).model_dump_json() + "\n")
    assert load_clips(tmp_path) == load_clips(tmp_path / "clips.jsonl") == {"a": clip("a", *FRAMES)}


@pytest.mark.parametrize("word", ["xyz", "0" * 15, "0" * 17, "F" * 16])
def test_a_clip_with_a_hash_that_is_none_is_refused(word: str, tmp_path: Path) -> None:
    (tmp_path / "clips.jsonl").write_text(clip("a", 1).model_dump_json().replace("0" * 15 + "1", word) + "\n")
    with pytest.raises(BadRecord, match=r"clips\.jsonl:1"):
        load_clips(tmp_path)


# --- looked at once


def looked(folder: Path, notes: Path) -> tuple[list[str], int]:
    """The hashes of a folder's clips, and how many had to be read for them."""
    read: list[None] = []
    with FrameSource() as source:
        known = Looked(notes, folder, source, lambda: read.append(None))
        hashes = [known.clip(file).sha256 for file in Clips(folder).files]
        known.close()
    return hashes, len(read)


@pytest.fixture
def two(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    write(tmp_path / "videos" / "a.mkv", Recipe(n_frames=40))
    write(tmp_path / "videos" / "b.mkv", Recipe(n_frames=50))
    return tmp_path / "videos"


def test_a_clip_is_read_once_and_again_only_when_it_has_changed(two: Path, tmp_path: Path) -> None:
    hashes, n_read = looked(two, tmp_path / "notes")
    assert (n_read, looked(two, tmp_path / "notes")) == (2, (hashes, 0))
    write(two / "b.mkv", Recipe(n_frames=60))
    assert looked(two, tmp_path / "notes") == ([hashes[0], content_hash(two / "b.mkv")], 1)


@pytest.mark.parametrize(("tail", "n_read"), [(b'{"path": "b.mk', 0), (b"{}\n", 2)], ids=["torn by a kill", "changed by hand"])
def test_notes_that_cannot_be_read_cost_a_second_look_and_nothing_else(
    tail: bytes, n_read: int, two: Path, tmp_path: Path
) -> None:
    hashes, _ = looked(two, tmp_path / "notes")
    with (tmp_path / "notes").open("ab") as notes:
        notes.write(tail)
    assert looked(two, tmp_path / "notes") == (hashes, n_read)
    assert looked(two, tmp_path / "notes") == (hashes, 0)


def test_a_hash_is_noted_without_looks_and_looks_are_added_without_reading_for_it_again(two: Path, tmp_path: Path) -> None:
    with FrameSource() as source:
        known = Looked(tmp_path / "notes", two, source)
        assert known.sha256(two / "a.mkv") == content_hash(two / "a.mkv")
        assert known.clip(two / "a.mkv") == fingerprint(two / "a.mkv", source)


# --- linked again


def serve(video: str) -> dict[str, object]:
    return {"video": video, "num_frames": 60, "fps": 25, "events": [{"frame": 20, "label": "near_court_serve", "comment": ""}]}


def questions(path: Path) -> list[Question]:
    return [Question.model_validate_json(line) for line in path.read_text().splitlines()]


def ids(path: Path) -> set[str]:
    return {question.id for question in questions(path)}


def imported(tmp_path: Path, *videos: str, linking: bool = True) -> Path:
    """An import of three questions about each video, with those clips that are there."""
    (tmp_path / "val.json").write_text(json.dumps([serve(video) for video in videos]))
    import_source(find_source("tennis"), tmp_path / "val.json", tmp_path / "set", tmp_path / "videos" if linking else None)
    return tmp_path / "set"


def counted(report: LinkReport) -> tuple[int, int, int]:
    return report.n_kept, report.n_linked, report.n_missing


def moved(two: Path, name: str) -> Path:
    """The folder of clips under another name, its first clip renamed."""
    there = two.rename(two.with_name("moved"))
    (there / "deep").mkdir()
    (there / "a.mkv").rename(there / "deep" / name)
    return there


def test_a_clip_that_was_moved_and_renamed_is_found_by_its_content(two: Path, tmp_path: Path) -> None:
    made = imported(tmp_path, "a", "b")
    there = moved(two, "renamed.mkv")
    assert counted(link(made, there)) == (0, 6, 0)
    assert {question.video for question in questions(made / "questions.jsonl")} == {
        str(there / "deep" / "renamed.mkv"),
        str(there / "b.mkv"),
    }
    assert {Path(each.video).name for each in load_clips(made).values()} == {"renamed.mkv", "b.mkv"}
    assert counted(link(made, there)) == (6, 0, 0)


def test_a_file_of_the_right_name_with_other_content_is_not_taken_but_named(two: Path, tmp_path: Path) -> None:
    made = imported(tmp_path, "a", "b")
    there = two.rename(two.with_name("moved"))
    write(there / "a.mkv", Recipe(n_frames=33))
    report = link(made, there)
    assert counted(report) == (0, 3, 3)
    assert [(unfit.reason, unfit.n_times, unfit.examples[0]) for unfit in report.unfit] == [(OTHER_CONTENT, 3, "a.mkv")]
    assert {question.video for question in questions(made / "questions.jsonl")} == {str(there / "b.mkv")}


def test_a_question_that_never_had_a_clip_takes_the_one_of_its_name_in_the_clips_own_time(two: Path, tmp_path: Path) -> None:
    made = imported(tmp_path, "a", "c", linking=False)
    write(two / "a.mkv", Recipe(n_frames=60, rate=Fraction(50)))
    assert counted(link(made, two)) == (0, 3, 3)
    asked = next(question for question in questions(made / "questions.jsonl") if question.window)
    assert asked.window is not None
    assert (asked.window.start_s, asked.window.end_s) == pytest.approx((15 / 50, 25 / 50))
    assert asked.provenance is not None
    assert asked.provenance.video_sha256 == content_hash(two / "a.mkv")
    assert {question.video for question in questions(made / "missing.jsonl")} == {"c.mp4"}


def test_a_missing_clip_that_arrives_later_is_linked(two: Path, tmp_path: Path) -> None:
    made = imported(tmp_path, "a", "c")
    assert counted(link(made, two)) == (3, 0, 3)
    write(two / "c.mp4", Recipe(n_frames=60))
    assert counted(link(made, two)) == (3, 3, 0)
    assert (made / "missing.jsonl").read_text() == ""
    assert sorted(Path(each.video).name for each in load_clips(made).values()) == ["a.mkv", "c.mp4"]


def test_a_clip_that_is_gone_sets_its_questions_apart_until_it_is_back(two: Path, tmp_path: Path) -> None:
    made = imported(tmp_path, "a", "b")
    before = (made / "questions.jsonl").read_text()
    (two / "a.mkv").rename(tmp_path / "kept.mkv")
    assert counted(link(made, two)) == (3, 0, 3)
    (tmp_path / "kept.mkv").rename(two / "a.mkv")
    assert counted(link(made, two)) == (3, 3, 0)
    assert sorted((made / "questions.jsonl").read_text().splitlines()) == sorted(before.splitlines())


def test_a_clip_that_was_replaced_where_it_stands_is_gone(two: Path, tmp_path: Path) -> None:
    made = imported(tmp_path, "a", "b")
    write(two / "a.mkv", Recipe(n_frames=33))
    report = link(made, two)
    assert counted(report) == (3, 0, 3)
    assert [(unfit.reason, unfit.n_times, unfit.examples[0]) for unfit in report.unfit] == [(OTHER_CONTENT, 3, "a.mkv")]
    assert {question.video for question in questions(made / "missing.jsonl")} == {str(two / "a.mkv")}


def test_a_clip_that_was_replaced_by_one_that_cannot_be_read_is_gone(two: Path, tmp_path: Path) -> None:
    made = imported(tmp_path, "a", "b")
    os.truncate(two / "a.mkv", 0)
    assert counted(link(made, two)) == (3, 0, 3)


def test_a_clip_that_was_written_again_with_the_same_content_is_kept_after_one_look(two: Path, tmp_path: Path) -> None:
    made = imported(tmp_path, "a", "b")
    os.utime(two / "a.mkv", (1, 1))
    read: list[None] = []
    for _ in range(2):
        assert counted(link(made, two, on_clip=lambda: read.append(None))) == (6, 0, 0)
    assert len(read) == 1


def test_a_clip_outside_the_folder_of_videos_is_kept_and_read_once_for_that(two: Path, tmp_path: Path) -> None:
    made = imported(tmp_path, "a", "b")
    (tmp_path / "others").mkdir()
    write(tmp_path / "others" / "c.mkv", Recipe(n_frames=40))
    read: list[None] = []
    for _ in range(2):
        assert counted(link(made, tmp_path / "others", on_clip=lambda: read.append(None))) == (6, 0, 0)
    assert len(read) == 2
    write(two / "a.mkv", Recipe(n_frames=33))
    assert counted(link(made, tmp_path / "others")) == (3, 0, 3)


def test_a_clip_that_was_there_and_never_looked_at_gives_its_hash_and_its_true_times(two: Path, tmp_path: Path) -> None:
    write(two / "a.mp4", Recipe(n_frames=60, rate=Fraction(50)))
    made = imported(tmp_path, "a", linking=False)
    os.rename(made / "questions.jsonl", two / "questions.jsonl")  # here `a.mp4` leads to the clip
    assert counted(link(two, two)) == (0, 3, 0)
    linked = questions(two / "questions.jsonl")
    assert {question.video for question in linked} == {str(two / "a.mp4")}
    assert {question.provenance.video_sha256 for question in linked if question.provenance} == {content_hash(two / "a.mp4")}
    asked = next(question for question in linked if question.window)
    assert asked.window is not None
    assert (asked.window.start_s, asked.window.end_s) == pytest.approx((15 / 50, 25 / 50))
    assert counted(link(two, two)) == (3, 0, 0)


def test_questions_without_provenance_have_nothing_to_gain_from_a_clip_that_is_there(two: Path) -> None:
    (two / "questions.jsonl").write_text(Question(id="q", video="a.mkv", text="How many?").model_dump_json() + "\n")
    before = (two / "questions.jsonl").read_text()
    assert counted(link(two, two)) == (1, 0, 0)
    assert (two / "questions.jsonl").read_text() == before


def test_what_a_killed_run_left_half_written_is_removed_and_nothing_else(two: Path, tmp_path: Path) -> None:
    made = imported(tmp_path, "a", "b")
    for name in (".missing.jsonl.123.partial", ".questions.jsonl.123.partial", ".clips.jsonl.123.partial"):
        (made / name).write_text("half")
    others = {".missing.jsonl.mine.partial", ".other.jsonl.123.partial", "missing.jsonl.123.partial"}
    for name in others:
        (made / name).touch()
    link(made, two)
    assert {path.name for path in made.iterdir() if path.name.endswith(".partial")} == others


@pytest.mark.parametrize("place", ["", "manifest.json", "train", "test", "train.jsonl"])
def test_a_dataset_is_not_linked_and_stays_as_it_is(place: str, two: Path, tmp_path: Path) -> None:
    (tmp_path / "pub").mkdir()
    (tmp_path / "pub" / "manifest.json").touch()
    asked = Question(id="q", video="gone.mkv", text="How many?").model_dump_json() + "\n"
    (tmp_path / "pub" / "train.jsonl").write_text(asked)
    with pytest.raises(BadRecord, match=r"dataset.*Link the imports"):
        link(tmp_path / "pub" / place, two)
    assert sorted(path.name for path in (tmp_path / "pub").iterdir()) == ["manifest.json", "train.jsonl"]
    assert (tmp_path / "pub" / "train.jsonl").read_text() == asked


def test_a_file_of_questions_by_another_name_has_missing_ones_of_its_own(two: Path, tmp_path: Path) -> None:
    made = imported(tmp_path, "a", "c", linking=False)
    mine = (made / "questions.jsonl").rename(made / "mine.jsonl")
    assert counted(link(mine, two)) == (0, 3, 3)
    assert (len(ids(mine)), len(ids(made / "mine.missing.jsonl"))) == (3, 3)


def test_an_event_that_the_linked_clip_does_not_have_stays_with_the_missing_ones(two: Path, tmp_path: Path) -> None:
    made = imported(tmp_path, "a", linking=False)
    write(two / "a.mkv", Recipe(n_frames=22))  # the event ends at frame 25
    report = link(made, two)
    assert [unfit.reason for unfit in report.unfit] == ["an event outside its clip"]
    assert report.n_missing == len(ids(made / "missing.jsonl")) > 0
    assert report.n_missing + report.n_linked == 3


def test_a_line_that_is_no_question_stops_a_link_before_it_changes_anything(two: Path, tmp_path: Path) -> None:
    made = imported(tmp_path, "a", "c")
    with (made / "missing.jsonl").open("a") as file:
        file.write("{}\n")
    before = {path.name: path.read_bytes() for path in made.iterdir() if path.name != ".lock"}
    (two / "a.mkv").unlink()
    with pytest.raises(BadRecord, match=r"missing\.jsonl:4"):
        link(made, two)
    assert {path.name: path.read_bytes() for path in made.iterdir() if path.name != ".lock"} == before


def test_a_link_needs_clips_and_questions_and_has_them_to_itself(two: Path, tmp_path: Path) -> None:
    made = imported(tmp_path, "a")
    (tmp_path / "none").mkdir()
    with pytest.raises(BadAnnotation, match="holds no video file"):
        link(made, tmp_path / "none")
    with pytest.raises(RunError, match=r"questions\.jsonl: there is no such file"):
        link(tmp_path / "none", two)
    held = take(made)
    try:
        with pytest.raises(RunError, match="in use by process"):
            link(made, two)
    finally:
        release(held)


KILLED = """
import os, signal, sys
from pathlib import Path
from deepsport.data.linking import link

left = int(sys.argv[3])

def before_replacing(event, arguments):
    global left
    if event == "os.rename":
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

sys.addaudithook(before_replacing)
link(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("n_replaced", [0, 1, 2, 3])
def test_no_question_is_lost_to_a_kill_between_two_files(n_replaced: int, two: Path, tmp_path: Path) -> None:
    made = imported(tmp_path, "a", "b", "c")
    all_ids = ids(made / "questions.jsonl") | ids(made / "missing.jsonl")
    (two / "a.mkv").unlink()  # these questions leave what can be asked, those of c enter it
    write(two / "c.mp4", Recipe(n_frames=60))
    arguments = (sys.executable, "-c", KILLED, str(made), str(two), str(n_replaced))
    assert subprocess.run(arguments, check=False).returncode == -signal.SIGKILL
    assert ids(made / "questions.jsonl") | ids(made / "missing.jsonl") == all_ids
    link(made, two)
    assert {Path(question.video).stem for question in questions(made / "questions.jsonl")} == {"b", "c"}
    assert {Path(question.video).stem for question in questions(made / "missing.jsonl")} == {"a"}
    assert len(questions(made / "questions.jsonl")) + len(questions(made / "missing.jsonl")) == len(all_ids) == 9
    assert not list(made.glob(".*.partial"))


def test_questions_found_before_a_kill_are_no_longer_missing_after_the_next_link(two: Path, tmp_path: Path) -> None:
    made = imported(tmp_path, "a", "c")
    write(two / "c.mp4", Recipe(n_frames=60))
    subprocess.run((sys.executable, "-c", KILLED, str(made), str(two), "3"), check=False)
    assert (len(questions(made / "questions.jsonl")), len(questions(made / "missing.jsonl"))) == (6, 3)
    assert counted(link(made, two)) == (6, 0, 0)
    assert (made / "missing.jsonl").read_text() == ""


def test_a_second_link_reads_no_clip_that_the_first_has_read(two: Path, tmp_path: Path) -> None:
    made = imported(tmp_path, "a", "c")
    os.truncate(made / NOTES_NAME, 0)
    (two / "a.mkv").unlink()
    read: list[None] = []
    link(made, two, on_clip=lambda: read.append(None))
    assert len(read) == 1
    link(made, two, on_clip=lambda: read.append(None))
    assert len(read) == 1
