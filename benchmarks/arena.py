"""How fast the arena renders: CPU milliseconds per frame, drawing and encoding, one process, beside the floor of encoding alone.

Frames per CPU second are those of one core. There is no rival: nothing else draws these clips. Every sport must reach 1,000.

    python benchmarks/arena.py [clips per sport] [easy | normal | hard]
"""

import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np
import PIL

from deepsport.arena.encode import write_clip
from deepsport.arena.generate import render_clip
from deepsport.arena.render import frames
from deepsport.arena.script import Dials, write_script
from deepsport.arena.sports import SPORTS
from deepsport.arena.truth import Difficulty

REQUIRED = 1000
"""Frames per CPU second."""


def measure(sport: str, n_clips: int, dials: Dials, folder: Path) -> tuple[float, float, float]:
    """CPU milliseconds per frame: all, encoding alone; and frames per second of wall time. Clips and floor take turns."""
    whole_s = encode_s = wall_s = 0.0
    n_frames = 0
    for number in range(n_clips):
        truth = write_script(SPORTS[sport], 1, number, dials)
        pictures = list(frames(truth))
        start, start_wall = time.process_time(), time.perf_counter()
        render_clip(folder, truth)
        middle, middle_wall = time.process_time(), time.perf_counter()
        cuts = {cut for action in (truth.event, *truth.attempts) for cut in (action.first_index, action.last_index + 1)}
        write_clip(folder / "floor.mp4", pictures, cuts=cuts, comment="floor")
        encode_s += time.process_time() - middle
        whole_s += middle - start
        wall_s += middle_wall - start_wall
        n_frames += truth.n_frames
    return 1000 * whole_s / n_frames, 1000 * encode_s / n_frames, n_frames / wall_s


def main() -> None:
    """Measures every sport and prints a table, the load of the machine, and one JSON line; exit code 1 if a sport is too slow."""
    n_clips = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    dials = Dials(difficulty=Difficulty(sys.argv[2] if len(sys.argv) > 2 else "normal"))
    cases: dict[str, dict[str, object]] = {}
    slow: list[str] = []
    load = os.getloadavg()
    print(f"{'sport':<18}{'ms/frame':>10}{'encoding':>10}{'frames/CPU s':>14}{'frames/s':>10}")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "clips").mkdir()
        for sport in SPORTS:
            measure(sport, 1, dials, Path(folder))  # fills the caches of sprites
            ours, floor, per_s = measure(sport, n_clips, dials, Path(folder))
            print(f"{sport:<18}{ours:>10.3f}{floor:>10.3f}{1000 / ours:>14.0f}{per_s:>10.0f}")
            cases[sport] = {"ours": ours, "rivals": {}, "ratio_to_best_rival": None, "ratio_to_floor": ours / floor}
            slow += [sport] * (1000 / ours < REQUIRED)
    print(f"{dials.difficulty}, {n_clips} clips per sport; load {load[0]:.1f} before, {os.getloadavg()[0]:.1f} after")
    versions = {"python": platform.python_version(), "av": av.__version__, "pillow": PIL.__version__, "numpy": np.__version__}
    print(json.dumps({"name": "arena: CPU ms per rendered frame", "cases": cases, "versions": versions}))
    if slow:
        sys.exit(f"below {REQUIRED} frames per CPU second: {', '.join(slow)}")


if __name__ == "__main__":
    main()
