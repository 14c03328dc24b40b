"""One vLLM server: its health, the weights it samples with, and the replies it is asked for.

Adapters are loaded beside the base model, each version under a name and in a folder of its own, since caches are kept by both; a
reply that is under way ends with the weights it began with. Whole weights are read anew while the server is paused, which lets
replies end first and empties its caches; a server that failed to read them is never resumed.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from deepsport.errors import BadConfig, ContextOverflow, EngineError, PolicyError
from deepsport.policy.openai.endpoint import NO_KEY
from deepsport.policy.openai.failure import Failure, status_failure
from deepsport.policy.openai.line import Client, Line, attempt, opener
from deepsport.policy.openai.reading import read_error
from deepsport.policy.vllm.wire import Said, Wanted, read, request_of

if TYPE_CHECKING:
    from httpx2 import Response

M = TypeVar("M", bound=BaseModel)
BASE = "base"
"""The name under which servers serve the model that training began with."""


SPARE_PLACES = 4
"""Connections for all that is not a reply: new weights do not stand in line behind replies."""


@dataclass(frozen=True, slots=True)
class Version:
    """A set of weights, in files that servers can read."""

    name: str
    """Ends in the step, behind what all weights of one attempt at a run have in common."""
    folder: Path
    step: int
    """How many steps it was trained."""
    adapter: bool
    """An adapter of the base model, or else a whole model in its place."""

    def covers(self, label: str) -> bool:
        """Whether a label of whole weights stands for these, or for later ones of the same attempt."""
        attempt, _, step = label.rpartition("-")
        return attempt == self.name.rpartition("-")[0] and step.isdecimal() and int(step) >= self.step


class _Adapter(BaseModel):
    id: str


class _Adapters(BaseModel):
    data: list[_Adapter]


class _Label(BaseModel):
    weight_version: str


class _Pause(BaseModel):
    is_paused: bool


@dataclass(slots=True, eq=False)
class Server:
    """A server at an address. Belongs to the event loop in which it is first asked."""

    address: str
    """Such as http://localhost:8000."""
    api_key: str | None = field(repr=False)
    max_concurrent: int
    timeout_s: float
    in_flight: int = 0
    """Replies that are waited for."""
    down: str = ""
    """Why it is not asked; empty if it is."""
    known: set[str] = field(default_factory=set[str])
    """Hashes of images that it was sent."""
    loaded: set[str] = field(default_factory=set[str])
    """Names of the weights that it has."""
    _line: Line | None = None
    _places: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._places = asyncio.Semaphore(self.max_concurrent)

    async def reply(self, wanted: Wanted, version: Version, timeout_s: float) -> Said | Failure:
        """One reply, or why this server gave none. Raises EngineError for a reply that does not belong to the prompt."""
        self.in_flight += 1
        try:
            async with self._places:
                if self.down:
                    return Failure(f"it went down ({self.down})", "Look into its log.", transient=True)
                return await self._reply(wanted, version, timeout_s)
        finally:
            self.in_flight -= 1

    async def look(self, *, adapters: bool) -> Failure | None:
        """Learns which weights it has: it may have been started anew, or another process may have sent them. None if it told."""
        return await (self._look_for_adapters() if adapters else self._look_at_label())

    async def install(self, version: Version) -> Failure | None:
        """Makes the weights those that it samples with under their name; None if that went well."""
        return await (self._load(version) if version.adapter else self._reload(version))

    async def unload(self, name: str) -> None:
        """Forgets an adapter, so that its files may go."""
        self.loaded.discard(name)
        await self._post("v1/unload_lora_adapter", {"lora_name": name})

    async def ready(self) -> Failure | None:
        """None if it answers."""
        response = await self._ask(lambda client: client.get("health"), self.timeout_s)
        return response if isinstance(response, Failure) else None

    async def close(self) -> None:
        """Closes its connections."""
        line, self._line = self._line, None
        if line:
            await line.close()

    async def _reply(self, wanted: Wanted, version: Version, timeout_s: float) -> Said | Failure:
        model = version.name if version.adapter else BASE
        response = await self._generate(request_of(wanted, model, self.known), timeout_s)
        if _lacks_an_image(response):
            self.known.clear()
            response = await self._generate(request_of(wanted, model, self.known), timeout_s)
        if isinstance(response, Failure):
            return response
        said = read(response, wanted, self.address)
        if isinstance(said, Said):
            self.known.update(picture.hash for picture in wanted.pictures)
            if not version.adapter and (foreign := [label for label in said.versions if not version.covers(label)]):
                return Failure(f"it sampled with weights {foreign[0]!r}", "It was started anew.", transient=True)
        return said

    async def _look_for_adapters(self) -> Failure | None:
        listed = await self._get("v1/models", _Adapters)
        if isinstance(listed, Failure):
            return listed
        self.loaded = {adapter.id for adapter in listed.data}
        return None

    async def _look_at_label(self) -> Failure | None:
        label = await self._get("weight_info", _Label)
        if isinstance(label, Failure):
            return label
        pause = await self._get("is_paused", _Pause)
        if isinstance(pause, Failure):
            return pause
        self.loaded = set() if pause.is_paused else {label.weight_version}
        return None

    async def _load(self, version: Version) -> Failure | None:
        failure = await self._post("v1/load_lora_adapter", {"lora_name": version.name, "lora_path": str(version.folder)})
        if failure and "has already been loaded" in failure.what:  # by another process of this run
            failure = None
        if failure is None:
            self.loaded.add(version.name)
        return failure

    async def _reload(self, version: Version) -> Failure | None:
        self.loaded.clear()
        steps: list[tuple[str, dict[str, object]]] = [
            ("pause?mode=wait", {}),
            ("collective_rpc", {"method": "reload_weights", "kwargs": {"weights_path": str(version.folder)}}),
            ("update_weight_version", {"new_version": version.name}),
            ("resume", {}),
        ]
        for path, body in steps:
            if failure := await self._post(path, body):
                return failure
        self.loaded = {version.name}
        return None

    async def _generate(self, request: bytes, timeout_s: float) -> str | Failure:
        return await self._ask(lambda client: client.post("inference/v1/generate", request), timeout_s)

    async def _post(self, path: str, body: dict[str, object]) -> Failure | None:
        said = await self._ask(lambda client: client.post(path, json.dumps(body).encode()), self.timeout_s)
        return said if isinstance(said, Failure) else None

    async def _get(self, path: str, shape: type[M]) -> M | Failure:
        said = await self._ask(lambda client: client.get(path), self.timeout_s)
        if isinstance(said, Failure):
            return said
        try:
            return shape.model_validate_json(said)
        except ValidationError:
            return Failure(f"it gave something else than it should at /{path}", "It must be vLLM.", transient=True)

    async def _ask(self, ask: "Callable[[Client], Awaitable[Response]]", timeout_s: float) -> str | Failure:
        """One request and the body that came back."""
        line = await self._opened()
        response = await attempt(line, ask, timeout_s)
        if isinstance(response, Failure) or response.is_success:
            return response if isinstance(response, Failure) else response.text
        return status_failure(response.status_code, read_error(response.text), response.headers, 0.0)

    async def _opened(self) -> Line:
        if self._line is None:
            loop = asyncio.get_running_loop()
            open_client = await asyncio.to_thread(opener, self.address, self.api_key or NO_KEY, self.timeout_s)
            self._line = self._line or Line(loop, self.max_concurrent + SPARE_PLACES, open_client, None)
        return self._line


def require_same_elsewhere(failure: Failure, place: str) -> None:
    """Raises what every other server would say too: ContextOverflow, PolicyError for a request that is refused as such, BadConfig
    for servers that are not set up for this."""
    if failure.overflow:
        raise ContextOverflow(f"{place}: {failure.what}. {failure.fix}")
    if failure.status in (401, 403) or failure.what == "HTTP 404: Not Found":
        raise BadConfig(f"{place}: {failure.what}. It wants --enable-scale-out, and here the variable of its key in api_key_env.")
    if not failure.transient and failure.status != 404:  # 404: it was started anew, and has lost its weights
        raise PolicyError(f"{place}: {failure.what}. {failure.fix}")


def _lacks_an_image(response: str | Failure) -> bool:
    """Whether the server has dropped an image that it was sent before."""
    return isinstance(response, Failure) and "Cache miss for" in response.what


def require_installed(failure: Failure, server: Server, version: Version) -> None:
    """Raises EngineError if a server that answers would not take the weights."""
    if not failure.transient:
        raise EngineError(
            f"{server.address} does not take the weights in {version.folder}: {failure.what}. Every server must see that folder "
            f"under this name, and be started with what docs/vllm.md lists."
        )
