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
    """What it cost, set when that is known. A request that brought nothing back is taken to have cost nothing."""


class Allowance:
    """Shared by all endpoints of a run. `stop` may come from any thread; all else belongs to one event loop at a time."""

    def __init__(self, max_usd: float | None = None, spent_usd: float = 0.0) -> None:
        """`max_usd`: None is no limit. `spent_usd`: in earlier attempts."""
        self.max_usd = max_usd
        self.spent_usd = spent_usd
        self.why_stopped = ""
        self._reserved_usd = 0.0
        self._n_open = 0
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def stopped(self) -> bool:
        """Whether nothing may be sent any more."""
        return bool(self.why_stopped)

    @property
    def left_usd(self) -> float | None:
        """What is neither spent nor reserved; None if there is no limit."""
        return None if self.max_usd is None else self.max_usd - self.spent_usd - self._reserved_usd

    def stop(self, why: str) -> None:
        """Nothing is sent from now on, and who waits waits no longer; what is in flight goes on. `why` is told to everybody."""
        self.why_stopped = self.why_stopped or why
        for waiting in list(self._waiting):
            waiting.get_loop().call_soon_threadsafe(_wake, waiting)

    def require_going(self) -> None:
        """Raises Stopped with the reason."""
        if self.stopped:
            raise Stopped(self.why_stopped)

    async def sleep(self, seconds: float) -> None:
        """Waits so long. Raises Stopped as soon as the run is stopped."""
        until_s = asyncio.get_running_loop().time() + seconds
        while (left_s := until_s - asyncio.get_running_loop().time()) > 0:
            self.require_going()
            await self._change(left_s)
        self.require_going()

    @asynccontextmanager
    async def request(self, most_usd: float, *, alone: bool = False) -> AsyncGenerator[Charge]:
        """Room for one request that costs at most so much; `alone`, if what it may cost is a guess: it then reserves all that is
        left. Raises Stopped if there is no room."""
        reserved_usd = await self._reserve(most_usd, alone=alone)
        charge = Charge()
        try:
            yield charge
        finally:
            self._n_open -= 1
            self._reserved_usd = self._reserved_usd - reserved_usd if self._n_open else 0.0  # sums of floats leave residues
            self.spent_usd += charge.usd
            for waiting in self._waiting:
                _wake(waiting)

    async def _reserve(self, most_usd: float, *, alone: bool) -> float:
        while True:
            self.require_going()
            left_usd = self.left_usd
            if left_usd is None or (most_usd <= left_usd and not (alone and self._n_open)):
                reserved_usd = most_usd if left_usd is None or not alone else left_usd
                self._n_open += 1
                self._reserved_usd += reserved_usd
                return reserved_usd
            if not self._n_open:  # nobody will give anything back
                self.stop(
                    f"${self.spent_usd:.4f} of at most ${self.max_usd:.4f} are spent, and the next request may cost "
                    f"${most_usd:.4f}. What is finished is kept: run it again with a higher --max-cost (max_usd) to go on."
                )
                continue
            await self._change()

    async def _change(self, most_s: float | None = None) -> None:
        """Waits until a request has ended or the run is stopped, or for so many seconds."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            await asyncio.wait([waiting], timeout=most_s)
        finally:
            self._waiting.discard(waiting)


def _wake(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)
