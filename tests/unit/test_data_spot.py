"""The four sources in the layout of E2E-Spot: what they ask, what they leave out and why."""

import json
from pathlib import Path

import pytest

from deepsport.data.asking import options_of, ordinal
from deepsport.data.source import Drops, find_source, sources
from deepsport.errors import BadConfig
from deepsport.records import Choice, Dimension, Number, Question

FOLDERS = {
    "figure-skating": "FigureSkating_FSComp_E2ESpot",
    "finediving": "FineDiving_E2ESpot",
    "finegym": "FineGym_E2ESpot",
    "tennis": "Tennis_E2ESpot",
}
SKATE = "men_olympic_short_program_2010_02_00021650_00025875"


def event(frame: int, label: str, comment: str = "") -> dict[str, object]:
    return {"frame": frame, "label": label, "comment": comment}


def clip(video: str, events: list[dict[str, object]], **more: object) -> dict[str, object]:
    return {"video": video, "num_frames": 1000, "num_events": len(events), "events": events, "fps": 25, **more}


def asked(tmp_path: Path, source: str, *clips: dict[str, object]) -> tuple[dict[str, Question], Drops]:
    """Questions by topic."""
    (tmp_path / "val.json").write_text(json.dumps(clips))
    drops = Drops()
    questions = find_source(source).questions(tmp_path / "val.json", drops)
    return {question.id.rpartition("/")[2]: question for question in questions}, drops


@pytest.mark.parametrize("source", FOLDERS)
def test_every_genuine_record_is_asked_about_and_nothing_is_left_out_unsaid(source: str, shared_folder: Path) -> None:
    drops, folder = Drops(), shared_folder / "formats" / FOLDERS[source]
    questions = list(find_source(source).questions(folder, drops))
    clips = {record["video"] for file in folder.glob("*.json") for record in json.loads(file.read_text())}
    assert {question.provenance.record for question in questions if question.provenance} == clips
    assert set(drops.counts) <= {"an id that was there before"}  # FS-Comp and FS-Perf hold the same clips
    for question in questions:
        assert question.sport in find_source(source).sports
        assert question.provenance is not None
        assert question.provenance.licence == find_source(source).licence
        assert not isinstance(question.gold, Choice) or all(option in question.text for option in question.gold.options)


@pytest.mark.parametrize("source", FOLDERS)
def test_an_import_made_again_is_the_same(source: str, shared_folder: Path) -> None:
    folder = shared_folder / "formats" / FOLDERS[source]
    first, again = (list(find_source(source).questions(folder, Drops())) for _ in range(2))
    assert first == again


def test_a_jump_is_asked_for_by_its_place_with_its_take_off_and_landing(tmp_path: Path) -> None:
    jumps = [(297, 313, "axel"), (809, 825, "toe_loop")]
    events = [event(f, f"jump_{e}", name) for a, b, name in jumps for f, e in ((a, "takeoff"), (b, "landing"))]
    questions, drops = asked(tmp_path, "figure-skating", clip(SKATE, events))
    second = questions["jump-1"]
    assert "second" in second.text
    assert isinstance(second.gold, Choice)
    assert second.gold.answer == "toe loop"
    assert second.window is not None
    assert (second.window.start_s, second.window.end_s) == (809 / 25, 33.0)
    assert second.provenance is not None
    assert (second.provenance.match, second.provenance.event_frames) == ("men_olympic_short_program_2010", (809, 825))
    assert questions["jumps"].gold == Number(answer=2, unit="jumps")
    assert not drops.counts


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([event(5, "jump_takeoff", "axel")], "a jump without a landing"),
        ([event(5, "jump_takeoff", "axel"), event(9, "jump_landing", "lutz")], "a jump without a landing"),
        ([event(5, "jump_takeoff", "quad"), event(9, "jump_landing", "quad")], "an unknown jump"),
        ([event(5, "spin_takeoff", "sit"), event(9, "spin_landing", "sit")], "an unknown spin"),
        ([event(1000, "jump_takeoff", "axel")], "an event outside its clip"),
        ([event(-1, "jump_takeoff", "axel")], "an event outside its clip"),
    ],
)
def test_what_cannot_be_asked_is_counted(tmp_path: Path, events: list[dict[str, object]], reason: str) -> None:
    questions, drops = asked(tmp_path, "figure-skating", clip(SKATE, events))
    assert drops.counts == {reason: 1}
    assert not [topic for topic in questions if topic != "jumps"]


def test_a_clip_without_a_frame_rate_has_frames_but_no_seconds(tmp_path: Path) -> None:
    events = [event(39, "Twist(s)", "Arm.Back -> 2.5 Twists"), event(67, "Som(s).Pike", "2.5 Twists -> 2 Soms.Pike")]
    events.append(event(76, "Entry", "2 Soms.Pike -> Entry"))
    info = {"action_type": "6245d", "difficulty": 3.6, "dive_score": 77.4}
    questions, drops = asked(tmp_path, "finediving", clip("01__108", events, fps=-1, _source_info=info))
    golds = {topic: question.gold and question.gold.answer for topic, question in questions.items()}
    assert golds == {"take-off": "armstand back", "somersaults": 2, "twists": 2.5, "position": "pike", "score": 77.4}
    score = questions["score"]
    assert score.dimension is Dimension.ASSESSMENT
    assert "3.6" in score.text
    assert score.window is None
    assert score.provenance is not None
    assert (score.provenance.event_frames, score.provenance.match) == ((39, 76), "01")
    assert not drops.counts


@pytest.mark.parametrize(
    ("comments", "info", "reason"),
    [
        ([], {}, "steps that do not lead to an entry"),
        (["Back -> 2 Soms.Pike"], {}, "steps that do not lead to an entry"),
        (["Sideways -> 2 Soms.Pike", "2 Soms.Pike -> Entry"], {}, "an unknown take-off"),
        (["Back -> Wobble", "Wobble -> Entry"], {}, "a step that is neither twists nor somersaults"),
        (["Back -> 2 Soms.Pike", "2 Soms.Pike -> Entry"], None, "a dive without a score"),
    ],
)
def test_a_dive_that_is_not_understood_is_counted(
    tmp_path: Path, comments: list[str], info: dict[str, object] | None, reason: str
) -> None:
    facts = {} if info is None else {"_source_info": {"difficulty": 3, "dive_score": 50, **info}}
    events = [event(10 * place, "Entry", comment) for place, comment in enumerate(comments)]
    _, drops = asked(tmp_path, "finediving", clip("01__1", events, **facts))
    assert drops.counts == {reason: 1}


def test_a_vault_is_taken_for_other_vaults_and_options_with_commas_are_told_apart(tmp_path: Path) -> None:
    names = ("(VT) round-off, salto backward with 2 turn off", "(VT) handspring, salto forward with 0.5 turn off")
    clips = [
        clip(f"abc_E_00{n}_01{n}", [event(10 * phase, f"VT_{phase}", f"A_1_2;{name}") for phase in range(4)])
        for n, name in enumerate(names)
    ]
    (tmp_path / "val.json").write_text(json.dumps(clips))
    questions = [q for q in find_source("finegym").questions(tmp_path, Drops()) if q.id.endswith("vault")]
    assert [q.gold.answer for q in questions if q.gold] == [name.removeprefix("(VT) ") for name in names]
    assert all("; " in question.text for question in questions)
    assert {question.provenance.match for question in questions if question.provenance} == {"abc"}


def test_an_element_needs_a_beginning_an_end_and_a_name(tmp_path: Path) -> None:
    events = [
        event(1, "UB_circles_start", "A_1;(UB) giant"),
        event(2, "UB_circles_end", "nothing"),
        event(3, "UB_circles_end", "A_1;(UB) x"),
    ]
    questions, drops = asked(tmp_path, "finegym", clip("abc_E_1_2", events))
    assert not questions
    assert drops.counts == {"an element without a beginning or a name": 2, "an element without an end": 1}


def test_a_rally_is_asked_for_its_serve_its_strokes_and_where_it_ends(tmp_path: Path) -> None:
    events = [event(3, "near_court_serve"), event(14, "far_court_bounce"), event(30, "far_court_swing"), event(50, "odd")]
    questions, drops = asked(tmp_path, "tennis", clip("usopen_2019_a_b_2058_2354", events))
    golds = {topic: question.gold and question.gold.answer for topic, question in questions.items()}
    assert golds == {
        "serve": "the player at the near end",
        "strokes": 2,
        "last-stroke": "the player at the far end",
        "last-bounce": "the far half",
    }
    serve = questions["serve"].provenance
    assert serve is not None
    assert (serve.event_frames, serve.match) == ((0, 8), "usopen_2019_a_b")
    assert drops.counts == {"an unknown event": 1}


def test_an_id_is_asked_about_once(tmp_path: Path) -> None:
    rally = clip("a_1_2", [event(3, "near_court_serve")])
    questions, drops = asked(tmp_path, "tennis", rally, rally)
    assert len(questions) == drops.counts["an id that was there before"] == 3


def test_a_source_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadConfig, match="Did you mean 'finegym'"):
        find_source("finegim")
    with pytest.raises(BadConfig, match=r"There are .*tennis"):
        find_source("chess")


def test_every_source_says_what_it_is_and_bears_its_own_name() -> None:
    for name, source in sources().items():
        assert source.name == name
        assert source.title
        assert source.needs
        assert source.dimensions


def test_wrong_options_come_from_the_family_and_nothing_else() -> None:
    family = ("axel", "flip", "loop", "lutz", "salchow")
    options = [options_of(f"key {n}", "axel", family) for n in range(200)]
    assert all(len(set(each)) == 4 and "axel" in each and set(each) <= set(family) for each in options)
    assert {each.index("axel") for each in options} == {0, 1, 2, 3}
    assert options_of("key", "a", ("a", "b")) in (("a", "b"), ("b", "a"))
    with pytest.raises(ValueError, match="nothing to be taken for"):
        options_of("key", "axel", ("axel",))


@pytest.mark.parametrize(
    ("index", "word"), [(0, "first"), (9, "tenth"), (10, "11th"), (11, "12th"), (20, "21st"), (21, "22nd"), (110, "111th")]
)
def test_places_are_said_in_words(index: int, word: str) -> None:
    assert ordinal(index) == word
