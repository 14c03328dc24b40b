"""What a run may still ask of endpoints: whether it was stopped, and how much of its money is left.

A request reserves the most that it can cost before it is sent, so that the limit holds however many are in flight, and settles
what it did cost afterwards. A request that does not fit waits until those in flight have settled; if it does not fit even then,
the run is over: nothing is sent any more, and what is in flight comes to its end.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from deepsport.errors import Stopped


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens."""

    prompt_usd: float = 0.0
    reply_usd: float = 0.0

    def of(self, prompt_tokens: int, reply_tokens: int) -> float:
        """Of one request."""
        return (prompt_tokens * self.prompt_usd + reply_tokens * self.reply_usd) / 1e6


@dataclass(slots=True)
class Charge:
    """A request under way."""

    usd: float = 0.0
    """What it cost, set when that is known. A request that brought no reply is taken to have cost nothing."""


class Allowance:
    """Shared by all endpoints of a run. To be used on one event loop."""

    def __init__(self, max_usd: float | None = None, spent_usd: float = 0.0) -> None:
        """`max_usd`: None is no limit. `spent_usd`: in earlier attempts."""
        self.max_usd = max_usd
        self.spent_usd = spent_usd
        self.why_stopped = ""
        self._reserved_usd = 0.0
        self._changed = asyncio.Condition()

    @property
    def stopped(self) -> bool:
        """Whether nothing may be sent any more."""
        return bool(self.why_stopped)

    def stop(self, why: str) -> None:
        """Nothing is sent from now on; what is in flight goes on. `why` is told to everybody who asks."""
        self.why_stopped = self.why_stopped or why

    def require_going(self) -> None:
        """Raises Stopped with the reason."""
        if self.stopped:
            raise Stopped(self.why_stopped)

    @asynccontextmanager
    async def request(self, most_usd: float) -> AsyncGenerator[Charge]:
        """Room for one request that costs at most so much. Raises Stopped if there is none."""
        await self._reserve(most_usd)
        charge = Charge()
        try:
            yield charge
        finally:
            self._reserved_usd -= most_usd
            self.spent_usd += charge.usd
            async with self._changed:
                self._changed.notify_all()

    async def _reserve(self, most_usd: float) -> None:
        while True:
            self.require_going()
            if self.max_usd is None or self.spent_usd + self._reserved_usd + most_usd <= self.max_usd:
                self._reserved_usd += most_usd
                return
            if self._reserved_usd <= 1e-12:  # nobody will give anything back
                self.stop(
                    f"${self.spent_usd:.4f} of at most ${self.max_usd:.4f} are spent, and the next request may cost "
                    f"${most_usd:.4f}. What is finished is kept: run it again with a higher --max-cost to go on."
                )
                continue
            async with self._changed:
                await self._changed.wait()
