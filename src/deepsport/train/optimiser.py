"""What moves the weights: AdamW, or Muon for the matrices, with warm-up, decay and clipping; nothing moves unless all is finite.

Muon (Jordan 2024; PyTorch's own implementation) makes the step of a matrix orthogonal, so that rare directions learn as fast as
common ones. It is for training from scratch: nano learns to see in half the steps. Embeddings, biases and norms stay with AdamW.
"""

# pyright: reportUnknownMemberType=false
# (torch is only partly typed)

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from deepsport.config import Config
from deepsport.errors import TrainingError
from deepsport.train.distributed import whole


class OptimiserConfig(Config):
    """How weights move."""

    lr: float = 6e-4
    """Peak learning rate of AdamW."""
    muon_lr: float = Field(default=0.0, ge=0)
    """Peak learning rate of Muon for the matrices of all blocks; 0: AdamW moves these too."""
    warmup_steps: int = 10
    schedule: Literal["constant", "cosine"] = "constant"
    final_share: float = 0.1
    """Share of the peak learning rate left at the end of a cosine schedule."""
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0


def make_optimisers(parameters: Mapping[str, nn.Parameter], config: OptimiserConfig) -> list[torch.optim.Optimizer]:
    """AdamW over the named parameters, and Muon over those it is meant for."""
    matrices = [weight for name, weight in parameters.items() if config.muon_lr and weight.ndim == 2 and not _is_table(name)]
    rest = [weight for weight in parameters.values() if not any(weight is matrix for matrix in matrices)]
    betas = (config.beta1, config.beta2)
    made: list[torch.optim.Optimizer] = []
    if rest:
        made.append(torch.optim.AdamW(rest, lr=config.lr, betas=betas, weight_decay=config.weight_decay))
    if matrices:
        made.append(torch.optim.Muon(matrices, lr=config.muon_lr, weight_decay=config.weight_decay))
    return made


def _is_table(name: str) -> bool:
    """Whether a matrix has a row for each token."""
    return "embed_tokens" in name or "lm_head" in name


def share_of_peak(config: OptimiserConfig, step: int, n_steps: int) -> float:
    """The learning rate at a step, counted from 0, over its peak: linear warm-up, then constant or cosine."""
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    if config.schedule == "constant":
        return warm
    done = min(1.0, step / max(1, n_steps - 1))
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return warm * (config.final_share + (1 - config.final_share) * cosine)


def require_finite(loss: Tensor, step: int, samples: Sequence[str]) -> None:
    """Raises TrainingError, naming the samples, before a loss that is not finite reaches a weight."""
    if not torch.isfinite(loss):
        raise TrainingError(f"step {step}: the loss is {loss.item()} on samples {', '.join(samples[:8])}. No weight was changed.")


def update(
    optimisers: Sequence[torch.optim.Optimizer], config: OptimiserConfig, step: int, n_steps: int, samples: Sequence[str]
) -> float:
    """Clips, checks and applies the gradients; returns their norm. Raises TrainingError on one that is not finite."""
    parameters = [p for optimiser in optimisers for group in optimiser.param_groups for p in group["params"]]
    norm = whole(nn.utils.clip_grad_norm_(parameters, config.max_grad_norm))
    if not torch.isfinite(norm):
        raise TrainingError(
            f"step {step}: a gradient is {norm.item()} on samples {', '.join(samples[:8])}. No weight was changed."
        )
    share = share_of_peak(config, step, n_steps)
    for optimiser in optimisers:
        peak = config.muon_lr if isinstance(optimiser, torch.optim.Muon) else config.lr
        for group in optimiser.param_groups:
            group["lr"] = peak * share
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return float(norm)
