"""What one GPU does with the true shape of Qwen2.5-VL-7B and random weights: a step of RL, of SFT, rollouts by phase, the tree
against dense batches, video, memory. All of it within ten minutes; what there was no time for is named.

Without a GPU it says so and does nothing; `--tiny` runs every part on the CPU with a model of the same make and no size, which
proves the code and measures nothing.
Usage: python benchmarks/gpu [--tiny] [--seconds 420] [--out FILE]
"""

import argparse
import json
import platform
import sys
import tempfile
import time
import traceback
from importlib.metadata import version
from pathlib import Path

import torch
from clips import questions
from measure import device
from parts import PARTS, Bench, Cases
from shape import TINY, TRUE, make_policy

from deepsport.video.source import FrameSource

MARGIN_S = 15.0


def main() -> None:
    """Measures, prints a table and one JSON line."""
    options = argparse.ArgumentParser()
    options.add_argument("--tiny", action="store_true", help="every part at no size, on the CPU too")
    options.add_argument("--seconds", type=float, default=420.0, help="time for all parts together")
    options.add_argument("--out", type=Path, help="also writes the JSON here, after every part")
    given = options.parse_args()
    if not given.tiny and not torch.cuda.is_available():
        print("skipped: no CUDA device here. `--tiny` runs every part on the CPU at no size.")
        return
    end = time.monotonic() + given.seconds
    size = TINY if given.tiny else TRUE
    with tempfile.TemporaryDirectory() as made, FrameSource() as source:
        where = device()
        bench = Bench(
            size=size,
            device=where,
            policy=make_policy(size, Path(made), where.kind),
            questions=questions(Path(made), size.questions, size.clip_frames, size.frame_wh),
            source=source,
            left=lambda: end - time.monotonic() - MARGIN_S,
        )
        run(bench, given.out)


def run(bench: Bench, out: Path | None) -> None:
    """The parts in order, as long as there is time. A part that fails is named, and the others go on."""
    cases: Cases = {}
    skipped: dict[str, str] = {}
    took: dict[str, float] = {}
    failed = False
    print(f"{bench.size.name} on {bench.device.name}; {bench.left():.0f} s for all parts", flush=True)
    for name, part, needs_s in PARTS:
        if bench.size.name != "tiny" and bench.left() < needs_s:
            skipped[name] = f"{max(bench.left(), 0):.0f} s were left of the {needs_s:.0f} it needs"
            continue
        start = time.monotonic()
        try:
            found = part(bench)
        except Exception as error:  # noqa: BLE001 (the rest of a rare hour on a GPU is not to be lost)
            traceback.print_exc()
            skipped[name], failed = f"failed: {type(error).__name__}: {error}"[:500], True
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            continue
        took[name] = time.monotonic() - start
        if bench.size.name == "tiny":  # what has no size has no aim
            found = {
                name: {key: value for key, value in case.items() if key not in ("target", "met")} for name, case in found.items()
            }
        cases |= found
        show(found)
        if out:
            out.write_text(told(bench, cases, skipped, took), encoding="utf-8")
    for name, why in skipped.items():
        print(f"skipped: {name}: {why}")
    if out:
        out.write_text(told(bench, cases, skipped, took), encoding="utf-8")
    print(told(bench, cases, skipped, took))
    sys.exit(int(failed))


def show(cases: Cases) -> None:
    """A row for each."""
    for name, found in cases.items():
        known = ("ours", "rivals", "ratio_to_best_rival", "ratio_to_floor", "target", "met")
        more = ", ".join(f"{key} {value:,.6g}" for key, value in found.items() if key not in known)
        floor = f"{found['ratio_to_floor']:.2f} x floor" if found["ratio_to_floor"] else ""
        aim = f"target {found['target']:.4g}: {'met' if found['met'] else 'MISSED'}" if "target" in found else ""
        print(f"{name:<62}{found['ours']:>11,.4g}  {floor:<14}{aim:<22}{more}", flush=True)


def told(bench: Bench, cases: Cases, skipped: dict[str, str], took: dict[str, float]) -> str:
    """One JSON object."""
    packages = {name: version(name) for name in ("torch", "transformers", "peft", "av")}
    return json.dumps(
        {
            "name": f"one GPU, {bench.size.name}",
            "cases": cases,
            "versions": {"python": platform.python_version(), **packages},
            "device": {
                "name": bench.device.name,
                "peak_flops": bench.device.peak_flops,
                "product_flops": bench.device.product_flops,
                "copy_bytes_per_s": bench.device.copy_bytes,
            },
            "skipped": skipped,
            "seconds_of_parts": took,
        }
    )


if __name__ == "__main__":
    main()
