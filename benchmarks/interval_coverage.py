"""Not speed: how often the 95 % intervals hold the true value, and how often the tests find what is not there, by simulation.

Videos have 1 to 4 questions and differ in difficulty (beta with a concentration of 4 around the mean).
    mean        the interval of a score
    difference  of two systems on the same questions, the second better by 0.1 where there is room
    macro       of a macro average over four cells of unequal size
    bootstrap   how often the bootstrap test says p <= 0.05 where nothing differs
    sign        the same of the exact sign test, which may be more careful than it says, never less

    python benchmarks/interval_coverage.py [--draws 1000]
"""

import argparse
import json
import platform
import sys
from collections.abc import Callable
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from deepsport.bench.stats import bootstrap_test, difference_interval, macro_interval, mean_interval, sign_test

Floats = NDArray[np.float64]
VIDEOS, MEANS = (10, 30, 100), (0.1, 0.5, 0.9)
N_RESAMPLES = 2000
SHARES = (0.4, 0.3, 0.2, 0.1)
"""Of the videos, by cell."""
STEP = 0.1


def videos(rng: np.random.Generator, n: int, mean: float) -> tuple[Floats, NDArray[np.intp]]:
    """Difficulty of each video, and the video of each question."""
    return rng.beta(4 * mean, 4 * (1 - mean), n), np.repeat(np.arange(n), rng.integers(1, 5, n))


def answered(rng: np.random.Generator, chance_N: Floats) -> Floats:
    return (rng.random(len(chance_N)) < chance_N).astype(np.float64)


def mean_covers(rng: np.random.Generator, n: int, mean: float, seed: int) -> bool:
    easy_C, video_N = videos(rng, n, mean)
    return holds(mean_interval(answered(rng, easy_C[video_N]), video_N.tolist(), seed=seed, n_resamples=N_RESAMPLES), mean)


def difference_covers(rng: np.random.Generator, n: int, mean: float, seed: int) -> bool:
    """The second system gains a share of what is left, so that its chance stays below 1: 0.1 on average, or what there is."""
    easy_C, video_N = videos(rng, n, mean)
    gain = min(STEP / (1 - mean), 0.5)
    a, b = answered(rng, easy_C[video_N]), answered(rng, (easy_C + gain * (1 - easy_C))[video_N])
    return holds(difference_interval(b, a, video_N.tolist(), seed=seed, n_resamples=N_RESAMPLES), gain * (1 - mean))


def macro_covers(rng: np.random.Generator, n: int, mean: float, seed: int) -> bool:
    """Cells lie around the mean, as far apart as there is room."""
    means_K = mean + min(mean, 1 - mean) * np.array([-0.6, -0.2, 0.2, 0.6])
    cell_C = rng.choice(len(SHARES), n, p=SHARES)
    cell_C[: len(SHARES)] = range(len(SHARES))
    easy_C, video_N = rng.beta(4 * means_K[cell_C], 4 * (1 - means_K[cell_C])), np.repeat(np.arange(n), rng.integers(1, 5, n))
    rights, cells = answered(rng, easy_C[video_N]), cell_C[video_N].tolist()
    return holds(macro_interval(rights, cells, video_N.tolist(), seed=seed, n_resamples=N_RESAMPLES), float(means_K.mean()))


def differences(rng: np.random.Generator, n: int, mean: float) -> tuple[Floats, list[int]]:
    """Two systems that are equally good."""
    easy_C, video_N = videos(rng, n, mean)
    return answered(rng, easy_C[video_N]) - answered(rng, easy_C[video_N]), video_N.tolist()


def bootstrap_rejects(rng: np.random.Generator, n: int, mean: float, seed: int) -> bool:
    p = bootstrap_test(*differences(rng, n, mean), seed=seed, n_resamples=N_RESAMPLES)
    return p is not None and p <= 0.05


def sign_rejects(rng: np.random.Generator, n: int, mean: float, seed: int) -> bool:
    return sign_test(*differences(rng, n, mean)) <= 0.05


def holds(interval: tuple[float, float] | None, truth: float) -> bool:
    return interval is not None and interval[0] - 1e-9 <= truth <= interval[1] + 1e-9


CASES: dict[str, Callable[[np.random.Generator, int, float, int], bool]] = {
    "mean": mean_covers,
    "difference": difference_covers,
    "macro": macro_covers,
    "bootstrap": bootstrap_rejects,
    "sign": sign_rejects,
}


def main() -> None:
    reader = argparse.ArgumentParser(description="Coverage of intervals and size of tests, by simulation.")
    reader.add_argument("--draws", type=int, default=1000, help="simulated benchmarks for each figure")
    n_draws = reader.parse_args().draws
    found: dict[str, dict[str, float]] = {}
    print(f"{n_draws} draws: a share of 0.95 or 0.05 has a standard error of {sqrt(0.95 * 0.05 / n_draws):.3f}\n")
    print(f"{'':12}{'videos':>8}" + "".join(f"{f'mean {mean}':>10}" for mean in MEANS))
    for name, case in CASES.items():
        for n in VIDEOS:
            shares = [
                sum(case(np.random.default_rng(seed), n, mean, seed) for seed in range(n_draws)) / n_draws for mean in MEANS
            ]
            print(f"{name:12}{n:>8}" + "".join(f"{share:>10.3f}" for share in shares), flush=True)
            found[f"{name}, {n} videos"] = dict(zip(map(str, MEANS), shares, strict=True))
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    print(json.dumps({"name": "interval_coverage", "draws": n_draws, "cases": found, "versions": versions}))


if __name__ == "__main__":
    sys.exit(main())
