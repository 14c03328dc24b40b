"""Token records -> one padded batch, and the log-probabilities a policy gives to the tokens it spoke.

The record is taken as it is: nothing is tokenised here. Logits are computed only where the policy spoke, so the vocabulary never
meets the observation tokens. Episodes of a GRPO group begin alike: their common opening, most of their tokens, is computed once
and its keys and values are shared, with gradients. B rows (episodes), L columns, S sampled tokens of the whole batch, P openings,
C columns of the openings, F frames.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch, transformers and safetensors are only partly typed)

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from deepsport.errors import TrainingError
from deepsport.policy.local.chat import mrope_positions
from deepsport.policy.local.policy import LocalPolicy
from deepsport.records import Frame, TokenRecord


@dataclass(frozen=True, slots=True)
class Stem:
    """The openings that the rows of a batch go on from."""

    ids_PC: Tensor
    positions_3PC: Tensor
    lengths_P: Tensor
    of_B: Tensor
    """Which opening each row goes on from."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Episodes side by side; where there is a stem, without their openings."""

    ids_BL: Tensor
    positions_3BL: Tensor
    rows_S: Tensor
    """Which row each sampled token belongs to."""
    columns_S: Tensor
    """And which column."""
    old_logprobs_S: Tensor
    """The sampler's log-probabilities."""
    frames: tuple[Frame, ...]
    """The frames of all image placeholders, in row-major order, those of the stem first."""
    stem: Stem | None = None

    @property
    def n_rows(self) -> int:
        """B."""
        return self.ids_BL.shape[0]


def collate(records: Sequence[TokenRecord], policy: LocalPolicy) -> Batch:
    """Pads records on the right. The mask is causal, so what stands behind a row's end is never looked at."""
    return _pad(records, [slice(0, len(record.ids)) for record in records], policy)


def collate_groups(records: Sequence[TokenRecord], groups: Sequence[int], policy: LocalPolicy) -> Batch:
    """The same, the opening of each group kept once. `groups` says which group each record belongs to.

    The last token of an opening is left to every row, for what is said first is read off it. Raises TrainingError if the records
    of a group do not begin alike."""
    first = dict(zip(reversed(groups), reversed(records), strict=True))
    ends = {group: record.sampled.index(True) - 1 for group, record in first.items()}
    for group, record in zip(groups, records, strict=True):
        if _opening(record, ends[group]) != _opening(first[group], ends[group]):
            raise TrainingError("the episodes of a group do not begin alike: they were not asked the same question")
    openings = _pad(list(first.values()), [slice(0, end) for end in ends.values()], policy)
    rest = _pad(records, [slice(ends[group], len(record.ids)) for group, record in zip(groups, records, strict=True)], policy)
    places = {group: place for place, group in enumerate(first)}
    stem = Stem(
        openings.ids_BL,
        openings.positions_3BL,
        torch.tensor(list(ends.values()), device=policy.backbone.device),
        torch.tensor([places[group] for group in groups], device=policy.backbone.device),
    )
    return replace(rest, frames=openings.frames + rest.frames, stem=stem)


def _opening(record: TokenRecord, end: int) -> tuple[object, ...]:
    return record.ids[: end + 1], record.sampled.index(True) > end, [slot for slot in record.images if slot.offset < end]


def _pad(records: Sequence[TokenRecord], spans: Sequence[slice], policy: LocalPolicy) -> Batch:
    """The given part of every record, side by side."""
    device, length = policy.backbone.device, max(span.stop - span.start for span in spans)
    ids = torch.full((len(records), length), policy.chat.pad, dtype=torch.long)
    positions = torch.zeros(3, len(records), length, dtype=torch.long)
    sampled = torch.zeros(len(records), length, dtype=torch.bool)
    logprobs = torch.zeros(len(records), length)
    for row, (record, span) in enumerate(zip(records, spans, strict=True)):
        n = span.stop - span.start
        ids[row, :n] = torch.tensor(record.ids[span])
        placed = mrope_positions(len(record.ids), record.images, policy.backbone.merge_size)
        positions[:, row, :n] = torch.from_numpy(placed[:, span])
        sampled[row, :n] = torch.tensor(record.sampled[span])
        logprobs[row, :n] = torch.tensor(record.logprobs[span])
    rows, columns = sampled.nonzero(as_tuple=True)
    slots = [slot for record, span in zip(records, spans, strict=True) for slot in record.images if _inside(slot.offset, span)]
    moved = (t.to(device) for t in (ids, positions, rows, columns, logprobs[rows, columns]))
    return Batch(*moved, frames=tuple(slot.frame for slot in slots))


def _inside(offset: int, span: slice) -> bool:
    return span.start <= offset < span.stop


def sampled_logprobs(policy: LocalPolicy, batch: Batch, features: Tensor | None, temperature: float = 1.0) -> Tensor:
    """[S] log-probability of each sampled token given all before it. Raises TrainingError when tokens and frames disagree."""
    if batch.stem is None:
        hidden = policy.backbone.hidden(batch.ids_BL, features, batch.positions_3BL)
    else:
        hidden = _hidden_from(batch.stem, batch, features, policy)
    before = hidden[batch.rows_S, batch.columns_S - 1]
    tokens_S = batch.ids_BL[batch.rows_S, batch.columns_S]
    return policy.backbone.logprobs(before, temperature).gather(-1, tokens_S[:, None])[:, 0]


def _hidden_from(stem: Stem, batch: Batch, features: Tensor | None, policy: LocalPolicy) -> Tensor:
    """[B, L, D] of the rows, which look back at the openings they go on from."""
    backbone, shared = policy.backbone, _SharedKeys(stem)
    n_stem = backbone.n_visual(stem.ids_PC)
    of_stem, of_rows = (None, None) if features is None else (features[:n_stem], features[n_stem:])
    n_columns, n_new = stem.ids_PC.shape[1], batch.ids_BL.shape[1]
    causal = torch.ones(n_columns, n_columns, dtype=torch.bool, device=backbone.device).tril()
    backbone.hidden(stem.ids_PC, of_stem, stem.positions_3PC, causal.expand(len(stem.ids_PC), 1, -1, -1), shared)
    opening_P1C = torch.arange(n_columns, device=backbone.device) < stem.lengths_P[:, None, None]
    own = torch.ones(n_new, n_new, dtype=torch.bool, device=backbone.device).tril()
    mask = torch.cat([opening_P1C[stem.of_B].expand(-1, n_new, -1), own.expand(batch.n_rows, -1, -1)], dim=-1)
    return backbone.hidden(batch.ids_BL, of_rows, batch.positions_3BL, mask[:, None], shared)


class _SharedKeys:
    """A cache with gradients: holds the openings' keys and values, and hands every row those of its own."""

    def __init__(self, stem: Stem) -> None:
        self._of_B = stem.of_B
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """First the openings [P, heads, C, head_dim], which are kept; then the rows, which get theirs in front of their own."""
        if layer not in self._layers:
            self._layers[layer] = keys, values
            return keys, values
        opening_keys, opening_values = self._layers[layer]
        return (
            torch.cat([opening_keys[self._of_B], keys], dim=2),
            torch.cat([opening_values[self._of_B], values], dim=2),
        )
