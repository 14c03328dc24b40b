"""`ds.evaluate`: the run of `deepsport bench run`, from Python, in scripts and inside running loops."""

import asyncio
import gc
import json
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

import deepsport as ds
from deepsport.agent.grammar import write_answer
from deepsport.api.evaluating import Settings
from deepsport.arena.generate import make_set
from deepsport.bench.recipe import BenchConfig
from deepsport.bench.tasks import load_questions
from deepsport.cli.main import app
from deepsport.policy.scripted import Scripted
from model_server import Hang, ModelServer, Say

NOT_OF_THE_CLOCK = ("config.toml", "scores.jsonl", "report.json")


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    make_set(folder, n_clips=2, seed=3)
    return folder / "questions.jsonl"


def guess(messages: list[ds.Message]) -> str:
    """Says the first of the options."""
    asked = "".join(part for message in messages for part in message.parts if isinstance(part, str))
    return write_answer("a guess", asked.rpartition("Options: ")[2].split(",")[0].strip(" ."))


class Patient:
    """Replies to the first question at once and to no other, until it is let."""

    name = "patient"

    def __init__(self) -> None:
        self.n_asked = 0
        self.waits = threading.Event()
        self.may_go_on = False

    def session(self, sampling: ds.Sampling) -> ds.Session:
        return self

    async def reply(self, messages: Sequence[ds.Message]) -> ds.Reply:
        self.n_asked += 1
        if self.n_asked > 1 and not self.may_go_on:
            self.waits.set()
            await asyncio.sleep(60)
        return ds.Reply(text=guess(list(messages)))

    def tokens(self) -> None:
        return None


def test_it_writes_the_files_of_the_command(arena, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = ds.evaluate(arena, model="arena-oracle", out="ours", limit=4, seed=5, temperature=0.5)
    options = ["--model", "arena-oracle", "--limit", "4", "--seed", "5", "--temperature", "0.5", "--out", "theirs"]
    done = CliRunner().invoke(app, ["bench", "run", str(arena), *options])
    assert done.exit_code == 0, done.output
    for name in NOT_OF_THE_CLOCK:
        assert Path("ours", name).read_text() == Path("theirs", name).read_text()
    assert {path.name for path in Path("ours").iterdir()} == {path.name for path in Path("theirs").iterdir()}
    assert run.score == 100


def test_the_command_goes_on_with_a_run_begun_in_python(arena, tmp_path):
    ds.evaluate(arena, model="arena-oracle", out=tmp_path / "run", limit=3)
    lines = (tmp_path / "run" / "episodes.jsonl").read_text()
    options = ["--model", "arena-oracle", "--limit", "3", "--out", str(tmp_path / "run")]
    assert CliRunner().invoke(app, ["bench", "run", str(arena), *options]).exit_code == 0
    assert (tmp_path / "run" / "episodes.jsonl").read_text() == lines


def test_questions_may_be_records_and_stand_in_the_run(arena, tmp_path, monkeypatch):
    monkeypatch.chdir(arena.parent)
    questions = [q.model_copy(update={"video": os.path.relpath(q.video)}) for q in load_questions(arena)[:3]]
    run = ds.evaluate(questions, model=Scripted(guess), out=tmp_path / "run")
    assert [episode.question.id for episode in run.episodes] == [question.id for question in questions]
    assert all(Path(episode.question.video).is_absolute() for episode in run.episodes)
    monkeypatch.chdir(tmp_path)
    again = ds.evaluate([q.model_copy(update={"video": ""}) for q in questions], model=Scripted(guess), out=tmp_path / "run")
    assert again.episodes == run.episodes


def contents(folder: Path) -> dict[str, bytes]:
    """Of the files of a run, but for that which tells who holds it."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


@pytest.mark.parametrize("changed", ["another text", "one less"])
def test_a_run_begun_with_other_records_is_left_as_it_is(changed, arena, tmp_path):
    questions = load_questions(arena)[:3]
    ds.evaluate(questions, model=Scripted(guess), out=tmp_path)
    before = contents(tmp_path)
    others = questions[:2] if changed == "one less" else [*questions[:2], questions[2].model_copy(update={"text": "Why?"})]
    with pytest.raises(ds.RunError, match="other questions"):
        ds.evaluate(others, model=Scripted(guess), out=tmp_path)
    assert contents(tmp_path) == before
    assert len(ds.evaluate(others, model=Scripted(guess), out=tmp_path, fresh=True)) == len(others)


def test_without_a_folder_the_run_goes_away_with_its_result(arena):
    run = ds.evaluate(arena, model=Scripted(guess), limit=2)
    folder = run.path
    assert (len(run.episodes), folder.is_dir()) == (2, True)
    del run
    gc.collect()
    assert not folder.exists()


def test_without_a_folder_a_run_that_fails_leaves_nothing_behind(arena, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ds.BadConfig):
        ds.evaluate(arena, model=Scripted(guess), limit=0)
    assert list(tmp_path.iterdir()) == []


def test_it_runs_inside_a_running_loop_and_awaited(arena):
    async def cell() -> list[float | None]:
        awaited = await ds.evaluate_async(arena, model="arena-oracle", limit=2)
        return [ds.evaluate(arena, model="arena-oracle", limit=2).score, awaited.score]

    assert asyncio.run(cell()) == [100, 100]


def test_an_evaluation_that_is_no_longer_awaited_keeps_what_is_finished_and_goes_on_later(arena, tmp_path):
    policy = Patient()

    async def given_up() -> None:
        task = asyncio.create_task(ds.evaluate_async(arena, model=policy, out=tmp_path / "run", limit=3, concurrency=1))
        await asyncio.to_thread(policy.waits.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(given_up())
    assert len(ds.load_run(tmp_path / "run").episodes) == 1
    policy.may_go_on, policy.n_asked = True, 0
    run = ds.evaluate(arena, model=policy, out=tmp_path / "run", limit=3, concurrency=1)
    assert (len(run.episodes), policy.n_asked) == (3, 2)


def test_an_endpoint_is_asked_nothing_more_once_its_evaluation_is_given_up(arena, tmp_path):
    with ModelServer(lambda _: Hang()) as server:

        async def given_up() -> None:
            task = asyncio.create_task(ds.evaluate_async(arena, endpoint=server.url, model="m", out=tmp_path, concurrency=1))
            while not server.requests:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(given_up())
        while any(thread.name.startswith("deepsport-evaluate") for thread in threading.enumerate()):
            time.sleep(0.01)  # ends by itself, or the test does not
        assert len(server.requests) == 1


def test_a_finished_run_is_only_read(arena, tmp_path):
    ds.evaluate(arena, model="arena-oracle", out=tmp_path, limit=2)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.suffix in (".jsonl", ".html")}
    ds.evaluate(arena, model="arena-oracle", out=tmp_path, limit=2)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.suffix in (".jsonl", ".html")} == before


def test_two_evaluations_at_once_of_one_model_do_not_mix(arena, tmp_path):
    async def both() -> list[ds.Results]:
        model = ds.load_model("nano")
        runs = (ds.evaluate_async(arena, model=model, out=tmp_path / str(n), limit=3, max_reply_tokens=96) for n in range(2))
        return list(await asyncio.gather(*runs))

    one, other = asyncio.run(both())
    assert [episode.turns for episode in one.episodes] == [episode.turns for episode in other.episodes]
    assert all(episode.turns for episode in one.episodes)


def test_a_served_model_is_asked_and_its_settings_stand_in_the_run(arena, tmp_path):
    with ModelServer(lambda _: Say(text=write_answer("seen", "header"))) as server:
        run = ds.evaluate(arena, model="m", endpoint=server.url, out=tmp_path, limit=2, protocol="passive", first_frames=4)
    assert run.systems == ("m, 4 frames, no tool",)
    assert [episode.answer for episode in run.episodes] == ["header", "header"]
    assert all(len(episode.first_frames) == 4 for episode in run.episodes)


def test_a_judge_is_a_table_of_the_recipe(arena, tmp_path):
    judge = {"model": "wise", "base_url": "http://127.0.0.1:9/v1", "extra_body": {"a": [1, True]}}
    ds.evaluate(arena, model="arena-oracle", out=tmp_path, limit=1, judge=judge)
    assert '[judge]\nmodel = "wise"' in (tmp_path / "config.toml").read_text()


def test_the_most_frequent_answer_needs_no_model(arena):
    run = ds.evaluate(arena, protocol="majority")
    assert run.systems == ("majority",)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"frist_frames": 4}, "Did you mean first_frames"),
        ({"limit": 0}, "limit = 0"),
        ({"model": "no-such"}, "there is no model 'no-such'"),
        ({"endpoint": "http://127.0.0.1:9/v1"}, "needs the name of a model"),
        ({"endpoint": "http://127.0.0.1:9/v1", "model": Scripted(guess)}, "needs the name of a model"),
        ({"model": "nano", "native_tools": True}, "native_tools is for servers"),
        ({"model": ""}, "there is no model ''"),
        ({"protocol": "imported"}, "bench import"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, says, arena):
    with pytest.raises(ds.BadConfig, match=says):
        ds.evaluate(arena, **arguments)


def test_questions_that_are_not_there_are_told(tmp_path):
    with pytest.raises(ds.BadRecord, match="holds no question"):
        ds.evaluate([], model=Scripted(guess))
    with pytest.raises(ds.BadRecord, match=r"missing\.jsonl"):
        ds.evaluate(tmp_path / "missing.jsonl", model=Scripted(guess))


def test_a_recipe_is_followed_and_arguments_come_before_it(arena, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f"questions = {json.dumps(str(arena))}\nlimit = 1\nseed = 4\n")
    ds.evaluate(arena, recipe=recipe, model="arena-oracle", out=tmp_path / "run", limit=2)
    config = (tmp_path / "run" / "config.toml").read_text()
    assert "limit = 2" in config
    assert "seed = 4" in config


def test_every_setting_that_can_be_given_is_one_of_the_recipe():
    assert set(Settings.__annotations__) <= set(BenchConfig.model_fields)
