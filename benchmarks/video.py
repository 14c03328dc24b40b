"""Speed of sparse frame access: ours, plain PyAV, OpenCV, decord and torchcodec, interleaved in one run.

Each contestant is a process of its own, holds its decoder open and is limited to one thread. What is counted is the CPU time of
the process (all its threads) for one request of eight RGB frames, averaged over the requests of a round; the median of the rounds
stands. Opening is not counted. Every frame returned is compared with a full decode; whoever returns another frame is marked and
does not count as the best rival.

The limit given beside it is the naive one: the frames from the keyframe to the last wanted one, times what the decoder takes for
a frame in a full sequential decode, without conversion. Skipping frames that no other frame refers to goes below it.

    make -C benchmarks video-env && .venv/bin/python benchmarks/video.py
"""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from video_contestants import OPENERS, PACKAGES, RIVAL_ENVIRONMENT, Contestant, Pixels

WIDTH, HEIGHT, FPS, SECONDS = 640, 360, 25, 30
N_FRAMES = FPS * SECONDS
WINDOW_FRAMES = 25
"""A window is eight frames out of one second."""


def make_clip(path: Path, gop: int) -> None:
    """30 s of a panning, noisy picture with moving players, H.264 as x264's defaults make it, keyframes every `gop` frames."""
    import av

    draw = np.random.default_rng(0)
    field = (
        draw.integers(60, 180, ((HEIGHT + 80) // 4, (WIDTH + N_FRAMES + 80) // 4, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    )
    noise = draw.integers(-6, 7, (HEIGHT + 40, WIDTH + 40, 3), dtype=np.int16)
    players = draw.uniform(0, 1, (22, 4))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "medium", "crf": "23", "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0"}
        for index in range(N_FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(index, field, noise, players), format="rgb24")))
        container.mux(stream.encode(None))


def scene(index: int, field: Pixels, noise: NDArray[np.int16], players: NDArray[np.float64]) -> Pixels:
    """[height, width, 3] of one instant."""
    down, right = int(20 + 20 * np.sin(index / 40)), index
    picture = field[down : down + HEIGHT, right : right + WIDTH].astype(np.int16)
    shift_y, shift_x = (index * 17) % 40, (index * 29) % 40
    picture += noise[shift_y : shift_y + HEIGHT, shift_x : shift_x + WIDTH]
    for number, (x, y, speed, phase) in enumerate(players):
        left = int((x * WIDTH + 120 * np.sin(index * (0.02 + 0.05 * speed) + 6 * phase)) % (WIDTH - 20))
        top = int((y * HEIGHT + 60 * np.cos(index * 0.03 + 6 * phase)) % (HEIGHT - 40))
        picture[top : top + 40, left : left + 16] = (220, 40, 40) if number % 2 else (40, 40, 220)
    return picture.clip(0, 255).astype(np.uint8)


def decode_all(path: Path) -> tuple[Pixels, float]:
    """[frames, height, width, 3] of a full decode, and CPU seconds per decoded frame, conversion not counted."""
    import av

    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        started = time.process_time()
        n_frames = sum(1 for _ in container.decode(video=0))
        per_frame_s = (time.process_time() - started) / n_frames
        container.seek(0)
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]), per_frame_s


def requests(is_window: bool, count: int) -> list[list[int]]:
    """Windows lie at random places; the end of a uniform request varies a little, so that none is asked twice in a round."""
    draw = random.Random(7)
    if is_window:
        starts = [draw.randrange(N_FRAMES - WINDOW_FRAMES) for _ in range(count)]
        return [[start + round(step * (WINDOW_FRAMES - 1) / 7) for step in range(8)] for start in starts]
    ends = [N_FRAMES - 1 - draw.randrange(20) for _ in range(count)]
    return [[round(step * end / 7) for step in range(8)] for end in ends]


def naive_frames(indices: Sequence[int], gop: int) -> int:
    """Frames to be decoded for a request: from the keyframe of each group to its last wanted frame."""
    groups = sorted({index // gop for index in indices})
    return sum(max(index for index in indices if index // gop == group) - group * gop + 1 for group in groups)


def is_right(contestant: Contestant, path: Path, asked: list[list[int]], is_window: bool, truth: Pixels) -> bool:
    """Whether every frame returned is the one asked for."""
    for indices in asked:
        saved = path.with_suffix(".npy")
        contestant.ask(path, indices, is_window, str(saved))
        got = np.load(saved)
        if len(got) != len(indices) or not all(map(is_frame, got, [truth] * len(got), indices)):
            return False
    return True


def is_frame(pixels: Pixels, truth: Pixels, index: int) -> bool:
    """Whether a picture is nearest to the true one among it and its neighbours, and near: libraries round colours differently."""
    nearby = range(max(index - 3, 0), min(index + 4, len(truth)))
    distance = {other: float(np.abs(pixels.astype(np.int16) - truth[other]).mean()) for other in nearby}
    return min(distance, key=distance.__getitem__) == index and distance[index] < 3.0


def measure(contestants: list[Contestant], path: Path, asked: list[list[int]], is_window: bool, rounds: int) -> dict[str, float]:
    """Mean CPU milliseconds of a request, by contestant: the median of the rounds; the order rotates from request to request."""
    spent: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    for _ in range(rounds):
        total = dict.fromkeys(spent, 0.0)
        for number, indices in enumerate(asked):
            turn = number % len(contestants)
            for contestant in contestants[turn:] + contestants[:turn]:
                total[contestant.name] += contestant.ask(path, indices, is_window)["cpu_s"]
        for name, seconds in total.items():
            spent[name].append(1000 * seconds / len(asked))
    return {name: median(values) for name, values in spent.items()}


def run_case(contestants: list[Contestant], folder: Path, gop: int, is_window: bool, count: int, rounds: int) -> dict[str, Any]:
    """One row of the table."""
    path = folder / f"gop{gop}.mp4"
    truth, per_frame_s = decode_all(path)
    asked = requests(is_window, count)
    right = {c.name: is_right(c, path, asked, is_window, truth) for c in contestants}
    del truth
    cost_ms = measure(contestants, path, asked, is_window, rounds)
    naive_ms = 1000 * per_frame_s * sum(naive_frames(indices, gop) for indices in asked) / len(asked)
    rivals = {name: cost for name, cost in cost_ms.items() if name != "ours"}
    best = min(cost for name, cost in rivals.items() if right[name])
    return {
        "ours": cost_ms["ours"],
        "rivals": rivals,
        "ratio_to_best_rival": cost_ms["ours"] / best,
        "ratio_to_floor": cost_ms["ours"] / naive_ms,
        "floor": naive_ms,
        "wrong_frames": sorted(name for name, fine in right.items() if not fine),
    }


def print_table(cases: dict[str, dict[str, Any]]) -> None:
    names = ["ours", *next(iter(cases.values()))["rivals"]]
    print("CPU ms per request of 8 RGB frames, 640x360 H.264, decoder held open, one thread")
    print("| case | " + " | ".join(names) + " | ours / best rival | naive limit | ours / naive limit |")
    print("|---" * (len(names) + 4) + "|")
    for case, row in cases.items():
        costs = {"ours": row["ours"], **row["rivals"]}
        shown = [f"{costs[name]:.1f}{' (wrong frames)' if name in row['wrong_frames'] else ''}" for name in names]
        ratios = f"{row['ratio_to_best_rival']:.2f} | {row['floor']:.1f} | {row['ratio_to_floor']:.2f}"
        print(f"| {case} | {' | '.join(shown)} | {ratios} |")


def versions(contestants: list[Contestant]) -> dict[str, str]:
    """Of everything that is measured, and of the machine."""
    listing = (
        "import json, sys; from importlib import metadata; print(json.dumps({n: metadata.version(n) for n in sys.argv[1:]}))"
    )
    present = [PACKAGES[contestant.name] for contestant in contestants if contestant.name in PACKAGES]
    python = RIVAL_ENVIRONMENT / "bin" / "python"
    found = json.loads(subprocess.check_output([str(python), "-c", listing, *present], text=True))
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ""
    )
    machine = f"{os.cpu_count()} x {platform.machine()} {model}".strip()
    return {"deepsport": metadata.version("deepsport"), **found, "python": platform.python_version(), "machine": machine}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=12, help="requests of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=list(OPENERS), choices=OPENERS, help="contestants")
    options = parser.parse_args()
    rival_python = RIVAL_ENVIRONMENT / "bin" / "python"
    if not rival_python.exists():
        parser.error("the rivals' environment is missing: make -C benchmarks video-env")
    contestants = [Contestant(name, Path(sys.executable) if name == "ours" else rival_python) for name in options.only]
    with tempfile.TemporaryDirectory() as folder:
        cases = run(contestants, Path(folder), options.requests, options.rounds)
    report = {"name": "video", "cases": cases, "versions": versions(contestants)}
    for contestant in contestants:
        contestant.close()
    print_table(cases)
    print(json.dumps(report))


def run(contestants: list[Contestant], folder: Path, count: int, rounds: int) -> dict[str, dict[str, Any]]:
    """All cases."""
    cases: dict[str, dict[str, Any]] = {}
    for gop in (250, 25):
        make_clip(folder / f"gop{gop}.mp4", gop)
        for is_window in (True, False):
            case = f"{'window' if is_window else 'uniform'}, GOP {gop}"
            cases[case] = run_case(contestants, folder, gop, is_window, count, rounds)
            print(f"{case}: {cases[case]}", file=sys.stderr)
    return cases


if __name__ == "__main__":
    main()
