"""A policy whose weights are here: a Qwen2.5-VL or Qwen3-VL checkpoint, or nano.

A frame's embedding is computed once per set of weights and shared by all conversations; each has its own key-value cache.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch, transformers and safetensors are only partly typed)

import asyncio
import math
import random
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from deepsport.policy.base import Image, Message, Policy, Reply, Sampling, Session
from deepsport.policy.kept import Kept
from deepsport.policy.local.backbone import Backbone
from deepsport.policy.local.chat import Chat, TokenLog, mrope_positions
from deepsport.policy.local.engine import Engine, LayerCache, Request
from deepsport.policy.local.preprocess import Preprocessor, on_all_cores
from deepsport.policy.local.session import Continuation, Prompt, TokenSession
from deepsport.records import TokenRecord

SEEN_BYTES = 6 * 2**30
"""Of frame embeddings that are kept: some 2,800 frames of 640x360 in the 7B model, a step of RL."""

MOST_PATCHES = 65_536
"""Patches that go through the vision tower at once: some 50 frames of 640x360, or 2,000 of nano's."""


class FrameFeatures:
    """Frame embeddings [n_tokens, K, D] of one set of weights, those used last kept."""

    def __init__(self, backbone: Backbone, preprocessor: Preprocessor, most_bytes: int = SEEN_BYTES) -> None:
        self._backbone = backbone
        self._preprocessor = preprocessor
        self._kept: Kept[tuple[str, int], Tensor] = Kept(most_bytes, lambda features: features.nbytes)

    def __call__(self, images: Sequence[Image]) -> list[Tensor]:
        """The embeddings of images; those not known yet are computed together. Raises PolicyError on an impossible size."""
        wanted = {(image.frame.video, image.frame.index): image for image in images}
        found = self._kept.found(wanted)
        made: dict[tuple[str, int], Tensor] = {}
        unknown = {key: image for key, image in wanted.items() if key not in found}
        for keys in _passes(unknown, self._preprocessor):
            shown = on_all_cores(self._preprocessor.patches, [unknown[key].pixels for key in keys])
            patches, grids = zip(*shown, strict=True)
            with torch.inference_mode(False), torch.no_grad():  # training reads them too
                features = self._backbone.features(patches, grids)
            made |= {key: each.clone() for key, each in zip(keys, features, strict=True)}  # a part would keep the whole
        self._kept.add(made)
        found |= made
        return [found[image.frame.video, image.frame.index] for image in images]

    def known(self, keys: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Tensor]:
        """What is there already, by video and index."""
        return self._kept.found(keys)

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
        return TokenSession(self.name, self.chat, self.context, _CachedSampler(self, sampling), sampling)


class _CachedSampler:
    """One conversation's key-value cache."""

    def __init__(self, policy: LocalPolicy, sampling: Sampling) -> None:
        self._policy = policy
        self._sampling = sampling
        self._cache: LayerCache | None = None
        self._n_cached = 0
        self._n_seen = 0
        """Images whose tokens are in the cache."""
        self._draw = random.Random(sampling.seed)

    async def sample(self, prompt: Prompt) -> Continuation:
        """Prefills what is new and samples until the end token."""
        backbone = self._policy.backbone
        positions = mrope_positions(len(prompt.ids), prompt.slots, backbone.merge_size)
        request = Request(
            ids=prompt.ids[self._n_cached :],
            positions=torch.from_numpy(positions[:, self._n_cached :]),
            images=prompt.images[self._n_seen :],
            key=(tuple(prompt.ids), tuple((slot.frame.video, slot.frame.index) for slot in prompt.slots)),
            cache=self._cache,
            n_cached=self._n_cached,
            temperature=self._sampling.temperature,
            max_tokens=prompt.max_tokens,
            draw=self._draw,
            future=asyncio.get_running_loop().create_future(),
        )
        sampled = await self._policy.engine.sample(request)
        self._cache, self._n_cached, self._n_seen = sampled.cache, sampled.n_cached, len(prompt.images)
        return Continuation(sampled.ids, sampled.logprobs, sampled.cut_off)


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
