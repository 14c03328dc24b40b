"""A tree of episodes through the model: the log-probabilities that a policy gives to the tokens it spoke, with gradients.

The record is taken as it is: nothing is tokenised here. Logits are computed only where the policy spoke, once for what
several episodes said alike, so the vocabulary never meets the observation tokens. Two ways through, equal up to rounding:

    in rows   nodes of one depth side by side, each looking back at the keys of the nodes above it: least arithmetic, for CPUs
    packed    all tokens in one row under a tree mask: one pass, FlexAttention on a GPU, which skips what the mask leaves out

R rows, L columns of them, A columns of what they look back at; N packed tokens, S sampled tokens, of which U differ in what was
said or in what came before, H heads, D hidden size.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch, transformers and safetensors are only partly typed)

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from deepsport.policy.local.backbone import Backbone, TreeMask
from deepsport.policy.local.chat import mrope_positions
from deepsport.records import Frame, TokenRecord
from deepsport.train.frames import Features
from deepsport.train.tree import LEAST_SAVING, Node, Tree, grow

NODES_TOGETHER = 32
"""Tables of who stands above whom come in steps of so many nodes: kernels are compiled anew for fewer sizes."""

MOST_LOGITS = 2**27
"""Logits that are held at once, 0.5 GB in fp32; of more, pieces are computed again in the backward pass."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some records as one forward pass: their tree, and its tokens as tensors on the device of the model."""

    tree: Tree
    ids_N: Tensor
    positions_3N: Tensor
    old_logprobs_S: Tensor
    """The sampler's log-probabilities."""
    tokens_U: Tensor
    before_U: Tensor
    """The packed token from which each of them is predicted."""
    unique_S: Tensor
    """Which of those a sampled token is."""
    record_S: Tensor
    """Which of the records each sampled token belongs to."""


def lay_out(records: Sequence[TokenRecord], backbone: Backbone, *, least_saving: int = LEAST_SAVING) -> Part:
    """Packs records. Raises TrainingError for one without a prompt or a reply."""
    tree, device = grow(records, least_saving=least_saving), backbone.device
    positions = [mrope_positions(len(record.ids), record.images, backbone.merge_size) for record in records]
    ids = [np.array(record.ids) for record in records]
    sampled = [np.flatnonzero(record.sampled) for record in records]
    logprobs = [np.array(record.logprobs, np.float32) for record in records]
    spans = [(node.record, slice(node.start, node.stop)) for node in tree.nodes]
    tokens_S = np.concatenate([i[at] for i, at in zip(ids, sampled, strict=True)])
    (before_U, tokens_U), unique_S = np.unique(np.stack([tree.before, tokens_S]), axis=1, return_inverse=True)
    return Part(
        tree,
        ids_N=torch.from_numpy(np.concatenate([ids[record][span] for record, span in spans])).to(device),
        positions_3N=torch.from_numpy(np.concatenate([positions[record][:, span] for record, span in spans], axis=1)).to(device),
        old_logprobs_S=torch.from_numpy(np.concatenate([p[at] for p, at in zip(logprobs, sampled, strict=True)])).to(device),
        tokens_U=torch.from_numpy(tokens_U).to(device),
        before_U=torch.from_numpy(before_U).to(device),
        unique_S=torch.from_numpy(unique_S).to(device),
        record_S=torch.from_numpy(tree.record_of).to(device),
    )


def sampled_logprobs(
    backbone: Backbone, part: Part, features: Features, temperature: float = 1.0, *, packed: bool = False
) -> Tensor:
    """[S] log-probability of each sampled token given all before it. Raises TrainingError when tokens and frames disagree."""
    through = _packed if packed else _in_rows
    hidden_UD = _take(through(backbone, part, features), part.before_U)
    n_at_once = max(1, MOST_LOGITS // backbone.text_config.vocab_size)
    pieces = zip(hidden_UD.split(n_at_once), part.tokens_U.split(n_at_once), strict=True)
    if len(hidden_UD) <= n_at_once or not torch.is_grad_enabled():
        logprobs = [_of_tokens(backbone, hidden, tokens, temperature) for hidden, tokens in pieces]
    else:
        logprobs = [checkpoint(_of_tokens, backbone, *piece, temperature, use_reentrant=False) for piece in pieces]
    return _take(torch.cat(logprobs), part.unique_S)[:, 0]


def _of_tokens(backbone: Backbone, hidden_UD: Tensor, tokens_U: Tensor, temperature: float) -> Tensor:
    """[U, 1]."""
    return backbone.logprobs(hidden_UD, temperature).gather(-1, tokens_U[:, None])


def _packed(backbone: Backbone, part: Part, features: Features) -> Tensor:
    """[N, D] in one pass."""
    tree = part.tree
    n_nodes = -(-len(tree.nodes) // NODES_TOGETHER) * NODES_TOGETHER
    lineage = torch.zeros(n_nodes, n_nodes, dtype=torch.bool)
    place = {id(node): index for index, node in enumerate(tree.nodes)}
    for node in tree.nodes:
        lineage[place[id(node)], [place[id(above)] for above in node.lineage()]] = True
    lengths = torch.tensor([node.n_tokens for node in tree.nodes], device=backbone.device)
    node_N = torch.repeat_interleave(torch.arange(len(tree.nodes), device=backbone.device), lengths)
    mask = TreeMask(lineage.to(backbone.device), node_N)
    return backbone.hidden(part.ids_N[None], _of(features, tree.frames), part.positions_3N[:, None], mask)[0]


def _in_rows(backbone: Backbone, part: Part, features: Features) -> Tensor:
    """[N, D] depth by depth; the rows come in packed order."""
    tree = part.tree
    keys = _KeysAbove(tree)
    hidden: list[Tensor] = []
    for row in tree.rows():
        n_columns = max(node.n_tokens for node in row)
        lengths_R = torch.tensor([node.n_tokens for node in row], device=backbone.device)
        real_RL = torch.arange(n_columns, device=backbone.device) < lengths_R[:, None]
        first = tree.firsts[id(row[0])]
        span = slice(first, first + int(lengths_R.sum()))
        ids_RL = _padded(part.ids_N[span], real_RL)
        positions = torch.stack([_padded(axis, real_RL) for axis in part.positions_3N[:, span]])
        mask = keys.look_back(row, real_RL)
        frames = [slot.frame for node in row for slot in tree.slots(node)]
        hidden_RLD = backbone.hidden(ids_RL, _of(features, frames), positions, mask, keys)
        hidden.append(_take(hidden_RLD.flatten(0, 1), _places(real_RL)))
    return torch.cat(hidden)


def _padded(values: Tensor, real_RL: Tensor) -> Tensor:
    """Values of the real places, in order, with zeros behind."""
    return torch.zeros(real_RL.shape, dtype=values.dtype, device=values.device).masked_scatter(real_RL, values)


def _take(values: Tensor, index: Tensor) -> Tensor:
    """`values[index]`, whose gradient is added up in a fixed order: that of indexing depends on which thread comes first."""
    return functional.embedding(index, values.flatten(1)).unflatten(-1, values.shape[1:])


def _places(mask: Tensor) -> Tensor:
    """Where a mask is true, counted row by row."""
    return mask.flatten().nonzero()[:, 0]


def _of(features: Features, frames: Sequence[Frame]) -> Tensor | None:
    return torch.cat([features[frame.video, frame.index] for frame in frames]) if frames else None


class _KeysAbove:
    """Keys and values of the nodes that have others below them, with gradients; hands each row those it follows on."""

    def __init__(self, tree: Tree) -> None:
        self._above = {id(node.parent) for node in tree.nodes if node.parent}
        self._first: dict[int, int] = {}
        self._n_kept = 0
        self._kept: dict[int, list[tuple[Tensor, Tensor]]] = {}
        """Per layer, keys and values [tokens, H, head_dim]."""
        self._keep = self._look = torch.empty(0)

    def look_back(self, row: Sequence[Node], real_RL: Tensor) -> Tensor | None:
        """Prepares for a row of nodes; returns its mask [R, 1, L, A + L], none if there is nothing above it."""
        device, n_columns = real_RL.device, real_RL.shape[1]
        spans = [[(self._first[id(above)], above.n_tokens) for above in node.lineage()[:-1]] for node in row]
        n_above = max(sum(n for _, n in above) for above in spans)
        look = torch.zeros(len(row), n_above, dtype=torch.long)
        seen = torch.zeros(len(row), n_above, dtype=torch.bool)
        for index, above in enumerate(spans):
            columns = [torch.arange(first, first + n) for first, n in above]
            n = sum(map(len, columns))
            if columns:
                look[index, :n], seen[index, :n] = torch.cat(columns), True
        self._look = look.to(device)
        kept_R = [id(node) in self._above for node in row]
        self._keep = _places(real_RL & torch.tensor(kept_R, device=device)[:, None])
        for node in row:
            if id(node) in self._above:
                self._first[id(node)] = self._n_kept
                self._n_kept += node.n_tokens
        if not n_above:
            return None
        causal = torch.ones(n_columns, n_columns, dtype=torch.bool, device=device).tril()
        own = causal.expand(len(row), -1, -1)
        return torch.cat([seen.to(device)[:, None].expand(-1, n_columns, -1), own], dim=-1)[:, None]

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Takes a row's keys and values [R, H, L, head_dim]; returns them behind those above."""
        kept, whole = self._kept.setdefault(layer, []), (keys, values)
        if self._look.shape[1]:
            above = (_take(torch.cat(each), self._look).transpose(1, 2) for each in zip(*kept, strict=True))
            whole = tuple(torch.cat([past, own], dim=2) for past, own in zip(above, whole, strict=True))
        if len(self._keep):
            kept.append((self._kept_of(keys), self._kept_of(values)))
        return whole[0], whole[1]

    def _kept_of(self, own: Tensor) -> Tensor:
        """[tokens, H, head_dim] of a row's [R, H, L, head_dim]."""
        return _take(own.transpose(1, 2).flatten(0, 1), self._keep)
