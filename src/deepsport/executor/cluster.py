"""Shards on Ray.

Every shard is one Ray task that Ray does not run again by itself: the tries are counted here, so that a shard whose worker dies
again and again ends as an error with its name, and nobody's account of a lost try stays open. Lines and outcomes are JSON; Ray
pickles the function and what is bound to it between processes of one run, and nothing pickled is ever read from a file.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from math import inf
from typing import Any, cast

from pydantic import JsonValue

from deepsport.errors import ExecutorError
from deepsport.executor.library import LostError, ray, ray_errors
from deepsport.executor.outcome import Outcome, outcome_of
from deepsport.executor.place import Place, require_like, this_place
from deepsport.executor.shards import Executor, Portion, Shard, Task

_LOG = logging.getLogger(__name__)

TRIES = 3
"""Workers that a shard may lose. At the last try each item runs alone, so that the error names the one."""

PAUSE_S = 1.0
"""Before a lost shard is run again: a host that dies takes a moment to be known as dead."""

LOOK_S = 4.0
"""How often one looks whether hosts are alive."""

AHEAD = 256
"""Shards given to Ray before the first of them comes back: they wait there, and an autoscaler sees how much room is wanted."""

OBJECT_BYTES = 128 * 2**20
"""Of a cluster of this machine alone: what comes back is text."""

OnLost = Callable[[str], Awaitable[object]]
"""Told the name of a try that was lost."""


async def nobody(_: str) -> None:
    """Nobody keeps accounts."""


class Cluster:
    """A Ray cluster that this process is connected to; see `open_cluster`."""

    def __init__(self) -> None:
        """Makes the function known to Ray once, for all shards."""
        self.n_lost = 0
        """Tries that were lost with their worker or host."""
        self._dead, self._looked_s = set[str](), -inf
        self._function = ray().remote(_performed)

    @property
    def said(self) -> str:
        """What is worth saying beside the figures of progress."""
        return f"{self.n_lost} shard{'s' * (self.n_lost > 1)} run again" if self.n_lost else ""

    async def run(self, task: Task, shard: Shard, *, with_gpu: bool = False, on_lost: OnLost = nobody) -> list[str]:
        """What a task makes of a shard, run again if its worker or host is lost. `with_gpu`: it takes a GPU, if there are any.

        Raises what the task raises of ours, with the shard and its host in the words, and ExecutorError if the shard lost its
        worker TRIES times, if a host is not like this one, or if Ray cannot run it."""
        trying = partial(self._tried, task, await asyncio.to_thread(this_place, shard.files), with_gpu, on_lost)
        for number in range(1, TRIES):
            try:
                return await trying(shard, f"{shard.index}.{number}")
            except LostError:
                await asyncio.sleep(PAUSE_S * number)
        made: list[str] = []
        for number, alone in enumerate(shard.singles()):
            try:
                made += await trying(alone, f"{shard.index}.{TRIES}.{number}")
            except LostError as lost:
                raise ExecutorError(
                    f"{alone.name} lost its worker {TRIES} times, the last time run alone ({lost}). What is finished is kept. "
                    "Look at its files and at the memory of the hosts; without it in the input, the rest goes on."
                ) from None
        return made

    async def _tried(self, task: Task, place: Place, with_gpu: bool, on_lost: OnLost, shard: Shard, attempt: str) -> list[str]:
        """Raises LostError, once whoever keeps accounts has been told."""
        try:
            with ray_errors(shard.name):
                made = await self._outcome(attempt, with_gpu, task, Portion(shard.items, attempt), place)
        except LostError as lost:
            self.n_lost += 1
            _LOG.warning("%s was lost and is run again (%s)", shard.name, lost)
            await on_lost(attempt)
            raise
        return cast(list[str], Outcome.model_validate_json(made).result(shard.name))

    async def _outcome(self, attempt: str, with_gpu: bool, task: Task, portion: Portion, place: Place) -> str:
        """GPUs are options of the call and not of the function: Ray would end a worker, and its model, after every shard."""
        resources: dict[str, float] = await asyncio.to_thread(ray().cluster_resources) if with_gpu else {}
        n_gpus = 1 if resources.get("GPU") else 0
        named = {"max_retries": 0, "num_returns": "streaming", "name": f"deepsport shard {attempt}"}
        running = self._function.options(num_cpus=1, num_gpus=n_gpus, **named).remote(task, portion, place)
        try:
            host = await (await anext(running))
            return await self._from(host, asyncio.ensure_future(_next_of(running)))
        except asyncio.CancelledError:
            ray().cancel(running, force=True)
            raise

    async def _from(self, host: str, outcome: "asyncio.Future[str]") -> str:
        """The outcome of a task on a host. To Ray a task is lost when its connection is, and the connection to a host that fell
        silent stays open for many minutes: so one looks whether the host is alive."""
        try:
            while not (await asyncio.wait([outcome], timeout=LOOK_S))[0]:
                if host in await self._dead_hosts():
                    raise LostError(f"its host is dead, node {host[:8]} of the cluster")
            return await outcome
        finally:
            outcome.cancel()

    async def _dead_hosts(self) -> set[str]:
        """Nodes that Ray takes for dead, asked for all shards together."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._looked_s > LOOK_S / 2:
            self._looked_s = now_s
            nodes = await asyncio.to_thread(ray().nodes)
            self._dead = {node["NodeID"] for node in nodes if not node["Alive"]}
        return self._dead


async def _next_of(running: Any) -> str:
    return await (await anext(running))


def _performed(task: Task, portion: Portion, place: Place) -> Generator[str]:
    """What a worker does: it says on which host it is, and then what came of it."""
    yield ray().get_runtime_context().get_node_id()

    def done() -> JsonValue:
        require_like(place)
        return list[JsonValue](task(portion))

    yield outcome_of(done)


def cluster_for(executor: Executor) -> AbstractContextManager[Cluster | None]:
    """The cluster that is asked for; None is this process."""
    return open_cluster() if executor is Executor.RAY else nullcontext()


@contextmanager
def open_cluster() -> Generator[Cluster]:
    """Connects to the cluster of RAY_ADDRESS, or starts one here that ends with the block.

    Raises ExecutorError if Ray is not installed or no cluster answers."""
    if ray().is_initialized():
        yield Cluster()
        return
    _connect(os.environ.get("RAY_ADDRESS", ""))
    try:
        yield Cluster()
    finally:
        ray().shutdown()


def _connect(address: str) -> None:
    if address.startswith("ray://"):
        raise ExecutorError(
            f"RAY_ADDRESS={address} is that of a client, which has no host in the cluster. Start the command on a host of the "
            "cluster, with RAY_ADDRESS=auto or the address of its head, HOST:6379."
        )
    options: dict[str, object] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if not address:
        options |= {"address": "local", "include_dashboard": False, "object_store_memory": OBJECT_BYTES}
    try:
        ray().init(**options)
    except (ray().exceptions.RayError, OSError, RuntimeError, ValueError) as error:  # a ConnectionError is an OSError
        where = f"no Ray cluster answers at RAY_ADDRESS={address}" if address else "Ray cannot start on this host"
        why = str(error.__cause__ or error).strip().splitlines()[-1]
        raise ExecutorError(f"{where}: {why} `ray status` on its head says whether it runs.") from error
