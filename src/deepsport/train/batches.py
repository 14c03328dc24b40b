"""Where the episodes of a step come from: sampled in this process, or by servers ahead of time (`batches_ahead`)."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Protocol, TypeVar

from deepsport.policy.base import Policy
from deepsport.records import Episode
from deepsport.train.distributed import World

T = TypeVar("T")

Sample = Callable[[Policy, int], Coroutine[None, None, list[list[Episode]]]]
"""This rank's share of the groups of a step, sampled by a policy."""


class Batches(Protocol):
    """The groups of episodes that training learns from."""

    def of(self, step: int) -> list[list[Episode]]:
        """[P][G] those of a step, of all ranks. Steps are asked for in order."""
        ...

    def follow(self, step: int) -> dict[str, float]:
        """The weights have moved for the `step`-th time: from now on they are what samples. Returns what to log."""
        ...


def waited(work: Coroutine[None, None, list[T]]) -> list[T]:
    """What `asyncio.run` returns, without the string that it makes, twice, of what its task returns."""
    made: list[T] = []

    async def keep() -> None:
        made.extend(await work)

    asyncio.run(keep())
    return made


@dataclass(frozen=True, slots=True)
class BatchesHere:
    """Sampled when they are asked for, by the very weights that are trained."""

    policy: Policy
    sample: Sample
    world: World

    def of(self, step: int) -> list[list[Episode]]:
        """As `Batches.of`."""
        return self.world.gather(waited(self.sample(self.policy, step)))

    def follow(self, step: int) -> dict[str, float]:
        """Nothing is to be done."""
        return {}
