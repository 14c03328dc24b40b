"""`deepsport bench run` from the command line, by every protocol: nano on a few clips of the arena, and a served model."""

import json
from pathlib import Path

import pytest
from click.testing import Result as Ran
from typer.testing import CliRunner

from deepsport.arena.generate import make_set
from deepsport.bench.result import SCORES, Result, load_result
from deepsport.bench.score import Score
from deepsport.cli.main import app
from deepsport.durable import read_records
from model_server import ModelServer, Request, Say


def bench(folder: Path, out: Path, *options: str, exit_code: int = 0) -> Ran:
    ran = CliRunner().invoke(app, ["bench", "run", str(folder / "questions.jsonl"), "--out", str(out), *options])
    assert ran.exit_code == exit_code, ran.output
    return ran


def measured(folder: Path, out: Path, *options: str) -> Result:
    bench(folder, out, *options)
    return load_result(out)


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arena")
    make_set(folder, n_clips=3, seed=5, sports=("soccer", "tennis"))
    return folder


@pytest.fixture(scope="module")
def nano(arena: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return measured(arena, tmp_path_factory.mktemp("runs") / "nano", "--limit", "8")


def test_the_scores_on_disk_are_those_that_follow_from_the_answers(nano: Result) -> None:
    assert list(read_records(nano.folder / SCORES, Score)) == nano.scores


def score(result: Result) -> float:
    report = json.loads((result.folder / "report.json").read_text())
    [system] = report["systems"].values()
    return system["score"]


def test_nano_looks_and_is_right_more_often_than_not(nano: Result) -> None:
    assert nano.name == "nano"
    assert len(nano.episodes) == len(nano.scores) == 8
    assert any(episode.calls for episode in nano.episodes)
    assert score(nano) > 50


def test_a_passive_system_sees_so_many_frames_and_never_more(arena: Path, tmp_path: Path) -> None:
    result = measured(arena, tmp_path / "run", "--passive", "16", "--limit", "4")
    assert result.name == "nano, 16 frames, no tool"
    assert {len(episode.frames_seen) for episode in result.episodes} == {16}
    assert not any(episode.with_tool for episode in result.episodes)


def test_a_blind_system_sees_nothing_though_the_video_be_gone(arena: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/questions.jsonl").write_bytes((arena / "questions.jsonl").read_bytes())
    result = measured(tmp_path / "set", tmp_path / "run", "--blind", "--limit", "4")
    assert result.name == "nano, blind"
    assert [episode.frames_seen for episode in result.episodes] == [()] * 4
    assert all(one.accuracy is not None for one in result.scores)


def test_the_majority_needs_neither_model_nor_video(arena: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/questions.jsonl").write_bytes((arena / "questions.jsonl").read_bytes())
    result = measured(tmp_path / "set", tmp_path / "run", "--majority")
    assert result.name == "majority"
    assert {episode.policy for episode in result.episodes} == {"majority"}
    assert 0 < score(result) < 100


def test_the_oracle_of_a_set_is_right_about_everything(arena: Path, tmp_path: Path) -> None:
    result = measured(arena, tmp_path / "run", "--model", "arena-oracle")
    assert (result.name, score(result)) == ("arena-oracle", 100)


def test_the_table_the_files_and_what_has_no_score_are_told(nano: Result, arena: Path) -> None:
    told = bench(arena, nano.folder, "--limit", "8").stdout
    assert "nano" in told
    assert f"{score(nano):.1f}" in told
    assert str(nano.folder / "report.html") in told
    assert "without a score" not in told
    assert (nano.folder / "report.html").read_text().startswith("<!doctype html>")


def looks_and_answers(request: Request) -> Say:
    if request.body["model"] == "judge":
        return Say(text='{"reason": "it names it", "points": 8}')
    if "tools" in request.body and not any(message["role"] == "tool" for message in request.body["messages"]):
        arguments = json.dumps({"frame_range": [3, 30]})
        call = {"id": "c", "type": "function", "function": {"name": "choose_frames", "arguments": arguments}}
        return Say(text="<think>Look.</think>", message={"tool_calls": [call]}, finish="tool_calls")
    return Say(text="<think>So.</think><answer>A</answer>")


@pytest.mark.parametrize("native", [True, False])
def test_a_served_model_is_offered_the_tool_as_a_function_if_that_is_wanted(native: bool, arena: Path, tmp_path: Path) -> None:
    with ModelServer(looks_and_answers) as server:
        options = ["--endpoint", server.url, "--model", "m", "--limit", "3", *["--native-tools"] * native]
        result = measured(arena, tmp_path / "run", *options)
        assert all(("tools" in request.body) == native for request in server.requests)
    assert result.name == ("m, native tools" if native else "m")
    assert [len(episode.calls) for episode in result.episodes] == [int(native)] * 3


def test_several_runs_a_judge_and_prices_from_recipe_settings_and_options(arena: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (arena / "questions.jsonl").read_text().splitlines()[:3]]
    texts = [line | {"gold": {"kind": "text", "answer": "something else entirely"}} for line in lines]
    videos = [line | {"video": str(arena / line["video"])} for line in texts]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in videos))
    (tmp_path / "recipe.toml").write_text('runs = 5\nmax_turns = 2\n[endpoint]\nmodel = "m"\nbase_url = "http://nowhere/v1"\n')
    with ModelServer(looks_and_answers) as server:
        told = bench(
            *(tmp_path, tmp_path / "run", "--recipe", str(tmp_path / "recipe.toml"), "--runs", "2"),
            *("--endpoint", server.url, "endpoint.prompt_usd=1000.0", "--max-cost", "100", "judge.prompt_usd=1000.0"),
            *("--judge-endpoint", server.url, "--judge-model", "judge", "--name", "mine", "--temperature", "1"),
        ).stdout
    result = load_result(tmp_path / "run")
    assert (result.name, result.config.runs, result.config.max_turns, result.config.temperature) == ("mine", 2, 2, 1)
    assert [one.run for one in result.scores] == [0, 1] * 3
    assert {one.accuracy for one in result.scores} == {0.8}
    assert [one.usd for one in result.scores] == pytest.approx([0.1] * 6)
    assert "$0.9000 paid" in told, "six answers, and three cases: a question is judged once for one answer"


def test_a_low_score_is_no_failure_and_what_has_no_score_is_counted(arena: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (arena / "questions.jsonl").read_text().splitlines()[:2]]
    gone = [line | {"video": str(place and arena / line["video"])} for place, line in enumerate(lines)]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in gone))
    with ModelServer(lambda _: Say(text="<think>So.</think><answer>none of these</answer>")) as server:
        told = bench(tmp_path, tmp_path / "run", "--endpoint", server.url, "--model", "m").stdout
        failed = bench(tmp_path, tmp_path / "run", "--endpoint", server.url, "--model", "m", "--fail-on-error", exit_code=2)
    assert "without a score: 1 answer: the video cannot be read" in told
    assert f"question {lines[0]['id']} was lost: " in failed.stderr
