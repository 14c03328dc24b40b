"""Which samples a step sees: a pure function of seed and step, so that there is nothing to save and resuming is exact."""

import random
from collections.abc import Sequence
from typing import TypeVar

from deepsport.errors import TrainingError

T = TypeVar("T")


def draw(samples: Sequence[T], n: int, step: int, seed: int) -> list[T]:
    """The `n` samples of a step: epochs of independent shuffles, cut into steps without a gap. Raises TrainingError on none."""
    if not samples:
        raise TrainingError("there is nothing to train on: the set of samples is empty")
    drawn: list[T] = []
    for position in range(step * n, (step + 1) * n):
        epoch, place = divmod(position, len(samples))
        drawn.append(samples[_order(len(samples), epoch, seed)[place]])
    return drawn


_orders: dict[tuple[int, int, int], list[int]] = {}


def _order(n: int, epoch: int, seed: int) -> list[int]:
    key = (n, epoch, seed)
    if key not in _orders:
        _orders.clear()
        order = list(range(n))
        random.Random(f"{seed}/{epoch}").shuffle(order)
        _orders[key] = order
    return _orders[key]
