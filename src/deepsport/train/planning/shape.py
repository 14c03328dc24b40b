"""What of a model its cost depends on, read off its configuration: the network is laid out without memory and counted.

Arithmetic (F floating-point operations, a multiplication and an addition being two):

    language    2 F for every weight of the layers' matrices and every token, 4 * heads * head_dim F for every layer and pair of a
                token and one it looks at; the output layer only where a token is predicted
    vision      2 F for every weight and patch, 4 * width F for every layer and pair of patches of a frame (or of a window)
    backward    as much again for what goes on to the layer below, and once more for the gradients of weights that are trained
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch and transformers are only partly typed)

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from deepsport.policy.local.backbone import Backbone, head_dim
from deepsport.policy.local.checkpoint import FAMILIES, model_config
from deepsport.train.trainee import TraineeConfig, choose_trained

GRADIENT, MOMENTS = 4, 8
"""Bytes for each trained weight: a gradient, and AdamW's two moments, in fp32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of a model, and how many weights each token, prediction, patch and visual token meets."""

    parameters: int
    trained: int
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    token_weights: int
    """Of the matrices of the language model's layers."""
    trained_token_weights: int
    """Those of them that are trained."""
    head_weights: int
    head_trained: bool
    patch_weights: int
    """Of the vision tower's matrices that every patch meets."""
    merged_weights: int
    """Of those that every visual token meets."""
    vision_trained: bool
    vision_hidden: int
    vision_layers: int
    vision_full_layers: int
    """Those in which a patch looks at all of its frame, and not at a window of it."""
    window_patches: int
    patches_per_token: int
    features_per_token: int
    """Embeddings of a visual token: one, and one for each level of Qwen3-VL's DeepStack."""

    def language(self, n_tokens: float, n_pairs: float) -> float:
        """Operations of a forward pass; `n_pairs`: of a token and one that it looks at."""
        return 2 * n_tokens * self.token_weights + 4 * n_pairs * self.layers * self.heads * self.head_dim

    def head(self, n_predicted: float) -> float:
        """Operations of the output layer."""
        return 2 * n_predicted * self.head_weights

    def vision(self, n_frames: float, n_patches: int) -> float:
        """Operations of a forward pass over frames of so many patches each."""
        linear = n_patches * self.patch_weights + n_patches / self.patches_per_token * self.merged_weights
        seen = self.vision_full_layers * n_patches
        seen += (self.vision_layers - self.vision_full_layers) * min(self.window_patches, n_patches)
        return n_frames * (2 * linear + 4 * self.vision_hidden * n_patches * seen)

    def learning(self, n_tokens: float, n_pairs: float, n_predicted: float, *, again: bool) -> float:
        """Operations forward and backward; `again`: the layers' forward pass is computed a second time."""
        forward, attention = self.language(n_tokens, n_pairs), self.language(0, n_pairs)
        backward = forward + attention + 2 * n_tokens * self.trained_token_weights
        return forward * (2 if again else 1) + backward + self.head(n_predicted) * (3 if self.head_trained else 2)

    def cache_bytes(self, width: int) -> int:
        """Of the keys and values of one token."""
        return 2 * self.layers * self.kv_heads * self.head_dim * width


def shape_of(model: str, config: TraineeConfig) -> Shape:
    """Of a model of which a recipe trains a part. Raises PolicyError if the model's configuration cannot be had."""
    return shape_by(model_config(model), config)


def shape_by(known: Any, config: TraineeConfig) -> Shape:
    """The same, from a configuration of transformers."""
    with torch.device("meta"):
        network = FAMILIES[known.model_type](known)
        choose_trained(Backbone(network, image_pad=0, suppressed=()), config, seed=0)
    text, vision = known.text_config, known.vision_config
    matrices = {name: module for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv3d)}
    layers, tower = _below(matrices, "model.language_model.layers"), _below(matrices, "model.visual")
    mergers = {name: module for name, module in tower.items() if "merger" in name}
    windowed = hasattr(vision, "window_size")
    return Shape(
        parameters=sum(weight.numel() for weight in network.parameters()),
        trained=sum(weight.numel() for weight in network.parameters() if weight.requires_grad),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        intermediate=text.intermediate_size,
        heads=text.num_attention_heads,
        kv_heads=text.num_key_value_heads,
        head_dim=head_dim(text),
        vocabulary=text.vocab_size,
        token_weights=_count(layers),
        trained_token_weights=_count(layers, trained=True),
        head_weights=_count({"head": matrices["lm_head"]}),
        head_trained=matrices["lm_head"].weight.requires_grad,
        patch_weights=_count(tower) - _count(mergers),
        merged_weights=_count(mergers),
        vision_trained=any(weight.requires_grad for weight in network.model.visual.parameters()),
        vision_hidden=vision.hidden_size,
        vision_layers=vision.depth,
        vision_full_layers=len(vision.fullatt_block_indexes) if windowed else vision.depth,
        window_patches=(vision.window_size // vision.patch_size) ** 2 if windowed else 0,
        patches_per_token=vision.spatial_merge_size**2,
        features_per_token=1 + len(getattr(vision, "deepstack_visual_indexes", None) or ()),
    )


def _below(matrices: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name: module for name, module in matrices.items() if name.startswith(prefix)}


def _count(matrices: dict[str, Any], *, trained: bool = False) -> int:
    return sum(m.weight.numel() for m in matrices.values() if not trained or m.weight.requires_grad)
