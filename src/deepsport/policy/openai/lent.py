"""Allowance, pace and replies as a process sees them that shares an endpoint with others: everything is asked of the desk."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import cast

from deepsport.errors import Stopped
from deepsport.executor.remote import Remote
from deepsport.policy.openai.allowance import Allowance, Charge
from deepsport.policy.openai.endpoint import OpenAIPolicy
from deepsport.policy.openai.pace import Pace
from deepsport.policy.openai.reply_cache import Row
from deepsport.policy.openai.settings import EndpointConfig, open_endpoint

LOOK_S = 1.0
"""How often a shard looks whether the run was stopped."""


class LentAllowance(Allowance):
    """What one try at a shard may still ask of one endpoint."""

    def __init__(self, desk: Remote, attempt: str, table: str) -> None:
        """`attempt`: whose requests these are, should the process die."""
        super().__init__()
        self._desk, self._attempt, self._table = desk, attempt, table

    @asynccontextmanager
    async def request(self, most_usd: float, *, alone: bool = False) -> AsyncGenerator[Charge]:
        """As `Allowance.request`, for all processes together."""
        try:
            number = await self._desk.ask("begin", self._attempt, self._table, most_usd, alone)
        except Stopped as stopped:
            self.stop(str(stopped))
            raise
        charge = Charge()
        try:
            yield charge
        finally:
            await self._desk.ask("end", number, charge.usd)

    async def look(self) -> None:
        """Stops here if the run was stopped."""
        if why := await self._desk.ask("why_stopped"):
            self.stop(str(why))

    async def watch(self) -> None:
        """Looks again and again; does not end by itself."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()


class LentPace(Pace):
    """The pace of one endpoint, whoever asks it."""

    def __init__(self, desk: Remote, table: str) -> None:
        """`table`: the endpoint's name at the desk."""
        super().__init__()
        self._desk, self._table = desk, table

    def wait_s(self, n_tokens: int) -> float:
        """As `Pace.wait_s`."""
        return cast(float, self._desk.ask_now("wait_s", self._table, n_tokens))

    def correct(self, n_tokens: int) -> None:
        """As `Pace.correct`."""
        self._desk.ask_now("correct", self._table, n_tokens)


class LentReplies:
    """The replies of a run, which lie where it was started."""

    def __init__(self, desk: Remote) -> None:
        self._desk = desk

    def get(self, key: str) -> str | None:
        """The body of the reply to a request, if it came before."""
        return cast("str | None", self._desk.ask_now("get", key))

    def put(self, rows: Sequence[Row]) -> None:
        """Keeps replies and what they cost. Raises RunError if the disk does not take them."""
        self._desk.ask_now("put", [list(row) for row in rows])

    def pay(self, usd: float) -> None:
        """Keeps the cost of a request that brought no reply worth keeping."""
        self._desk.ask_now("pay", usd)


def lent_endpoint(config: EndpointConfig, desk: Remote, table: str, allowance: Allowance, *, native_tools: bool) -> OpenAIPolicy:
    """As `open_endpoint`. Raises BadConfig for an address or a key that cannot be used."""
    policy = open_endpoint(config, native_tools=native_tools, allowance=allowance, cache=LentReplies(desk))
    if config.requests_per_minute or config.tokens_per_minute:
        policy.pace = LentPace(desk, table)
    return policy


@asynccontextmanager
async def lent_allowance(desk: Remote, attempt: str, table: str) -> AsyncGenerator[LentAllowance]:
    """For one try at a shard; what is under way stops soon after the run was stopped."""
    allowance = LentAllowance(desk, attempt, table)
    await allowance.look()
    watching = asyncio.create_task(allowance.watch())
    try:
        yield allowance
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
