"""The endpoints of one run: one allowance and one file of replies for all of them.

So a limit of cost holds for all together, and no request that was answered is sent again, whichever step it belongs to.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from math import inf
from pathlib import Path

from deepsport.errors import BadConfig, Stopped
from deepsport.executor.remote import Remote, beside
from deepsport.policy.openai import EndpointConfig, OpenAIPolicy, open_endpoint
from deepsport.policy.openai.allowance import Allowance
from deepsport.policy.openai.desk import Desk
from deepsport.policy.openai.reply_cache import ReplyCache

REPLIES = "replies.sqlite"

ALONE = 8
"""Jobs at once where nobody is waited for: decoding then runs in threads of its own."""

Tables = Mapping[str, EndpointConfig | None]
"""Endpoints by the name of their table in the recipe; None is nobody."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What the endpoints of a run share."""

    allowance: Allowance
    cache: ReplyCache | None
    """None where there is no endpoint."""
    opened: list[OpenAIPolicy] = field(default_factory=list[OpenAIPolicy])

    def count_spent(self) -> None:
        """Takes over what others have spent, who keep their replies in the same file."""
        if self.cache:
            self.allowance.spent_usd = self.cache.spent_usd()

    def open(self, config: EndpointConfig, *, native_tools: bool = False) -> OpenAIPolicy:
        """One of them. Raises BadConfig for an address or a key that cannot be used."""
        policy = open_endpoint(config, native_tools=native_tools, allowance=self.allowance, cache=self.cache)
        self.opened.append(policy)
        return policy


@asynccontextmanager
async def open_endpoints(folder: Path, tables: Tables, max_usd: float | None) -> AsyncGenerator[Endpoints]:
    """Closes all connections at the end. Raises as `require_usable`."""
    require_usable(tables, max_usd)
    with ExitStack() as stack:
        cache = stack.enter_context(ReplyCache(folder / REPLIES)) if any(tables.values()) else None
        endpoints = Endpoints(Allowance(max_usd, cache.spent_usd() if cache else 0.0), cache)
        try:
            yield endpoints
        finally:
            for policy in endpoints.opened:
                await policy.aclose()


@asynccontextmanager
async def desk_for(endpoints: Endpoints, folder: Path, tables: Tables) -> AsyncGenerator[Remote]:
    """Where shards on other hosts ask for what these endpoints share; meanwhile nobody asks them here. A stop of the run is
    passed on, and what the shards spend is counted as spent here."""
    asked = {name: config for name, config in tables.items() if config}
    replies = (folder / REPLIES).absolute() if asked else None
    with beside(partial(Desk, replies, asked, endpoints.allowance.max_usd)) as desk:
        passing_on = asyncio.create_task(_pass_on(endpoints.allowance, desk))
        try:
            yield desk
        finally:
            passing_on.cancel()
            endpoints.count_spent()


async def _pass_on(allowance: Allowance, desk: Remote) -> None:
    try:
        await allowance.sleep(inf)
    except Stopped as stopped:
        await desk.ask("stop", str(stopped))


def n_workers(endpoint: EndpointConfig | None) -> int:
    """Jobs at once for so many requests at once: a few more, since a job also decodes between two requests."""
    return endpoint.max_concurrent + max(2, endpoint.max_concurrent // 2) if endpoint else ALONE


def require_usable(tables: Tables, max_usd: float | None) -> None:
    """Sends nothing, so that it can be asked before an earlier run is deleted. Raises BadConfig for an address or a key that
    cannot be used, and if a limit of cost would limit nothing."""
    for table, config in tables.items():
        if config:
            open_endpoint(config)
        if max_usd is not None and config and not (config.prompt_usd or config.reply_usd):
            raise BadConfig(
                f"--max-cost limits nothing at [{table}], which has no price. Give it prompt_usd and reply_usd, for a million "
                "tokens, or leave --max-cost (max_usd) out."
            )
