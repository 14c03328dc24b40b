"""The standing test set: its 6,700 questions as they should be, without a pixel drawn; and a small set of its kind, rendered."""

import hashlib
import os
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import av
import pytest
from typer.testing import CliRunner, Result

from deepsport.arena.encode import picture_digest
from deepsport.arena.generate import make_set, render_clip
from deepsport.arena.questions import Topic, topic_of
from deepsport.arena.script import Dials
from deepsport.arena.sports import TRAINED
from deepsport.arena.standing import (
    DIGESTS,
    N_CLIPS,
    N_QUESTIONS,
    PARTS,
    SEED,
    Part,
    Script,
    digests,
    make_standing,
    part_of,
    require_equal,
    write_scripts,
)
from deepsport.arena.truth import Difficulty
from deepsport.cli.main import app
from deepsport.errors import BadRecord, RunError
from deepsport.records import Dimension, Question, Record
from deepsport.video.sample import uniform

ROOT = Path(__file__).resolve().parents[2]

SMALL = (
    Part(name="standard", clips_per_sport=2, dials=Dials(longest=64)),
    Part(name="hard", clips_per_sport=1, dials=Dials(longest=64, difficulty=Difficulty.HARD)),
)


@cache
def scripts() -> tuple[Script, ...]:
    return tuple(write_scripts())


def questions_of(found: Sequence[Script]) -> list[Question]:
    return [question for script in found for question in script.questions]


def lines_digest(records: Sequence[Record]) -> str:
    return hashlib.sha256("".join(record.model_dump_json() + "\n" for record in records).encode()).hexdigest()


def test_it_has_6700_questions_about_1680_clips_each_with_an_id_of_its_own() -> None:
    questions = questions_of(scripts())
    assert len(questions) == N_QUESTIONS == 6_700
    assert len({question.id for question in questions}) == 6_700
    assert (
        len({script.truth.video for script in scripts()}) == len({script.truth.seed for script in scripts()}) == N_CLIPS == 1_680
    )


def test_every_sport_and_dimension_has_139_or_140_questions_and_fencing_none() -> None:
    cells = Counter((script.truth.sport, question.dimension) for script in scripts() for question in script.questions)
    assert set(cells) == {(sport, dimension) for sport in TRAINED for dimension in Dimension}
    assert Counter(cells.values()) == {140: 28, 139: 20}
    assert {sum(cells[sport, dimension] == 139 for dimension in Dimension) for sport in TRAINED} == {1, 2}
    assert {sum(cells[sport, dimension] == 139 for sport in TRAINED) for dimension in Dimension} == {5}
    assert not [question.id for question in questions_of(scripts()) if "fencing" in question.model_dump_json()]


def test_a_clip_is_asked_about_once_in_each_dimension() -> None:
    asked = Counter(tuple(question.dimension for question in script.questions) for script in scripts())
    assert asked[tuple(Dimension)] == N_CLIPS - len(TRAINED)
    assert all(len(set(dimensions)) == len(dimensions) >= 2 for dimensions in asked)


def test_its_text_is_that_which_the_hashes_name() -> None:
    assert lines_digest(questions_of(scripts())) == DIGESTS["questions.jsonl"]
    assert lines_digest([script.truth for script in scripts()]) == DIGESTS["truth.jsonl"]
    assert set(DIGESTS) == {"questions.jsonl", "truth.jsonl", *(f"clips/{part.name}-*" for part in PARTS)}


def test_three_clips_of_five_are_standard_and_the_others_hard_or_long_or_longer_than_a_minute() -> None:
    counts = Counter(script.part for script in scripts())
    assert {name: n / N_CLIPS for name, n in counts.items()} == {"standard": 0.6, "hard": 0.2, "long": 0.15, "minutes": 0.05}
    for script in scripts():
        assert all(part_of(question) == script.part for question in script.questions)
        assert script.truth.video.startswith(f"clips/{script.part}-{script.truth.sport}-")
        assert (script.truth.difficulty is Difficulty.HARD) == (script.part == "hard")
        low, high = {"long": (128, 512), "minutes": (1_500, 3_000)}.get(script.part, (64, 112))
        assert low <= script.truth.n_frames <= high


def test_one_question_of_sixteen_is_easy_and_every_topic_is_asked_about_often() -> None:
    questions = questions_of(scripts())
    assert sum(question.easy for question in questions) == pytest.approx(6_700 / 16, rel=0.01)
    assert all(question.dimension is Dimension.RECOGNITION for question in questions if question.easy)
    topics = Counter(map(topic_of, questions))
    assert set(topics) == set(Topic)
    assert min(topics.values()) > 70


def test_no_event_shows_on_the_eight_first_frames_and_each_gap_between_them_is_as_frequent() -> None:
    for part in PARTS:
        gaps: Counter[int] = Counter()
        for truth in (script.truth for script in scripts() if script.part == part.name):
            sparse = uniform(truth.n_frames, 8)
            assert not any(truth.event.shown_at(index) for index in sparse)
            gaps[sum(index <= truth.event.first_index for index in sparse) - 1] += 1
        assert len(gaps) == 7
        assert len(set(gaps.values())) == 1, part.name


def test_the_first_clips_are_a_small_set_of_the_same_kind() -> None:
    for n_clips in (N_CLIPS // 5, N_CLIPS // 2):
        first = scripts()[:n_clips]
        parts = Counter(script.part for script in first)
        assert all(abs(parts[part.name] - n_clips * part.clips_per_sport / 140) <= len(TRAINED) for part in PARTS)
        assert set(Counter(script.truth.sport for script in first).values()) == {n_clips // len(TRAINED)}


def test_nobody_trains_on_its_seed() -> None:
    from deepsport.demo import HELDOUT_SEED, LONG_SEED, PRACTICE_SEED, STUDY_SEED

    recipes = [tomllib.loads(path.read_text()) for path in (ROOT / "recipes").glob("*.toml")]
    named = {seed for recipe in recipes for seed in (recipe.get("seed", 0), *recipe.get("seeds", ()))}
    assert len(named) > 3
    assert max(named) + STUDY_SEED + LONG_SEED + PRACTICE_SEED + HELDOUT_SEED + 7_000_003 < SEED


def test_another_seed_is_another_set_of_the_same_shape() -> None:
    one, other = write_scripts(SMALL), write_scripts(SMALL, seed=1)
    assert [script.part for script in one] == [script.part for script in other]
    assert not {script.truth.seed for script in one} & {script.truth.seed for script in other}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("standing")
    make_standing(folder, parts=SMALL)
    return folder


def copied(small: Path, folder: Path) -> Path:
    """A copy that can be damaged."""
    (folder / "clips").mkdir()
    for path in (path for path in small.rglob("*") if path.is_file()):
        (folder / path.relative_to(small)).write_bytes(path.read_bytes())
    return folder


def test_a_set_made_by_two_workers_has_the_same_digests_as_by_one(small: Path, tmp_path: Path) -> None:
    make_standing(tmp_path, parts=SMALL, workers=2)
    assert digests(tmp_path, parts=SMALL, workers=2) == digests(small, parts=SMALL)
    found, lost = digests(small, parts=SMALL)
    assert not lost
    require_equal(small, found, lost, found)


def test_its_files_are_those_of_any_set(small: Path) -> None:
    assert sorted(path.name for path in small.iterdir()) == ["clips", "questions.jsonl", "set.json", "truth.jsonl"]
    assert len(list((small / "clips").iterdir())) == 3 * len(TRAINED)


def test_its_clips_are_encoded_in_the_way_that_is_the_same_on_every_processor(small: Path, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    truth = write_scripts(SMALL)[0].truth
    assert render_clip(tmp_path, truth, portable=True).read_bytes() == (small / truth.video).read_bytes()


def test_an_interrupted_set_is_completed_and_finished_clips_are_kept(small: Path, tmp_path: Path) -> None:
    folder = copied(small, tmp_path)
    lost, *kept = sorted((folder / "clips").iterdir())
    lost.unlink()
    for path in kept:
        os.utime(path, ns=(1, 1))
    told: list[tuple[int, int]] = []
    make_standing(folder, parts=SMALL, progress=lambda done, total: told.append((done, total)))
    assert told == [(35, 36), (36, 36)]
    assert all(path.stat().st_mtime_ns == 1 for path in kept)
    assert digests(folder, parts=SMALL) == digests(small, parts=SMALL)


def test_other_clips_are_never_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "final.mp4").write_bytes(b"mine")
    with pytest.raises(RunError, match=r"final\.mp4, which is not of an arena set"):
        make_standing(tmp_path, parts=SMALL)


def test_the_standing_set_and_a_set_of_ones_own_never_replace_each_other(small: Path, tmp_path: Path) -> None:
    own, standing = tmp_path / "own", tmp_path / "standing"
    make_set(own, n_clips=2, seed=3, dials=Dials(longest=64))
    standing.mkdir()
    copied(small, standing)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match=rf"{own} holds another kind of arena set.* Choose another folder"):
        make_standing(own, parts=SMALL)
    with pytest.raises(RunError, match=rf"{standing} holds another kind of arena set.* Choose another folder"):
        make_set(standing, n_clips=2, seed=3)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("damage", [b"", b"no video", None], ids=["empty", "not a video", "gone"])
def test_a_clip_that_is_gone_or_cannot_be_read_is_named_with_what_to_do(
    small: Path, tmp_path: Path, damage: bytes | None
) -> None:
    folder = copied(small, tmp_path)
    victim = sorted((folder / "clips").glob("hard-*"))[3]
    victim.unlink()
    if damage is not None:
        victim.write_bytes(damage)
    found, lost = digests(folder, parts=SMALL)
    assert lost == [f"clips/{victim.name}"]
    with pytest.raises(
        BadRecord, match=rf"1 of its clips .*clips/{victim.name}\. .*deepsport arena testset .* renders what is missing"
    ):
        require_equal(folder, found, lost, found)


def test_a_clip_of_other_pictures_is_found_by_its_part_and_no_other_part_is_blamed(small: Path, tmp_path: Path) -> None:
    folder = copied(small, tmp_path)
    one, two = sorted((folder / "clips").glob("hard-*"))[:2]
    one.write_bytes(two.read_bytes())
    (expected, _), (found, lost) = digests(small, parts=SMALL), digests(folder, parts=SMALL)
    with pytest.raises(BadRecord, match=r"set: clips/hard-\* are not what they should be\. .*requirements\.lock"):
        require_equal(folder, found, lost, expected)


@pytest.mark.parametrize("name", ["questions.jsonl", "truth.jsonl"])
@pytest.mark.parametrize("change", ["edited", "gone"])
def test_a_changed_text_file_is_found_by_name(small: Path, tmp_path: Path, name: str, change: str) -> None:
    folder = copied(small, tmp_path)
    text = (folder / name).read_text()
    (folder / name).unlink()
    if change == "edited":
        (folder / name).write_text(text.replace("soccer", "football", 1))
    (expected, _), (found, lost) = digests(small, parts=SMALL), digests(folder, parts=SMALL)
    with pytest.raises(BadRecord, match=rf"set: {name} are not what"):
        require_equal(folder, found, lost, expected)


def test_a_digest_is_of_what_a_clip_shows_and_not_of_what_a_library_writes_around_it(small: Path, tmp_path: Path) -> None:
    clip = min((small / "clips").iterdir())
    with av.open(str(clip)) as source, av.open(str(tmp_path / "again.mkv"), "w") as again:
        stream = again.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                again.mux(packet)
    assert (tmp_path / "again.mkv").read_bytes() != clip.read_bytes()
    assert picture_digest(tmp_path / "again.mkv") == picture_digest(clip)
    every = [picture_digest(path) for path in sorted((small / "clips").iterdir())]
    assert len(set(every)) == len(every)


WITHOUT_INSTRUCTIONS = """
import ctypes, sys
from pathlib import Path
import av
(library,) = (Path(av.__file__).parents[1] / "av.libs").glob("libavutil*")
utilities = ctypes.CDLL(str(library))
utilities.av_force_cpu_flags(0)
assert utilities.av_get_cpu_flags() == 0
from deepsport.arena.generate import make_set, render_clip
from deepsport.arena.standing import SEED, write_scripts
for script in write_scripts()[:4]:
    render_clip(Path(sys.argv[1]), script.truth, portable=True)
"""


def test_a_clip_is_the_same_without_the_special_instructions_of_this_processor(tmp_path: Path) -> None:
    if not list((Path(av.__file__).parents[1] / "av.libs").glob("libavutil*")):
        pytest.skip("this build of PyAV does not carry its libraries, so they cannot be told what to use")
    (tmp_path / "clips").mkdir()
    subprocess.run([sys.executable, "-c", WITHOUT_INSTRUCTIONS, str(tmp_path)], check=True)
    plain = {path.name: path.read_bytes() for path in (tmp_path / "clips").iterdir()}
    assert len(plain) == 4
    for script in scripts()[:4]:
        assert render_clip(tmp_path, script.truth, portable=True).read_bytes() == plain[Path(script.truth.video).name]


def run_testset(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["arena", "testset", *map(str, arguments)])


def test_a_folder_without_the_set_is_no_test_set_and_the_exit_code_is_2(tmp_path: Path) -> None:
    done = run_testset(tmp_path, "--check", "--workers", "1")
    assert done.exit_code == 2
    assert "1680 of its clips are missing" in done.stderr
    assert f"deepsport arena testset {tmp_path}" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["nowhere", "a file"])
def test_what_is_no_folder_is_not_compared(tmp_path: Path, name: str) -> None:
    (tmp_path / "a file").touch()
    done = run_testset(tmp_path / name, "--check")
    assert done.exit_code == 2
    assert done.stderr == (
        f"deepsport: {tmp_path / name} is not a folder. Give the one that `deepsport arena testset FOLDER` has made.\n"
    )


def test_a_folder_with_clips_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "holiday.mp4").write_bytes(b"irreplaceable")
    done = run_testset(tmp_path)
    assert done.exit_code == 2
    assert "holiday.mp4" in done.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["clips", "holiday.mp4"]
