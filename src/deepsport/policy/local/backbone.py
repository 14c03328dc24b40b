"""A Qwen2.5-VL or Qwen3-VL model through transformers, taken apart into the two steps that sharing needs.

`features` turns frames into embeddings, which depend on the frame alone; `hidden` runs the language model over token ids with
those embeddings in their places. Nothing of transformers is patched: the vision tower's per-image loop is avoided by an attention
function registered through its public interface. B rows, L columns, D hidden size, F frames, K features per visual token (1, plus
one per DeepStack level of Qwen3-VL).
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch, transformers and safetensors are only partly typed)

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, create_block_mask
from transformers import AttentionInterface
from transformers.integrations.flex_attention import flex_attention_forward
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from deepsport.errors import TrainingError
from deepsport.policy.local.adapter import has_adapter
from deepsport.policy.local.preprocess import Patches

FRAME_ATTENTION = "deepsport_flash_frames"
"""transformers hands packed sequences with their lengths to attention functions whose name contains `flash`."""

TEXT_ATTENTION = "deepsport_text"
"""Attention of the language model, which meets masks of two kinds."""


@dataclass(frozen=True, slots=True)
class TreeMask:
    """Who may look at whom where tokens are packed as a tree: at itself, before it in its node, and at all nodes above."""

    lineage: Tensor
    """[nodes, nodes] whether the second is the first or stands above it."""
    node_N: Tensor
    """Which node each token is in; parents come before their children."""

    def dense(self) -> Tensor:
        """Boolean [1, 1, N, N]."""
        order = torch.arange(len(self.node_N), device=self.node_N.device)
        return (self.lineage[self.node_N][:, self.node_N] & (order[:, None] >= order))[None, None]

    def blocks(self) -> BlockMask:
        """For FlexAttention, which leaves out the blocks in which nobody looks at anybody."""
        lineage, node_N, n = self.lineage, self.node_N, len(self.node_N)

        def looks(_b: Tensor, _h: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return lineage[node_N[query], node_N[key]] & (query >= key)

        return create_block_mask(looks, None, None, n, n, device=node_N.device)


class KeyValueStore(Protocol):
    """What attention layers need of a cache."""

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Takes new keys and values [B, heads, new, head_dim]; returns all that the new queries may attend to."""
        ...


class Backbone:
    """The model of a policy, frames and tokens in, hidden states and log-probabilities out."""

    def __init__(self, model: nn.Module, image_pad: int, suppressed: Sequence[int]) -> None:
        self.model = model
        parts = cast(Any, model)
        self._visual, self._language, self._head = parts.model.visual, parts.model.language_model, parts.lm_head
        self.text_config = parts.config.text_config
        self.merge_size: int = parts.config.vision_config.spatial_merge_size
        self._image_pad = image_pad
        self._suppressed = torch.tensor(sorted(suppressed), device=self.device)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    def copy(self, dtype: torch.dtype | None = None) -> "Backbone":
        """Another backbone with weights of its own, in another precision if one is given."""
        copied = copy.deepcopy(self.model)
        return Backbone(copied.to(dtype) if dtype else copied, self._image_pad, self._suppressed.tolist())

    @property
    def blocks(self) -> list[nn.Module]:
        """The layers of the language model and the vision tower: what is sharded one by one."""
        return [*self._language.layers, *self._visual.blocks]

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return next(self.model.parameters()).dtype

    @property
    def cache_bytes(self) -> int:
        """Of the keys and values of one token."""
        config = self.text_config
        return 2 * config.num_hidden_layers * config.num_key_value_heads * head_dim(config) * self.dtype.itemsize

    @property
    def vision(self) -> nn.Module:
        """The vision tower with its merger."""
        return self._visual

    @property
    def embeddings(self) -> nn.Module:
        """The token embeddings; where they are tied, the output layer too."""
        return self._language.embed_tokens

    def features(self, patches_F: Sequence[Patches], grids_F: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Embeddings of F frames, each [n_tokens, K, D]. The tower runs once over all of them."""
        pixels = torch.from_numpy(np.concatenate(patches_F)).to(self.device, self._visual.dtype)
        grid = torch.tensor([(1, *grid_hw) for grid_hw in grids_F], device=self.device)
        out = self._visual(pixels, grid_thw=grid)
        stacked = torch.stack([out.pooler_output, *(getattr(out, "deepstack_features", None) or [])], dim=1)
        return list(stacked.split([down * across // self.merge_size**2 for down, across in grids_F]))

    def n_visual(self, ids: Tensor) -> int:
        """How many of the tokens are image placeholders."""
        return int((ids == self._image_pad).sum())

    def hidden(
        self,
        ids_BL: Tensor,
        features: Tensor | None,
        positions_3BL: Tensor,
        mask: Tensor | TreeMask | None,
        cache: KeyValueStore | None = None,
    ) -> Tensor:
        """Last hidden states [B, L, D].

        features: [sum of visual tokens, K, D] in row-major order of the image placeholders in ids_BL.
        mask: boolean [B, 1, L, keys], true where a query may look; None: at what comes before it among these tokens.
        Raises TrainingError when placeholders and embeddings differ in number."""
        embeddings = self._language.embed_tokens(ids_BL)
        visual = ids_BL == self._image_pad
        extra: dict[str, Any] = {}
        n_found = 0 if features is None else len(features)
        if (n_placed := self.n_visual(ids_BL)) != n_found:
            raise TrainingError(
                f"{n_placed} image placeholders but {n_found} frame embeddings: tokens and frames do not belong together"
            )
        if features is not None and n_found:
            embeddings = embeddings.masked_scatter(visual[..., None], features[:, 0].to(embeddings.dtype))
            if features.shape[1] > 1:
                extra = {"visual_pos_masks": visual, "deepstack_visual_embeds": list(features[:, 1:].unbind(1))}
        with self._precision():
            out = self._language(
                inputs_embeds=embeddings,
                position_ids=positions_3BL,
                attention_mask=_for_attention(mask),
                past_key_values=cache,
                use_cache=cache is not None,
                **extra,
            )
        return out.last_hidden_state

    def _precision(self) -> AbstractContextManager[object]:
        """An adapter is kept in fp32 and computed in the bf16 of the weights beside it: fp32 would double a step."""
        if has_adapter(self.model) and self.dtype is torch.bfloat16:
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    def logprobs(self, hidden: Tensor, temperature: float | Tensor = 1.0) -> Tensor:
        """Log-probabilities [..., V] in fp32 over the tokens a policy may sample; temperature may be one per row."""
        logits = self._head(hidden).float().index_fill_(-1, self._suppressed, float("-inf"))
        as_they_are = isinstance(temperature, float) and temperature == 1.0
        return torch.log_softmax(logits if as_they_are else logits / temperature, dim=-1)


def head_dim(text_config: Any) -> int:
    """Width of a key: what the configuration says, else the hidden size shared by the heads."""
    return getattr(text_config, "head_dim", None) or text_config.hidden_size // text_config.num_attention_heads


def _for_attention(mask: Tensor | TreeMask | None) -> Tensor | BlockMask | None:
    if isinstance(mask, TreeMask):
        return mask.blocks() if mask.node_N.is_cuda else mask.dense()
    return mask


def _text_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | BlockMask | None, **settings: Any
) -> tuple[Tensor, Tensor | None]:
    """FlexAttention under a block mask, else PyTorch's fused attention, which without a mask skips what comes later. One token of
    each row looks back with the heads that share keys side by side, so that no key is copied for them."""
    if isinstance(attention_mask, BlockMask):  # under autocast of fp32 weights, rotated queries and keys are fp32, values are not
        query, key = query.to(value.dtype), key.to(value.dtype)
        return flex_attention_forward(module, query, key, value, attention_mask, **settings)
    if attention_mask is not None and query.shape[2] == 1:
        shared = query.unflatten(1, (key.shape[1], -1))[:, :, :, 0]  # [B, H, heads that share a key, head_dim]
        scale = settings.get("scaling")
        attended = nn.functional.scaled_dot_product_attention(shared, key, value, attn_mask=attention_mask, scale=scale)
        return attended.flatten(1, 2)[:, None], None
    return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)


def _frame_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    cu_seq_lens_q: Tensor | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """Attention within each frame of a packed [1, heads, patches, head_dim]: one call per size of frame, not one per frame."""
    assert cu_seq_lens_q is not None
    lengths, starts = cu_seq_lens_q.diff(), cu_seq_lens_q[:-1]
    out = torch.empty_like(query)
    for length in cast(list[int], lengths.unique().tolist()):
        columns = (starts[lengths == length][:, None] + torch.arange(length, device=query.device)).flatten()
        q, k, v = (t[0][:, columns].unflatten(1, (-1, length)).transpose(0, 1) for t in (query, key, value))
        attended = nn.functional.scaled_dot_product_attention(q, k, v, scale=scaling)
        out = out.index_copy(2, columns, attended.transpose(0, 1).flatten(1, 2)[None])
    return out.transpose(1, 2), None


AttentionInterface.register(FRAME_ATTENTION, _frame_attention)
AttentionInterface.register(TEXT_ATTENTION, _text_attention)
