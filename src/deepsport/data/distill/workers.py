"""Many jobs at once, a bounded number of them, and an end in good order.

Each worker takes the next job when it is through with the last, so that neither jobs nor tasks pile up. A job that raises
Stopped ends its worker and no other: what is in flight elsewhere comes to its end and is kept. Any other error ends all of
them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from deepsport.errors import DeepSportError, Stopped
from deepsport.policy.openai.allowance import Allowance

J = TypeVar("J")


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

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(n_workers):
                group.create_task(worker())
    except ExceptionGroup as failed:
        known, others = failed.split(DeepSportError)
        if known is None or others is not None:
            raise
        raise known.exceptions[0] from failed
    allowance.require_going()
