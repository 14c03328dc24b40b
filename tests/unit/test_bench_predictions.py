"""Answers from elsewhere: every layout that is read gives the same run, and what cannot be read is named."""

import json
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from deepsport.bench.comparing.comparison import compare_runs
from deepsport.bench.exchange.prediction_file import LONGEST_LINE, read_predictions
from deepsport.bench.exchange.predictions import Imported, Missing, import_predictions
from deepsport.bench.recipe import Protocol
from deepsport.bench.report import Report
from deepsport.bench.result import Result, load_result
from deepsport.cli.predictions import import_answers
from deepsport.errors import BadRecord, DeepSportError, RunError
from deepsport.records import Choice, FreeText, Number, Question, StopReason
from made_episodes import episode, look, question
from made_runs import made_run

app = typer.Typer()
app.command()(import_answers)

ASKED = [
    question("a", video="1.mp4"),
    question("b", video="2.mp4", sport="tennis"),
    question("n", video="3.mp4", gold=Number(answer=3, unit="turns", tolerance=1)),
    question("t", video="4.mp4", gold=FreeText(answer="The keeper saves a low shot")),
]


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    return written(tmp_path / "set" / "questions.jsonl", ASKED)


def written(path: Path, questions: list[Question]) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{one.model_dump_json()}\n" for one in questions))
    return path


def imported(asked: Path, content: object, name: str = "p.json", **options: object) -> tuple[Imported, Result]:
    file = asked.parent.parent / name
    file.write_bytes(
        content if isinstance(content, bytes) else (content if isinstance(content, str) else json.dumps(content)).encode()
    )
    out = asked.parent.parent / "run"
    found = import_predictions(asked, file, out, system="theirs", **options)  # type: ignore[arg-type]
    return found, load_result(out)


SAID = {"a": "volley", "b": "B", "n": 4, "t": "the keeper saves a low shot"}
RECORDS = [{"id": name, "answer": answer} for name, answer in SAID.items()]
LINES = "\n".join(map(json.dumps, RECORDS))
LAYOUTS: dict[str, tuple[str, bytes]] = {
    "a list": ("p.json", json.dumps(RECORDS).encode()),
    "an object": ("p.json", json.dumps(SAID).encode()),
    "an object on many lines": ("p.json", json.dumps(SAID, indent=2).encode()),
    "lines": ("p.jsonl", LINES.encode()),
    "lines without the name of lines": ("p.json", LINES.encode()),
    "lines with blank ones between": ("p.jsonl", LINES.replace("\n", "\r\n\r\n").encode()),
    "a byte order mark": ("p.json", b"\xef\xbb\xbf" + LINES.encode()),
    "a byte order mark before an object": ("p.json", b"\xef\xbb\xbf" + json.dumps(SAID).encode()),
    "utf-16": ("p.json", json.dumps(RECORDS).encode("utf-16")),
    "other keys": (
        "p.json",
        json.dumps([{"qid": name, "response": answer, "model": "m"} for name, answer in SAID.items()]).encode(),
    ),
    "another order": ("p.json", json.dumps(RECORDS[::-1]).encode()),
}


@pytest.mark.parametrize(("name", "content"), LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_gives_the_same_run(asked: Path, name: str, content: bytes):
    found, result = imported(asked, content, name)
    assert [(score.question_id, score.answer, score.accuracy) for score in result.scores] == [
        ("a", "volley", 1.0),
        ("b", "B", 1.0),
        ("n", "4", 1.0),
        ("t", "the keeper saves a low shot", 1.0),
    ]
    assert (found.missing, found.malformed, found.report.systems["theirs"].score) == ((), (), 100)


def test_a_run_that_was_imported_holds_the_files_of_any_other(asked: Path):
    found, result = imported(asked, SAID)
    assert result.config.protocol is Protocol.IMPORTED
    assert Report.model_validate_json((result.folder / "report.json").read_text()) == found.report
    assert (result.folder / "scores.jsonl").read_text() == "".join(f"{score.model_dump_json()}\n" for score in result.scores)
    assert (result.folder / "report.html").read_text().startswith("<!doctype html>")


def test_nobody_knows_how_an_imported_system_looked(asked: Path):
    report = imported(asked, SAID)[0].report.systems["theirs"]
    assert (report.grounding_hit_rate, report.event_seen_rate, report.temporal_iou) == (None, None, None)


def test_what_the_judge_by_rule_cannot_tell_is_unscored(asked: Path):
    report = imported(asked, {**SAID, "t": "the goalkeeper stops a low shot"})[0].report.systems["theirs"]
    assert (report.unscored, report.judges) == (1, ("offline/2",))


def test_a_question_without_an_answer_is_wrong_and_named(asked: Path):
    found, result = imported(asked, {"a": "volley", "b": None, "n": "  "})
    assert found.missing == ("b", "n", "t")
    assert found.report.systems["theirs"].score == 25
    assert {episode.question.id: episode.detail for episode in result.episodes}["t"] == "no answer was imported"


def test_a_question_without_an_answer_may_be_left_unscored_instead(asked: Path):
    found, _ = imported(asked, {"a": "volley"}, missing=Missing.UNSCORED)
    report = found.report.systems["theirs"]
    assert (report.score, report.unscored, found.missing) == (100, 3, ("b", "n", "t"))


@pytest.mark.parametrize(
    ("reply", "answer", "thought"),
    [
        ("<think>a long run</think><answer>volley</answer>", "volley", "a long run"),
        ("<answer> volley </answer>", "volley", ""),
        ("volley", "volley", ""),
        (" B) \n", "B)", ""),
        ("volley, not <b>header</b>", "volley, not <b>header</b>", ""),
    ],
)
def test_a_reply_in_the_grammar_is_read_as_such(asked: Path, reply: str, answer: str, thought: str):
    episode = imported(asked, {**SAID, "a": reply})[1].episodes[0]
    assert (episode.answer, episode.turns[0].thought, episode.turns[0].text) == (answer, thought, reply)


@pytest.mark.parametrize(
    "reply",
    [
        "<think>volley",
        "<think>so</think>volley",
        '<think>so</think><tool_call>{"action":"choose_frames","frame_range":[1,2]}</tool_call>',
        "<answer>volley",
        "volley " * 20_000,
    ],
    ids=["thought open", "no answer", "a call", "answer open", "too long"],
)
def test_a_reply_that_begins_in_the_grammar_and_leaves_it_is_wrong_and_named(asked: Path, reply: str):
    found, result = imported(asked, {**SAID, "a": reply})
    assert (found.malformed, found.missing) == (("a",), ())
    assert (result.episodes[0].stop, result.scores[0].accuracy) == (StopReason.FORMAT_ERROR, 0.0)


def test_keys_can_be_named(asked: Path):
    records = [{"id": 1, "uid": name, "answer": "gold", "text": answer} for name, answer in SAID.items()]
    found, _ = imported(asked, records, id_key="uid", answer_key="text")
    assert found.report.systems["theirs"].score == 100


def test_ids_may_be_numbers(tmp_path: Path):
    asked = written(tmp_path / "set" / "q.jsonl", [question("7")])
    assert imported(asked, [{"id": 7, "answer": "volley"}])[0].report.systems["theirs"].score == 100


def test_one_record_alone_is_a_record(tmp_path: Path):
    asked = written(tmp_path / "set" / "q.jsonl", [question("7")])
    assert imported(asked, '{"id": "7", "answer": "volley"}')[0].report.systems["theirs"].score == 100


UNREADABLE: dict[str, tuple[str, object, str]] = {
    "empty": ("p.json", "", "p.json cannot be read as predictions"),
    "an empty list": ("p.json", "[]", "holds no prediction"),
    "a text": ("p.json", '"volley"', "neither a list of records"),
    "half a list": ("p.json", '[{"id": "a"', "cannot be read as predictions"),
    "a broken line": ("p.jsonl", '{"id": "a", "answer": "x"}\n{"id": \n', r"p.jsonl:2 is not JSON"),
    "a list in a line": ("p.jsonl", '["a", "x"]', r"p.jsonl:1 is not an object"),
    "a list of lists": ("p.json", '[["a", "x"]]', r"p.json, record 1 is not an object"),
    "an id twice": (
        "p.json",
        [{"id": "a", "answer": "x"}, {"id": "a", "answer": "x"}],
        "record 2: question 'a' was answered at p.json, record 1",
    ),
    "a key twice": ("p.json", '{"a": "x", "a": "y"}', "'a' stands in one object twice"),
    "no answer key": (
        "p.json",
        [{"id": "a", "said": "x"}],
        "no 'answer' or 'prediction' .* but 'id', 'said'. Name the key: --answer-key",
    ),
    "no id key": ("p.json", [{"name": "a", "answer": "x"}], "no 'id' or 'question_id' .* --id-key KEY"),
    "a right answer beside the prediction": (
        "p.json",
        [{"id": "a", "answer": "x", "prediction": "y"}],
        "has 'answer' and 'prediction'. Say which is meant: --answer-key prediction",
    ),
    "two ids": ("p.json", [{"id": 0, "question_id": "a", "answer": "x"}], "has 'id' and 'question_id'"),
    "an id that is none": ("p.json", [{"id": None, "answer": "x"}], "null is not the id of a question"),
    "an answer not a number": ("p.json", '{"a": NaN}', "NaN is not a number of JSON"),
    "an answer beyond all numbers": ("p.json", '{"a": 1e999}', "give a text or a number"),
    "an unknown id of a million letters": ("p.json", {"z" * 10**6: "x"}, r"does not ask: 'z{80}\.\.\.'\."),
    "an answer of 5,000 digits": ("p.json", '{"a": ' + "9" * 5000 + "}", "cannot be read as predictions"),
    "an answer in a list": ("p.json", {"a": ["x"]}, r"p.json, 'a': the answer is \[\"x\"\]; give a text or a number"),
    "an answer of yes": ("p.json", {"a": True}, "the answer is true"),
    "nested too deep": ("p.json", "[" * 100_000, "nested too deeply"),
    "a line nested too deep": ("p.jsonl", '{"id":' * 100_000, "nested too deeply"),
    "not text": ("p.json", b'{"a": "\xff\xfe"}', "cannot be read as predictions"),
    "unknown ids": ("p.json", {"a": "x", "z1": "x", "z2": "x"}, "answers 2 questions that .* does not ask: 'z1', 'z2'"),
}


@pytest.mark.parametrize(("name", "content", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_prediction_is_named_and_nothing_is_written(asked: Path, name: str, content: object, message: str):
    with pytest.raises(BadRecord, match=message):
        imported(asked, content, name)
    assert not (asked.parent.parent / "run").exists()


def test_a_line_of_fifty_megabytes_is_refused_without_being_held(tmp_path: Path):
    file = tmp_path / "p.jsonl"
    file.write_text('{"id": "a", "answer": "x"}\n{"id": "b", "answer": "' + "x" * 50_000_000 + '"}\n')
    with pytest.raises(BadRecord, match=rf"p\.jsonl:2 has over {LONGEST_LINE:,} characters"):
        read_predictions(file)


def test_half_a_surrogate_pair_can_be_kept(asked: Path):
    assert imported(asked, r'{"a": "vol\ud800ley"}')[1].episodes[0].answer == "vol?ley"


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(RunError, match="there is no such file"):
        read_predictions(tmp_path / "p.json")


def test_the_same_predictions_again_give_the_same_files(asked: Path):
    _, result = imported(asked, SAID)
    before = {file.name: file.read_bytes() for file in result.folder.iterdir() if file.suffix in (".json", ".jsonl", ".html")}
    imported(asked, SAID)
    after = {file.name: file.read_bytes() for file in result.folder.iterdir() if file.name in before}
    del before["stages.json"], after["stages.json"]  # a clock
    assert after == before


def test_other_predictions_need_another_folder_or_a_fresh_start(asked: Path):
    imported(asked, SAID)
    with pytest.raises(RunError, match="made from other predictions"):
        imported(asked, {"a": "header"})
    assert imported(asked, {"a": "header"}, fresh=True)[0].report.systems["theirs"].score == 0


def test_an_imported_run_can_be_compared_with_another(asked: Path, tmp_path: Path):
    _, ours = imported(asked, SAID)
    moved = tmp_path / "ours"
    ours.folder.rename(moved)
    _, theirs = imported(asked, {**SAID, "a": "header"})
    assert [flip.question_id for flip in compare_runs(load_result(moved), theirs).flips] == ["a"]


def test_letters_are_options_and_an_option_is_not_a_letter(tmp_path: Path):
    gold = Choice(options=("a", "b"), answer="b")
    asked = written(tmp_path / "set" / "q.jsonl", [question("1", gold=gold), question("2", gold=gold)])
    _, result = imported(asked, {"1": "B", "2": "A"})
    assert [score.accuracy for score in result.scores] == [1.0, 0.0]


def test_the_command_prints_the_table_and_names_what_is_missing(asked: Path, tmp_path: Path):
    (tmp_path / "p.json").write_text(json.dumps({"a": "volley", "b": "<think>x"}))
    said = CliRunner().invoke(app, [str(asked), str(tmp_path / "p.json"), "--out", str(tmp_path / "r"), "--system", "theirs"])
    assert said.exit_code == 0, said.output
    assert "theirs" in said.output
    assert "2 without an answer, counted as wrong: n, t" in said.output
    assert "1 out of form, counted as wrong: b" in said.output


def test_the_command_ends_in_one_line_where_nothing_can_be_read(asked: Path, tmp_path: Path):
    (tmp_path / "p.json").write_text("[]")
    said = CliRunner().invoke(app, [str(asked), str(tmp_path / "p.json"), "--out", str(tmp_path / "r"), "--system", "theirs"])
    assert (said.exit_code, said.output.count("\n")) == (2, 1)


def test_every_fault_is_of_our_own_kind(asked: Path):
    with pytest.raises(DeepSportError):
        imported(asked, "{")


def test_a_whole_number_of_a_thousand_digits_is_an_answer_and_a_wrong_one(asked: Path):
    found, result = imported(asked, '{"n": ' + "9" * 1000 + "}")
    assert [score.accuracy for score in result.scores if score.question_id == "n"] == [0.0]
    assert found.report.systems["theirs"].numbers["soccer: turns"].n_read == 0


def test_a_hundred_thousand_answers_with_one_twice_are_refused_at_once(tmp_path: Path):
    (tmp_path / "p.json").write_text("{" + ", ".join(f'"q{number}": "x"' for number in [*range(100_000), 99_999]) + "}")
    start = time.process_time()
    with pytest.raises(BadRecord, match="'q99999' stands in one object twice"):
        read_predictions(tmp_path / "p.json")
    assert time.process_time() - start < 5


def test_the_same_file_read_by_another_key_holds_other_predictions(asked: Path):
    both = [{"id": "a", "answer": "volley", "first_guess": "header"}]
    imported(asked, both)
    with pytest.raises(RunError, match="made from other predictions"):
        imported(asked, both, answer_key="first_guess")


def test_what_an_imported_system_looked_at_and_paid_is_not_compared(asked: Path, tmp_path: Path):
    """Nobody knows it; 0 frames would be a claim."""
    _, theirs = imported(asked, SAID)
    ours = made_run(tmp_path / "ours", [episode("volley", [look(28, 42)], one) for one in ASKED])
    assert compare_runs(theirs, ours).changes == ()
