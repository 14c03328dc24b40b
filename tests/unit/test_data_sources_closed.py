"""SPORTU, MVFoul, OSL JSON and mapped files, with the rows and whole documents they are read from; all fixtures are made here."""

import json
from pathlib import Path

import pytest

from deepsport.data.clip_path import clip_path
from deepsport.data.document import json_document
from deepsport.data.rows import csv_rows, json_lines
from deepsport.data.source import Drops, Source
from deepsport.data.sources import mapping, mvfoul, osl, sportu
from deepsport.errors import BadAnnotation
from deepsport.records import Choice, Dimension, FreeText, Number, Question, Window

Fields = dict[str, object]

SPORTS = {"A": "Handball", "B": "Basketball", "C": "Volleyball", "D": "Others"}
GAME = "england_epl\\2014-2015\\2015-02-21 - 18-00 Chelsea 1 - 1 Burnley"


def asked(source: Source, path: Path) -> tuple[list[Question], Drops]:
    drops = Drops()
    return list(source.questions(path, drops)), drops


def one(questions: list[Question]) -> Question:
    assert len(questions) == 1
    return questions[0]


def choice(question: Question) -> Choice:
    assert isinstance(question.gold, Choice)
    return question.gold


def match_of(question: Question) -> str:
    assert question.provenance is not None
    return question.provenance.match


# --- rows and documents


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_rows_and_documents_are_read_with_or_without_a_byte_order_mark(encoding: str, tmp_path: Path) -> None:
    for name, text in (
        ("a.csv", "word,n\r\n發長球,1\r\n"),
        ("a.jsonl", '{"word": "發長球"}\n'),
        ("a.json", '{"word": "發長球"}'),
    ):
        (tmp_path / name).write_bytes(text.encode(encoding))
    assert list(csv_rows(tmp_path / "a.csv", Drops())) == [("a.csv:2", {"word": "發長球", "n": "1"})]
    assert list(json_lines(tmp_path / "a.jsonl", Drops())) == [("a.jsonl:1", {"word": "發長球"})]
    assert json_document(tmp_path / "a.json") == {"word": "發長球"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"n": 2', "a line that is no JSON object"),
        (b"[2]", "a line that is no JSON object"),
        (b'{"n": NaN}', "a line that is no JSON object"),
        (b"[" * 100_000, "a line that is no JSON object"),
        (b'{"n": "\xff"}', "a line that is not text"),
    ],
)
def test_one_bad_line_of_json_is_one_drop_and_the_next_is_read(line: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"n": 1}\n\n' + line + b'\n{"n": 3}')
    drops = Drops()
    assert [row["n"] for _, row in json_lines(tmp_path / "a.jsonl", drops)] == [1, 3]
    assert drops.counts == {reason: 1}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1", "a row with more or fewer cells than the header"),
        (b"1,2,3", "a row with more or fewer cells than the header"),
        (b"1,\xff", "a line that is not text"),
        (b"1," + b"x" * 200_000, "a line that is no CSV row"),
    ],
)
def test_one_bad_row_of_a_table_is_one_drop_and_the_next_is_read(line: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,b\n" + line + b'\n,\n"5, or\nso",6\n')
    drops = Drops()
    assert [row for _, row in csv_rows(tmp_path / "a.csv", drops)] == [{"a": "5, or\nso", "b": "6"}]
    assert drops.counts == {reason: 1}


def test_a_line_that_is_too_long_is_dropped_without_being_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepsport.data.rows.LONGEST_LINE", 20)
    (tmp_path / "a.jsonl").write_text('{"n": 1}\n{"n": "' + "x" * 100 + '"}\n{"n": 3}\n')
    drops = Drops()
    assert list(json_lines(tmp_path / "a.jsonl", drops)) == [("a.jsonl:1", {"n": 1}), ("a.jsonl:3", {"n": 3})]
    assert drops.counts == {"a line that is too long": 1}


@pytest.mark.parametrize("content", [b"", b"a,a\n1,2\n", b"\xff,b\n1,2\n"])
def test_a_table_without_a_proper_header_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(BadAnnotation, match=r"a\.csv"):
        list(csv_rows(tmp_path / "a.csv", Drops()))


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"a": Infinity}', b"\xff", b'{"a":' * 100_000])
def test_what_is_no_json_object_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(BadAnnotation, match=r"a\.json"):
        json_document(tmp_path / "a.json")


def test_a_document_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepsport.data.document.LONGEST_DOCUMENT", 10)
    (tmp_path / "a.json").write_text(json.dumps({"a": "x" * 10}))
    with pytest.raises(BadAnnotation, match="over 10 characters"):
        json_document(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("given", "path"),
    [("a\\b\\c", "a/b/c.mp4"), ("./a/b.mkv", "a/b.mkv"), (" a.b ", "a.b.mp4"), ("Round 1: final.MP4", "Round 1: final.MP4")],
)
def test_a_clip_has_forward_slashes_and_an_ending(given: str, path: str) -> None:
    assert clip_path(given) == path


@pytest.mark.parametrize(
    "given", ["", " ", "/etc/a.mp4", "..\\a.mp4", "a/../../b.mp4", "C:\\a.mp4", "https://a/b.mp4", "a\0.mp4"]
)
def test_a_clip_outside_the_folder_of_clips_is_none(given: str) -> None:
    assert clip_path(given) is None


# --- SPORTU


def row(name: object = "Basketball_13_0", **more: object) -> Fields:
    fields = {"id": name, "question": "What sport does this video show?", "options": SPORTS, "answer": "B"}
    return {**fields, "difficulty level": "easy", **more}


def sportu_asked(tmp_path: Path, *rows: object) -> tuple[list[Question], Drops]:
    (tmp_path / "SportU_Video_mc.json").write_text(json.dumps(rows))
    return asked(sportu.SOURCE, tmp_path / "SportU_Video_mc.json")


def test_the_answer_letter_stands_for_its_option_and_the_options_stay_in_order(tmp_path: Path) -> None:
    question = one(sportu_asked(tmp_path, row())[0])
    assert question.gold == Choice(options=("Handball", "Basketball", "Volleyball", "Others"), answer="Basketball")
    assert question.text == "What sport does this video show? Options: Handball, Basketball, Volleyball, Others."


def test_two_options_are_as_good_as_four(tmp_path: Path) -> None:
    yes_no = row(question="Is there a rule violation in the video?", options={"A": "No", "B": "Yes"})
    question = one(sportu_asked(tmp_path, yes_no)[0])
    assert question.gold == Choice(options=("No", "Yes"), answer="Yes")
    assert question.dimension is Dimension.RULES


def test_options_with_commas_are_set_off_by_semicolons(tmp_path: Path) -> None:
    question = one(sportu_asked(tmp_path, row(options={"A": "red, white", "B": "blue"}))[0])
    assert question.text.endswith("Options: red, white; blue.")


@pytest.mark.parametrize(
    ("name", "sport", "match"),
    [
        ("Basketball_1", "basketball", "basketball_1"),
        ("volleyball_4_1", "volleyball", "volleyball_4"),
        ("Ice_hockey_7", "ice_hockey", "ice_hockey_7"),
        ("hockey_7_2", "ice_hockey", "ice_hockey_7"),
        ("American_football_3_0", "american_football", "american_football_3"),
        ("football_3", "american_football", "american_football_3"),
    ],
)
def test_an_id_names_a_clip_a_sport_and_a_moment(name: str, sport: str, match: str, tmp_path: Path) -> None:
    question = one(sportu_asked(tmp_path, row(name))[0])
    assert (question.video, question.sport, match_of(question)) == (f"{name}.mp4", sport, match)


def test_rows_that_share_an_id_are_all_asked_and_a_row_that_is_there_twice_once(tmp_path: Path) -> None:
    questions, drops = sportu_asked(tmp_path, row(), row(question="How many players are there?"), row())
    assert len(questions) == 2
    assert drops.counts == {"an id that was there before": 1}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(""), "a question without an id"),
        (row("Basketball"), "an id that is not <sport>_<number>"),
        (row("../Basketball_1"), "an id that is not <sport>_<number>"),
        (row("Curling_1"), "an unknown sport"),
        (row(answer="E"), "an answer that is none of the options"),
        (row(answer="AC"), "an answer that is none of the options"),
        (row(options={"A": "Yes", "B": "Yes"}), "options that are not two or more distinct ones"),
        (row(options={"A": "Yes"}), "options that are not two or more distinct ones"),
        (row(options={"A": "Yes", "B": " "}), "options that are not two or more distinct ones"),
        ({"id": "soccer_1", "question": "Why?", "answer": " "}, "an open question without an answer"),
        ({"question": "Question: ...\n A) x", "Answer": "ACD", "Explanation": "..."}, "a question without a video"),
    ],
)
def test_a_row_of_sportu_that_cannot_be_asked_is_counted(bad: Fields, reason: str, tmp_path: Path) -> None:
    questions, drops = sportu_asked(tmp_path, bad, row("soccer_83"))
    assert one(questions).video == "soccer_83.mp4"
    assert drops.counts == {reason: 1}


@pytest.mark.parametrize("bad", [3, {"id": "soccer_1"}, row(options=["Yes", "No"]), row(answer="\ud800"), row("\ud800")])
def test_a_row_of_another_shape_is_counted(bad: object, tmp_path: Path) -> None:
    questions, drops = sportu_asked(tmp_path, bad, row())
    assert len(questions) == drops.counts.total() == 1


def test_a_folder_of_sportu_is_read_whole(tmp_path: Path) -> None:
    open_row = {"id": "volleyball_3", "question": "Why is it a fault in the video?", "answer": "Red holds the ball."}
    (tmp_path / "SportU_Video_mc.json").write_text(json.dumps([row("volleyball_3")]))
    (tmp_path / "SportU_Video_oe.json").write_text(json.dumps([open_row]))
    (tmp_path / "SportU_text.json").write_text(json.dumps([{"question": "Q", "Answer": "C", "Explanation": "E"}]))
    questions, drops = asked(sportu.SOURCE, tmp_path)
    assert [type(question.gold) for question in questions] == [Choice, FreeText]
    assert questions[1].dimension is Dimension.RULES
    assert drops.counts == {"a question without a video": 1}


# --- MVFoul


def view(index: int, camera: str, **more: object) -> Fields:
    return {
        "Url": f"Dataset/Train/action_0/clip_{index}",
        "Camera type": camera,
        "Timestamp": 1730826,
        "Replay speed": 1.0,
        **more,
    }


def action(**more: object) -> Fields:
    fields: Fields = {"UrlLocal": GAME, "Offence": "Offence", "Contact": "With contact", "Bodypart": "Upper body"}
    fields |= {"Upper body part": "Use of shoulder", "Action class": "Challenge", "Severity": "1.0", "Touch ball": ""}
    return {**fields, "Clips": [view(0, "Main camera center"), view(1, "Close-up player or field referee")], **more}


def mvfoul_asked(tmp_path: Path, *actions: object) -> tuple[dict[str, Question], Drops]:
    document = {"Set": "train", "Number of actions": len(actions), "Actions": {str(n): one for n, one in enumerate(actions)}}
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    questions, drops = asked(mvfoul.SOURCE, tmp_path)
    return {question.id.rpartition("/")[2]: question for question in questions}, drops


def test_an_action_is_asked_about_in_its_first_close_view(tmp_path: Path) -> None:
    questions, drops = mvfoul_asked(tmp_path, action())
    assert {question.video for question in questions.values()} == {"action_0/clip_1.mp4"}
    assert {topic: choice(question).answer for topic, question in questions.items()} == {
        "foul": "a foul",
        "sanction": "no card",
        "challenge": "a challenge with the body",
        "contact": "with contact",
        "body-part": "the upper body",
        "upper-part": "the shoulder",
    }
    assert not drops.counts


def test_without_a_close_view_the_live_one_is_asked_about(tmp_path: Path) -> None:
    questions, _ = mvfoul_asked(tmp_path, action(Clips=[view(0, "Main camera center"), view(1, "Main camera left")]))
    assert questions["foul"].video == "action_0/clip_0.mp4"


def test_actions_of_one_game_stay_together(tmp_path: Path) -> None:
    questions, _ = mvfoul_asked(tmp_path, action(), action(UrlLocal=GAME.replace("\\", "/")))
    matches = {match_of(question) for question in questions.values()}
    assert matches == {"england_epl/2014-2015/2015-02-21 - 18-00 Chelsea 1 - 1 Burnley"}


@pytest.mark.parametrize(("severity", "card"), [("1.0", "no card"), (3.0, "a yellow card"), ("5", "a red card")])
def test_a_severity_is_a_card(severity: object, card: str, tmp_path: Path) -> None:
    questions, _ = mvfoul_asked(tmp_path, action(Severity=severity))
    assert choice(questions["sanction"]).answer == card
    assert questions["sanction"].dimension is Dimension.RULES


def test_what_is_no_foul_is_asked_for_no_card(tmp_path: Path) -> None:
    questions, drops = mvfoul_asked(tmp_path, action(Offence="No offence", Severity=""))
    assert choice(questions["foul"]).answer == "no foul"
    assert "sanction" not in questions
    assert not drops.counts


@pytest.mark.parametrize(
    ("change", "reason", "unasked"),
    [
        ({"Offence": "Between"}, "undecided whether it is a foul", {"foul", "sanction"}),
        ({"Offence": ""}, "undecided whether it is a foul", {"foul", "sanction"}),
        ({"Severity": "2.0"}, "a borderline sanction", {"sanction"}),
        ({"Severity": 4}, "a borderline sanction", {"sanction"}),
        ({"Severity": ""}, "a foul without a sanction", {"sanction"}),
        ({"Action class": "Dont know"}, "an unknown kind of challenge", {"challenge"}),
        ({"Action class": ""}, "an unknown kind of challenge", {"challenge"}),
        ({"Contact": "Perhaps"}, "an unknown contact", {"contact"}),
    ],
)
def test_what_an_action_leaves_open_is_counted_and_the_rest_asked(
    change: Fields, reason: str, unasked: set[str], tmp_path: Path
) -> None:
    whole, _ = mvfoul_asked(tmp_path, action())
    questions, drops = mvfoul_asked(tmp_path, action(**change))
    assert whole.keys() - questions.keys() == unasked
    assert drops.counts == {reason: 1}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (3, "not in the layout"),
        (action(Clips=None), "not in the layout"),
        (action(UrlLocal=""), "not in the layout"),
        (action(Clips=[]), "an action without a clip"),
        (action(Clips=[view(0, "", Url="../../secret")]), "an action without a clip"),
    ],
)
def test_an_action_that_cannot_be_asked_about_is_counted(bad: object, reason: str, tmp_path: Path) -> None:
    questions, drops = mvfoul_asked(tmp_path, bad, action())
    assert {question.id.split("/")[2] for question in questions.values()} == {"action_1"}
    assert drops.counts == {reason: 1}


@pytest.mark.parametrize("document", [{}, {"Actions": []}])
def test_a_file_without_actions_is_refused(document: Fields, tmp_path: Path) -> None:
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    with pytest.raises(BadAnnotation, match="Actions"):
        asked(mvfoul.SOURCE, tmp_path)


# --- OSL JSON

HEADS = {
    "foul_type": {"type": "single_label", "labels": ["Challenge", "Dive", "Holding", "Pushing", "Tackling"]},
    "attributes": {"type": "multi_label", "labels": ["Reckless", "InBox", "VAR Checked"]},
    "alone": {"type": "single_label", "labels": ["Only"]},
}


def item(**more: object) -> Fields:
    views = [{"type": "video", "path": f"Dataset\\Train\\action_0\\clip_{n}", "fps": 25} for n in range(2)]
    return {"id": "action_0", "inputs": views, **more}


def osl_asked(tmp_path: Path, *items: object, **more: object) -> tuple[list[Question], Drops]:
    document = {"version": "2.0", "task": "action_classification", "labels": HEADS, "data": items, "sport": "Soccer", **more}
    (tmp_path / "valid.json").write_text(json.dumps(document))
    return asked(osl.SOURCE, tmp_path)


@pytest.mark.parametrize("version", ["1.0", "2.0", 2.0])
@pytest.mark.parametrize("said", ["Dive", {"label": "Dive"}, ["Dive"], {"labels": ["Dive"]}])
def test_a_label_is_told_among_the_labels_of_its_head(version: object, said: object, tmp_path: Path) -> None:
    question = one(osl_asked(tmp_path, item(labels={"foul_type": said}), version=version)[0])
    assert choice(question).answer == "Dive"
    assert set(choice(question).options) < set(HEADS["foul_type"]["labels"])
    assert "foul type" in question.text
    assert (question.video, question.sport) == ("Dataset/Train/action_0/clip_0.mp4", "soccer")


def test_of_several_right_labels_each_is_asked_for_without_the_others(tmp_path: Path) -> None:
    questions, _ = osl_asked(tmp_path, item(labels={"attributes": {"labels": ["Reckless", "InBox"]}}))
    assert {choice(question).answer: set(choice(question).options) for question in questions} == {
        "Reckless": {"Reckless", "VAR Checked"},
        "InBox": {"InBox", "VAR Checked"},
    }


@pytest.mark.parametrize(
    ("position_ms", "window"), [("754200", Window(start_s=753.2, end_s=755.2)), (400, Window(start_s=0, end_s=1.4))]
)
def test_an_event_is_asked_for_at_its_position(position_ms: object, window: Window, tmp_path: Path) -> None:
    event = {"head": "foul_type", "label": "Dive", "position_ms": position_ms, "gameTime": "1 - 12:34"}
    question = one(osl_asked(tmp_path, item(events=[event]))[0])
    assert question.window == window
    assert f"{(window.end_s - 1):.1f} s" in question.text


def test_another_event_close_by_is_no_wrong_option(tmp_path: Path) -> None:
    events = [{"head": "attributes", "label": label, "position_ms": 1000} for label in ("Reckless", "InBox")]
    questions, _ = osl_asked(tmp_path, item(events=events))
    assert [set(choice(question).options) for question in questions] == [{"Reckless", "VAR Checked"}, {"InBox", "VAR Checked"}]


def test_items_of_one_game_stay_together_and_the_licence_is_the_files(tmp_path: Path) -> None:
    about = {"license": "CC-BY-NC-4.0"}
    labelled = item(labels={"foul_type": "Dive"}, metadata={"UrlLocal": GAME})
    question = one(osl_asked(tmp_path, labelled, metadata=about)[0])
    assert match_of(question) == GAME.replace("\\", "/")
    assert question.provenance is not None
    assert question.provenance.licence == "CC-BY-NC-4.0"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (item(labels={"offside": "Yes"}), "an unknown head"),
        (item(labels={"foul_type": "Biting"}), "a label that its head does not have"),
        (item(labels={"foul_type": {"label": ""}}), "a head without a label"),
        (item(labels={"alone": "Only"}), "a head with nothing to choose between"),
        (item(), "an item without labels or events"),
        (item(events=[{"head": "foul_type", "label": "Dive"}]), "an event without head, label or position"),
        (item(events=[{"head": "foul_type", "label": "Dive", "position_ms": -1}]), "an event without head, label or position"),
        (item(labels={"foul_type": "Dive"}, inputs=[{"path": "/etc/a"}]), "no video, or one outside the folder of clips"),
        (item(labels={"foul_type": "Dive"}, inputs=[]), "no video, or one outside the folder of clips"),
        (item(labels=3), "not in the layout"),
        (7, "not in the layout"),
    ],
)
def test_an_item_that_cannot_be_asked_about_is_counted(bad: object, reason: str, tmp_path: Path) -> None:
    questions, drops = osl_asked(tmp_path, bad, item(id=5, labels={"foul_type": "Dive"}))
    assert one(questions).id == "osl-json/valid/5/foul_type"
    assert drops.counts == {reason: 1}


def test_an_item_of_no_sport_is_counted_unless_it_names_its_own(tmp_path: Path) -> None:
    labels = {"foul_type": "Dive"}
    questions, drops = osl_asked(tmp_path, item(labels=labels), item(id="b", labels=labels, sport="Ice Hockey"), sport="")
    assert one(questions).sport == "ice_hockey"
    assert drops.counts == {"no sport named": 1}


@pytest.mark.parametrize("change", [{"version": "3.0"}, {"version": None}, {"data": {}}, {"labels": None}, {"labels": {"a": {}}}])
def test_a_file_that_is_not_osl_json_is_refused(change: Fields, tmp_path: Path) -> None:
    document = {"version": "1.0", "labels": HEADS, "data": [], **change}
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(BadAnnotation, match=r"a\.json"):
        asked(osl.SOURCE, tmp_path)


# --- mapping

TOML = """
file = "rows.jsonl"
form = "jsonl"
source = "my-set"
licence = "CC-BY-4.0"
question = "q"
answer = "a"
video = "clip"
id = "key"
match = "game"
sport = { field = "sport" }
dimension = { fixed = "rules" }
options = { field = "choices" }
event = { start = "from", end = "to", unit = "s" }
"""

ROW: Fields = {"q": "A foul?", "a": "yes", "choices": ["yes", "no"], "clip": "x\\1", "key": "k1", "game": "g", "sport": "Soccer"}


def mapped(tmp_path: Path, *rows: object, change: tuple[str, str] = ("", "")) -> tuple[list[Question], Drops]:
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "map.toml").write_text(TOML.replace(*change) if change[0] else TOML)
    return asked(mapping.SOURCE, tmp_path / "map.toml")


def test_the_named_fields_make_a_question(tmp_path: Path) -> None:
    question = one(mapped(tmp_path, {**ROW, "from": "1.5", "to": 2})[0])
    assert question.id == "my-set/k1/question"
    assert question.text == "A foul? Options: yes, no."
    assert question.gold == Choice(options=("yes", "no"), answer="yes")
    assert (question.video, question.sport, question.dimension) == ("x/1.mp4", "soccer", Dimension.RULES)
    assert question.window == Window(start_s=1.5, end_s=2)
    assert question.provenance is not None
    assert (question.provenance.match, question.provenance.licence) == ("g", "CC-BY-4.0")


@pytest.mark.parametrize(
    ("options", "given", "answer"),
    [
        ('{ field = "o" }', {"o": {"A": "yes", "B": "no"}}, "yes"),
        ('{ field = "o", separator = "|" }', {"o": "yes | no"}, "yes"),
        ('{ fields = ["o1", "o2"] }', {"o1": "yes", "o2": "no"}, "yes"),
        ('{ fields = ["o1", "o2", "o3"] }\nanswer_is = "letter"', {"o1": "no", "o2": "", "o3": "yes"}, "c"),
        ('{ field = "o" }\nanswer_is = "index"', {"o": ["no", "yes"]}, 1),
    ],
)
def test_options_come_in_any_of_the_usual_shapes(options: str, given: Fields, answer: object, tmp_path: Path) -> None:
    questions, _ = mapped(tmp_path, {**ROW, "a": answer, **given}, change=('{ field = "choices" }', options))
    assert choice(one(questions)).answer == "yes"
    assert set(choice(one(questions)).options) == {"yes", "no"}


@pytest.mark.parametrize(
    ("unit", "frames", "window"), [("ms", None, Window(start_s=1, end_s=2.5)), ("frame", (1000, 2500), None)]
)
def test_times_count_in_the_unit_that_is_named(
    unit: str, frames: tuple[int, int] | None, window: Window | None, tmp_path: Path
) -> None:
    questions, _ = mapped(tmp_path, {**ROW, "from": 1000, "to": "2500.0"}, change=('"s" }', f'"{unit}" }}'))
    known = one(questions).provenance
    assert known is not None
    assert (known.event_frames, one(questions).window) == (frames, window)


@pytest.mark.parametrize(
    ("kind", "answer", "gold"),
    [
        ('kind = "number"\nunit = "points"\ntolerance = 2', "7.5", Number(answer=7.5, unit="points", tolerance=2)),
        ('kind = "text"', "A late tackle.", FreeText(answer="A late tackle.")),
    ],
)
def test_open_questions_and_numbers_have_no_options(kind: str, answer: str, gold: object, tmp_path: Path) -> None:
    question = one(mapped(tmp_path, {**ROW, "a": answer}, change=('options = { field = "choices" }', kind))[0])
    assert question.gold == gold
    assert question.text == "A foul?"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"q": " "}, "a record without a question"),
        ({"a": None}, "a record without an answer"),
        ({"a": "perhaps"}, "an answer that is none of the options"),
        ({"choices": ["yes", "yes"]}, "options that are not two or more distinct ones"),
        ({"choices": "yes"}, "options that are not two or more distinct ones"),
        ({"choices": 3}, "options that are not two or more distinct ones"),
        ({"clip": ""}, "a record without a clip"),
        ({"clip": "../x.mp4"}, "a clip outside the folder of clips"),
        ({"sport": ["soccer"]}, "a record without a sport"),
        ({"from": 2, "to": 1}, "an event whose times are no span"),
        ({"from": -1}, "an event whose times are no span"),
        ({"from": "1e999"}, "an event whose times are no span"),
        ({"from": "noon"}, "an event whose times are no span"),
    ],
)
def test_a_record_that_cannot_be_asked_is_counted(change: Fields, reason: str, tmp_path: Path) -> None:
    questions, drops = mapped(tmp_path, {**ROW, **change}, {**ROW, "key": "k2"})
    assert one(questions).id == "my-set/k2/question"
    assert drops.counts == {reason: 1}


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_half_a_surrogate_pair_cannot_break_what_is_written_later(form: str, tmp_path: Path) -> None:
    (tmp_path / f"rows.{form}").write_text(
        json.dumps({**ROW, "q": "A foul\ud800 \U0001f3c5?", "key": "\udfff"}).join("[]" if form == "json" else ["", ""])
    )
    (tmp_path / "map.toml").write_text(TOML.replace("jsonl", form))
    question = one(asked(mapping.SOURCE, tmp_path / "map.toml")[0])
    assert question.text == "A foul? \U0001f3c5? Options: yes, no."
    assert json.loads(question.model_dump_json())["id"] == "my-set/?/question"


def test_a_record_without_an_id_or_a_match_has_its_place_and_its_clip(tmp_path: Path) -> None:
    question = one(mapped(tmp_path, {**ROW, "key": "", "game": None})[0])
    assert question.id == "my-set/rows.jsonl:1/question"
    assert match_of(question) == "x/1.mp4"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("video =", "vidoe ="), "did you mean 'video'"),
        (('unit = "s"', 'unit = "hours"'), "event.unit"),
        (('{ field = "sport" }', '{ field = "sport", fixed = "soccer" }'), "sport: give either"),
        (('options = { field = "choices" }', ""), "options"),
        (('"rows.jsonl"', '"../rows.jsonl"'), "outside"),
        (('"rows.jsonl"', '"/etc/passwd"'), "outside"),
        (('"rows.jsonl"', '"other.jsonl"'), "not there"),
        (('"rows.jsonl"', '"a\\u0000b"'), "null byte"),
        (("file =", "file"), "TOML"),
    ],
)
def test_a_mapping_that_cannot_be_followed_is_refused_by_its_key(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(BadAnnotation, match=rf"(?i)map\.toml.*{said}"):
        mapped(tmp_path, ROW, change=change)


def test_a_link_out_of_the_folder_of_the_mapping_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.jsonl").write_text("{}")
    (inside / "rows.jsonl").symlink_to(tmp_path / "secret.jsonl")
    (inside / "map.toml").write_text(TOML)
    with pytest.raises(BadAnnotation, match="outside"):
        asked(mapping.SOURCE, inside / "map.toml")


CSV_TOML = """
file = "rows.csv"
form = "csv"
delimiter = ";"
source = "my-set"
question = "q"
answer = "a"
video = "clip"
sport = { fixed = "badminton" }
kind = "number"
"""


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_table_of_a_spreadsheet_is_read(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes("q;a;clip\r\nHow many smashes (殺球)?;3;set1\r\n".encode(encoding))
    (tmp_path / "map.toml").write_text(CSV_TOML)
    question = one(asked(mapping.SOURCE, tmp_path / "map.toml")[0])
    assert question.text == "How many smashes (殺球)?"
    assert question.gold == Number(answer=3)


def test_a_column_that_a_table_does_not_have_is_refused_with_those_it_has(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("q;answer;clip\nHow many?;3;set1\n")
    (tmp_path / "map.toml").write_text(CSV_TOML)
    with pytest.raises(BadAnnotation, match=r"'a'.*q, answer, clip"):
        asked(mapping.SOURCE, tmp_path / "map.toml")


def test_an_array_of_json_is_read_and_what_is_no_object_is_counted(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps([ROW, 3]))
    (tmp_path / "map.toml").write_text(TOML.replace("jsonl", "json"))
    questions, drops = asked(mapping.SOURCE, tmp_path / "map.toml")
    assert one(questions).id == "my-set/k1/question"
    assert drops.counts == {"an item that is no JSON object": 1}


TABLE_TOML = """
file = "touches.csv"
form = "csv"
delimiter = ";"
source = "club"
id = "clip"
video = "clip"
sport = { fixed = "fencing" }
event = { start = "from", end = "to", unit = "s" }

[[questions]]
text = "Which action?"
answer = "action"

[[questions]]
text = "Which lamps?"
answer = "lamps"
dimension = { fixed = "rules" }
options = { fixed = ["red", "green", "white"] }

[[questions]]
text = "How many steps?"
answer = "steps"
kind = "number"
tolerance = 1
"""

TABLE = """clip;from;to;action;lamps;steps
1.mp4;1;2;parry;red;3
2.mp4;2;3;lunge;;
3.mp4;3;2;duck;red;2
"""


def tabled(tmp_path: Path, table: str = TABLE, toml: str = TABLE_TOML) -> tuple[list[Question], Drops]:
    (tmp_path / "touches.csv").write_text(table)
    (tmp_path / "map.toml").write_text(toml)
    return asked(mapping.SOURCE, tmp_path / "map.toml")


def test_a_row_is_asked_every_question_in_the_words_of_the_mapping(tmp_path: Path) -> None:
    first, second, third, _ = tabled(tmp_path)[0]
    assert [each.id for each in (first, second, third)] == ["club/1.mp4/action", "club/1.mp4/lamps", "club/1.mp4/steps"]
    assert second.text == "Which lamps? Options: red, green, white."
    assert [each.dimension for each in (first, second)] == [Dimension.RECOGNITION, Dimension.RULES]
    assert (third.text, third.gold) == ("How many steps?", Number(answer=3, tolerance=1))
    assert all(each.window == Window(start_s=1, end_s=2) for each in (first, second, third))
    assert {match_of(each) for each in (first, second, third)} == {"1.mp4"}


def test_without_options_those_are_offered_that_occur_in_the_column(tmp_path: Path) -> None:
    first, *_ = tabled(tmp_path)[0]
    assert first.gold == Choice(options=("duck", "lunge", "parry"), answer="parry")


def test_an_empty_cell_is_not_asked_and_counted_with_its_column(tmp_path: Path) -> None:
    questions, drops = tabled(tmp_path)
    assert [each.id for each in questions if "2.mp4" in each.id] == ["club/2.mp4/action"]
    assert drops.counts == {"a record without an answer": 2, "an event whose times are no span": 1}
    assert drops.examples["a record without an answer"] == ["touches.csv:3: lamps", "touches.csv:3: steps"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (TABLE.replace("lunge", "Parry"), "'action' has 'Parry' and 'parry'"),
        ("clip;from;to;action;lamps;steps\n" + "".join(f"{n};1;2;action {n};red;3\n" for n in range(27)), "more than 26"),
        (TABLE.replace("action", "actions"), "'action'.*actions"),
    ],
)
def test_a_column_that_cannot_give_the_options_is_refused(table: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadAnnotation, match=said):
        tabled(tmp_path, table)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("text = ", "txet = "), "no key 'questions.1.txet'. did you mean 'text'"),
        (("start =", "strat ="), "no key 'event.strat'. did you mean 'start'"),
        (("{ fixed = [", "{ fixd = ["), "no key 'questions.2.options.fixd'. did you mean 'fixed'"),
        (('form = "csv"', 'form = "csv"\nanswer = "action"'), r"'answer' belongs below each of \[\[questions\]\]"),
        (('text = "Which lamps?"', ""), "questions.2: give either text"),
        (('text = "Which action?"', 'question = "action"'), "questions.1: `options` may be left out only"),
        (('"red", "green", "white"', ""), "questions.2.options: give one of"),
        (('answer = "lamps"', 'answer = "action"'), "two of .* ask for 'action'"),
        (('kind = "number"', 'kind = "number"\noptions = { field = "lamps" }'), "questions.3: `options` belongs to"),
    ],
)
def test_questions_that_cannot_be_followed_are_refused_by_their_key(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(BadAnnotation, match=rf"(?i)map\.toml: .*{said}"):
        tabled(tmp_path, toml=TABLE_TOML.replace(*change))


def test_closed_sources_read_again_say_the_same(tmp_path: Path) -> None:
    for ask in (
        lambda: sportu_asked(tmp_path, row())[0],
        lambda: list(mvfoul_asked(tmp_path, action())[0].values()),
        lambda: mapped(tmp_path, ROW)[0],
    ):
        assert ask() == ask()
