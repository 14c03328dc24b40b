"""Token in, token out: a conversation kept as tokens, which something else continues.

The model may be in this process, on a server or in somebody else's trainer: what was shown and what was sampled is written down
here once, as ids, and nothing is ever turned into text and back. That record is what training reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from deepsport.errors import ContextOverflow
from deepsport.policy.base import Image, Message, Reply, Sampling
from deepsport.policy.local.chat import Chat, TokenLog
from deepsport.records import ImageSlot, TokenRecord


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation so far, to be continued."""

    ids: Sequence[int]
    """Every image as its placeholders, so many as it has embeddings."""
    slots: Sequence[ImageSlot]
    """Where the images stand among them."""
    images: Sequence[Image]
    """All of them, in that order."""
    max_tokens: int
    """Of the reply; never more than the context has room for."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """What was sampled, the end token included where there was one."""

    ids: list[int]
    logprobs: list[float]
    """Of each token, under the temperature it was sampled with and without the tokens that a policy may not sample."""
    cut_off: bool
    """The reply ran into `max_tokens`."""


class Sampler(Protocol):
    """Continues one conversation."""

    async def sample(self, prompt: Prompt) -> Continuation:
        """Raises PolicyError."""
        ...


class TokenSession:
    """One conversation with its token record."""

    def __init__(self, name: str, chat: Chat, context: int, sampler: Sampler, sampling: Sampling) -> None:
        """`context`: the longest conversation in tokens."""
        self._name = name
        self._chat = chat
        self._context = context
        self._sampler = sampler
        self._sampling = sampling
        self._log = TokenLog()
        self._images: list[Image] = []

    async def reply(self, messages: Sequence[Message]) -> Reply:
        """Raises ContextOverflow, PolicyError."""
        self._images += self._chat.add_messages(self._log, messages)
        n_prompt = len(self._log.ids)
        room = self._context - n_prompt
        if room < 1:
            raise ContextOverflow(f"the conversation has {n_prompt} tokens, the context of {self._name} holds {self._context}")
        max_tokens = min(self._sampling.max_tokens, room)
        said = await self._sampler.sample(Prompt(self._log.ids, self._log.slots, self._images, max_tokens))
        self._log.add(said.ids, said.logprobs)
        text = self._chat.decode(said.ids)
        return Reply(text=text, cut_off=said.cut_off, prompt_tokens=n_prompt, reply_tokens=len(said.ids))

    def tokens(self) -> TokenRecord:
        """The conversation so far."""
        return self._log.record()
