"""Many jobs at once, a bounded number of them, and an end in good order.

Each worker takes the next job when it is through with the last, so that neither jobs nor tasks pile up. A job that raises
Stopped ends its worker and no other: what is in flight elsewhere comes to its end and is kept. Any other error ends all of
them.
"""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from deepsport.errors import DeepSportError, PolicyError, Stopped
from deepsport.policy.openai.allowance import Allowance

J = TypeVar("J")

MANY = 16
"""So many jobs lost at the start, and none that was not, are no accident."""

MANY_LATER = 64
"""So many lost in a row are none either, when others were not: a few requests in flight are lost with any restart of a server."""


@dataclass(slots=True)
class Losses:
    """Ends an attempt whose jobs are all lost, from the start or from some point on: the endpoint is broken, or its address is.

    A job that was lost in an earlier attempt too should not be counted: it may be one that the endpoint always refuses."""

    what: str
    n: int = 0
    """Lost since the last one that was not."""
    anything: bool = False
    """Whether a job was not lost."""

    def count(self, fault: str) -> None:
        """One job more; `fault` says how the endpoint lost it, empty if it did not. Raises PolicyError."""
        self.n, self.anything = self.n + 1 if fault else 0, self.anything or not fault
        if self.n >= MANY and not self.anything:
            raise PolicyError(f"each of the first {self.n} {self.what} was lost; the last one: {fault}")
        if self.n >= MANY_LATER:
            raise PolicyError(
                f"{self.n} {self.what} in a row were lost; the last one: {fault} What is finished is kept: run the same command "
                "again to go on."
            )


async def work_through(jobs: Iterable[J], do: Callable[[J], Awaitable[None]], *, n_workers: int, allowance: Allowance) -> None:
    """Does every job. Raises Stopped, once all workers have ended, if the run was stopped; and what a job raises."""
    waiting = iter(jobs)

    async def worker() -> None:
        for job in waiting:
            if allowance.stopped:
                return
            try:
                await do(job)
            except Stopped:
                return

    await together(worker() for _ in range(n_workers))
    allowance.require_going()


async def lines_of(items: Sequence[J], line: Callable[[J], Awaitable[str]], *, n_workers: int, allowance: Allowance) -> list[str]:
    """A line for each item, in order; empty for one that was not begun when the run was stopped."""
    made = [""] * len(items)

    async def do(place: int) -> None:
        made[place] = await line(items[place])

    with suppress(Stopped):
        await work_through(range(len(items)), do, n_workers=n_workers, allowance=allowance)
    return made


async def together(jobs: Iterable[Coroutine[None, None, None]]) -> None:
    """Waits for all; the first one that raises ends the others, and an error with a message of its own is raised bare."""
    try:
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(job)
    except ExceptionGroup as failed:
        known, others = failed.split(DeepSportError)
        if known is None or others is not None:
            raise
        raise known.exceptions[0] from failed


@contextmanager
def interruptible(allowance: Allowance) -> Generator[None]:
    """The first Ctrl-C lets what is in flight end; the second one ends at once, as it does anywhere else."""
    loop = asyncio.get_running_loop()

    def first() -> None:
        print("\nfinishing what is in flight; Ctrl-C again to stop at once", file=sys.stderr, flush=True)
        loop.remove_signal_handler(signal.SIGINT)
        allowance.stop("interrupted. What is finished is kept: run the same command again to go on.")

    try:
        loop.add_signal_handler(signal.SIGINT, first)
    except (NotImplementedError, RuntimeError, ValueError):  # not the main thread
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
