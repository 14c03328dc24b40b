"""Token records -> one padded batch, and the log-probabilities a policy gives to the tokens it spoke.

The record is taken as it is: nothing is tokenised here. Logits are computed only where the policy spoke, so the vocabulary never
meets the observation tokens. B rows (episodes), L columns, S sampled tokens of the whole batch, F frames.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch, transformers and safetensors are only partly typed)

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deepsport.policy.base import Pixels
from deepsport.policy.local.chat import mrope_positions
from deepsport.policy.local.policy import LocalPolicy
from deepsport.records import Frame, TokenRecord
from deepsport.video.source import FrameSource


@dataclass(frozen=True, slots=True)
class Batch:
    """Episodes side by side."""

    ids_BL: Tensor
    positions_3BL: Tensor
    rows_S: Tensor
    """Which row each sampled token belongs to."""
    columns_S: Tensor
    """And which column."""
    old_logprobs_S: Tensor
    """The sampler's log-probabilities."""
    frames: tuple[Frame, ...]
    """The frames of all image placeholders, in row-major order."""

    @property
    def n_rows(self) -> int:
        """B."""
        return self.ids_BL.shape[0]


def collate(records: Sequence[TokenRecord], policy: LocalPolicy) -> Batch:
    """Pads records on the right. The mask is causal, so what stands behind a row's end is never looked at."""
    device, length = policy.backbone.device, max(len(record.ids) for record in records)
    ids = torch.full((len(records), length), policy.chat.pad, dtype=torch.long)
    positions = torch.zeros(3, len(records), length, dtype=torch.long)
    sampled = torch.zeros(len(records), length, dtype=torch.bool)
    logprobs = torch.zeros(len(records), length)
    for row, record in enumerate(records):
        n = len(record.ids)
        ids[row, :n] = torch.tensor(record.ids)
        positions[:, row, :n] = torch.from_numpy(mrope_positions(n, record.images, policy.backbone.merge_size))
        sampled[row, :n] = torch.tensor(record.sampled)
        logprobs[row, :n] = torch.tensor(record.logprobs)
    rows, columns = sampled.nonzero(as_tuple=True)
    frames = tuple(slot.frame for record in records for slot in record.images)
    moved = (t.to(device) for t in (ids, positions, rows, columns, logprobs[rows, columns]))
    return Batch(*moved, frames=frames)


class FrameReader:
    """Frames as the model sees them (resized, uint8), least recently used dropped first.

    With a frozen vision tower (the default is what its parameters say) a frame is embedded once for good."""

    def __init__(self, source: FrameSource, policy: LocalPolicy, max_frames: int = 16_384) -> None:
        self._source = source
        self._policy = policy
        self._trained = any(parameter.requires_grad for parameter in policy.backbone.vision.parameters())
        self._embedded: OrderedDict[tuple[str, int], Tensor] = OrderedDict()
        self._max_frames = max_frames
        self._kept: OrderedDict[tuple[str, int], Pixels] = OrderedDict()

    def features(self, frames: Sequence[Frame]) -> Tensor:
        """Embeddings of the frames in order, [visual tokens, K, D]; each distinct frame goes through the tower once."""
        keys = list(dict.fromkeys((frame.video, frame.index) for frame in frames))
        by_key = {} if self._trained else {key: self._embedded[key] for key in keys if key in self._embedded}
        if unknown := [key for key in keys if key not in by_key]:
            by_key.update(zip(unknown, self._embed(unknown), strict=True))
        return torch.cat([by_key[frame.video, frame.index] for frame in frames])

    def _embed(self, keys: Sequence[tuple[str, int]]) -> list[Tensor]:
        self._read(keys)
        preprocessor = self._policy.preprocessor
        resized = [self._kept[key] for key in keys]
        grids = [preprocessor.grid(*pixels.shape[:2]) for pixels in resized]
        with torch.set_grad_enabled(self._trained):
            features = self._policy.backbone.features([preprocessor.patchify(pixels) for pixels in resized], grids)
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
                self._kept[video, index] = self._policy.preprocessor.resize(pixels)
        while len(self._kept) > max(self._max_frames, len(keys)):
            self._kept.popitem(last=False)


def sampled_logprobs(policy: LocalPolicy, batch: Batch, features: Tensor | None, temperature: float = 1.0) -> Tensor:
    """[S] log-probability of each sampled token given all before it. Raises TrainingError when tokens and frames disagree."""
    hidden = policy.backbone.hidden(batch.ids_BL, features, batch.positions_3BL)
    before = hidden[batch.rows_S, batch.columns_S - 1]
    tokens_S = batch.ids_BL[batch.rows_S, batch.columns_S]
    return policy.backbone.logprobs(before, temperature).gather(-1, tokens_S[:, None])[:, 0]
