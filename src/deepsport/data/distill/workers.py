"""Many jobs at once, a bounded number of them, and an end in good order.

Each worker takes the next job when it is through with the last, so that neither jobs nor tasks pile up. A job that raises
Stopped ends its worker and no other: what is in flight elsewhere comes to its end and is kept. Any other error ends all of
them.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from deepsport.bench.evaluate import together
from deepsport.errors import PolicyError, Stopped
from deepsport.policy.openai.allowance import Allowance

J = TypeVar("J")

MANY = 16
"""So many jobs lost at the start, and none that was not, are no accident."""


@dataclass(slots=True)
class Losses:
    """Ends an attempt whose every job is lost from the start: the endpoint is broken, or wrongly addressed."""

    what: str
    n: int = 0
    anything: bool = False
    """Whether a job was not lost."""

    def count(self, fault: str) -> None:
        """One job more; `fault` says how the endpoint lost it, empty if it did not. Raises PolicyError."""
        self.n, self.anything = self.n + bool(fault), self.anything or not fault
        if self.n >= MANY and not self.anything:
            raise PolicyError(f"each of the first {self.n} {self.what} was lost; the last one: {fault}")


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
