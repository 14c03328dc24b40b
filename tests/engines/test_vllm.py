"""RL with a real vLLM server: CPU build, random weights, an environment of its own (`make -C engines vllm-env`).

What a stand-in of ours cannot prove: that a server samples from the prompt it was sent, images and all, tells the
log-probabilities that the trainer finds, and takes new weights.
"""

import json
import os
import signal
import time
from pathlib import Path
from threading import Thread

import pytest
import torch
from safetensors.torch import load_file, save_file

from deepsport.policy.local.checkpoint import load_policy
from deepsport.policy.local.nano import make_nano
from deepsport.policy.vllm.settings import VLLMConfig
from deepsport.run import Run
from deepsport.train.grpo import GRPOConfig, reinforce
from deepsport.train.optimiser import OptimiserConfig
from deepsport.train.samples import Sample
from deepsport.video.source import FrameSource
from even_words import EvenWords
from tiny_models import LIMITS, SIZE, TEXTS, clip, question, widen

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("DEEPSPORT_VLLM_PYTHON", ROOT / ".venv-vllm/bin/python"))
pytestmark = [
    pytest.mark.skipif(not PYTHON.exists(), reason=f"no vLLM at {PYTHON}: `make -C engines vllm-env` makes one"),
    pytest.mark.xdist_group("vllm"),
]
ON_CPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
ARGUMENTS = ["--dtype", "float32", "--enforce-eager", "--max-num-seqs", "32"]
RL = GRPOConfig(
    steps=4,
    questions_per_step=2,
    group_size=4,
    max_reply_tokens=8,
    lora_rank=4,
    importance_cap=2.0,
    optimiser=OptimiserConfig(lr=2e-2),
)


def servers(n: int, **settings: object) -> VLLMConfig:
    """So many servers, started by the run."""
    known = {"python": str(PYTHON), "arguments": ARGUMENTS, "environment": ON_CPU, "timeout_s": 120.0, "patience_s": 60.0}
    return VLLMConfig.model_validate({"start": [""] * n} | known | settings)


@pytest.fixture(scope="module")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights, drawn wide; the output layer is a matrix of its own, as in the 7B model."""
    folder = tmp_path_factory.mktemp("nano")
    make_nano(folder, TEXTS, SIZE.model_copy(update={"n_heads": 1}), seed=0)  # heads of 16 are too small for vLLM
    policy = load_policy(str(folder))
    widen(policy.backbone.model, seed=0)
    policy.backbone.model.save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    torch.manual_seed(1)
    embeddings = next(weight for name, weight in weights.items() if name.endswith("embed_tokens.weight"))
    weights["lm_head.weight"] = 0.1 * torch.randn_like(embeddings)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["tie_word_embeddings"] = config["text_config"]["tie_word_embeddings"] = False
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("clips") / "a.mp4")


def trained(folder: Path, nano: Path, video: Path, config: GRPOConfig, asked: VLLMConfig) -> list[dict[str, float]]:
    """What every step logged."""
    questions = [question(video, name) for name in "abcd"]
    with Run.open(folder, None) as run, FrameSource() as source:
        reinforce(
            load_policy(str(nano)),
            questions,
            source,
            config,
            run,
            limits=LIMITS,
            reward=EvenWords(),
            origin=nano,
            seed=0,
            servers=asked,
        )
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_every_push_of_an_adapter_arrives_and_is_what_the_next_step_samples_with(tmp_path, nano, video):
    steps = trained(tmp_path, nano, video, RL, servers(1, staleness=1))
    assert len(steps) == RL.steps
    assert all(step["episodes"] == 8 and step["push_off"] < 1e-3 < step["push_moved"] for step in steps)
    sampled = [json.loads(line) for line in (tmp_path / "samples/rl.jsonl").read_text().splitlines()]
    by = {Sample.model_validate(line).episode.policy.rpartition("@")[2] for line in sampled}
    assert by == {"0", "1", "2"}  # steps 0 and 1 by the first weights, then each by those of the step before


def test_in_turns_trainer_and_server_find_the_same_tokens_equally_probable(tmp_path, nano, video):
    steps = trained(tmp_path, nano, video, RL.model_copy(update={"steps": 2}), servers(1, staleness=0))
    assert all(step["mismatch"] < 1e-3 for step in steps)


def test_whole_weights_arrive_too(tmp_path, nano, video):
    config = RL.model_copy(update={"steps": 2, "lora_rank": 0, "optimiser": OptimiserConfig(lr=2e-3)})
    steps = trained(tmp_path, nano, video, config, servers(1, staleness=0))
    assert all(step["push_off"] < 1e-3 < step["push_moved"] for step in steps)
    assert all(step["mismatch"] < 1e-3 for step in steps)


def test_of_two_servers_one_is_killed_in_the_middle_of_a_step_and_no_episode_is_lost_or_counted_twice(tmp_path, nano, video):
    config = RL.model_copy(update={"steps": 6, "questions_per_step": 4})
    killed: list[int] = []
    Thread(target=kill_one, args=(tmp_path, nano, killed), daemon=True).start()
    steps = trained(tmp_path, nano, video, config, servers(2, staleness=1, timeout_s=30.0))
    assert killed, "nothing was killed: the run ended first"
    assert [step["step"] for step in steps] == [*range(6)]
    assert all(step["episodes"] == 16 and step["stop_policy_error"] == 0 for step in steps)
    assert all(step["push_off"] < 1e-3 for step in steps)
    assert steps[0]["servers"] == 2
    assert max(step["asked_again"] for step in steps) > 0, "the server gave no reply when it was killed"


def kill_one(run: Path, model: Path, killed: list[int]) -> None:
    """Kills a server and its workers with SIGKILL, once two steps are logged and it is giving replies."""
    metrics, log = run / "metrics.jsonl", run / "servers/0.log"
    while not metrics.exists() or metrics.read_text().count("\n") < 2:
        time.sleep(0.02)
    size = log.stat().st_size
    while log.stat().st_size == size:
        time.sleep(0.005)
    killed.append(min(process for process in children() if str(model).encode() in command(process)))
    os.killpg(killed[0], signal.SIGKILL)


def children() -> list[int]:
    """Processes that a thread of this one started."""
    return [int(pid) for listed in Path("/proc/self/task").glob("*/children") for pid in listed.read_text().split()]


def command(process: int) -> list[bytes]:
    """Its words."""
    return Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
