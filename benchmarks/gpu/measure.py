"""Clocks that wait for the GPU, peaks of memory, and what this machine can do at most."""

import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

PROMISED = {"H100": 989.4e12, "H200": 989.4e12}
"""bf16 operations per second, dense, of the datasheets."""


@dataclass(slots=True)
class Device:
    """Where it runs."""

    kind: str
    name: str
    peak_flops: float
    """Promised where known, else that of a big matrix product here."""
    product_flops: float
    """Of a big matrix product here."""
    copy_bytes: float
    """Per second, read and written, of a big copy here."""


def device() -> Device:
    """Measures products and copies for a moment."""
    on_gpu = torch.cuda.is_available()
    kind = "cuda" if on_gpu else "cpu"
    name = torch.cuda.get_device_name() if on_gpu else "CPU"
    n = 8192 if on_gpu else 512
    a = torch.randn(n, n, device=kind, dtype=torch.bfloat16)
    product = 2 * n**3 / least(lambda: a @ a)
    big = torch.randn(2**28 if on_gpu else 2**22, device=kind)
    other = torch.empty_like(big)
    copied = 8 * big.numel() / least(lambda: other.copy_(big))
    promised = next((flops for part, flops in PROMISED.items() if part in name), product)
    return Device(kind, name, promised, product, copied)


def finish() -> None:
    """Waits until the GPU has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def least(do: Callable[[], object], times: int = 5) -> float:
    """Seconds; twice before it counts."""
    do()
    do()
    return min(seconds_of(do) for _ in range(times))


def seconds_of(do: Callable[[], object]) -> float:
    """Seconds of doing it once."""
    finish()
    start = time.perf_counter()
    do()
    finish()
    return time.perf_counter() - start


@dataclass(slots=True)
class Laps:
    """Seconds and counts by name, added up."""

    seconds: dict[str, float] = field(default_factory=dict[str, float])
    counts: dict[str, int] = field(default_factory=dict[str, int])

    @contextmanager
    def lap(self, name: str, count: int = 0) -> Iterator[None]:
        """Adds the seconds of what is done within."""
        finish()
        start = time.perf_counter()
        yield
        finish()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        self.counts[name] = self.counts.get(name, 0) + count


def forget_peak() -> None:
    """Peaks of GPU memory count from here."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_gpu() -> float:
    """Bytes that tensors took at most; 0 without a GPU."""
    return float(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else 0.0


def peak_host() -> float:
    """Bytes that this process took at most since it began."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def host() -> float:
    """Bytes that this process takes now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return float(pages * os.sysconf("SC_PAGE_SIZE"))
