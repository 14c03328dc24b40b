"""The endpoints' accounts when a run is spread over processes: one allowance, one file of replies, one pace, in one place.

Every process asks the desk before it sends a request and tells it afterwards: limits of money, pace and requests in flight hold
for all together, and a reply is on the disk of the run before anybody sees it. A process that died cannot tell what it had under
way: that counts as spent at the most it could cost.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from deepsport.errors import Stopped
from deepsport.policy.openai.allowance import Allowance, Charge
from deepsport.policy.openai.pace import Pace
from deepsport.policy.openai.reply_cache import ReplyCache
from deepsport.policy.openai.settings import EndpointConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ticket:
    """A request under way."""

    attempt: str
    table: str
    most_usd: float
    charge: Charge
    is_first: bool
    """Nobody knew yet how far costs exceed what is taken for the most."""
    held: AsyncExitStack
    """Its place and its money."""


@dataclass(slots=True)
class _Counter:
    """One endpoint."""

    places: asyncio.Semaphore
    pace: Pace
    first: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the request that shows what requests cost."""
    excess: float | None = None
    """As a multiple of what was taken for the most; None before it was seen."""


class Desk:
    """Belongs to one event loop. Arguments and results are JSON: see `lent` for who asks."""

    def __init__(self, replies: Path | None, tables: Mapping[str, EndpointConfig], max_usd: float | None) -> None:
        """`replies`: the file of replies, None where no endpoint is asked. Raises RunError if it cannot be used."""
        self._replies = ReplyCache(replies) if replies else None
        self._allowance = Allowance(max_usd, self._replies.spent_usd() if self._replies else 0.0)
        self._counters = {
            name: _Counter(asyncio.Semaphore(table.max_concurrent), Pace(table.requests_per_minute, table.tokens_per_minute))
            for name, table in tables.items()
        }
        self._numbers = count()
        self._open: dict[int, _Ticket] = {}
        self._gone: set[str] = set()
        """Attempts that were lost."""

    async def begin(self, attempt: str, table: str, most_usd: float, alone: bool) -> int:
        """Waits for a place and for money; see `Allowance.request`. Raises Stopped if the run may ask nothing more."""
        counter, held = self._counters[table], AsyncExitStack()
        try:
            if alone := alone and self._allowance.max_usd is not None:
                most_usd, alone = await self._learn(counter, most_usd, held)
            await held.enter_async_context(counter.places)
            charge = await held.enter_async_context(self._allowance.request(most_usd, alone=alone))
            if attempt in self._gone:
                raise Stopped("This try at a shard was given up.")
        except BaseException:
            await held.aclose()
            raise
        number = next(self._numbers)
        self._open[number] = _Ticket(attempt=attempt, table=table, most_usd=most_usd, charge=charge, is_first=alone, held=held)
        return number

    async def end(self, number: int, usd: float) -> None:
        """A request is over and cost so much."""
        ticket = self._open.pop(number, None)
        if ticket is None:  # closed with its attempt
            return
        ticket.charge.usd = usd
        if ticket.is_first and usd:
            self._counters[ticket.table].excess = usd / ticket.most_usd
        await ticket.held.aclose()

    async def lost(self, attempt: str) -> None:
        """The process that made this attempt is gone."""
        self._gone.add(attempt)
        for number in [number for number, ticket in self._open.items() if ticket.attempt == attempt]:
            most_usd = self._open[number].most_usd
            if self._replies and most_usd:
                self._replies.pay(most_usd)
            await self.end(number, most_usd)

    def wait_s(self, table: str, n_tokens: int) -> float:
        """See `Pace`."""
        return self._counters[table].pace.wait_s(n_tokens)

    def correct(self, table: str, n_tokens: int) -> None:
        """See `Pace`."""
        self._counters[table].pace.correct(n_tokens)

    def get(self, key: str) -> str | None:
        """See `ReplyCache`."""
        return self._replies.get(key) if self._replies else None

    def put(self, rows: Sequence[tuple[str, str, float]]) -> None:
        """See `ReplyCache`."""
        if self._replies:
            self._replies.put(rows)

    def pay(self, usd: float) -> None:
        """See `ReplyCache`."""
        if self._replies:
            self._replies.pay(usd)

    def stop(self, why: str) -> None:
        """Nothing is sent from now on."""
        self._allowance.stop(why)

    def why_stopped(self) -> str:
        """Empty while the run goes on."""
        return self._allowance.why_stopped

    async def _learn(self, counter: _Counter, most_usd: float, held: AsyncExitStack) -> tuple[float, bool]:
        """The most that a request of unknown excess may cost, and whether it is the one that shows what requests cost."""
        await counter.first.acquire()
        if counter.excess is None:
            held.callback(counter.first.release)
            return most_usd, True
        counter.first.release()
        return most_usd * max(1.0, counter.excess), False
