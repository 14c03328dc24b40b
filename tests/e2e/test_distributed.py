"""Two processes that train together under FSDP2 are one that trains alone."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tiny_models import clip, nano_folder

STEPS = 20
SCRIPT = Path(__file__).parents[1] / "train_together.py"


def start(model: Path, video: Path, folder: Path, n_processes: int, steps: int = STEPS) -> subprocess.Popen[str]:
    """torchrun starts all processes again if one dies, as docs/training.md advises: gloo's own thread has been seen to crash."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--max-restarts", "1", "--nproc-per-node", str(n_processes)]
    launcher = torchrun if n_processes > 1 else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}
    command = [sys.executable, *launcher, str(SCRIPT), str(model), str(video), str(folder), str(steps)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)


def finish(started: subprocess.Popen[str], folder: Path) -> list[dict[str, float]]:
    _, said = started.communicate(timeout=300)
    assert started.returncode == 0, said[-20_000:]
    return lines(folder)


def train(model: Path, video: Path, folder: Path, n_processes: int, steps: int = STEPS) -> list[dict[str, float]]:
    return finish(start(model, video, folder, n_processes, steps), folder)


def lines(folder: Path) -> list[dict[str, float]]:
    """Of SFT, of RL, and of GRPO on fixed words."""
    logged = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return logged + json.loads((folder / "fixed.json").read_text())


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("together")
    model, video = nano_folder(folder / "nano"), clip(folder / "clip.mp4")
    made = {n: folder / f"by-{n}" for n in (1, 2)}
    for n, run in made.items():
        train(model, video, run, n)
    return made


def losses(run: Path, stage: str, name: str) -> list[float]:
    return [line[name] for line in lines(run) if line["stage"] == stage]


@pytest.mark.parametrize(("stage", "name"), [("sft", "loss"), ("sft", "grad_norm"), ("fixed", "loss"), ("fixed", "grad_norm")])
def test_every_step_has_the_figures_of_one_process(runs, stage, name):
    alone, together = (losses(runs[n], stage, name) for n in (1, 2))
    assert len(alone) == STEPS
    assert len(set(alone)) > STEPS / 2 or (stage, name) == ("fixed", "loss")
    assert together == pytest.approx(alone, abs=1e-5, rel=1e-5)


def test_rollouts_are_dealt_out_and_every_rank_learns_from_all_of_them(runs):
    for name in ("reward", "episodes", "tokens_spoken", "grad_norm"):
        alone, together = (losses(runs[n], "rl", name)[0] for n in (1, 2))
        assert together == pytest.approx(alone, rel=1e-4), name


def test_the_weights_are_really_sharded(runs):
    assert json.loads((runs[2] / "facts.json").read_text()) == {"parameters": ["DTensor"], "sharded": True}
    assert json.loads((runs[1] / "facts.json").read_text()) == {"parameters": ["Parameter"], "sharded": False}


def test_the_checkpoint_has_the_same_layout_and_the_same_weights(runs):
    name = f"checkpoints/sft/step-{STEPS:06d}"
    assert sorted(path.name for path in (runs[1] / name).iterdir()) == sorted(path.name for path in (runs[2] / name).iterdir())
    for file in ("model.safetensors", "optimiser.safetensors"):
        alone, together = (load_file(runs[n] / name / file) for n in (1, 2))
        assert alone.keys() == together.keys()
        for key, value in alone.items():
            assert torch.allclose(together[key], value, atol=1e-4), key


def test_a_run_begun_by_two_goes_on_with_one_and_the_other_way_round(runs, tmp_path):
    model, video = runs[1].parent / "nano", runs[1].parent / "clip.mp4"
    for first, then in ((1, 2), (2, 1)):
        folder = tmp_path / f"{first}-{then}"
        train(model, video, folder, first, steps=STEPS)
        more = train(model, video, folder, then, steps=STEPS + 2)
        assert [line["step"] for line in more if line["stage"] == "rl"] == [*range(STEPS), STEPS, STEPS + 1]


def workers(torchrun: subprocess.Popen[str]) -> list[int]:
    """The processes it started, by rank."""
    return [int(pid) for pid in Path(f"/proc/{torchrun.pid}/task/{torchrun.pid}/children").read_text().split()]


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="finds the processes of torchrun under /proc, which only Linux has"
)
def test_a_process_that_is_killed_is_started_again_and_nothing_is_lost(runs, tmp_path, rank):
    started = start(runs[1].parent / "nano", runs[1].parent / "clip.mp4", tmp_path, 2)
    metrics, n_before = tmp_path / "metrics.jsonl", random.Random(rank).randint(2, STEPS - 5)
    while started.poll() is None and (not metrics.exists() or metrics.read_text().count("\n") < n_before):
        time.sleep(0.05)
    os.kill(workers(started)[rank], signal.SIGKILL)
    finish(started, tmp_path)
    for name in ("loss", "grad_norm"):
        assert losses(tmp_path, "sft", name) == losses(runs[2], "sft", name)
    assert [line["step"] for line in lines(tmp_path) if line["stage"] == "rl"] == [*range(STEPS)]
