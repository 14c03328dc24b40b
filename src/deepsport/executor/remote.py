"""One object that all shards of a batch share, beside the one who started the work: a Ray actor on the same host.

Calls are JSON; those that wait do not hold up the others.
"""

import json
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from pydantic import JsonValue

from deepsport.executor.library import ray, ray_errors
from deepsport.executor.outcome import Outcome, awaited_outcome

MANY = 10_000
"""Calls that may wait at once."""


@dataclass(frozen=True, slots=True)
class Remote:
    """The object as seen from any process of the cluster."""

    handle: Any

    async def ask(self, method: str, *arguments: JsonValue) -> JsonValue:
        """Calls a method. Raises what it raises of ours, and ExecutorError if the object is lost."""
        with ray_errors("a call of what all shards share"):
            made = await self.handle.ask.remote(method, json.dumps(arguments))
        return Outcome.model_validate_json(made).result()

    def ask_now(self, method: str, *arguments: JsonValue) -> JsonValue:
        """The same, waited for."""  # not by ray.get: Ray would take the worker for idle, and start another shard beside it
        with ray_errors("a call of what all shards share"):
            made = self.handle.ask.remote(method, json.dumps(arguments)).future().result()
        return Outcome.model_validate_json(made).result()


@contextmanager
def beside(make: Callable[[], object]) -> Generator[Remote]:
    """An object on this host, made when it is first asked; it ends with the block."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray().get_runtime_context().get_node_id(), soft=False)
    actor = ray().remote(_Host).options(num_cpus=0, max_concurrency=MANY, scheduling_strategy=here)
    handle = actor.remote(make)
    try:
        yield Remote(handle)
    finally:
        ray().kill(handle)


class _Host:
    """What Ray keeps alive."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make
        self._made: object = None

    async def ask(self, method: str, arguments: str) -> str:
        """The outcome of one call."""

        async def call() -> JsonValue:
            self._made = self._made or self._make()
            answer = getattr(self._made, method)(*json.loads(arguments))
            return await cast(Awaitable[JsonValue], answer) if isinstance(answer, Awaitable) else answer

        return await awaited_outcome(call)
