"""Two processes that train together under FSDP2 are one that trains alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tiny_models import clip, nano_folder

STEPS = 20
SCRIPT = Path(__file__).parents[1] / "train_together.py"


def train(model: Path, video: Path, folder: Path, n_processes: int, steps: int = STEPS) -> list[dict[str, float]]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n_processes)] if n_processes > 1 else []
    command = [sys.executable, *launcher, str(SCRIPT), str(model), str(video), str(folder), str(steps)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert ran.returncode == 0, ran.stderr[-3000:]
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("together")
    model, video = nano_folder(folder / "nano"), clip(folder / "clip.mp4")
    made = {n: folder / f"by-{n}" for n in (1, 2)}
    for n, run in made.items():
        train(model, video, run, n)
    return made


def losses(run: Path, stage: str, name: str) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if line["stage"] == stage]


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
