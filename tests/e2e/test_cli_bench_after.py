"""What is done with benchmark runs: report, compare, rejudge, import, export, diagnose; and what each of them refuses."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deepsport.arena.generate import make_set
from deepsport.cli.main import app


def deepsport(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set, two finished runs, a run without an answer, and answers that another program gave."""
    folder = tmp_path_factory.mktemp("bench")
    asked = make_set(folder / "set", n_clips=3, seed=5, sports=("soccer", "tennis"))
    questions = str(folder / "set/questions.jsonl")
    assert deepsport("bench", "run", questions, "--out", str(folder / "oracle"), "--model", "arena-oracle").exit_code == 0
    assert deepsport("bench", "run", questions, "--out", str(folder / "majority"), "--majority").exit_code == 0
    (folder / "answers.json").write_text(json.dumps({question.id: "red" for question in asked}))
    (folder / "labels.csv").write_text(f"question_id,right,failure\n{asked[0].id},no,other\n")
    return folder


@pytest.mark.parametrize(
    ("line", "made"),
    [
        ("bench report oracle majority --out report", [f"report/report.{kind}" for kind in ("html", "md", "csv", "tex", "json")]),
        ("bench compare oracle majority --csv c.csv --html c.html --json c.json", ["c.csv", "c.html", "c.json"]),
        ("bench rejudge majority --all", ["majority/verdicts-offline-2.jsonl", "majority/agreement-offline-2.json"]),
        ("bench rejudge majority --labels labels.csv", []),
        ("bench import set/questions.jsonl answers.json --out red --name red", ["red/episodes.jsonl", "red/report.html"]),
        ("bench export-lmms set/questions.jsonl --out task", ["task/deepsport.yaml"]),
        ("diagnose majority --labels labels.csv", [f"majority/diagnosis.{kind}" for kind in ("html", "md", "csv", "json")]),
    ],
)
def test_a_command_leaves_the_files_that_its_help_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch, line: str, made: Sequence[str]
) -> None:
    monkeypatch.chdir(folder)
    done = deepsport(*line.split())
    assert done.exit_code == 0, done.output
    assert done.stdout
    assert [name for name in made if not (folder / name).is_file()] == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("bench run set --out x", "Give the path of its questions: set/questions.jsonl"),
        ("bench run nothing.jsonl --out x", "nothing.jsonl is not a file"),
        ("bench run set/truth.jsonl --out x", "truth.jsonl:1 is not a valid Question"),
        ("bench run set/questions.jsonl --out x --blind --passive 8", "--passive and --blind exclude each other"),
        ("bench run set/questions.jsonl --out x --native-tools", "give an endpoint too"),
        ("bench run set/questions.jsonl --out x --endpoint http://localhost:9/v1", "Name it with --model"),
        ("bench run set/questions.jsonl --out x max_tuns=3", "Did you mean max_turns?"),
        ("bench run set/questions.jsonl --out x --recipe no.toml", "no.toml cannot be read"),
        ("bench run set/questions.jsonl --out answers.json --majority", "Choose another folder"),
        ("bench report set", "set holds no benchmark run"),
        ("bench report oracle oracle", "Name each run once"),
        ("bench compare oracle nothing", "nothing holds no benchmark run"),
        ("bench compare oracle majority --verdicts no.jsonl", "`deepsport bench rejudge` makes one"),
        ("bench rejudge set", "set holds no benchmark run"),
        ("bench rejudge oracle --own --offline", "name one judge"),
        ("bench rejudge oracle --labels no.csv", "no.csv: there is no such file"),
        ("bench import set/questions.jsonl no.json --out x --name x", "no.json: there is no such file"),
        ("bench import set/questions.jsonl labels.csv --out x --name x", "cannot be read as predictions"),
        ("bench export-lmms set/questions.jsonl --out task --name Held-Out", "use small letters"),
        ("diagnose set", "set holds no benchmark run"),
        ("diagnose oracle --judge-model m", "give both, or neither"),
        ("diagnose oracle --planted --out x", "oracle holds no arena set"),
    ],
)
def test_what_cannot_be_done_is_one_line_that_says_what_to_do_and_exit_code_2(
    folder: Path, monkeypatch: pytest.MonkeyPatch, line: str, said: str
) -> None:
    monkeypatch.chdir(folder)
    done = deepsport(*line.split())
    assert done.exit_code == 2
    [told] = done.stderr.splitlines()
    assert told.startswith("deepsport: ")
    assert said in told
    assert not (folder / "x").exists()
