"""What a policy is: messages in, reply out.

A `Session` is one conversation. It is handed only what is *new* since its last reply, so that a policy with a token record or a
key-value cache never has to look back or to tokenise anything twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from deepsport.records import Frame, TokenRecord

Pixels = NDArray[np.uint8]
"""[height, width, 3], RGB."""


@dataclass(frozen=True, slots=True)
class Image:
    """A frame with its pixels, on its way to a policy."""

    frame: Frame
    pixels: Pixels


Part = str | Image


@dataclass(frozen=True, slots=True)
class Message:
    """A turn of the environment: text and images in the order they are shown."""

    role: Literal["system", "user"]
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How replies are drawn."""

    temperature: float = 0.0
    """0 is greedy."""
    max_tokens: int = 1024
    """Per reply."""
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the policy said."""

    text: str
    cut_off: bool = False
    """The reply ran into `max_tokens`."""
    prompt_tokens: int = 0
    reply_tokens: int = 0


class Session(Protocol):
    """One conversation with a policy."""

    async def reply(self, messages: Sequence[Message]) -> Reply:
        """Answers, given the messages that are new since the last reply.

        Raises PolicyError when no reply can be had, ContextOverflow when the conversation is too long."""
        ...

    def tokens(self) -> TokenRecord | None:
        """The whole conversation as tokens, or None if the policy cannot tell."""
        ...


class Policy(Protocol):
    """Something that looks at frames and acts."""

    @property
    def name(self) -> str:
        """Name written into every episode."""
        ...

    def session(self, sampling: Sampling) -> Session:
        """Opens a conversation."""
        ...
