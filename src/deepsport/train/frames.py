"""Frames on their way into the model: decoded once, resized once, and embedded once where the vision tower is frozen."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch, transformers and safetensors are only partly typed)

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from deepsport.policy.base import Pixels
from deepsport.policy.local.backbone import Backbone
from deepsport.policy.local.policy import LocalPolicy
from deepsport.records import Frame
from deepsport.video.source import FrameSource

Features = Mapping[tuple[str, int], Tensor]
"""Embeddings of frames [visual tokens, K, D] by video and index."""


class FrameReader:
    """Frames as the model sees them (resized, uint8), least recently used dropped first.

    With a frozen vision tower (its parameters say so) a frame is embedded once for good, and what the policy has seen in its
    rollouts is not embedded again."""

    def __init__(self, source: FrameSource, policy: LocalPolicy, backbone: Backbone, max_frames: int = 16_384) -> None:
        """`backbone` holds the vision tower: the policy's own, or the copy that is trained."""
        self._source = source
        self._preprocessor = policy.preprocessor
        self._seen = policy.features
        self._backbone = backbone
        self._trained = any(parameter.requires_grad for parameter in backbone.vision.parameters())
        self._embedded: OrderedDict[tuple[str, int], Tensor] = OrderedDict()
        self._max_frames = max_frames
        self._kept: OrderedDict[tuple[str, int], Pixels] = OrderedDict()

    def embed(self, frames: Sequence[Frame]) -> Features:
        """Embeddings of the frames; each distinct one goes through the tower once, all in one pass."""
        keys = list(dict.fromkeys((frame.video, frame.index) for frame in frames))
        found: dict[tuple[str, int], Tensor] = {}
        if not self._trained:
            found = self._seen.known(keys) | {key: self._embedded[key] for key in keys if key in self._embedded}
        if unknown := [key for key in keys if key not in found]:
            found.update(zip(unknown, self._through_the_tower(unknown), strict=True))
        return found

    def _through_the_tower(self, keys: Sequence[tuple[str, int]]) -> list[Tensor]:
        self._read(keys)
        resized = [self._kept[key] for key in keys]
        grids = [self._preprocessor.grid(*pixels.shape[:2]) for pixels in resized]
        with torch.set_grad_enabled(self._trained and torch.is_grad_enabled()):
            features = self._backbone.features([self._preprocessor.patchify(pixels) for pixels in resized], grids)
        if not self._trained:
            self._embedded.update(zip(keys, features, strict=True))
            while len(self._embedded) > max(self._max_frames, len(keys)):
                self._embedded.popitem(last=False)
        return features

    def _read(self, keys: Sequence[tuple[str, int]]) -> None:
        missing: dict[str, list[int]] = {}
        for key in keys:
            if key in self._kept:
                self._kept.move_to_end(key)
            else:
                missing.setdefault(key[0], []).append(key[1])
        for video, indices in missing.items():
            for index, pixels in zip(indices, self._source.frames(video, indices), strict=True):
                self._kept[video, index] = self._preprocessor.resize(pixels)
        while len(self._kept) > max(self._max_frames, len(keys)):
            self._kept.popitem(last=False)
