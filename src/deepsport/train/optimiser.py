"""AdamW with warm-up, decay and clipping; no weight moves unless loss and gradients are finite."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from deepsport.config import Config
from deepsport.errors import TrainingError
from deepsport.train.distributed import whole


class OptimiserConfig(Config):
    """How weights move."""

    lr: float = 6e-4
    """Peak learning rate."""
    warmup_steps: int = 10
    schedule: Literal["constant", "cosine"] = "constant"
    final_share: float = 0.1
    """Share of the peak learning rate left at the end of a cosine schedule."""
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0


def make_optimiser(parameters: Sequence[nn.Parameter], config: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW over the given parameters."""
    return torch.optim.AdamW(parameters, lr=config.lr, betas=(config.beta1, config.beta2), weight_decay=config.weight_decay)


def learning_rate(config: OptimiserConfig, step: int, n_steps: int) -> float:
    """The rate at a step, counted from 0: linear warm-up, then constant or cosine."""
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    if config.schedule == "constant":
        return config.lr * warm
    done = min(1.0, step / max(1, n_steps - 1))
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return config.lr * warm * (config.final_share + (1 - config.final_share) * cosine)


def require_finite(loss: Tensor, step: int, samples: Sequence[str]) -> None:
    """Raises TrainingError, naming the samples, before a loss that is not finite reaches a weight."""
    if not torch.isfinite(loss):
        raise TrainingError(f"step {step}: the loss is {loss.item()} on samples {', '.join(samples[:8])}. No weight was changed.")


def update(optimiser: torch.optim.Optimizer, config: OptimiserConfig, step: int, n_steps: int, samples: Sequence[str]) -> float:
    """Clips, checks and applies the gradients; returns their norm. Raises TrainingError on one that is not finite."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    norm = whole(nn.utils.clip_grad_norm_(parameters, config.max_grad_norm))
    if not torch.isfinite(norm):
        raise TrainingError(
            f"step {step}: a gradient is {norm.item()} on samples {', '.join(samples[:8])}. No weight was changed."
        )
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(config, step, n_steps)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return float(norm)
