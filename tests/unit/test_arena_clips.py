"""Rendered clips: the same bytes every time, the event on its own frames and nowhere else, each fact large enough to be read."""

import hashlib
import os
from collections.abc import Sequence
from itertools import combinations, pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from deepsport.arena.gallery import caption_lines, contact_sheet, poster
from deepsport.arena.generate import COMMENT, load_truths, make_set, render_clip
from deepsport.arena.overlay import REPLAY_WH, REPLAY_XY
from deepsport.arena.perception import describe
from deepsport.arena.render import frames
from deepsport.arena.script import Dials, write_script
from deepsport.arena.sports import SPORTS, TRAINED
from deepsport.arena.truth import Action, ClipTruth, Difficulty, Event
from deepsport.errors import BadConfig, BadRecord, RunError
from deepsport.records import Question

SHORT = Dials(shortest=64, longest=66)
EASY = SHORT.model_copy(update={"difficulty": Difficulty.EASY})
HARD = SHORT.model_copy(update={"difficulty": Difficulty.HARD})
FULL = Dials(shortest=200, longest=202, difficulty=Difficulty.HARD)
"""Long enough that every clip has attempts."""


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((folder / "clips").glob("*.mp4"))}


def pixels(path: Path) -> NDArray[np.uint8]:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(np.uint8)


def with_event(truth: ClipTruth, **facts: str | int) -> ClipTruth:
    return truth.model_copy(update={"event": truth.event.model_copy(update=facts)})


def values(sport: str) -> dict[str, Sequence[str | int]]:
    """Everything that an event of a sport can be."""
    facts = SPORTS[sport]
    return {
        "kind": facts.kinds,
        "actor": facts.actors,
        "cue": facts.cues,
        "form": [form.sight for form in facts.forms],
        "turns": range(1, facts.most_turns + 1),
    }


PANEL = (slice(REPLAY_XY[1], REPLAY_XY[1] + REPLAY_WH[1]), slice(REPLAY_XY[0], REPLAY_XY[0] + REPLAY_WH[0]))
"""Where the replay is shown: rows, columns."""


def n_plain(a: NDArray[np.int16], b: NDArray[np.int16]) -> int:
    """In how many pixels two pictures differ plainly."""
    return int((np.abs(a - b).max(axis=2) > 60).sum())


def small(truth: ClipTruth, index: int) -> NDArray[np.int16]:
    """The frame as the smallest model sees it: [56, 112, 3]."""
    (picture,) = frames(truth, [index])
    return np.asarray(picture.resize((112, 56), Image.Resampling.BICUBIC)).astype(np.int16)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_none_of_them(tmp_path: Path) -> None:
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        make_set(tmp_path / name, n_clips=len(TRAINED), seed=seed, dials=SHORT)
    first, again, other = (hashes(tmp_path / name) for name in ("first", "again", "other"))
    assert first == again
    assert not set(first.values()) & set(other.values())
    for name in ("questions.jsonl", "truth.jsonl"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
        assert (tmp_path / "first" / name).read_bytes() != (tmp_path / "other" / name).read_bytes()


def test_two_workers_make_the_same_set_as_one(tmp_path: Path) -> None:
    one = make_set(tmp_path / "one", n_clips=4, seed=3, dials=SHORT)
    two = make_set(tmp_path / "two", n_clips=4, seed=3, dials=SHORT, workers=2)
    assert one == two
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")


def test_a_set_is_read_back_as_it_was_made(tmp_path: Path) -> None:
    questions = make_set(tmp_path, n_clips=2, seed=4, sports=["tennis", "diving"], dials=SHORT)
    lines = (tmp_path / "questions.jsonl").read_text().splitlines()
    assert [Question.model_validate_json(line) for line in lines] == questions
    truths = load_truths(tmp_path)
    assert {question.video for question in questions} == set(truths)
    assert [truth.sport for truth in truths.values()] == ["tennis", "diving"]
    for video, truth in truths.items():
        with av.open(str(tmp_path / video)) as container:
            stream = container.streams.video[0]
            assert container.metadata["comment"] == f"{COMMENT} sport={truth.sport} seed={truth.seed}"
            assert (stream.width, stream.height, stream.average_rate) == (224, 126, 25)
            assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert len(pixels(tmp_path / video)) == truth.n_frames


def test_an_interrupted_set_is_completed_and_finished_clips_are_kept(tmp_path: Path) -> None:
    make_set(tmp_path, n_clips=3, seed=5, dials=SHORT)
    whole = hashes(tmp_path)
    lost, *kept = sorted((tmp_path / "clips").glob("*.mp4"))
    lost.unlink()
    for path in kept:
        os.utime(path, ns=(1, 1))
    steps: list[tuple[int, int]] = []
    make_set(tmp_path, n_clips=3, seed=5, dials=SHORT, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(2, 3), (3, 3)]
    assert hashes(tmp_path) == whole
    assert all(path.stat().st_mtime_ns == 1 for path in kept)


@pytest.mark.parametrize("dials", [SHORT, FULL], ids=["usual", "hard"])
def test_sets_that_differ_in_difficulty_hold_the_same_events(dials: Dials, tmp_path: Path) -> None:
    make_set(tmp_path / "set", n_clips=1, seed=6, dials=dials)
    make_set(tmp_path / "easy", n_clips=1, seed=6, dials=dials.model_copy(update={"difficulty": Difficulty.EASY}))
    (truth,), (easy,) = (load_truths(tmp_path / name).values() for name in ("set", "easy"))
    assert truth.event == easy.event
    assert hashes(tmp_path / "set") != hashes(tmp_path / "easy")


def test_a_set_is_of_the_sports_that_are_trained_on_unless_others_are_named(tmp_path: Path) -> None:
    usual = make_set(tmp_path / "usual", n_clips=len(TRAINED), seed=2, dials=Dials(shortest=50, longest=50, event_longest=4))
    unseen = make_set(tmp_path / "unseen", n_clips=1, seed=2, sports=["fencing"], dials=SHORT)
    assert {truth.sport for truth in load_truths(tmp_path / "usual").values()} == set(TRAINED)
    assert not [question.id for question in usual if "fencing" in f"{question.sport} {question.text}"]
    assert {question.video for question in unseen} == {"clips/fencing-2-00000.mp4"}


def test_other_dials_make_the_clips_anew(tmp_path: Path) -> None:
    make_set(tmp_path, n_clips=1, seed=6, dials=SHORT)
    before = hashes(tmp_path)
    make_set(tmp_path, n_clips=1, seed=6, dials=Dials(shortest=90, longest=90))
    assert set(hashes(tmp_path)) == set(before)
    assert hashes(tmp_path) != before
    assert [truth.n_frames for truth in load_truths(tmp_path).values()] == [90]


def test_clips_that_are_not_of_an_arena_set_are_never_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "final.mp4").write_bytes(b"mine")
    with pytest.raises(RunError, match=r"holds final\.mp4, which is not of an arena set"):
        make_set(tmp_path, n_clips=1, seed=1, dials=SHORT)
    assert (tmp_path / "clips" / "final.mp4").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["questions.jsonl", "truth.jsonl"])
def test_questions_that_are_not_of_an_arena_set_are_never_written_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(RunError, match=rf"{tmp_path} holds {name}, which is not of an arena set\. Choose another folder"):
        make_set(tmp_path, n_clips=1, seed=1, dials=SHORT)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_set_leaves_no_partial_file_behind(tmp_path: Path) -> None:
    make_set(tmp_path, n_clips=1, seed=1, dials=SHORT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips", "questions.jsonl", "set.json", "truth.jsonl"]
    assert [path.name for path in (tmp_path / "clips").iterdir()] == ["soccer-1-00000.mp4"]


def test_an_unknown_sport_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="no sport 'chess'; it has soccer, "):
        make_set(tmp_path, n_clips=1, seed=1, sports=["chess"])


def test_a_folder_without_a_set_and_a_broken_truth_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadRecord, match=r"truth\.jsonl is missing"):
        load_truths(tmp_path)
    (tmp_path / "truth.jsonl").write_text('{"video": 1}\n')
    with pytest.raises(BadRecord, match=r"truth.jsonl:1 is not a valid ClipTruth"):
        load_truths(tmp_path)


def another_event(truth: ClipTruth) -> ClipTruth:
    """The same clip, but for everything that happens in its event."""
    event = truth.event
    other = {
        fact: next((value for value in every if value != getattr(event, fact)), 0) for fact, every in values(truth.sport).items()
    }
    ruling, cues = next((ruling, cues) for ruling, cues in SPORTS[truth.sport].rulings.items() if ruling != event.ruling)
    return with_event(truth, **{**other, "cue": cues[0], "ruling": ruling})


@pytest.mark.parametrize("dials", [SHORT, FULL], ids=["usual", "hard"])
@pytest.mark.parametrize("sport", SPORTS)
def test_what_happens_leaves_no_trace_outside_its_own_frames(sport: str, dials: Dials, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    truth = write_script(SPORTS[sport], 7, 0, dials)
    other = another_event(truth)
    assert all(getattr(other.event, fact) != getattr(truth.event, fact) for fact, every in values(sport).items() if every)
    one, two = pixels(render_clip(tmp_path, truth)), pixels(render_clip(tmp_path, other))
    differing = [index for index in range(truth.n_frames) if (one[index] != two[index]).any()]
    assert differing == list(range(truth.event.first_index, truth.event.last_index + 1))


@pytest.mark.parametrize("fact", ["kind", "actor", "cue", "form", "turns"])
@pytest.mark.parametrize("sport", SPORTS)
def test_no_single_fact_shows_before_the_event_or_after_it(sport: str, fact: str) -> None:
    truth = write_script(SPORTS[sport], 7, 1, FULL)
    around = [index for index in range(0, truth.n_frames, 9) if not truth.event.shown_at(index)]
    around += [truth.event.first_index - 1, truth.event.last_index + 1]
    around += [attempt.first_index for attempt in truth.attempts]
    plain = [picture.tobytes() for picture in frames(truth, around)]
    for value in values(sport)[fact]:
        assert [picture.tobytes() for picture in frames(with_event(truth, **{fact: value}), around)] == plain


@pytest.mark.parametrize("sport", SPORTS)
def test_every_frame_of_an_event_or_attempt_looks_unlike_the_play_around_it(sport: str, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    truth = write_script(SPORTS[sport], 8, 0, FULL)
    assert truth.attempts
    decoded = pixels(render_clip(tmp_path, truth)).astype(np.int16)
    for action in (truth.event, *truth.attempts):
        play = [decoded[action.first_index - 1], decoded[action.last_index + 1]]
        for index in range(action.first_index, action.last_index + 1):
            assert min(np.abs(decoded[index] - picture).mean() for picture in play) > 20


@pytest.mark.parametrize("difficulty", Difficulty)
@pytest.mark.parametrize("sport", SPORTS)
def test_play_moves_on_every_frame(sport: str, difficulty: Difficulty) -> None:
    truth = write_script(SPORTS[sport], 9, 0, SHORT.model_copy(update={"difficulty": difficulty}))
    pictures = [np.asarray(picture).astype(np.int16) for picture in frames(truth)]
    moves = [np.abs(a - b).sum() for a, b in pairwise(pictures)]
    assert np.mean([move > 0 for move in moves]) > 0.9


@pytest.mark.parametrize("sport", SPORTS)
def test_each_fact_of_an_event_is_large_in_a_picture_of_112_by_56(sport: str) -> None:
    truth = write_script(SPORTS[sport], 10, 0, EASY)
    index = truth.event.first_index
    for fact, every in values(sport).items():
        pictures = {value: small(with_event(truth, **{fact: value}), index) for value in every}
        for a, b in combinations(every, 2):
            plain = n_plain(pictures[a], pictures[b])
            assert plain >= 60, f"{fact}: {a} and {b} differ in {plain} of 6272 pixels"


@pytest.mark.parametrize("n_frames", [1, 2])
@pytest.mark.parametrize("sport", SPORTS)
def test_whoever_walks_through_a_hard_event_leaves_each_fact_large_on_one_of_its_frames(sport: str, n_frames: int) -> None:
    dials = HARD.model_copy(update={"event_shortest": n_frames, "event_longest": n_frames})
    for number in range(3):
        truth = write_script(SPORTS[sport], 11, number, dials)
        indices = range(truth.event.first_index, truth.event.last_index + 1)
        for fact, every in values(sport).items():
            pictures = {value: [small(with_event(truth, **{fact: value}), index) for index in indices] for value in every}
            for a, b in combinations(every, 2):
                assert max(map(n_plain, pictures[a], pictures[b])) >= 60, f"{fact}: {a} and {b} look alike"


def as_attempt(truth: ClipTruth) -> ClipTruth:
    """The same clip, but nothing comes of what happens: its event lies on frame 1 instead."""
    fields = {"kind", "actor", "turns", "first_index", "last_index"}
    attempt = Action(**truth.event.model_dump(include=fields))
    return with_event(truth, first_index=1, last_index=1).model_copy(update={"attempts": (attempt,)})


@pytest.mark.parametrize("sport", SPORTS)
def test_an_attempt_looks_like_the_event_but_for_the_sign_on_the_right_and_the_replay(sport: str) -> None:
    truth = write_script(SPORTS[sport], 13, 0, EASY)
    index = truth.event.first_index
    (attempt,) = (np.asarray(picture) for picture in frames(as_attempt(truth), [index]))
    for cue in SPORTS[sport].cues:
        (event,) = (np.asarray(picture) for picture in frames(with_event(truth, cue=cue), [index]))
        differs = (event != attempt).any(axis=2)
        assert differs[PANEL].any()
        differs[PANEL] = False
        assert differs[:, 156:].any()
        assert not differs[:, :156].any()


@pytest.mark.parametrize("sport", SPORTS)
def test_an_attempt_is_told_from_an_event_in_a_picture_of_112_by_56(sport: str) -> None:
    truth = write_script(SPORTS[sport], 13, 0, EASY)
    index = truth.event.first_index
    attempt = small(as_attempt(truth), index)
    for cue in SPORTS[sport].cues:
        assert n_plain(small(with_event(truth, cue=cue), index)[:, 78:], attempt[:, 78:]) >= 60, cue
    for form in SPORTS[sport].forms:
        assert n_plain(small(with_event(truth, form=form.sight), index)[31:, :28], attempt[31:, :28]) >= 60, form.sight


@pytest.mark.parametrize("sport", SPORTS)
def test_an_attempt_shows_no_more_than_who_and_how(sport: str) -> None:
    truth = write_script(SPORTS[sport], 14, 0, FULL)
    attempt, other = truth.attempts[0], another_event(truth)
    (one,), (two,) = (frames(clip, [attempt.first_index]) for clip in (truth, other))
    assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("sport", SPORTS)
def test_the_board_is_large_in_a_picture_of_112_by_56(sport: str) -> None:
    truth = write_script(SPORTS[sport], 12, 0, SHORT)
    boards: dict[int, NDArray[np.int16]] = {}
    for digit in range(6):
        before = truth.states[0].model_copy(update={"score": (digit,) * SPORTS[sport].n_digits})
        boards[digit] = small(truth.model_copy(update={"states": (before, truth.states[1])}), 0)[:22, :28]
    for a, b in combinations(boards, 2):
        assert n_plain(boards[a], boards[b]) >= 15, f"{a} and {b} look alike"


def test_nobody_but_the_actor_wears_an_actors_colour() -> None:
    from deepsport.arena.props import SHIRTS
    from deepsport.arena.scene import CROWD

    nearest = min(float(np.linalg.norm(np.subtract(a, b))) for a in SHIRTS.values() for b in CROWD)
    assert nearest > 75


def test_the_pictures_of_the_arena_show_every_kind_once() -> None:
    n_kinds = sum(len(sport.kinds) for sport in SPORTS.values())
    assert contact_sheet(size_wh=(56, 28), captions=False).size == (5 * 60 + 4, n_kinds * 32 + 4)
    assert poster().size == (7 * 228 + 4, len(SPORTS) * 154 + 4)


@pytest.mark.parametrize("sport", SPORTS)
def test_no_caption_runs_into_the_next_picture(sport: str) -> None:
    sheet = np.asarray(contact_sheet([sport])).astype(np.int16)
    n_kinds = len(SPORTS[sport].kinds)
    assert sheet.shape == (n_kinds * 154 + 4, 5 * 228 + 4, 3)
    paper = sheet[0, 0]
    for column in range(6):
        assert (sheet[:, column * 228 : column * 228 + 4] == paper).all()
    for row in range(n_kinds + 1):
        assert (sheet[row * 154 : row * 154 + 4] == paper).all()


@pytest.mark.parametrize("sport", SPORTS)
def test_the_longest_caption_of_a_sport_has_two_lines(sport: str) -> None:
    truth = write_script(SPORTS[sport], 1, 0, SHORT)
    widest = with_event(
        truth, **{fact: max(every, key=lambda value: len(str(value)), default=0) for fact, every in values(sport).items()}
    )
    assert len(caption_lines(describe(widest, truth.event.first_index), 222)) == 2


def test_an_event_knows_its_window_in_seconds() -> None:
    event = Event(kind="header", actor="red", cue="no card", ruling="nothing", form="top corner", first_index=25, last_index=30)
    assert (event.window.start_s, event.window.end_s) == (1.0, 1.2)
