"""Frames on their way into the model: decoded once, resized once, and embedded once where the vision tower is frozen."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch, transformers and safetensors are only partly typed)

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from deepsport.policy.base import Pixels
from deepsport.policy.kept import Kept
from deepsport.policy.local.backbone import Backbone
from deepsport.policy.local.policy import LocalPolicy
from deepsport.policy.local.preprocess import on_all_cores
from deepsport.records import Frame
from deepsport.video.source import FrameSource

READ_BYTES = 4 * 2**30
"""Of frame embeddings that training keeps beside those of the policy."""

Features = Mapping[tuple[str, int], Tensor]
"""Embeddings of frames [visual tokens, K, D] by video and index."""


class FrameReader:
    """Frames as the model sees them (resized, uint8), those used last kept.

    With a frozen vision tower (its parameters say so) a frame is embedded once for good, and what the policy has seen in its
    rollouts is not embedded again."""

    def __init__(self, source: FrameSource, policy: LocalPolicy, backbone: Backbone, most_bytes: int = READ_BYTES) -> None:
        """`backbone` holds the vision tower: the policy's own, or the copy that is trained. `most_bytes` of embeddings are kept,
        and twice that of frames, which are not on the GPU."""
        self._source = source
        self._preprocessor = policy.preprocessor
        self._seen = policy.features
        self._backbone = backbone
        self._trained = any(parameter.requires_grad for parameter in backbone.vision.parameters())
        self._embedded: Kept[tuple[str, int], Tensor] = Kept(most_bytes, lambda features: features.nbytes)
        self._kept: Kept[tuple[str, int], Pixels] = Kept(2 * most_bytes, lambda pixels: pixels.nbytes)

    def embed(self, frames: Sequence[Frame]) -> Features:
        """Embeddings of the frames; each distinct one goes through the tower once, all in one pass."""
        keys = list(dict.fromkeys((frame.video, frame.index) for frame in frames))
        found: dict[tuple[str, int], Tensor] = {}
        if not self._trained:
            found = self._seen.known(keys) | self._embedded.found(keys)
        if unknown := [key for key in keys if key not in found]:
            found.update(zip(unknown, self._through_the_tower(unknown), strict=True))
        return found

    def _through_the_tower(self, keys: Sequence[tuple[str, int]]) -> list[Tensor]:
        resized = self._read(keys)
        grids = [self._preprocessor.grid(*pixels.shape[:2]) for pixels in resized]
        with torch.set_grad_enabled(self._trained and torch.is_grad_enabled()):
            features = self._backbone.features(on_all_cores(self._preprocessor.patchify, resized), grids)
        if not self._trained:
            features = [each.clone() for each in features]  # a part would keep the whole
            self._embedded.add(dict(zip(keys, features, strict=True)))
        return features

    def _read(self, keys: Sequence[tuple[str, int]]) -> list[Pixels]:
        """Frames as the model sees them."""
        found = self._kept.found(keys)
        missing: dict[str, list[int]] = {}
        for video, index in keys:
            if (video, index) not in found:
                missing.setdefault(video, []).append(index)
        for video, indices in missing.items():
            shown = on_all_cores(self._preprocessor.resize, self._source.frames(video, indices))
            found |= {(video, index): pixels for index, pixels in zip(indices, shown, strict=True)}
        self._kept.add(found)
        return [found[key] for key in keys]
