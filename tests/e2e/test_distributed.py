"""Two processes that train together under FSDP2 are one that trains alone, on one host or on two, whatever is killed."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from deepsport.policy.local.checkpoint import load_policy
from deepsport.train.tensor_files import TensorFiles, opened
from tiny_models import clip, nano_folder
from two_hosts import Host, two_hosts

STEPS, FEWER_STEPS = 20, 8
"""Of the runs that are compared; and of the one that is killed, whose steps are the first of theirs."""
SCRIPT = Path(__file__).parents[1] / "train_together.py"


def start(
    model: Path, video: Path, folder: Path, n_processes: int, steps: int = STEPS, restarts: int = 1
) -> subprocess.Popen[str]:
    """torchrun starts all processes again if one dies, as docs/training.md advises: gloo's own thread has been seen to crash."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--max-restarts={restarts}", f"--nproc-per-node={n_processes}"]
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


def newest(run: Path) -> Path:
    return run / f"checkpoints/sft/step-{STEPS:06d}"


@pytest.mark.parametrize("stem", ["model", "optimiser"])
def test_each_process_writes_a_share_of_a_checkpoint_which_holds_what_one_alone_writes(stem, runs):
    shares = [newest(runs[2]) / f"{stem}-{n:05d}-of-00002.safetensors" for n in (1, 2)]
    assert max(path.stat().st_size for path in shares) < 0.7 * sum(path.stat().st_size for path in shares)
    with opened(newest(runs[1]), stem) as alone, opened(newest(runs[2]), stem) as together:
        assert sorted(alone.names) == sorted(together.names)
        for name in alone.names:
            assert torch.allclose(read(together, name), read(alone, name), atol=1e-4), name


def read(files: TensorFiles, name: str) -> torch.Tensor:
    tensor = torch.empty(files.shape(name))
    files.fill(name, tensor)
    return tensor


def test_what_stands_beside_the_weights_is_the_same_and_any_program_can_load_them(runs):
    def beside(folder: Path) -> dict[str, str]:
        apart = ("model", "optimiser", "trainer")
        return {path.name: path.read_text() for path in folder.iterdir() if not path.name.startswith(apart)}

    assert beside(newest(runs[1])) == beside(newest(runs[2]))
    weights = [dict(load_policy(str(newest(runs[n]))).backbone.model.named_parameters()) for n in (1, 2)]
    for name, weight in weights[0].items():
        assert torch.allclose(weights[1][name], weight, atol=1e-4), name


def test_a_run_begun_by_two_goes_on_with_one_and_the_other_way_round(runs, tmp_path):
    model, video = runs[1].parent / "nano", runs[1].parent / "clip.mp4"
    for first, then in ((1, 2), (2, 1)):
        shutil.copytree(runs[first], tmp_path / f"then-{then}")
        more = train(model, video, tmp_path / f"then-{then}", then, steps=STEPS + 2)
        assert [line["step"] for line in more if line["stage"] == "rl"] == [*range(STEPS), STEPS, STEPS + 1]
    for name in ("loss", "grad_norm"):
        alone, together = (losses(tmp_path / f"then-{n}", "sft", name) for n in (1, 2))
        assert len(alone) == STEPS + 2
        assert together == pytest.approx(alone, abs=1e-5, rel=1e-5)


def workers(torchrun: subprocess.Popen[str]) -> list[int]:
    """The processes it started, by rank."""
    return [int(pid) for pid in Path(f"/proc/{torchrun.pid}/task/{torchrun.pid}/children").read_text().split()]


def wait_for_steps(folder: Path, n_more: int, *torchruns: subprocess.Popen[str]) -> None:
    """Until so many more steps are logged, or all is over."""
    wanted = n_logged(folder) + n_more
    while all(torchrun.poll() is None for torchrun in torchruns) and n_logged(folder) < wanted:
        time.sleep(0.05)


def require_same_curve(killed: Path, undisturbed: Path) -> None:
    """To the bit, in SFT and in RL, whose words follow from the weights."""
    for stage in ("sft", "rl"):
        for name in ("loss", "grad_norm"):
            assert losses(killed, stage, name) == losses(undisturbed, stage, name)[:FEWER_STEPS], (stage, name)


@pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="finds the processes of torchrun under /proc, which only Linux has"
)
def test_when_the_process_that_writes_is_killed_all_are_started_again_and_nothing_is_lost(runs, tmp_path):
    started = start(runs[1].parent / "nano", runs[1].parent / "clip.mp4", tmp_path, 2, FEWER_STEPS, restarts=2)
    wait_for_steps(tmp_path, random.Random(0).randint(1, 3), started)
    os.kill(workers(started)[0], signal.SIGKILL)
    finish(started, tmp_path)
    require_same_curve(tmp_path, runs[2])
    assert [line["step"] for line in lines(tmp_path) if line["stage"] == "rl"] == [*range(FEWER_STEPS)]


def start_on(host: Host, meeting: Host, model: Path, video: Path, folder: Path) -> subprocess.Popen[str]:
    """torchrun on one of two hosts, as docs/cluster.md advises; they meet at one of them."""
    torchrun = [
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--max-restarts=2"),
        *("--rdzv-backend=c10d", "--rdzv-id=test", f"--rdzv-endpoint={meeting.address}:29400"),
        *(f"--local-addr={host.address}", f"--rdzv-conf=is_host={int(host is meeting)}"),
    ]
    environment = {"OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    with folder.with_name(f"{host.name}.log").open("a") as log:
        return host.start([*torchrun, str(SCRIPT), str(model), str(video), str(folder), str(FEWER_STEPS)], environment, log)


def test_a_host_that_loses_its_net_and_then_its_power_and_comes_back_changes_no_bit_of_the_curve(runs, tmp_path):
    given = (runs[1].parent / "nano", runs[1].parent / "clip.mp4", tmp_path / "run")
    with two_hosts() as (one, other):
        lasting, lost = (start_on(host, one, *given) for host in (one, other))
        wait_for_steps(tmp_path / "run", 2, lasting, lost)
        other.plug("down")
        time.sleep(1)
        other.plug("up")
        wait_for_steps(tmp_path / "run", 2, lasting, lost)
        other.cut_power()
        at_the_cut = n_logged(tmp_path / "run")
        other.plug("up")
        again = start_on(other, one, *given)
        for torchrun, host in ((lasting, one), (again, other)):
            assert torchrun.wait(300) == 0, (tmp_path / f"{host.name}.log").read_text()[-20_000:]
    assert at_the_cut < 2 * FEWER_STEPS, "there was nothing left to do"
    require_same_curve(tmp_path / "run", runs[2])


def n_logged(folder: Path) -> int:
    """Steps in the log so far."""
    metrics = folder / "metrics.jsonl"
    return metrics.read_text().count("\n") if metrics.exists() else 0
