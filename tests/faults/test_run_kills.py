"""A run of two stages, killed at twenty random points on its way: in the end it holds what an uninterrupted one holds."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

WORK = """
import sys, time
from pathlib import Path
from pydantic import BaseModel
from deepsport.config import Config
from deepsport.run import Run


class Item(BaseModel):
    n: int
    text: str


class Recipe(Config):
    items: int = 150


with Run.open(Path(sys.argv[1]), Recipe()) as run:
    print("open", flush=True)
    for stage in ("first", "second"):
        if run.done(stage):
            continue
        with run.stage(stage):
            finished = {item.n for item in run.read(f"{stage}.jsonl", Item)}
            for n in range(Recipe().items):
                if n not in finished:
                    time.sleep(0.002)
                    run.append(f"{stage}.jsonl", Item(n=n, text=f"{stage} {n} " * 400))
    run.write("report.json", str([len(run.read(f"{stage}.jsonl", Item)) for stage in ("first", "second")]))
"""
RESULTS = ("config.toml", "first.jsonl", "second.jsonl", "report.json")


def attempt(folder: Path, kill_after_s: float | None) -> int:
    with subprocess.Popen([sys.executable, "-c", WORK, folder], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            process.kill()
        return process.wait()


@pytest.mark.slow
def test_a_run_killed_twenty_times_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    rng = random.Random(20)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert attempt(whole, None) == 0
    codes = [attempt(killed, rng.uniform(0, 0.03)) for _ in range(20)]
    assert attempt(killed, None) == 0
    assert codes.count(-9) >= 15
    assert [(killed / name).read_bytes() for name in RESULTS] == [(whole / name).read_bytes() for name in RESULTS]
