"""Several servers as one: each reply goes to the least loaded, and one that fails costs only the replies it was giving.

Since a conversation is kept here as tokens, any server can go on with it: a reply that did not come is asked for elsewhere, and
nothing is lost or counted twice. Conversations that begin alike (a group) go to one server while it is not
busier than the others, so that their opening is read once. A server that failed is asked again once it answers and has taken the
weights it lacks.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from deepsport.errors import EngineError, PolicyError
from deepsport.policy.base import Sampling, Session
from deepsport.policy.local.chat import Chat
from deepsport.policy.local.session import Continuation, Prompt, TokenSession
from deepsport.policy.openai.failure import Failure
from deepsport.policy.vllm.server import Server, Version, require_installed, require_same_elsewhere
from deepsport.policy.vllm.wire import Pictures, Said, Wanted

_LOG = logging.getLogger(__name__)
SLACK = 8
"""Replies by which the server of a group may be busier than the least loaded."""
RETRY_S = 5.0
"""Between two looks at a server that is down."""
MOST_TRIES = 5
"""Servers that a reply is asked of: what fails everywhere is the fault of the question, and must not take them all down again and
again."""
MOST_HOMES = 100_000
CLOSE_S = 5.0
"""Adapters that a server has not forgotten by then stay with it."""

Opening = int
"""A hash of the weights and of the tokens with which a conversation begins: those of one batch that begin alike share a cache."""


@dataclass(slots=True, eq=False, kw_only=True)
class Fleet:
    """The servers of a run. Belongs to one event loop."""

    servers: Sequence[Server]
    pictures: Pictures
    end: int
    """The token that ends a reply."""
    suppressed: Sequence[int]
    """Tokens that may not be sampled."""
    patience_s: float
    """How long to wait when none answers."""
    owner: str
    """How the names of all weights begin that this run ever sends."""
    retry_s: float = RETRY_S
    now_s: Callable[[], float] = time.monotonic
    versions: dict[str, Version] = field(default_factory=dict[str, Version])
    """Weights that conversations may be going on with, oldest first."""
    asked_again: int = 0
    """Replies that another server gave."""
    _homes: dict[Opening, Server] = field(default_factory=dict[Opening, Server])
    _watches: dict[Server, asyncio.Task[None]] = field(default_factory=dict[Server, "asyncio.Task[None]"])
    """Of servers that are down."""

    async def publish(self, version: Version, *, keep: int) -> None:
        """Gives new weights to every server that answers; the `keep` newest stay loaded.

        Raises EngineError if a server refuses them, or none answers."""
        self.versions[version.name] = version
        for server, failure in zip(self.up, await asyncio.gather(*map(self._bring_up, self.up)), strict=True):
            if failure:
                self._take_down(server, failure)
        await self.require_one()
        for old in list(self.versions)[:-keep]:
            del self.versions[old]
        await asyncio.gather(*map(self._unload_old, self.up))

    def only(self, server: Server) -> "Fleet":
        """The same, of one server, and without patience."""
        return replace(self, servers=[server], patience_s=0.0, _homes={})

    @property
    def up(self) -> list[Server]:
        """Servers that are asked."""
        return [server for server in self.servers if not server.down]

    async def reply(self, wanted: Wanted, version: Version, opening: Opening, deadline_s: float, timeout_s: float) -> Said:
        """One reply, from whichever server gives it.

        Raises PolicyError when the deadline has passed or several servers failed at it, ContextOverflow, BadConfig, EngineError
        when none can be relied on."""
        failures: list[str] = []
        while (left_s := deadline_s - self.now_s()) > 0 and len(failures) < MOST_TRIES:
            server = self._choose(opening)
            if server is None:
                await self.require_one()
                continue
            said = await server.reply(wanted, version, min(left_s, timeout_s))
            if isinstance(said, Said):
                return said
            require_same_elsewhere(said, server.address)
            if self.now_s() < deadline_s:  # it was given less time than a reply may take: not its fault
                self._take_down(server, said)
            failures.append(f"{server.address}: {said.what}")
            self.asked_again += 1
        if len(failures) == MOST_TRIES:
            raise PolicyError(f"no server gave this reply in {MOST_TRIES} tries ({failures[-1]} was the last).")
        raise PolicyError("the episode took longer than episode_timeout_s. Raise it, or start more servers.")

    def _choose(self, opening: Opening) -> Server | None:
        """The server of conversations that begin so, if it is not much busier than the least loaded; else that one."""
        if not self.up:
            return None
        idlest = min(self.up, key=lambda server: server.in_flight)
        home = self._homes.get(opening)
        if home is None or home.down or home.in_flight > idlest.in_flight + SLACK:
            if len(self._homes) >= MOST_HOMES:
                self._homes.clear()
            home = self._homes[opening] = idlest
        return home

    def _take_down(self, server: Server, failure: Failure) -> None:
        if server.down:
            return
        _LOG.warning("%s is not asked any more: %s. Its replies are asked for elsewhere.", server.address, failure.what)
        server.down = failure.what
        server.known.clear()
        self._watches[server] = asyncio.create_task(self._watch(server))

    async def _watch(self, server: Server) -> None:
        """Until it can be asked again."""
        while server.down:
            await asyncio.sleep(self.retry_s)
            try:
                failure = await self._bring_up(server)
                server.down = failure.what if failure else ""
            except EngineError as error:
                if server.down != str(error):
                    _LOG.warning("%s", error)
                server.down = str(error)
        _LOG.warning("%s is asked again.", server.address)

    async def _bring_up(self, server: Server) -> Failure | None:
        """Gives a server the weights it lacks; None if it has them. Raises EngineError if it refuses them."""
        newest = self._newest
        failure = await server.ready() or await server.look(adapters=newest.adapter)
        if failure is None:
            await self._unload_old(server)
        while failure is None and (lacked := self._lacked_by(server)):  # newer ones may come meanwhile
            newest, failure = lacked, await server.install(lacked)
        if failure:
            require_installed(failure, server, newest)
        return failure

    def _lacked_by(self, server: Server) -> Version | None:
        """Weights that a server needs next: all adapters, of whole weights the newest."""
        needed = self.versions.values() if self._newest.adapter else [self._newest]
        return next((version for version in needed if version.name not in server.loaded), None)

    async def _unload_old(self, server: Server) -> None:
        """Makes a server forget adapters of this run that are in use no more, those of an attempt that died among them."""
        if self._newest.adapter:
            oldest = next(iter(self.versions.values()))  # newer ones than ours: another process of this run was faster
            stale = [name for name in server.loaded if name.startswith(self.owner) and not oldest.covers(name)]
            await asyncio.gather(*map(server.unload, stale))

    @property
    def _newest(self) -> Version:
        return list(self.versions.values())[-1]

    async def require_one(self) -> None:
        """Waits until a server can be asked. Raises EngineError if none can for too long."""
        began_s = self.now_s()
        while not self.up:
            if self.now_s() - began_s >= self.patience_s:
                raise self.silent()
            await asyncio.sleep(min(self.retry_s, 0.2))

    def silent(self) -> EngineError:
        """The error that ends a run whose servers give no reply."""
        reasons = "; ".join(f"{server.address}: {server.down}" for server in self.servers)
        return EngineError(f"no server answered for {self.patience_s:g} s ({reasons}). The run can go on when one does.")

    async def close(self) -> None:
        """Unloads what was sent, and closes all connections."""
        for watch in self._watches.values():
            watch.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                sent = {version.name for version in self.versions.values() if version.adapter}
                await asyncio.gather(*(server.unload(name) for server in self.up for name in sent))  # a load may be under way
        await asyncio.gather(*(server.close() for server in self.servers))


@dataclass(frozen=True, slots=True)
class FleetPolicy:
    """The policy that samples with one version of the weights."""

    model: str
    fleet: Fleet
    version: Version
    chat: Chat
    context: int
    timeout_s: float
    episode_timeout_s: float

    @property
    def name(self) -> str:
        """The model, and how many steps it was trained when it said this."""
        return f"{self.model}@{self.version.step}"

    def session(self, sampling: Sampling) -> Session:
        """Opens a conversation."""
        sampler = _FleetSampler(self, sampling, self.fleet.now_s() + self.episode_timeout_s)
        return TokenSession(self.name, self.chat, self.context, sampler, sampling)


@dataclass(slots=True)
class _FleetSampler:
    """One conversation."""

    policy: FleetPolicy
    sampling: Sampling
    deadline_s: float
    opening: Opening | None = None

    async def sample(self, prompt: Prompt) -> Continuation:
        """Asks for one reply. Raises as `Fleet.reply`."""
        policy, fleet = self.policy, self.policy.fleet
        pictures = await asyncio.to_thread(fleet.pictures.of, prompt.images)
        wanted = Wanted(prompt, pictures, self.sampling.temperature, fleet.end, fleet.suppressed)
        if self.opening is None:
            self.opening = hash((policy.version.name, *prompt.ids))
        said = await fleet.reply(wanted, policy.version, self.opening, self.deadline_s, policy.timeout_s)
        return said.continuation
