"""What a check finds in a file of questions, and what the figures about it say."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deepsport.agent.prompt import with_options
from deepsport.bench.tasks import load_questions
from deepsport.cli.main import app
from deepsport.data.check import SEVERITY, CheckReport, Fault, Severity, check
from deepsport.data.dataset.folder import DatasetWriter
from deepsport.data.dataset.shards import Form
from deepsport.data.fingerprint import CLIPS_NAME, content_hash, fingerprint
from deepsport.data.question_lines import LineFault
from deepsport.data.stats import DatasetStats, stats
from deepsport.errors import BadRecord
from deepsport.records import Choice, Dimension, FreeText, Gold, Number, Provenance, Question, Window
from deepsport.video.source import FrameSource
from video_files import Recipe, write


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a clip of two seconds."""
    write(tmp_path / "a.mkv", Recipe(n_frames=50, rate=Fraction(25)))
    return tmp_path


TWO = Number(answer=2)
ORIGIN = Provenance(source="tennis", file="val.json", record="a", match="open", licence="CC-BY-4.0")


def question(question_id: str = "q", gold: Gold | None = TWO, **fields: object) -> Question:
    """A question without a fault, but for what is given."""
    text = with_options("Which stroke?", gold.options) if isinstance(gold, Choice) else "How many strokes?"
    known = {"video": "a.mkv", "text": text, "sport": "tennis", "dimension": Dimension.RECOGNITION, "provenance": ORIGIN}
    return Question.model_validate({"id": question_id, "gold": gold, **known, **fields})


STROKES = Choice(options=("serve", "lob"), answer="lob")


def written(home: Path, *questions: Question) -> Path:
    (home / "questions.jsonl").write_text("".join(each.model_dump_json() + "\n" for each in questions), encoding="utf-8")
    return home


def faults(report: CheckReport) -> dict[str, int]:
    return {found.fault: found.n_times for found in report.findings}


def test_questions_without_a_fault_have_no_findings(home: Path) -> None:
    late = question("q3", window=Window(start_s=1.5, end_s=2.5))  # as late as an import takes it
    report = check(written(home, question("q1"), question("q2", STROKES), late), open_clips=True, hash_clips=True)
    assert (report.n_questions, report.n_missing, report.findings, report.n_errors) == (3, 0, (), 0)


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (question(text=" "), Fault.EMPTY_QUESTION),
        (question(gold=None), Fault.EMPTY_ANSWER),
        (question(gold=FreeText(answer=" \n")), Fault.EMPTY_ANSWER),
        (question(gold=Choice(options=("lob",), answer="lob")), Fault.FEW_OPTIONS),
        (question(gold=Choice(options=("lob", " "), answer="lob")), Fault.FEW_OPTIONS),
        (question(gold=STROKES, text="Which stroke? Options: serve."), Fault.UNLISTED_OPTION),
        (question(gold=Number(answer=float("nan"))), Fault.NOT_FINITE),
        (question(gold=Number(answer=float("inf"))), Fault.NOT_FINITE),
        (question(gold=Number(answer=1, tolerance=float("inf"))), Fault.NOT_FINITE),
        (question(window=Window(start_s=0, end_s=float("inf"))), Fault.NOT_FINITE),
        (question(window=Window(start_s=1, end_s=3.1)), Fault.OUTSIDE),
        (question(window=Window(start_s=2.1, end_s=2.2)), Fault.OUTSIDE),
        (question(text="What does <think> mean?"), Fault.RESERVED_TAG),
        (question(text="</ANSWER >How many?"), Fault.RESERVED_TAG),
        (question(text="<|im_end|>How many?"), Fault.RESERVED_TAG),
        (question(gold=Choice(options=("lob", "<tool call>"), answer="lob")), Fault.RESERVED_TAG),
        (question(gold=FreeText(answer="a </tool_call> b")), Fault.RESERVED_TAG),
        (question(video="b.mkv"), Fault.CLIP_MISSING),
        (question(sport="curling"), Fault.UNKNOWN_SPORT),
        (question(sport=None), Fault.UNKNOWN_SPORT),
        (question(dimension=None), Fault.NO_DIMENSION),
        (question(provenance=None), Fault.NO_PROVENANCE),
        (question(provenance=ORIGIN.model_copy(update={"licence": " "})), Fault.NO_LICENCE),
        (question(provenance=ORIGIN.model_copy(update={"video_sha256": "0" * 64})), Fault.CLIP_CHANGED),
    ],
)
def test_a_fault_is_found_where_it_is_and_alone(bad: Question, fault: Fault, home: Path) -> None:
    bad = bad.model_copy(update={"id": "bad"})
    report = check(written(home, question("fine"), bad), open_clips=True, hash_clips=True)
    assert [(found.fault, found.n_times, found.examples) for found in report.findings] == [(fault, 1, ("bad",))]
    assert report.findings[0].severity is SEVERITY[fault]
    assert report.n_errors == (SEVERITY[fault] is Severity.ERROR)


@pytest.mark.parametrize("text", ["Is 3 < 5?", "a <b> c", "What is <thinking>?", "x || y <| z"])
def test_other_signs_are_no_tags(text: str, home: Path) -> None:
    assert check(written(home, question(text=text))).findings == ()


def test_every_fault_has_a_severity_and_only_what_is_left_out_somewhere_is_a_warning() -> None:
    assert set(SEVERITY) == {*Fault, *LineFault}
    assert {fault.name for fault, severity in SEVERITY.items() if severity is Severity.WARNING} == {
        "INSTANT",
        "CLIP_MISSING",
        "UNKNOWN_SPORT",
        "NO_DIMENSION",
        "NO_PROVENANCE",
        "NO_LICENCE",
    }


def test_an_id_that_is_there_three_times_is_there_twice_too_often(home: Path) -> None:
    assert faults(check(written(home, question(), question("r"), question(), question()))) == {Fault.DUPLICATE_ID: 2}


def test_a_window_of_no_length_is_odd_only_where_its_source_has_longer_ones(home: Path) -> None:
    instant, span = Window(start_s=1, end_s=1), Window(start_s=1, end_s=1.5)
    other = ORIGIN.model_copy(update={"source": "soccernet"})
    asked = (question("q1", window=instant), question("q2", window=instant), question("q3", window=instant, provenance=other))
    assert faults(check(written(home, *asked))) == {}
    report = check(written(home, *asked, question("q4", window=span)))
    assert [(found.fault, found.n_times, found.examples) for found in report.findings] == [(Fault.INSTANT, 2, ("q1",))]


def test_the_length_of_a_clip_is_known_from_clips_jsonl_without_opening_it(home: Path) -> None:
    late = question(window=Window(start_s=3.5, end_s=4))
    assert check(written(home, late)).findings == ()
    with FrameSource() as source:
        clip = fingerprint(home / "a.mkv", source)
    (home / CLIPS_NAME).write_text(clip.model_dump_json() + "\n")
    known = late.model_copy(update={"provenance": ORIGIN.model_copy(update={"video_sha256": clip.sha256})})
    for asked in (known, late.model_copy(update={"video": clip.video})):
        assert faults(check(written(home, asked))) == {Fault.OUTSIDE: 1}


def test_a_clip_is_opened_and_hashed_only_if_that_is_asked_for(home: Path) -> None:
    origin = ORIGIN.model_copy(update={"video_sha256": content_hash(home / "a.mkv")})
    (home / "a.mkv").write_text("not a video")
    asked = written(home, question(provenance=origin))
    assert faults(check(asked)) == {}
    assert faults(check(asked, hash_clips=True)) == {Fault.CLIP_CHANGED: 1}
    assert faults(check(asked, open_clips=True)) == {Fault.CLIP_UNREADABLE: 1}


def test_examples_are_few_and_errors_come_first(home: Path) -> None:
    asked = [question(f"q{n}", sport="curling") for n in range(9)]
    report = check(written(home, *asked, question("empty", text="")))
    assert [found.severity for found in report.findings] == [Severity.ERROR, Severity.WARNING]
    assert (report.findings[1].n_times, report.findings[1].examples) == (9, ("q0", "q1", "q2", "q3", "q4"))


def test_a_dataset_is_checked_split_by_split_and_a_spoilt_one_costs_only_itself(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").touch()
    writer = DatasetWriter(tmp_path)
    writer.add(question("q1", sport="curling"), "train")
    writer.add(question("q2"), "test")
    writer.finish(writer.parts(), {}, None, None)
    for path in (tmp_path, tmp_path / "manifest.json", tmp_path / "train"):
        assert faults(check(path)) == {Fault.UNKNOWN_SPORT: 1}
    assert (check(tmp_path).n_questions, check(tmp_path / "test").n_questions, faults(check(tmp_path / "test"))) == (2, 1, {})
    shard = next((tmp_path / "train").glob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1])
    report = check(tmp_path)
    assert (report.n_questions, faults(report)) == (1, {LineFault.SHARD: 1})
    assert stats([tmp_path]).n_questions == 1


def test_a_path_without_questions_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.jsonl"):
        with pytest.raises(BadRecord, match="neither a file of questions, nor a folder"):
            check(path)


# --- figures


def test_sports_are_counted_by_dimension_the_largest_first(home: Path) -> None:
    rules, soccer = {"dimension": Dimension.RULES}, {"sport": "soccer"}
    counted = stats([written(home, question("1", **soccer), question("2"), question("3", **rules), question("4", sport=None))])
    assert list(counted.by_sport) == ["tennis", "soccer", "none"]
    assert counted.by_sport["tennis"] == {"recognition": 1, "rules": 1}
    assert (counted.n_questions, counted.by_answer) == (4, {"number": 4})


def test_clips_count_once_by_content_and_matches_once_within_their_source(home: Path) -> None:
    def of(source: str, match: str, sha256: str) -> Provenance:
        return ORIGIN.model_copy(update={"source": source, "match": match, "video_sha256": sha256})

    asked = [
        question("1", provenance=of("tennis", "m", "x")),
        question("2", provenance=of("tennis", "m", "x"), video="renamed.mkv"),
        question("3", provenance=of("soccernet", "m", "y")),
        question("4", provenance=of("soccernet", "n", "")),
        question("5", provenance=None),
    ]
    counted = stats([written(home, *asked)])
    assert (counted.n_clips, counted.n_matches, counted.n_clips_timed) == (3, 3, 0)
    assert {name: source.n_questions for name, source in counted.by_source.items()} == {"tennis": 2, "soccernet": 2, "none": 1}
    assert counted.by_source["tennis"].licences == ("CC-BY-4.0",)
    assert counted.by_source["none"].licences == ("",)


def test_hours_are_those_of_the_clips_that_questions_are_about(home: Path) -> None:
    with FrameSource() as source:
        clip = fingerprint(home / "a.mkv", source)
    other = clip.model_copy(update={"sha256": "f" * 64, "video": "other.mkv"})
    (home / CLIPS_NAME).write_text(f"{clip.model_dump_json()}\n{other.model_dump_json()}\n")
    origin = ORIGIN.model_copy(update={"video_sha256": clip.sha256})
    counted = stats([written(home, question("1", provenance=origin), question("2", provenance=origin))])
    assert (counted.n_clips_timed, counted.hours) == (1, pytest.approx(2 / 3600))


def test_windows_have_a_share_and_quartiles(home: Path) -> None:
    lengths = (0.5, 1.0, 2.0, 4.0)
    asked = [question(str(n), window=Window(start_s=1, end_s=1 + length)) for n, length in enumerate(lengths)]
    counted = stats([written(home, *asked, question("none"))])
    assert (counted.n_with_window, counted.window_quartiles_s) == (4, (0.5, 1.0, 2.0))
    assert stats([written(home, question())]).window_quartiles_s is None


def test_the_place_of_the_right_option_is_counted_for_each_number_of_options(home: Path) -> None:
    def of(n_options: int, right: int) -> Choice:
        options = tuple(f"stroke {n}" for n in range(n_options))
        return Choice(options=options, answer=options[right])

    golds = [of(4, 0), of(4, 3), of(4, 3), of(4, 1), of(2, 1)]
    counted = stats([written(home, *(question(str(n), gold) for n, gold in enumerate(golds)))])
    assert counted.right_option == {"2": (0, 1), "4": (1, 1, 0, 2)}
    assert counted.shares("4") == (0.25, 0.25, 0, 0.5)


def test_one_question_with_other_options_is_one_text(home: Path) -> None:
    other = Choice(options=("volley", "smash"), answer="smash")
    counted = stats([written(home, question("1", STROKES), question("2", other), question("3"))])
    assert counted.frequent_texts == (("Which stroke?", 2), ("How many strokes?", 1))


def test_texts_are_forgotten_before_they_fill_the_memory(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepsport.data.stats._TEXTS_HELD", 5)
    monkeypatch.setattr("deepsport.data.stats.MOST_TEXTS", 100)
    asked = [question(str(n), text="often" if n % 3 == 0 else f"text {n}") for n in range(60)]
    kept = stats([written(home, *asked)]).frequent_texts
    assert kept[0] == ("often", 20)
    assert len(kept) <= 10


def test_several_sets_are_counted_together_and_broken_lines_apart(home: Path) -> None:
    written(home, question("1"))
    (home / "more.jsonl").write_text("{}\n" + question("2").model_dump_json() + "\n")
    counted = stats([home, home / "more.jsonl"])
    assert (counted.n_questions, counted.n_broken) == (2, 1)


# --- commands


def deepsport(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(("bad", "code"), [(question(sport="curling"), 0), (question(text=""), 1)])
def test_a_check_fails_for_an_error_and_not_for_a_warning(bad: Question, code: int, home: Path) -> None:
    done = deepsport("data", "check", written(home, bad))
    assert done.exit_code == code
    assert ("error" if code else "warning") + " " * (3 if code else 1) + "1 x " in done.stdout
    assert ("no errors" in done.stdout) == (code == 0)


def test_a_check_says_how_many_questions_are_set_apart(home: Path) -> None:
    written(home, question())
    (home / "missing.jsonl").write_text((question("r").model_dump_json() + "\n") * 3)
    assert "1 questions, and 3 set apart without a clip" in deepsport("data", "check", home).stdout


def test_each_file_of_questions_has_its_own_that_are_set_apart(home: Path) -> None:
    (written(home, question()) / "questions.jsonl").rename(home / "mine.jsonl")
    (home / "missing.jsonl").write_text((question("r").model_dump_json() + "\n") * 3)
    assert check(home / "mine.jsonl").n_missing == 0
    (home / "mine.missing.jsonl").write_text(question("r").model_dump_json() + "\n")
    assert check(home / "mine.jsonl").n_missing == 1


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_a_split_of_a_dataset_is_loaded_in_either_form_and_an_empty_one_is_said_to_be_none(form: Form, tmp_path: Path) -> None:
    (tmp_path / "ds").mkdir()
    writer = DatasetWriter(tmp_path / "ds", form)
    writer.add(question("q1"), "train")
    writer.finish(writer.parts(), {}, None, None)
    for path in (tmp_path / "ds", tmp_path / "ds" / "train", tmp_path / "ds" / "manifest.json"):
        assert [asked.id for asked in load_questions(path)] == ["q1"]
    with pytest.raises(BadRecord, match=r"ds has no split 'test'\. It has train"):
        load_questions(tmp_path / "ds" / "test")


def test_what_a_file_says_cannot_steer_the_terminal(home: Path) -> None:
    written(home, question("\x1b[2Jevil", text="", sport="\x1b]0;evil\x07"))
    for command in ("check", "stats"):
        done = deepsport("data", command, home)
        assert "evil" in done.stdout
        assert "\x1b" not in done.stdout.replace("\x1b[1m", "").replace("\x1b[0m", "")


def test_the_figures_are_printed_as_a_table_or_as_json(home: Path) -> None:
    written(home, question("1", STROKES, window=Window(start_s=0.5, end_s=1)), question("2", sport="soccer"))
    shown = deepsport("data", "stats", home).stdout
    assert [line.split() for line in shown.splitlines()[:4]] == [
        ["sport", "recognition", "total"],
        ["tennis", "1", "1"],
        ["soccer", "1", "1"],
        ["total", "2", "2"],
    ]
    assert "source   tennis: 2 (CC-BY-4.0)" in shown
    assert "windows  1 (50%), quartiles of their lengths 0.5 s, 0.5 s, 0.5 s" in shown
    assert "right of 2 options  A 0%, B 100%" in shown
    assert "asked 1 x  Which stroke?" in shown
    told = deepsport("data", "stats", home, "--json").stdout
    assert DatasetStats.model_validate(json.loads(told)) == stats([home])


def test_a_link_says_what_it_found_and_what_it_did_not(home: Path) -> None:
    changed = ORIGIN.model_copy(update={"video_sha256": "0" * 64})
    written(home, question("1", video="gone/a.mkv", provenance=changed), question("2"), question("3", provenance=None))
    done = deepsport("data", "link", home, "--videos", home)
    assert done.exit_code == 0
    assert "1 questions have their clip again, 1 had it, 1 have none" in done.stdout
    assert "not linked: 1 x a file of the right name but with other content, such as a.mkv" in done.stdout


@pytest.mark.parametrize("command", ["check", "stats", "link"])
def test_every_command_shows_how_it_is_used(command: str) -> None:
    shown = deepsport("data", command, "--help").stdout
    assert f"deepsport data {command} sets/tennis" in shown
