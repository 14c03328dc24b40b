"""The GRPO objective as pure functions of tensors.

    A_pg   = r_pg - mean_g r_pg                    (optionally / std_g: the original GRPO, arXiv 2402.03300)
    ratio  = exp(logp - logp_old)
    loss_t = -min(ratio A, clip(ratio, 1 - low, 1 + high) A)     clip-higher: high > low (DAPO, arXiv 2503.14476)

The baseline is the mean alone by default (Dr. GRPO, arXiv 2503.20783): dividing by a group's standard deviation blows a spread of
0.03 in a group where nobody is right up to the size of a real success. P questions, G episodes of a group, S sampled tokens, B
episodes of the batch.
"""

from enum import StrEnum

import torch
from torch import Tensor


class Aggregation(StrEnum):
    """What counts equally in the mean loss."""

    TOKEN = "token"
    """Every sampled token of the batch (DAPO)."""
    SEQUENCE = "sequence"
    """Every episode, its tokens averaged first (GRPO)."""


def advantages(rewards_PG: Tensor, *, divide_by_std: bool = False) -> Tensor:
    """[P, G] reward over the group's mean. A group of one, or without spread, has advantage 0."""
    centred = rewards_PG - rewards_PG.mean(dim=1, keepdim=True)
    if not divide_by_std or rewards_PG.shape[1] < 2:
        return centred
    return centred / (rewards_PG.std(dim=1, keepdim=True) + 1e-6)


def clipped_loss(
    logprobs_S: Tensor, old_logprobs_S: Tensor, advantages_S: Tensor, *, clip_low: float, clip_high: float
) -> Tensor:
    """[S] the clipped policy-gradient loss of each sampled token. Both clips infinite: REINFORCE with baseline."""
    ratio_S = torch.exp(logprobs_S - old_logprobs_S)
    clipped_S = ratio_S.clamp(1 - clip_low, 1 + clip_high)
    return -torch.minimum(ratio_S * advantages_S, clipped_S * advantages_S)


def importance(logprobs_S: Tensor, sampler_S: Tensor, *, cap: float) -> Tensor:
    """[S] how much likelier the trainer finds a token than the engine that sampled it did, at most `cap`.

    The loss of a token is multiplied with it where that engine computes otherwise or lags behind (truncated importance sampling,
    Ionides 2008, doi 10.1198/106186008X320456)."""
    return torch.exp(logprobs_S - sampler_S).clamp_max(cap)


def is_clipped(log_ratio_S: Tensor, advantages_S: Tensor, *, clip_low: float, clip_high: float) -> Tensor:
    """[S] which tokens teach nothing because the policy has already moved far enough their way."""
    ratio_S = log_ratio_S.exp()
    return ((advantages_S > 0) & (ratio_S > 1 + clip_high)) | ((advantages_S < 0) & (ratio_S < 1 - clip_low))


def kl_penalty(logprobs_S: Tensor, reference_S: Tensor) -> Tensor:
    """[S] estimate of KL(policy || reference) at the sampled tokens, never negative (Schulman's k3)."""
    difference_S = reference_S - logprobs_S
    return torch.exp(difference_S) - difference_S - 1


def token_weights(n_tokens_B: Tensor, how: Aggregation) -> Tensor:
    """[B] what each token of an episode counts in the mean over the batch, given how many tokens each episode has."""
    if how is Aggregation.TOKEN:
        return torch.ones_like(n_tokens_B, dtype=torch.float32) / n_tokens_B.sum().clamp_min(1)
    return 1.0 / (n_tokens_B.clamp_min(1) * (n_tokens_B > 0).sum())
