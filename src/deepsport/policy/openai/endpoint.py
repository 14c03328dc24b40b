"""OpenAIPolicy: conversations with a model behind an OpenAI-compatible address.

One attempt is one request; the number of requests in flight is bounded over all conversations, and a conversation that waits
to ask again holds no place. Conversations share nothing else. The client is opened when it is first needed, one per event loop,
because its connections belong to the loop. The key is sent and nothing more: it is in no record, no log line and no error.
With a cache, a reply is on disk before anybody sees it, and a request that was answered before is answered from there.
"""

import asyncio
import logging
import os
import random
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from deepsport.errors import BadConfig, ContextOverflow, PolicyError
from deepsport.policy.base import Sampling, Session
from deepsport.policy.openai.allowance import Allowance, Price
from deepsport.policy.openai.conversation import Conversation
from deepsport.policy.openai.failure import Backoff, Failure, status_failure
from deepsport.policy.openai.line import Client, Line, attempt, opener
from deepsport.policy.openai.pace import Pace
from deepsport.policy.openai.reading import Said, read, read_error, read_models
from deepsport.policy.openai.reply_cache import Replies
from deepsport.policy.openai.wire import CHOOSE_FRAMES, ImageEncoding, Json
from deepsport.policy.openai.written import Writer, Written, request_of, written

if TYPE_CHECKING:
    from httpx2 import Response

_LOG = logging.getLogger(__name__)
_OURS = frozenset({"messages", "model", "max_tokens", "max_completion_tokens", "n", "seed", "stream", "temperature", "tools"})
NO_KEY = "none"
"""Sent where no key is known: local servers ask for none, but the client insists on one."""


@dataclass(frozen=True, slots=True)
class _Request:
    messages: list[Written]
    sent: bytes
    key: str
    most_prompt: int
    """Tokens."""
    most_reply: int


@dataclass(slots=True)
class OpenAIPolicy:
    """A model behind an OpenAI-compatible address.

    Raises BadConfig for an address or a key that cannot be used."""

    model: str
    base_url: str
    """Usually ends in /v1."""
    api_key: str | None = field(default=None, repr=False)
    """None reads OPENAI_API_KEY; where that is unset too, no real key is sent."""
    native_tools: bool = False
    """Offer `choose_frames` as a function instead of in the prompt alone."""
    max_concurrent: int = 32
    timeout_s: float = 120.0
    """Of one attempt, from sending to the last byte."""
    max_retries: int = 4
    image_format: Literal["jpeg", "png"] = "jpeg"
    jpeg_quality: int = 90
    max_side_px: int | None = 768
    """Larger frames are shrunk until their longer side fits; None sends them as they are."""
    extra_body: Mapping[str, object] = field(default_factory=dict[str, object])
    """Further fields of every request, such as vLLM's `chat_template_kwargs`."""
    price: Price = field(default_factory=Price)
    pace: Pace = field(default_factory=Pace)
    allowance: Allowance = field(default_factory=Allowance)
    """Shared with the other endpoints of the run."""
    cache: Replies | None = None
    backoff: Backoff = field(default_factory=Backoff)
    now_s: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] | None = None
    """None: until the run is stopped at the latest."""
    chance: Callable[[], float] = random.random
    """Jitter, in [0, 1)."""
    _line: Line | None = field(default=None, init=False, repr=False)
    _opening: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    writer: Writer = field(init=False, repr=False)
    """Writes frames and messages, and remembers what it wrote."""
    _excess: float | None = field(default=None, init=False, repr=False)
    """The largest cost seen, as a multiple of what had been taken for the most; None before the first."""
    _without: set[str] = field(default_factory=set[str], init=False, repr=False)
    """Optional request fields that this endpoint has refused."""

    def __post_init__(self) -> None:
        self.api_key = _sound_key(self.api_key or os.environ.get("OPENAI_API_KEY") or NO_KEY)
        self._require_address()
        if ours := sorted(_OURS & self.extra_body.keys()):
            raise BadConfig(f"extra_body holds {ours[0]!r}, which has a setting of its own, or would change what is counted.")
        encoding = ImageEncoding(format=self.image_format, quality=self.jpeg_quality, max_side_px=self.max_side_px)
        self.writer = Writer(encoding)

    def _require_address(self) -> None:
        if not _is_address(self.base_url):
            raise BadConfig(f"{self._place!r} is not the address of an endpoint. Write it like http://localhost:8000/v1.")

    @property
    def name(self) -> str:
        """The model's name; the address stays out of the records."""
        return self.model

    def session(self, sampling: Sampling) -> Session:
        """Opens a conversation."""
        return Conversation(self, sampling)

    async def aclose(self) -> None:
        """Closes the connections of the running event loop; a later reply opens new ones."""
        line, self._line = self._line, None
        if line is not None and line.loop is asyncio.get_running_loop():
            await line.close()

    async def complete(self, messages: Sequence[Json], sampling: Sampling) -> Said:
        """`answer` to messages without images, as the API has them."""
        _, said = await self.answer(lambda: [written(message) for message in messages], sampling)
        return said

    async def answer(self, write: Callable[[], list[Written]], sampling: Sampling) -> tuple[list[Written], Said]:
        """One completion: from the cache, else asked for, and again after transient failures. What is asked is written in a
        thread, and returned.

        Raises ContextOverflow or PolicyError, and Stopped if the run may ask nothing more."""
        fields = self._fields(sampling)
        request, known = await asyncio.to_thread(self._prepared, fields, write, sampling)
        return request.messages, known or await self._asked_for(request, fields)

    def _prepared(self, fields: Json, write: Callable[[], list[Written]], sampling: Sampling) -> "tuple[_Request, Said | None]":
        """What will be sent, and the reply to it if it was sent before. Takes CPU time."""
        messages = write()
        sent, key = request_of(fields, messages)
        request = _Request(messages, sent, key, sum(message.most_tokens for message in messages), sampling.max_tokens)
        known = read(self.cache.get(key) or "") if self.cache else None
        return request, known if isinstance(known, Said) else None

    async def _asked_for(self, request: "_Request", fields: Json) -> Said:
        waited_s, attempt = 0.0, 0
        while True:
            if refused := self._without & fields.keys():
                sent, _ = await asyncio.to_thread(request_of, _less(fields, refused), request.messages)
                request = replace(request, sent=sent)
            outcome = await self._paid(request)
            if isinstance(outcome, Said):
                return outcome
            if self._does_without(outcome.refused_field):
                continue
            wait_s = self.backoff.wait_s(outcome, attempt, self.chance())
            if not outcome.transient or attempt >= self.max_retries or waited_s + wait_s > self.backoff.budget_s:
                raise self._error(outcome, attempt + 1)
            await self._sleep(wait_s)
            waited_s, attempt = waited_s + wait_s, attempt + 1

    async def _paid(self, request: "_Request") -> Said | Failure:
        """One attempt within the limits of money and pace; a reply, and what it cost, is on disk before it is returned."""
        bound_usd = self.price.of(request.most_prompt, request.most_reply)
        line = await self._line_of(asyncio.get_running_loop())
        async with self.allowance.request(bound_usd * max(1.0, self._excess or 0.0), alone=self._excess is None) as charge:
            if wait_s := self.pace.wait_s(request.most_prompt + request.most_reply):
                await self._sleep(wait_s)
            body = await self._attempt(line, lambda client: client.post("chat/completions", request.sent))
            outcome = body if isinstance(body, Failure) else read(body)
            prompt, reply = (outcome.prompt_tokens, outcome.reply_tokens) if isinstance(outcome, Said) else outcome.tokens
            charge.usd = self.price.of(prompt, reply)
            if prompt:
                self._excess = max(self._excess or 0.0, charge.usd / bound_usd if bound_usd else 0.0)
                self.pace.correct(prompt + reply - request.most_prompt - request.most_reply)
            elif isinstance(outcome, Said):
                charge.usd = bound_usd
            if line.keeper and isinstance(outcome, Said):
                await line.keeper.put((request.key, str(body), charge.usd))
            elif self.cache and charge.usd:
                await asyncio.to_thread(self.cache.pay, charge.usd)
        return outcome

    async def _sleep(self, seconds: float) -> None:
        await (self.sleep or self.allowance.sleep)(seconds)

    async def served_models(self) -> tuple[str, ...]:
        """Names of the models that the endpoint lists, asked for once. Raises PolicyError if it cannot be reached."""
        line = await self._line_of(asyncio.get_running_loop())
        body = await self._attempt(line, lambda client: client.get("models"))
        outcome = body if isinstance(body, Failure) else read_models(body)
        if isinstance(outcome, Failure):
            raise self._error(outcome, 1)
        return outcome

    async def _attempt(self, line: Line, ask: "Callable[[Client], Awaitable[Response]]") -> str | Failure:
        """One request and the body that came back, or why there is none."""
        response = await attempt(line, ask, self.timeout_s)
        if isinstance(response, Failure):
            return response
        body = self._without_key(response.text)  # whole: a message is cut short, and the key with it
        if response.is_success:
            return body
        return status_failure(response.status_code, read_error(body), response.headers, self.now_s())

    async def _line_of(self, loop: asyncio.AbstractEventLoop) -> Line:
        """Opened in a thread: loading the client takes half a second, which the loop has better use for."""
        if self._line is None or self._line.loop is not loop:
            return await asyncio.to_thread(self._open_line, loop)
        return self._line

    def _open_line(self, loop: asyncio.AbstractEventLoop) -> Line:
        with self._opening:
            if self._line is None or self._line.loop is not loop:
                open_client = opener(self.base_url, self.api_key, self.timeout_s)
                self._line = Line(loop, self.max_concurrent, open_client, self.cache)
            return self._line

    def _fields(self, sampling: Sampling) -> Json:
        """All that a request should have besides its messages."""
        tools: Json = {"tools": [CHOOSE_FRAMES], "parallel_tool_calls": False} if self.native_tools else {}
        fields: Json = {"model": self.model, "temperature": sampling.temperature, **tools}
        return fields | {"max_tokens": sampling.max_tokens, "seed": sampling.seed} | dict(self.extra_body)

    def _does_without(self, refused_field: str | None) -> bool:
        """Leaves a refused field out from now on; False if there is nothing to leave out or that was tried."""
        if refused_field is None or refused_field in self._without:
            return False
        self._without.add(refused_field)
        if refused_field == "seed":
            _LOG.warning("%s takes no seed: its replies cannot be repeated.", self.model)
        return True

    def _error(self, failure: Failure, attempts: int) -> PolicyError:
        tries = f" (tried {attempts} times)" if attempts > 1 else ""
        text = f"{self.model} at {self._place}: {failure.what}{tries}. {failure.fix}"
        return (ContextOverflow if failure.overflow else PolicyError)(self._without_key(text))

    def _without_key(self, text: str) -> str:
        """Some servers quote the key they refuse. A key shorter than 8 characters is a placeholder and a word like any other."""
        key = self.api_key or ""
        return text.replace(key, "[key]") if len(key) >= 8 else text

    @property
    def _place(self) -> str:
        """The address without the user, password and query that it may hold."""
        address, _, _ = self.base_url.partition("?")
        scheme, mark, rest = address.rpartition("://")
        return scheme + mark + rest.rpartition("@")[2]


def _is_address(base_url: str) -> bool:
    try:
        parts = urlsplit(base_url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return sound and base_url.isprintable() and " " not in base_url


def _sound_key(key: str) -> str:
    """The key, if it can stand in an HTTP header. Otherwise the HTTP library would quote it in its error."""
    key = key.strip()
    if not key.isascii() or not key.isprintable():
        raise BadConfig("the API key holds characters that no key has (a line break, a quote sign?). Copy it again.")
    return key


def _less(fields: Json, refused: Set[str]) -> Json:
    """What the endpoint has not refused before; the limit of tokens under the name that reasoning models of OpenAI ask for."""
    if "max_tokens" in refused:
        fields = {**fields, "max_completion_tokens": fields["max_tokens"]}
    return {key: value for key, value in fields.items() if key not in refused}
