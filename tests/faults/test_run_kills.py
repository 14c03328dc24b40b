"""Kill -9 at twenty random points: what the run holds in the end is what an uninterrupted one holds."""

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
    items: int = 40


with Run.open(Path(sys.argv[1]), Recipe()) as run:
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
    with subprocess.Popen([sys.executable, "-c", WORK, folder]) as process:
        if kill_after_s is not None:
            while process.poll() is None and not (folder / "first.jsonl").exists():
                time.sleep(0.002)
            time.sleep(kill_after_s)
            process.kill()
        return process.wait()


@pytest.mark.slow
def test_after_twenty_kills_the_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    rng = random.Random(20)
    assert attempt(tmp_path / "whole", None) == 0
    killed, kills = tmp_path / "killed", 0
    for round_number in range(20):
        folder = killed / str(round_number)
        kills += attempt(folder, rng.uniform(0, 0.14)) == -9
        assert attempt(folder, None) == 0
        assert [(folder / name).read_bytes() for name in RESULTS] == [
            (tmp_path / "whole" / name).read_bytes() for name in RESULTS
        ]
    assert kills >= 10
