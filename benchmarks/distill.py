"""How well a distillation keeps a slow teacher busy: time beside the ideal, and how long the event loop was ever held.

The teacher is a server on this machine that answers every request after one second; the ideal is what so many requests in
flight can reach with nothing else to do. Frames are decoded and encoded meanwhile: small ones of the arena, and 640x360 ones.
Exit code 1 below 90 % of the ideal, or if the loop was held for longer than LONGEST_HOLD_MS. There is no rival: the floor is
the latency itself.

    python benchmarks/distill.py [requests in flight] [rounds of them]
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from deepsport.agent.rollout import Limits
from deepsport.arena.generate import make_set
from deepsport.data.distill.acting import ACTED, act
from deepsport.data.distill.cast import open_cast
from deepsport.data.distill.distill import questions_of
from deepsport.data.distill.recipe import DistillRecipe, TeacherConfig
from deepsport.data.distill.record_index import EpisodeIndex
from deepsport.records import Choice, Question
from deepsport.run import Run
from deepsport.versions import versions
from deepsport.video.source import FrameSource

LATENCY_S, REQUIRED, TURNS = 1.0, 0.9, 3
LONGEST_HOLD_MS = 250
"""Decoding and encoding a single turn's frames on the loop, for so many requests that end together, would hold it for seconds."""


@dataclass(frozen=True)
class Measured:
    """One case."""

    n_requests: int
    seconds: float
    most_in_flight: int
    longest_hold_ms: float
    cpu_s: float


def main() -> None:
    """Measures both kinds of frames, prints a table and one JSON line."""
    in_flight = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    n_rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 30
    n_samples = in_flight * n_rounds // TURNS
    cases: dict[str, dict[str, object]] = {}
    load = os.getloadavg()
    print(f"{'frames':<12}{'requests':>10}{'seconds':>10}{'ideal':>8}{'share':>8}{'loop held, ms':>15}{'CPU s':>8}")
    with tempfile.TemporaryDirectory() as name:
        for case, questions in (("arena", arena_questions(Path(name))), ("640x360", footage_questions(Path(name)))):
            got = measure(Path(name) / f"run_{case}", questions, in_flight, n_samples)
            ideal_s = got.n_requests * LATENCY_S / in_flight
            share = ideal_s / got.seconds
            print(
                f"{case:<12}{got.n_requests:>10}{got.seconds:>10.1f}{ideal_s:>8.1f}{share:>8.2f}"
                f"{got.longest_hold_ms:>15.0f}{got.cpu_s:>8.1f}"
            )
            cases[case] = {"ours": got.seconds, "rivals": {}, "ratio_to_floor": got.seconds / ideal_s, **vars(got)}
    print(f"load of the machine before: {load[0]:.2f}")
    print(json.dumps({"name": "distill", "in_flight": in_flight, "cases": cases, "versions": versions()}))
    slow = any(float(str(case["ratio_to_floor"])) > 1 / REQUIRED for case in cases.values())
    held = any(float(str(case["longest_hold_ms"])) > LONGEST_HOLD_MS for case in cases.values())
    sys.exit(slow or held)


def measure(folder: Path, path: Path, in_flight: int, n_samples: int) -> Measured:
    """Acts until every trajectory is on record. The server counts the time, from its first request to its last reply."""
    with slow_server() as server:
        teacher = TeacherConfig(model="slow", base_url=server.url, max_concurrent=in_flight)
        n_questions = sum(1 for _ in path.open())
        recipe = DistillRecipe(questions=str(path), teacher=teacher, samples=max(1, n_samples // n_questions), limits=Limits())
        started_cpu = time.process_time()
        hold_s = asyncio.run(acting(folder, recipe))
        cpu_s = time.process_time() - started_cpu
        served = server.end()
    return Measured(
        n_requests=int(served["n"]),
        seconds=served["seconds"],
        most_in_flight=int(served["most_in_flight"]),
        longest_hold_ms=1000 * hold_s,
        cpu_s=cpu_s,
    )


async def acting(folder: Path, recipe: DistillRecipe) -> float:
    """The step itself; returns the longest time for which the event loop was held."""
    questions = questions_of(recipe)
    with Run.open(folder, None) as run, FrameSource() as source:
        async with open_cast(recipe, questions, folder, None) as cast:
            watch = asyncio.create_task(longest_hold())
            await act(run, recipe, cast, questions, {}, EpisodeIndex(run.path(ACTED)), source, lambda _: None)
            watch.cancel()
            assert run.path(ACTED).exists()
            return (await asyncio.gather(watch, return_exceptions=True), Hold.longest_s)[1]


class Hold:
    """The longest hold so far."""

    longest_s = 0.0


async def longest_hold(every_s: float = 0.005) -> None:
    """Sleeps briefly, again and again: how much longer than asked it slept is how long others held the loop."""
    Hold.longest_s = 0.0
    while True:
        before_s = time.monotonic()
        await asyncio.sleep(every_s)
        Hold.longest_s = max(Hold.longest_s, time.monotonic() - before_s - every_s)


class Server:
    """The slow server, in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout
        self._process = process
        self.url = f"http://127.0.0.1:{int(process.stdout.readline())}/v1"

    def end(self) -> dict[str, float]:
        """What it counted."""
        counts, _ = self._process.communicate(timeout=30)
        return json.loads(counts)


@contextmanager
def slow_server() -> Generator[Server]:
    """Runs while its block does."""
    command = [sys.executable, str(Path(__file__).with_name("distill_server.py")), str(LATENCY_S)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Server(process)
    finally:
        process.kill()


def arena_questions(folder: Path) -> Path:
    """Questions about 36 rendered clips."""
    make_set(folder / "arena", n_clips=36, seed=5)
    return folder / "arena" / "questions.jsonl"


def footage_questions(folder: Path) -> Path:
    """Questions about six clips of 10 s in 640x360: gradients and noise that move, as hard to decode as footage."""
    gold = Choice(options=("A", "B", "C", "D"), answer="B")
    lines: list[str] = []
    for number in range(6):
        path = folder / f"clip{number}.mp4"
        write_footage(path, number)
        lines += [
            Question(id=f"q{number}-{n}", video=path.name, text=f"Which of A, B, C, D? ({n})", gold=gold).model_dump_json()
            for n in range(8)
        ]
    (folder / "footage.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "footage.jsonl"


def write_footage(path: Path, seed: int, n_frames: int = 250) -> None:
    """One clip, H.264, one keyframe in 50."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 12, (360, 640, 3), dtype=np.uint8)
    down, across = np.mgrid[0:360, 0:640]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "50", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for index in range(n_frames):
            picture = np.stack([(down + 3 * index) % 200, (across + 2 * index) % 200, (down + across) % 200], axis=-1)
            frame = av.VideoFrame.from_ndarray(picture.astype(np.uint8) + np.roll(noise, index, axis=1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


if __name__ == "__main__":
    main()
