"""The benchmark for one GPU, every part of it, on the CPU at no size: it proves the code and measures nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "gpu"
EXPECTED = (
    "rl step, s",
    "rl step: prefill, s",
    "rl step: decode, s",
    "rl step: vision, s",
    "rl step: learn, s",
    "peak GPU memory of learning, GB",
    "peak host memory, GB",
    "sft step, s",
    "sft mfu, reciprocal",
    "tree, every episode looks elsewhere, s",
    "tree, two looks in a group, s",
    "host memory: last quarter of the steps over the second, MB",
    "video: ms a frame, all cores",
    "sft step, layers compiled, s",
)


def run(*options: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run([sys.executable, SCRIPT, *options], capture_output=True, text=True, env=env, timeout=900, check=False)


@pytest.mark.slow
def test_every_part_runs_at_no_size_and_is_told_as_json(tmp_path):
    done = run("--tiny", "--seconds", "900", "--out", str(tmp_path / "gpu.json"))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == json.loads((tmp_path / "gpu.json").read_text())
    assert told["skipped"] == {}
    assert set(EXPECTED) <= told["cases"].keys()
    for name, case in told["cases"].items():
        assert {"ours", "rivals", "ratio_to_best_rival", "ratio_to_floor"} <= case.keys(), name
    assert told["cases"]["rl step, s"]["episodes"] == 8
    assert told["cases"]["rl step, s"]["mismatch"] < 0.1
    assert told["cases"]["tree, two looks in a group, s"]["most_that_can_be"] > 2
    assert 0 < told["cases"]["sft mfu, reciprocal"]["mfu"] < 1


def test_without_a_gpu_the_benchmark_says_that_it_is_skipped():
    done = run()
    assert (done.returncode, done.stdout.split(":")[0]) == (0, "skipped")
    assert "no CUDA device" in done.stdout
