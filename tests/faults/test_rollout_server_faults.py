"""RL while the servers that sample die, lag, lie and come back: no episode is lost or counted twice, no wrong token trained on.

The servers are stand-ins that really sample (`token_server`); those that a run starts itself are small programs in place of vLLM.
"""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from deepsport.errors import BadConfig, EngineError
from deepsport.policy.vllm import launching
from deepsport.policy.vllm.launching import Needs, started
from deepsport.policy.vllm.settings import VLLMConfig
from deepsport.records import Episode, Question
from model_server import Hang, error
from served_runs import RL, G, P, reached, train, wide_folder
from tiny_models import clip, question
from token_server import TokenServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="servers that end with their parent are Linux's")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return wide_folder(tmp_path_factory.mktemp("nano"))


@pytest.fixture(scope="module")
def questions(tmp_path_factory) -> list[Question]:
    video = clip(tmp_path_factory.mktemp("clips") / "clip.mp4")
    return [question(video, name).model_copy(update={"text": f"How was goal {name} scored?"}) for name in "abcd"]


@pytest.fixture
def two(model):
    with TokenServer(model) as first, TokenServer(model) as second:
        yield first, second


def steps_behind(seen: list[Episode], first: int = 0) -> list[int]:
    """For each step, by how many the weights were older that sampled its episodes."""
    sampled_by = [int(episode.policy.rpartition("@")[2]) for episode in seen]
    assert len(sampled_by) % (P * G) == 0
    batches = [set(sampled_by[at : at + P * G]) for at in range(0, len(sampled_by), P * G)]
    assert all(len(batch) == 1 for batch in batches), "a batch was sampled by several weights"
    return [first + step - batch.pop() for step, batch in enumerate(batches)]


def require_each_once(seen: list[Episode], n_steps: int) -> None:
    """As many episodes as were asked for, no two the same, all of them sound."""
    assert len(seen) == n_steps * P * G
    assert max(Counter(episode.id for episode in seen).values()) == 1
    assert all(episode.tokens and any(episode.tokens.sampled) for episode in seen)


# the steady state


@pytest.mark.parametrize("staleness", [0, 1, 2])
def test_weights_are_as_old_as_the_recipe_says_and_never_older(tmp_path, model, questions, staleness):
    seen: list[Episode] = []
    with TokenServer(model) as server:
        steps = train(tmp_path, model, questions, reached(server, staleness=staleness), seen=seen)
        assert server.most_loaded <= staleness + 2
        assert server.missing_folders == []
        assert not server.loaded
    assert steps_behind(seen) == [min(step, staleness) for step in range(RL.steps)]
    require_each_once(seen, RL.steps)
    assert all(step["push_off"] < 1e-4 < step["push_moved"] for step in steps)
    assert not list((tmp_path / "weights").iterdir()), "files of weights are left over"
    in_turn = [step["mismatch"] < 1e-4 for step in steps]
    assert in_turn == [step == 0 or staleness == 0 for step in range(RL.steps)]


def test_whole_weights_are_sent_once_a_step_and_are_what_the_next_step_samples_with(tmp_path, model, questions):
    seen: list[Episode] = []
    with TokenServer(model) as server:
        small = RL.optimiser.model_copy(update={"lr": 2e-3})
        steps = train(tmp_path, model, questions, reached(server, staleness=0), seen=seen, lora_rank=0, steps=2, optimiser=small)
        assert server.control.count("/collective_rpc") == server.control.count("/resume") == 3
        assert not server.paused
    require_each_once(seen, 2)
    assert all(step["push_off"] < 1e-4 < step["push_moved"] and step["mismatch"] < 1e-4 for step in steps)


# a server that fails


def test_of_two_servers_one_dies_in_the_middle_of_a_step_and_nothing_is_lost(tmp_path, model, questions, two):
    seen: list[Episode] = []
    dying = kill_at(two[0], n=9)
    steps = train(tmp_path, model, questions, reached(*two, staleness=0), seen=seen)
    assert dying.is_set(), "the run ended before the server died"
    require_each_once(seen, RL.steps)
    assert steps[-1]["servers"] == 1
    assert steps[-1]["asked_again"] > 0
    assert all(step["stop_policy_error"] == 0 and step["episodes"] == P * G for step in steps)
    assert all(step["mismatch"] < 1e-4 for step in steps), "a reply from the other server does not belong to its prompt"


def kill_at(server: TokenServer, n: int) -> threading.Event:
    """Lets a server die while its n-th reply is waited for."""
    dead = threading.Event()

    def die(number: int) -> Hang | None:
        if number < n:
            return None
        if not dead.is_set():
            dead.set()
            threading.Thread(target=server.die, daemon=True).start()
        return Hang(10)

    server.act = die
    return dead


def test_a_slow_server_costs_only_the_time_of_its_replies(tmp_path, model, questions, two):
    two[0].act = lambda number: Hang(30) if number > 4 else None
    seen: list[Episode] = []
    began = time.monotonic()
    steps = train(tmp_path, model, questions, reached(*two, timeout_s=1.0), seen=seen)
    assert time.monotonic() - began < 25
    require_each_once(seen, RL.steps)
    assert steps[-1]["asked_again"] > 0


def test_a_server_that_always_fails_beside_a_sound_one_costs_nothing(tmp_path, model, questions, two):
    two[0].act = lambda number: error(500, "EngineCore encountered an issue")
    seen: list[Episode] = []
    train(tmp_path, model, questions, reached(*two), seen=seen, steps=2)
    require_each_once(seen, 2)


def test_a_server_that_dies_while_it_is_asked_for_proof_is_left_out(tmp_path, model, questions, two):
    kill_at(two[1], n=0)
    steps = train(tmp_path, model, questions, reached(*two), steps=2)
    assert [step["servers"] for step in steps] == [1, 1]


@pytest.mark.parametrize("first_is_stale", [True, False])
def test_a_server_that_keeps_its_old_weights_ends_the_run_by_name(tmp_path, model, questions, two, first_is_stale):
    liar = two[0 if first_is_stale else 1]
    liar.stale = True
    with pytest.raises(EngineError, match=rf"{liar.address} samples with other weights than those of step 1.*off by"):
        train(tmp_path, model, questions, reached(*two))


def test_a_server_that_keeps_its_old_whole_weights_ends_the_run(tmp_path, model, questions):
    with TokenServer(model) as server:
        server.stale = True
        with pytest.raises(EngineError, match="samples with other weights"):
            train(tmp_path, model, questions, reached(server), lora_rank=0)


def test_another_prompt_ends_the_run_in_the_middle_of_a_step(tmp_path, model, questions):
    with TokenServer(model) as server:

        def misread(number: int) -> None:
            server.misreads = number > 8

        server.act = misread
        with pytest.raises(EngineError, match="read another prompt"):
            train(tmp_path, model, questions, reached(server))


def test_a_run_whose_servers_refuse_every_reply_does_not_go_on_learning_nothing(tmp_path, model, questions):
    with TokenServer(model) as server:
        server.act = lambda number: error(400, "too many images") if number else None
        with pytest.raises(EngineError, match=r"every one of the 6 episodes of step 0 failed.*too many images"):
            train(tmp_path, model, questions, reached(server))


def test_a_question_without_a_readable_video_does_not_keep_a_run_from_its_proof(tmp_path, model, questions):
    seen: list[Episode] = []
    lost = questions[0].model_copy(update={"id": "lost", "video": str(tmp_path / "nowhere.mp4")})
    with TokenServer(model) as server:
        steps = train(tmp_path / "run", model, [lost, *questions], reached(server), seen=seen, steps=1)
    assert steps[0]["push_off"] < 1e-4


# going on


def test_a_run_without_servers_ends_and_goes_on_later_from_its_checkpoint(tmp_path, model, questions):
    seen: list[Episode] = []
    with TokenServer(model) as server:
        kill_at(server, n=14)
        with pytest.raises(EngineError, match=r"no server answered for 0\.5 s"):
            train(tmp_path, model, questions, reached(server, patience_s=0.5, staleness=0), seen=seen)
        n_done = len((tmp_path / "metrics.jsonl").read_text().splitlines())
        assert 0 < n_done < RL.steps
        del seen[n_done * P * G :]  # of a step that was not finished
        server.act = lambda number: None
        server.revive()
        steps = train(tmp_path, model, questions, reached(server, staleness=0), seen=seen)
        assert not server.loaded
    assert [step["step"] for step in steps] == [*range(RL.steps)]
    require_each_once(seen, RL.steps)
    assert all(step["mismatch"] < 1e-4 for step in steps)


def test_a_trainer_that_is_killed_goes_on_from_its_checkpoint_and_clears_up_what_it_left(tmp_path, model, questions):
    with TokenServer(model) as server:
        trainer = training(tmp_path / "run", model, questions[0].video, server.address)
        wait_for(lambda: (tmp_path / "run/metrics.jsonl").exists() or trainer.poll() is not None, within_s=60)
        trainer.send_signal(signal.SIGKILL)
        trainer.wait()
        assert list((tmp_path / "run/weights").iterdir()), "the killed trainer left no weights: nothing is tested"
        assert server.loaded
        n_done = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])["step"] + 1
        seen: list[Episode] = []
        steps = train(tmp_path / "run", model, questions, reached(server), seen=seen, steps=n_done + 2)
        assert [step["step"] for step in steps] == [*range(n_done + 2)]
        assert len(seen) // (P * G) in (1, 2)  # a step may be finished and not yet logged
        assert not server.loaded
        assert not list((tmp_path / "run/weights").iterdir())


def test_an_interrupt_ends_the_run_at_once_and_blames_no_server_for_what_was_under_way(tmp_path, model, questions, caplog):
    with TokenServer(model) as server:

        def interrupt(number: int) -> Hang | None:
            if number == 2 * P * G:
                threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
            return Hang(60) if number >= 2 * P * G else None

        server.act = interrupt
        with caplog.at_level(logging.WARNING), pytest.raises(KeyboardInterrupt):
            train(tmp_path, model, questions, reached(server))
        assert not server.loaded
    assert "is not asked any more" not in caplog.text
    assert "rollouts" not in [thread.name for thread in threading.enumerate()]


# the key


def test_the_key_reaches_the_servers_and_nothing_else(tmp_path, model, questions, monkeypatch, caplog):
    monkeypatch.setenv("ROLLOUT_KEY", "sk-very-secret")
    with TokenServer(model, api_key="sk-very-secret") as server, caplog.at_level(logging.DEBUG):
        train(tmp_path, model, questions, reached(server, api_key_env="ROLLOUT_KEY"), steps=2)
        server.api_key = "another"
        with pytest.raises((EngineError, BadConfig)) as refused:
            train(tmp_path, model, questions, reached(server, api_key_env="ROLLOUT_KEY"), steps=3)
    assert {asked.authorization for asked in server.asked} == {"Bearer sk-very-secret"}
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert "sk-very-secret" not in written.decode("latin-1") + caplog.text + str(refused.value)


def test_a_key_that_is_not_set_is_told_before_anything_starts(tmp_path, model, questions):
    with pytest.raises(BadConfig, match="NO_SUCH_KEY, which is not set"):
        train(tmp_path, model, questions, VLLMConfig(addresses=["http://localhost:1"], api_key_env="NO_SUCH_KEY"))


# servers that the run starts

HEALTHY = """#!{python}
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *words):
        pass
print("started with", *sys.argv[1:], flush=True)
open({pids!r}, "a").write(str(os.getpid()) + chr(10))
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""
FAILING = "#!/bin/sh\necho CUDA error: no such device\nexit 3\n"
NEEDS = Needs(model=Path("m"), context=512, images=4, lora_rank=4, versions=3)


def program(folder: Path, text: str) -> VLLMConfig:
    """A configuration whose Python is this program."""
    path = folder / "python"
    path.write_text(text.format(python=sys.executable, pids=str(folder / "pids")) if "{python}" in text else text)
    path.chmod(0o755)
    return VLLMConfig(start=[""], python=str(path), start_timeout_s=20.0)


def pids(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "pids").read_text().split()] if (folder / "pids").exists() else []


def wait_for(holds: Callable[[], bool], within_s: float = 15.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_server_that_does_not_start_ends_the_run_with_the_end_of_its_log(tmp_path, model, questions):
    with pytest.raises(EngineError, match=r"(?s)exit code 3.*servers/0.log.*CUDA error: no such device"):
        train(tmp_path / "run", model, questions, program(tmp_path, FAILING))


def test_a_python_that_is_not_there_is_told_by_name(tmp_path, model, questions):
    with pytest.raises(EngineError, match=r"nowhere/python cannot be started .*`vllm.python`"):
        train(tmp_path, model, questions, VLLMConfig(start=[""], python=str(tmp_path / "nowhere/python")))


def test_a_server_that_does_not_answer_in_time_is_ended(tmp_path):
    config = program(tmp_path, "#!/bin/sh\nexec sleep 60\n").model_copy(update={"start_timeout_s": 0.5})

    async def start() -> None:
        async with started(config, NEEDS, tmp_path / "logs", None):
            pass

    with pytest.raises(EngineError, match="did not start within start_timeout_s"):
        asyncio.run(start())


def test_servers_end_with_the_run_and_their_logs_say_how_they_were_started(tmp_path):
    async def start() -> None:
        config = program(tmp_path, HEALTHY).model_copy(update={"start": ["", ""], "arguments": ["--extra"]})
        async with started(config, NEEDS, tmp_path / "logs", "sk-secret") as addresses:
            assert len(set(addresses)) == 2
            assert all(alive(pid) for pid in pids(tmp_path))

    asyncio.run(start())
    assert len(pids(tmp_path)) == 2
    assert not any(alive(pid) for pid in pids(tmp_path))
    logs = [(tmp_path / f"logs/{number}.log").read_text() for number in (0, 1)]
    assert all("--enable-lora" in log and "--extra" in log and "sk-secret" not in log for log in logs)


def test_a_server_that_dies_is_started_again_a_few_times_at_its_address(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(launching, "LOOK_S", 0.05)

    async def start() -> None:
        async with started(program(tmp_path, HEALTHY), NEEDS, tmp_path / "logs", None):
            for n_before in range(1, 1 + launching.MOST_RESTARTS):
                os.kill(pids(tmp_path)[-1], signal.SIGKILL)
                await asyncio.to_thread(wait_for, lambda n=n_before: len(pids(tmp_path)) == n + 1)
            os.kill(pids(tmp_path)[-1], signal.SIGKILL)
            await asyncio.sleep(0.5)

    asyncio.run(start())
    assert len(pids(tmp_path)) == 1 + launching.MOST_RESTARTS
    said = (tmp_path / "logs/0.log").read_text().splitlines()
    assert len(said) == 1 + launching.MOST_RESTARTS
    assert len({line.partition("--port ")[2].split()[0] for line in said}) == 1
    assert caplog.text.count("is started again") == launching.MOST_RESTARTS
    assert not any(alive(pid) for pid in pids(tmp_path))


STARTER = """
import asyncio, sys, time
from pathlib import Path
from deepsport.policy.vllm.launching import Needs, started
from deepsport.policy.vllm.settings import VLLMConfig

async def start(folder):
    needs = Needs(model=Path("m"), context=512, images=4, lora_rank=4, versions=3)
    async with started(VLLMConfig(start=[""], python=str(folder / "python")), needs, folder / "logs", None):
        time.sleep(600)

asyncio.run(start(Path(sys.argv[1])))
"""


def test_servers_end_when_whoever_started_them_is_killed(tmp_path):
    program(tmp_path, HEALTHY)
    trainer = subprocess.Popen([sys.executable, "-c", STARTER, tmp_path])
    try:
        wait_for(lambda: len(pids(tmp_path)) == 1 or trainer.poll() is not None, within_s=60)
        assert alive(pids(tmp_path)[0])
    finally:
        trainer.send_signal(signal.SIGKILL)
        trainer.wait()
    wait_for(lambda: not alive(pids(tmp_path)[0]))


def training(*words: str | Path) -> "subprocess.Popen[bytes]":
    """A process of its own that trains for ever."""
    tests = Path(__file__).parents[1]
    return subprocess.Popen([sys.executable, __file__, *words], env={**os.environ, "PYTHONPATH": str(tests)})


def main(run: str, model: str, video: str, address: str) -> None:
    """What it does."""
    import torch

    torch.set_num_threads(1)
    questions = [question(Path(video), name).model_copy(update={"text": f"How was goal {name} scored?"}) for name in "abcd"]
    train(Path(run), Path(model), questions, VLLMConfig(addresses=[address]), steps=1000)


if __name__ == "__main__":
    main(*sys.argv[1:])
