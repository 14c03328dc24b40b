"""`deepsport diagnose` on whole runs: policies whose faults are known by construction, and the model in the package."""

import asyncio
import csv
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from deepsport.actor import local_actor
from deepsport.agent.prompt import PromptStyle
from deepsport.arena.generate import make_set
from deepsport.arena.planted import Fault
from deepsport.arena.script import Dials
from deepsport.bench.diagnose import FAILED_BELOW, Failure
from deepsport.bench.diagnosis.planted import PlantedOutcome, diagnose_planted
from deepsport.bench.diagnosis.record import Diagnosis, Evidence
from deepsport.bench.diagnosis.replay import outcome, replay
from deepsport.bench.diagnosis.summary import DiagnosisReport
from deepsport.bench.recipe import BenchConfig
from deepsport.bench.result import load_result
from deepsport.bench.suite import run_bench
from deepsport.cli.diagnose import diagnose
from deepsport.durable import read_records
from deepsport.policy.base import Policy
from deepsport.video.source import FrameSource

AT_LEAST = 0.95
"""Of the failures of each planted policy, the share that must get their true class."""


def command(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command()(diagnose)
    return CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arena")
    make_set(folder, n_clips=24, seed=31)
    return folder


@pytest.fixture(scope="module")
def planted(arena: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Fault, PlantedOutcome]:
    """Told by stop reasons, windows and replays alone, as on footage."""
    outcomes = diagnose_planted(arena / "questions.jsonl", tmp_path_factory.mktemp("planted"))
    return {each.fault: each for each in outcomes}


@pytest.mark.parametrize(
    ("fault", "truly"),
    [
        (Fault.ASTRAY, Failure.TOOL_GROUNDING),
        (Fault.MISREADER, Failure.HALLUCINATION),
        (Fault.BREAKER, Failure.OTHER),
        (Fault.UNLOOKING, Failure.OTHER),
    ],
)
def test_failures_of_a_known_kind_get_their_class_and_their_cause(
    planted: dict[Fault, PlantedOutcome], fault: Fault, truly: Failure
) -> None:
    outcome = planted[fault]
    print(f"\n{fault}: {outcome.n_failed} failures, classed {dict(outcome.classed)}, causes {dict(outcome.causes)}")
    assert outcome.n_failed > 50
    assert outcome.truly is truly
    assert (outcome.class_rate or 0) >= AT_LEAST
    assert (outcome.cause_rate or 0) >= AT_LEAST


def test_without_somebody_who_sees_lack_of_knowledge_is_taken_for_misreading(planted: dict[Fault, PlantedOutcome]) -> None:
    assert planted[Fault.UNVERSED].classed == {Failure.HALLUCINATION: planted[Fault.UNVERSED].n_failed}


def test_with_the_truth_as_examiner_lack_of_knowledge_is_told_from_misreading(arena: Path, tmp_path: Path) -> None:
    faults = (Fault.UNVERSED, Fault.MISREADER)
    for planted_one in diagnose_planted(arena / "questions.jsonl", tmp_path, faults=faults, with_truth=True):
        assert (planted_one.class_rate or 0) >= AT_LEAST
        assert (planted_one.cause_rate or 0) >= AT_LEAST


def test_the_command_prints_what_was_planted_against_what_it_was_taken_for(tmp_path: Path) -> None:
    make_set(tmp_path / "arena", n_clips=2, seed=1)
    shown = command(tmp_path / "arena", "--planted", "--out", tmp_path / "planted")
    assert shown.exit_code == 0
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert [line[0] for line in lines if line and line[0] in set(Fault)] == [*Fault, *Fault]
    astray = next(line for line in lines if line[:1] == ["astray"])
    assert astray[1:5] == [astray[1], astray[1], "0", "0"]


def test_planted_policies_need_a_folder_of_their_own(arena: Path) -> None:
    assert command(arena, "--planted").exit_code == 2


@pytest.fixture(scope="module")
def fencing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """nano on a sport that it has never seen: it looks, and cannot read."""
    folder = tmp_path_factory.mktemp("fencing")
    make_set(folder / "arena", n_clips=4, seed=9, sports=("fencing",), dials=Dials(shortest=64, longest=80))

    def local() -> tuple[Policy, PromptStyle]:
        actor = local_actor("nano")
        return actor.policy, actor.style

    config = BenchConfig(questions=str(folder / "arena" / "questions.jsonl"), system="nano")
    run_bench(folder / "run", config, local)
    return folder / "run"


def test_a_run_of_nano_is_diagnosed_from_end_to_end(fencing: Path) -> None:
    shown = command(fencing)
    assert shown.exit_code == 0
    assert "failures were asked again" in shown.stdout
    result = load_result(fencing)
    wrong = [score.question_id for score in result.scores if score.failure]
    diagnoses = list(read_records(fencing / "diagnoses.jsonl", Diagnosis))
    assert [each.question_id for each in diagnoses] == wrong
    assert len(wrong) > 8
    report = DiagnosisReport.model_validate_json((fencing / "diagnosis.json").read_bytes())
    assert sum(share.n for share in report.classes.values()) == report.n_failed == len(wrong)
    assert len(list(csv.DictReader((fencing / "diagnosis.csv").open()))) == len(wrong)
    assert "Why nano fails" in (fencing / "diagnosis.html").read_text()
    assert any(each.by is Evidence.COUNTERFACTUAL for each in diagnoses) or report.examiners


def test_shown_the_event_nano_is_right_where_it_was_right_by_itself(tmp_path: Path) -> None:
    """Otherwise a wrong replay would say more of the form of the replay than of the policy's eyes."""
    make_set(tmp_path, n_clips=16, seed=4242)
    actor = local_actor("nano")
    config = BenchConfig(questions=str(tmp_path / "questions.jsonl"), system="nano")
    run_bench(tmp_path / "run", config, lambda: (actor.policy, actor.style))
    result = load_result(tmp_path / "run")
    played = zip(result.episodes, result.scores, strict=True)
    right = [episode for episode, score in played if score.seen and (score.accuracy or 0) >= FAILED_BELOW]

    async def replayed(source: FrameSource) -> list[float]:
        again = [await replay(episode, actor.policy, source, config, actor.style) for episode in right]
        return [outcome(each, None).accuracy or 0.0 for each in again if each is not None]

    with FrameSource() as source:
        accuracies = asyncio.run(replayed(source))
    n_right = sum(accuracy >= FAILED_BELOW for accuracy in accuracies)
    print(f"\n{n_right} of {len(right)} replays right")
    assert len(accuracies) == len(right) > 50
    assert n_right / len(right) >= 0.93


def test_what_is_on_record_is_not_asked_again(fencing: Path) -> None:
    command(fencing)
    before = {path.name: path.read_bytes() for path in fencing.iterdir() if path.suffix in {".jsonl", ".html", ".csv"}}
    command(fencing)
    assert {name: (fencing / name).read_bytes() for name in before} == before


def test_without_a_replay_nothing_is_played_and_the_reader_is_told(fencing: Path, tmp_path: Path) -> None:
    shown = command(fencing, "--no-replay", "--out", tmp_path / "told")
    assert "Nothing was asked again" in shown.stdout
    assert not (tmp_path / "told" / "counterfactual.jsonl").exists()
    assert json.loads((tmp_path / "told" / "diagnosis.json").read_text())["replays"] is None


def test_a_folder_that_is_no_run_is_refused_by_name(tmp_path: Path) -> None:
    shown = command(tmp_path)
    assert shown.exit_code == 2
    assert "holds no benchmark run" in shown.stderr
