"""A policy whose weights are here: a Qwen2.5-VL or Qwen3-VL checkpoint, or nano.

Token in, token out: a session keeps the ids it was shown and the ids it sampled, with their log-probabilities, and that record is
what training reads. A frame's embedding is computed once per set of weights and shared by all conversations.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch, transformers and safetensors are only partly typed)

import asyncio
import math
import random
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from deepsport.errors import ContextOverflow
from deepsport.policy.base import Image, Message, Policy, Reply, Sampling, Session
from deepsport.policy.local.backbone import Backbone
from deepsport.policy.local.chat import Chat, TokenLog, mrope_positions
from deepsport.policy.local.engine import Engine, LayerCache, Request
from deepsport.policy.local.preprocess import Preprocessor
from deepsport.records import TokenRecord

MOST_PATCHES = 65_536
"""Patches that go through the vision tower at once: some 50 frames of 640x360, or 2,000 of nano's."""


class FrameFeatures:
    """Frame embeddings [n_tokens, K, D] of one set of weights, least recently used dropped first."""

    def __init__(self, backbone: Backbone, preprocessor: Preprocessor, max_frames: int = 4096) -> None:
        self._backbone = backbone
        self._preprocessor = preprocessor
        self._max_frames = max_frames
        self._kept: OrderedDict[tuple[str, int], Tensor] = OrderedDict()

    def __call__(self, images: Sequence[Image]) -> list[Tensor]:
        """The embeddings of images; those not known yet are computed together. Raises PolicyError on an impossible size."""
        wanted = {(image.frame.video, image.frame.index): image for image in images}
        unknown = {key: image for key, image in wanted.items() if key not in self._kept}
        for keys in _passes(unknown, self._preprocessor):
            patches, grids = zip(*(self._preprocessor.patches(unknown[key].pixels) for key in keys), strict=True)
            with torch.inference_mode(False), torch.no_grad():  # training reads them too
                self._kept.update(zip(keys, self._backbone.features(patches, grids), strict=True))
        found = [self._kept[image.frame.video, image.frame.index] for image in images]
        for key in wanted:
            self._kept.move_to_end(key)
        while len(self._kept) > max(self._max_frames, len(wanted)):
            self._kept.popitem(last=False)
        return found

    def known(self, keys: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Tensor]:
        """What is there already, by video and index."""
        return {key: self._kept[key] for key in keys if key in self._kept}

    def forget(self) -> None:
        """Drops everything: the vision tower's weights have changed, or videos have."""
        self._kept.clear()


def _passes(images: Mapping[tuple[str, int], Image], preprocessor: Preprocessor) -> list[list[tuple[str, int]]]:
    """Images in order, cut into sets that the vision tower takes at once."""
    passes: list[list[tuple[str, int]]] = []
    room = 0
    for key, image in images.items():
        n_patches = math.prod(preprocessor.grid(*image.pixels.shape[:2]))
        if n_patches > room:
            passes.append([])
            room = MOST_PATCHES
        passes[-1].append(key)
        room -= n_patches
    return passes


class LocalPolicy:
    """A model in this process."""

    def __init__(
        self,
        name: str,
        backbone: Backbone,
        chat: Chat,
        preprocessor: Preprocessor,
        *,
        context: int,
        brief: bool,
        arena_only: bool,
    ) -> None:
        self.name = name
        self.backbone = backbone
        self.chat = chat
        self.preprocessor = preprocessor
        self.context = context
        """Longest conversation in tokens."""
        self.brief = brief
        """Trained on the brief prompt."""
        self.arena_only = arena_only
        """Knows only the arena."""
        self.features = FrameFeatures(backbone, preprocessor)
        self.engine = Engine(backbone, self.features, chat.end)

    def session(self, sampling: Sampling) -> Session:
        """Opens a conversation."""
        return LocalSession(self, sampling)


class LocalSession:
    """One conversation with its token record and key-value cache."""

    def __init__(self, policy: LocalPolicy, sampling: Sampling) -> None:
        self._policy = policy
        self._sampling = sampling
        self._log = TokenLog()
        self._cache: LayerCache | None = None
        self._n_cached = 0
        self._draw = random.Random(sampling.seed)

    async def reply(self, messages: Sequence[Message]) -> Reply:
        """Prefills what is new and samples until the end token. Raises ContextOverflow, PolicyError."""
        policy = self._policy
        images = policy.chat.add_messages(self._log, messages)
        n_prompt = len(self._log.ids)
        room = policy.context - n_prompt
        if room < 1:
            raise ContextOverflow(f"the conversation has {n_prompt} tokens, the context of {policy.name} holds {policy.context}")
        positions = mrope_positions(n_prompt, self._log.slots, policy.backbone.merge_size)
        request = Request(
            ids=self._log.ids[self._n_cached :],
            positions=torch.from_numpy(positions[:, self._n_cached :]),
            images=images,
            key=(tuple(self._log.ids), tuple((slot.frame.video, slot.frame.index) for slot in self._log.slots)),
            cache=self._cache,
            n_cached=self._n_cached,
            temperature=self._sampling.temperature,
            max_tokens=min(self._sampling.max_tokens, room),
            draw=self._draw,
            future=asyncio.get_running_loop().create_future(),
        )
        sampled = await policy.engine.sample(request)
        self._cache, self._n_cached = sampled.cache, sampled.n_cached
        self._log.add(sampled.ids, sampled.logprobs)
        text = policy.chat.decode(sampled.ids)
        return Reply(text=text, cut_off=sampled.cut_off, prompt_tokens=n_prompt, reply_tokens=len(sampled.ids))

    def tokens(self) -> TokenRecord:
        """The conversation so far."""
        return self._log.record()


class Recorded:
    """Another policy's conversation, written down in a local policy's tokens: what SFT learns from a teacher."""

    def __init__(self, teacher: Policy, chat: Chat) -> None:
        self.name = teacher.name
        self._teacher = teacher
        self._chat = chat

    def session(self, sampling: Sampling) -> Session:
        """Opens a conversation with the teacher."""
        return _RecordedSession(self._teacher.session(sampling), self._chat)


class _RecordedSession:
    def __init__(self, session: Session, chat: Chat) -> None:
        self._session = session
        self._chat = chat
        self._log = TokenLog()

    async def reply(self, messages: Sequence[Message]) -> Reply:
        self._chat.add_messages(self._log, messages)
        reply = await self._session.reply(messages)
        ids = self._chat.encode_reply(reply.text)
        self._log.add(ids, [0.0] * len(ids))
        return reply

    def tokens(self) -> TokenRecord:
        return self._log.record()
