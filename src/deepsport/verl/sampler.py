"""A conversation continued by verl's servers: ids in, ids and log-probabilities out.

A server gets every image as all its placeholders, as verl's own loops send them: verl folds a run into one where the engine wants
that. Frames are resized here, once, to the size that the model sees: every processor behind (the engine's, the trainer's) then
leaves their size alone, so that placeholders and embeddings cannot differ, and pictures travel small.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import PIL.Image

from deepsport.errors import BadConfig, ContextOverflow, EngineError, PolicyError
from deepsport.policy.base import Image, Sampling
from deepsport.policy.local.chat import Chat
from deepsport.policy.local.preprocess import Preprocessor
from deepsport.policy.local.session import Continuation, Prompt, TokenSession


class Generated(Protocol):
    """verl's `TokenOutput`, as far as it is read."""

    token_ids: list[int]
    log_probs: list[float] | None
    stop_reason: str | None
    num_preempted: int | None
    extra_fields: dict[str, object]


class Server(Protocol):
    """verl's `LLMServerClient`."""

    async def generate(
        self,
        request_id: str,
        *,
        prompt_ids: list[int],
        sampling_params: dict[str, object],
        image_data: list[PIL.Image.Image] | None,
    ) -> Generated:
        """Continues the ids."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How long an episode may be, in tokens; verl pads to these lengths and cuts nothing off."""

    prompt: int
    """Of the opening (`rollout.prompt_length`)."""
    response: int
    """Of all that follows it, results of calls included (`rollout.response_length`)."""
    context: int | None = None
    """Of the whole (`rollout.max_model_len`), if the engine has such a limit."""


@dataclass(slots=True, kw_only=True)
class ServerSampler:
    """One conversation, and what its requests brought beside tokens."""

    server: Server
    chat: Chat
    preprocessor: Preprocessor
    room: Room
    sampling_params: Mapping[str, object]
    """verl's own: temperature, top_p, top_k, whether log-probabilities are wanted."""
    request_id: str
    """One for the episode: its turns go to the same server, which has their prefix in its cache."""
    pictures: list[PIL.Image.Image] = field(default_factory=list[PIL.Image.Image])
    """All that were sent, in order."""
    server_fields: dict[str, object] = field(default_factory=dict[str, object])
    """Such as the version of the weights at the first turn and at the last."""
    n_preempted: int | None = None
    seconds: float = 0.0
    """Spent waiting for the server."""
    n_opening: int | None = None
    """Tokens of the opening."""

    @property
    def wants_logprobs(self) -> bool:
        """Whether verl asked for them (`rollout.calculate_log_probs`): all episodes of a batch have them, or none."""
        return bool(self.sampling_params.get("logprobs"))

    async def sample(self, prompt: Prompt) -> Continuation:
        """Raises ContextOverflow, PolicyError, EngineError; BadConfig for an opening that `prompt_length` has no room for."""
        max_tokens = self._max_tokens(prompt)
        self.pictures += await asyncio.to_thread(self._resized, prompt.images[len(self.pictures) :])
        started = time.monotonic()
        said = await self.server.generate(
            self.request_id,
            prompt_ids=list(prompt.ids),
            sampling_params={**self.sampling_params, "max_tokens": max_tokens, "stop_token_ids": [self.chat.end]},
            image_data=list(self.pictures) or None,
        )
        self.seconds += time.monotonic() - started
        self._keep(said)
        return self._checked(said)

    def _max_tokens(self, prompt: Prompt) -> int:
        """Tokens that the reply may have."""
        n_prompt = len(prompt.ids)
        if self.n_opening is None:
            if n_prompt > self.room.prompt:
                raise BadConfig(
                    f"an opening of {n_prompt} tokens, and data.max_prompt_length is {self.room.prompt}. Raise it, lower "
                    "max_pixels of the agent loop, or export with fewer first frames. An image cannot be cut in two."
                )
            self.n_opening = n_prompt
        left = self.n_opening + self.room.response - n_prompt
        if left < 1:
            n_follow = n_prompt - self.n_opening
            raise ContextOverflow(f"{n_follow} tokens follow the opening, response_length is {self.room.response}")
        return min(prompt.max_tokens, left)

    def _resized(self, images: Sequence[Image]) -> list[PIL.Image.Image]:
        return [PIL.Image.fromarray(self.preprocessor.resize(image.pixels)) for image in images]

    def _keep(self, said: Generated) -> None:
        if said.num_preempted is not None:
            self.n_preempted = (self.n_preempted or 0) + said.num_preempted
        if not self.server_fields:
            self.server_fields = dict(said.extra_fields)
        elif (newest := said.extra_fields.get("max_global_steps")) is not None:
            self.server_fields["max_global_steps"] = newest

    def _checked(self, said: Generated) -> Continuation:
        ids = list(said.token_ids)
        if not ids or said.stop_reason in ("abort", "aborted"):
            raise PolicyError(f"the server gave up after {len(ids)} tokens ({said.stop_reason})")
        if self.chat.image_pad in ids:
            raise PolicyError("the policy sampled an image placeholder: forbid it in the engine, as verl does in vLLM")
        logprobs = said.log_probs or []
        if len(logprobs) != len(ids) and self.wants_logprobs:
            raise EngineError(f"the server was asked for log-probabilities, and sent {len(logprobs)} for {len(ids)} tokens")
        if not self.wants_logprobs:
            logprobs = [0.0] * len(ids)
        return Continuation(ids, list(logprobs), cut_off=ids[-1] not in (self.chat.end, self.chat.pad))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPolicy:
    """One episode's policy: a single conversation through its sampler."""

    name: str
    sampler: ServerSampler

    def session(self, sampling: Sampling) -> TokenSession:
        """Opens the conversation."""
        room = self.sampler.room
        whole = room.prompt + room.response
        context = whole if room.context is None else min(whole, room.context)
        return TokenSession(self.name, self.sampler.chat, context, self.sampler, sampling)
