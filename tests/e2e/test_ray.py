"""`--executor ray` on a cluster of this machine: the results of a run here, whatever dies on the way.

One cluster for the whole file. What a killed host costs is shown in tests/engines, where there are two of them.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from deepsport.actor import model_of_run
from deepsport.arena.generate import make_set
from deepsport.bench.endpoints import REPLIES
from deepsport.bench.recipe import BenchConfig, recipe_of
from deepsport.bench.suite import run_bench
from deepsport.data.check import Fault, check
from deepsport.data.distill.distill import run_distill
from deepsport.data.distill.recipe import DistillRecipe
from deepsport.data.importing import import_source
from deepsport.data.source import find_source
from deepsport.errors import BadConfig, BadVideo, ExecutorError, PolicyError, Stopped
from deepsport.executor.cluster import Cluster, open_cluster
from deepsport.executor.shards import Executor, Shard
from deepsport.policy.openai.reply_cache import ReplyCache
from hashed_words import n_distinct, says
from model_server import Act, ModelServer, Request, Say, error
from ray_tasks import shouts

ray = pytest.importorskip("ray", reason="needs ray, the extra `scale`")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Two workers."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patched.setenv("RAY_AUTH_MODE", "disabled")
        patched.setenv("PYTHONPATH", str(Path(__file__).parents[1]))  # of ray_tasks
        patched.delenv("RAY_ADDRESS", raising=False)
        quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
        ray.init(address="local", num_cpus=2, object_store_memory=10**8, **quiet)
        try:
            yield ray.get_runtime_context().gcs_address
        finally:
            ray.shutdown()


@pytest.fixture
def cluster(address: str) -> Iterator[Cluster]:
    with open_cluster() as opened:
        yield opened


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arena")
    make_set(folder, n_clips=6, seed=3)
    return folder / "questions.jsonl"


# --- a task ---


def shard(*items: str, files: tuple[str, ...] = ()) -> Shard:
    return Shard(index=4, items=items, names=tuple(f"item {place}" for place in range(len(items))), files=files)


def test_a_shard_whose_worker_is_killed_is_run_again_and_no_other(cluster: Cluster, tmp_path: Path) -> None:
    lost: list[str] = []

    async def note(attempt: str) -> None:
        lost.append(attempt)

    async def both() -> list[list[str]]:
        running = partial(cluster.run, partial(shouts, tmp_path / "mark"), on_lost=note)
        return await asyncio.gather(running(shard("a", "dies once")), running(shard("b", "c")))

    assert asyncio.run(both()) == [["A", "DIES ONCE"], ["B", "C"]]
    assert (lost, cluster.n_lost) == (["4.1"], 1)


def test_a_shard_that_kills_three_workers_ends_as_an_error_that_names_the_item(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(ExecutorError, match=r"shard 4 \(item 1\) lost its worker 3 times"):
        asyncio.run(cluster.run(partial(shouts, tmp_path / "mark"), shard("a", "dies", "b")))


def test_an_error_of_ours_names_the_shard_and_the_host(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(BadVideo, match=r"no video stream. \(shard 4 \(item 0 ... item 1\), on host .+\)$"):
        asyncio.run(cluster.run(partial(shouts, tmp_path / "mark"), shard("a", "is bad")))


def test_a_bug_crosses_with_its_traceback_and_the_shard(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError) as crash:
        asyncio.run(cluster.run(partial(shouts, tmp_path / "mark"), shard("is a bug")))
    assert "in shouts" in str(crash.value)
    assert crash.value.__notes__ == ["in shard 4 (item 0)"]


# --- the three commands ---


def files(folder: Path, *names: str) -> dict[str, bytes]:
    """Of a run, the seconds of each episode set to 0."""
    return {name: re.sub(rb'"seconds":[0-9.e+-]+', b'"seconds":0', (folder / name).read_bytes()) for name in names}


RESULT = ("episodes.jsonl", "scores.jsonl", "report.json", "config.toml")


def bench(config: BenchConfig, folder: Path, executor: Executor, **limits: float | bool) -> dict[str, bytes]:
    run_bench(folder, config, partial(model_of_run, config), executor=executor, **limits)  # type: ignore[arg-type]
    return files(folder, *RESULT)


@pytest.mark.parametrize(("model", "size"), [("arena-oracle", "runs=2"), pytest.param("nano", "limit=4", marks=pytest.mark.slow)])
def test_a_benchmark_on_ray_ends_with_the_files_of_one_here(
    address: str, arena: Path, tmp_path: Path, model: str, size: str
) -> None:
    config = recipe_of(None, [f"questions='{arena}'", size], model=model, endpoint=None)
    assert bench(config, tmp_path / "ray", Executor.RAY) == bench(config, tmp_path / "here", Executor.LOCAL)


def test_relative_paths_count_from_the_folder_of_the_command(
    address: str, arena: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(arena.parent)
    config = recipe_of(None, ["questions=questions.jsonl", "limit=3"], model="arena-oracle", endpoint=None)
    assert bench(config, tmp_path / "ray", Executor.RAY) == bench(config, tmp_path / "here", Executor.LOCAL)


def test_a_distillation_on_ray_keeps_what_one_here_keeps(address: str, arena: Path, tmp_path: Path) -> None:
    recipe = DistillRecipe.model_validate({"questions": str(arena), "samples": 2, "keep": 2, "hints": "given"})
    run_distill(tmp_path / "ray", recipe, executor=Executor.RAY)
    run_distill(tmp_path / "here", recipe)
    kept = ("kept.jsonl", "report.json")
    assert files(tmp_path / "ray", *kept) == files(tmp_path / "here", *kept)
    assert (tmp_path / "ray" / "kept.jsonl").read_bytes().count(b"\n") > 10
    for name in ("facts.jsonl", "acted.jsonl", "judged.jsonl", "played.jsonl"):
        ours, theirs = (sorted(files(tmp_path / where, name)[name].splitlines()) for where in ("ray", "here"))
        assert _without_digests(ours) == _without_digests(theirs), name


def _without_digests(lines: list[bytes]) -> list[bytes]:
    """The hash of a record covers its seconds."""
    return sorted(re.sub(rb'"record":"[0-9a-f]*"', b'"record":""', line) for line in lines)


def test_an_import_on_ray_writes_what_one_here_writes(cluster: Cluster, arena: Path, tmp_path: Path) -> None:
    clips = sorted((arena.parent / "clips").iterdir())
    (tmp_path / "val.json").write_text(json.dumps([annotated(clip) for clip in clips]))
    read: Counter[str] = Counter()
    importing = partial(import_source, find_source("tennis"), tmp_path / "val.json")
    importing(tmp_path / "ray", clips[0].parent, on_clip=lambda: read.update(["ray"]), cluster=cluster)
    importing(tmp_path / "here", clips[0].parent)
    importing(tmp_path / "ray", clips[0].parent, on_clip=lambda: read.update(["again"]), cluster=cluster)
    made = ("questions.jsonl", "missing.jsonl", "clips.jsonl", "import.json")
    assert files(tmp_path / "ray", *made) == files(tmp_path / "here", *made)
    assert sorted(_lines(tmp_path / "ray" / ".clips.jsonl")) == sorted(_lines(tmp_path / "here" / ".clips.jsonl"))
    assert read == {"ray": len(clips)}, "each clip is read once, and never again"


def test_a_check_on_ray_finds_what_one_here_finds(cluster: Cluster, arena: Path, tmp_path: Path) -> None:
    shutil.copytree(arena.parent / "clips", tmp_path / "clips")
    clips = sorted((tmp_path / "clips").iterdir())
    (tmp_path / "val.json").write_text(json.dumps([annotated(clip) for clip in clips]))
    import_source(find_source("tennis"), tmp_path / "val.json", tmp_path / "set", tmp_path / "clips")
    with clips[0].open("ab") as changed:
        changed.write(b"more")
    clips[1].write_bytes(b"no video")
    clips[2].unlink()
    read: Counter[str] = Counter()
    found = check(tmp_path / "set", open_clips=True, hash_clips=True, cluster=cluster, on_clip=lambda: read.update(["ray"]))
    assert found == check(tmp_path / "set", open_clips=True, hash_clips=True)
    assert {Fault.CLIP_CHANGED, Fault.CLIP_UNREADABLE, Fault.CLIP_MISSING} <= {each.fault for each in found.findings}
    assert read == {"ray": len(clips) - 1}, "each clip that is there is read once"


def annotated(clip: Path) -> dict[str, object]:
    """One event of a clip, as the source has it."""
    event = {"frame": 5, "label": "near_court_serve", "comment": ""}
    return {"video": clip.stem, "num_frames": 50, "events": [event], "fps": 25}


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines()


# --- endpoints ---


DEAR_USD = 0.010007


def dear(request: Request) -> Act:
    """The same; the bill is more than a client would expect."""
    said = says(request)
    return replace(said, usage={"prompt_tokens": 10_000, "completion_tokens": 7}) if isinstance(said, Say) else said


def agent(arena: Path, url: str, **settings: object) -> BenchConfig:
    """A priced model: a million tokens cost a dollar."""
    tables = {"endpoint.prompt_usd": 1.0, "endpoint.reply_usd": 1.0, "endpoint.max_concurrent": 4, **settings}
    given = [f"questions='{arena}'", *(f"{key}={json.dumps(value)}" for key, value in tables.items())]
    return recipe_of(None, given, model="agent", endpoint=url)


def test_replies_and_costs_of_all_workers_are_in_the_file_of_the_run(address: str, arena: Path, tmp_path: Path) -> None:
    with ModelServer(says) as server:
        config = agent(arena, server.url)
        here = bench(config, tmp_path / "here", Executor.LOCAL)
        n_here, server.peak_in_flight = len(server.requests), 0
        assert bench(config, tmp_path / "ray", Executor.RAY) == here
        assert server.peak_in_flight <= 4, "the places of the endpoint are shared"
        assert len(server.requests) == 2 * n_here
    with ReplyCache(tmp_path / "ray" / REPLIES) as ray_kept, ReplyCache(tmp_path / "here" / REPLIES) as here_kept:
        assert ray_kept.keys() == here_kept.keys()
        assert ray_kept.spent_usd() == pytest.approx(here_kept.spent_usd()) != 0


def test_workers_together_never_spend_more_than_the_limit_and_the_run_goes_on_with_a_higher_one(
    address: str, arena: Path, tmp_path: Path
) -> None:
    with ModelServer(dear) as server:
        config = agent(arena, server.url)
        with pytest.raises(Stopped, match="at most"):
            bench(config, tmp_path / "ray", Executor.RAY, max_usd=15.5 * DEAR_USD)
        assert 8 <= len(server.requests) <= 15
        assert (tmp_path / "ray" / "episodes.jsonl").stat().st_size, "what was finished is kept"
        ended = bench(config, tmp_path / "ray", Executor.RAY, max_usd=10.0)
        assert len(server.requests) == n_distinct(server), "no reply that was paid for is asked for again"
        assert ended == bench(config, tmp_path / "here", Executor.LOCAL)


def test_an_endpoint_that_loses_everything_ends_the_run_with_its_fault(address: str, arena: Path, tmp_path: Path) -> None:
    with ModelServer(lambda _: error(401, "no such key")) as server:
        config = agent(arena, server.url, **{"endpoint.max_retries": 0})
        with pytest.raises(PolicyError, match=r"each of the first 16 episodes was lost.*no such key"):
            bench(config, tmp_path / "ray", Executor.RAY)


def test_a_key_that_the_hosts_do_not_have_is_named_with_the_host(
    address: str, arena: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_OF_THIS_PROCESS_ALONE", "k-secret-secret")
    config = agent(arena, "http://127.0.0.1:9/v1", **{"endpoint.api_key_env": "KEY_OF_THIS_PROCESS_ALONE"})
    with pytest.raises(BadConfig, match=r"KEY_OF_THIS_PROCESS_ALONE, which is not set.*on host") as refused:
        bench(config, tmp_path / "ray", Executor.RAY)
    assert "k-secret" not in str(refused.value)


def start(config: Path, arena: Path, folder: Path, address: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "deepsport.cli", "bench", "run", str(arena), "--recipe", str(config), "-o", str(folder)]
    environment = {**os.environ, "RAY_ADDRESS": address}
    return subprocess.Popen(
        [*command, "--executor", "ray"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=arena.parent
    )


def test_a_command_killed_in_the_middle_goes_on_and_asks_no_finished_question_again(
    address: str, arena: Path, tmp_path: Path
) -> None:
    with ModelServer(says) as server:
        config = agent(arena, server.url)
        (tmp_path / "recipe.toml").write_text(
            f'[endpoint]\nmodel = "agent"\nbase_url = "{server.url}"\nmax_concurrent = 4\nprompt_usd = 1.0\nreply_usd = 1.0\n'
        )
        first = start(tmp_path / "recipe.toml", arena, tmp_path / "ray", address)
        episodes = tmp_path / "ray" / "episodes.jsonl"
        while not (episodes.exists() and episodes.stat().st_size) and first.poll() is None:
            time.sleep(0.005)
        first.kill()
        assert first.wait() == -signal.SIGKILL, first.communicate()[1].decode()[-2000:]
        time.sleep(0.3)  # the server ends what it had begun
        n_killed, on_record = len(server.requests), len(_lines(episodes))
        ended = bench(config, tmp_path / "ray", Executor.RAY)
        n_all = len(server.requests)
        assert ended == bench(config, tmp_path / "here", Executor.LOCAL)
    n_questions = len(_lines(arena))
    assert 0 < on_record < n_questions
    assert 0 < n_all - n_killed < n_distinct(server), "what was answered before the kill is not asked again"
    assert n_all - n_distinct(server) <= 4, "but for what was in flight"
