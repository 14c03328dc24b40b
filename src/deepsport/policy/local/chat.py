"""Messages -> token ids, in ChatML as the Qwen-VL templates write it, one new piece at a time.

A conversation is never rendered twice: each call encodes only what is new, and what the policy sampled stays as it was sampled.
Text never becomes a control token (`<|image_pad|>` typed into a question stays text), so images are counted by us alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from deepsport.errors import PolicyError
from deepsport.policy.base import Image, Message
from deepsport.policy.local.preprocess import Preprocessor
from deepsport.records import ImageSlot, TokenRecord

VISION_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")
CONTROL_TOKENS = ("<|im_start|>", *VISION_TOKENS)


@dataclass(slots=True)
class TokenLog:
    """The tokens of one conversation as it grows; becomes a TokenRecord. T tokens."""

    ids: list[int] = field(default_factory=list[int])
    sampled: list[bool] = field(default_factory=list[bool])
    logprobs: list[float] = field(default_factory=list[float])
    slots: list[ImageSlot] = field(default_factory=list[ImageSlot])

    def add(self, ids: Sequence[int], logprobs: Sequence[float] | None = None) -> None:
        """Appends tokens; those that come with log-probabilities were sampled by the policy."""
        self.ids += ids
        self.sampled += [logprobs is not None] * len(ids)
        self.logprobs += logprobs if logprobs is not None else [0.0] * len(ids)

    def record(self) -> TokenRecord:
        """A frozen copy."""
        return TokenRecord(
            ids=tuple(self.ids), sampled=tuple(self.sampled), logprobs=tuple(self.logprobs), images=tuple(self.slots)
        )


class Chat:
    """The tokenizer of a checkpoint and the places of images in its conversations."""

    def __init__(self, folder: Path, preprocessor: Preprocessor) -> None:
        """Reads `tokenizer.json`. Raises PolicyError."""
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # the tokenizers library raises bare Exception
            raise PolicyError(f"{folder / 'tokenizer.json'} cannot be read ({error}). It must be a whole checkpoint.") from error
        self._tokenizer.encode_special_tokens = True
        self._preprocessor = preprocessor
        self.end = self._id("<|im_end|>")
        self.pad = self._id("<|endoftext|>")
        self.image_pad = self._id("<|image_pad|>")
        self._start, self._vision_start, self._vision_end = map(self._id, ("<|im_start|>", "<|vision_start|>", "<|vision_end|>"))
        self.suppressed = sorted({self._id(token) for token in CONTROL_TOKENS} | {self.pad})
        """Token ids that a policy may never sample."""

    def add_messages(self, log: TokenLog, messages: Sequence[Message]) -> list[Image]:
        """Appends messages and the opening of the policy's turn to a log; returns their images in order."""
        images: list[Image] = []
        if log.ids:
            log.add(self.encode("\n"))  # closes the policy's own turn
        for message in messages:
            log.add([self._start])
            pending = f"{message.role}\n"
            for part in message.parts:
                if isinstance(part, str):
                    pending += part
                else:
                    log.add([*self.encode(pending), self._vision_start])
                    self._add_image(log, part)
                    log.add([self._vision_end])
                    images.append(part)
                    pending = ""
            log.add([*self.encode(pending), self.end, *self.encode("\n")])
        log.add([self._start, *self.encode("assistant\n")])
        return images

    def encode(self, text: str) -> list[int]:
        """The tokens of a piece of text."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode_reply(self, text: str) -> list[int]:
        """The tokens of a reply that somebody else wrote, closed by the end token."""
        return [*self.encode(text), self.end]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of a sampled reply, without its end token."""
        return str(self._tokenizer.decode([i for i in ids if i != self.end], skip_special_tokens=False))

    def _add_image(self, log: TokenLog, image: Image) -> None:
        grid_hw = self._preprocessor.grid(*image.pixels.shape[:2])
        n_tokens = grid_hw[0] * grid_hw[1] // self._preprocessor.merge_size**2
        log.slots.append(ImageSlot(offset=len(log.ids), n_tokens=n_tokens, grid_hw=grid_hw, frame=image.frame))
        log.add([self.image_pad] * n_tokens)

    def _id(self, token: str) -> int:
        index = self._tokenizer.token_to_id(token)
        if index is None:
            raise PolicyError(f"the tokenizer has no {token!r}: it is not of the Qwen-VL family")
        return index


@lru_cache(maxsize=256)
def _places(down: int, across: int) -> NDArray[np.int64]:
    """[3, down * across] time, row and column of an image's tokens."""
    return np.indices((1, down, across)).reshape(3, -1)


def mrope_positions(n_tokens: int, slots: Sequence[ImageSlot], merge_size: int) -> NDArray[np.int64]:
    """M-RoPE positions [3, T]: text counts on in all three axes; an image spans time 0, its rows and its columns.

    Qwen2-VL (arXiv 2409.12191) section 2.1; equal to transformers' `get_rope_index` for images."""
    positions = np.empty((3, n_tokens), np.int64)
    token, position = 0, 0
    for slot in slots:
        text = slot.offset - token
        positions[:, token : slot.offset] = np.arange(position, position + text)
        position += text
        down, across = (side // merge_size for side in slot.grid_hw)
        positions[:, slot.offset : slot.offset + slot.n_tokens] = position + _places(down, across)
        token, position = slot.offset + slot.n_tokens, position + max(down, across)
    positions[:, token:] = np.arange(position, position + n_tokens - token)
    return positions
