"""The objective as algebra: what the formulae promise, on random numbers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepsport.train.objective import Aggregation, advantages, clipped_loss, is_clipped, kl_penalty, token_weights

reward = st.integers(-8, 24).map(lambda sixteenths: sixteenths / 16)
groups = st.integers(2, 8).flatmap(lambda size: st.lists(st.lists(reward, min_size=size, max_size=size), min_size=1, max_size=4))
logprob = st.floats(-8, 0)
advantage_of_a_token = st.floats(-2, 2, allow_subnormal=False)  # half of the smallest one underflows to no gradient
tokens = st.lists(st.tuples(logprob, logprob, advantage_of_a_token), min_size=1, max_size=12)


def columns(rows: list[tuple[float, float, float]]) -> list[torch.Tensor]:
    return [torch.tensor(column, dtype=torch.float64) for column in zip(*rows, strict=True)]


@given(groups, st.integers(-4, 4), st.booleans())
def test_advantages_do_not_change_when_all_rewards_are_shifted(rewards, shift, by_std):
    values = torch.tensor(rewards, dtype=torch.float64)
    assert torch.allclose(advantages(values + shift, divide_by_std=by_std), advantages(values, divide_by_std=by_std), atol=1e-6)


@given(groups, st.floats(0.5, 20))
def test_divided_by_the_spread_advantages_do_not_change_with_the_scale_of_rewards(rewards, scale):
    values = torch.tensor(rewards, dtype=torch.float64)
    assert torch.allclose(advantages(values * scale, divide_by_std=True), advantages(values, divide_by_std=True), atol=1e-3)


@given(groups, st.floats(0.5, 20))
def test_without_the_division_advantages_scale_as_rewards_do(rewards, scale):
    values = torch.tensor(rewards, dtype=torch.float64)
    assert torch.allclose(advantages(values * scale), advantages(values) * scale)


@pytest.mark.parametrize("by_std", [False, True])
def test_a_group_of_one_and_a_group_of_equals_have_no_advantage(by_std):
    assert advantages(torch.tensor([[1.5]]), divide_by_std=by_std).tolist() == [[0.0]]
    assert advantages(torch.tensor([[0.5, 0.5, 0.5]]), divide_by_std=by_std).tolist() == [[0.0, 0.0, 0.0]]


@given(tokens)
def test_on_policy_without_clips_loss_and_gradient_are_those_of_reinforce_with_baseline(rows):
    logprobs, _, advantage = columns(rows)
    logprobs.requires_grad_()
    loss = clipped_loss(logprobs, logprobs.detach(), advantage, clip_low=math.inf, clip_high=math.inf)
    assert torch.allclose(loss, -advantage)
    (ours,) = torch.autograd.grad(loss.sum(), logprobs)
    (reinforce,) = torch.autograd.grad(-(advantage * logprobs).sum(), logprobs)
    assert torch.allclose(ours, reinforce)


@given(tokens)
def test_off_policy_without_clips_it_is_the_importance_weighted_loss(rows):
    logprobs, old, advantage = columns(rows)
    loss = clipped_loss(logprobs, old, advantage, clip_low=math.inf, clip_high=math.inf)
    assert torch.allclose(loss, -(logprobs - old).exp() * advantage)


@given(tokens)
def test_exactly_the_tokens_called_clipped_have_no_gradient(rows):
    logprobs, old, advantage = columns(rows)
    logprobs.requires_grad_()
    loss = clipped_loss(logprobs, old, advantage, clip_low=0.2, clip_high=0.28)
    (gradient,) = torch.autograd.grad(loss.sum(), logprobs)
    inert = is_clipped((logprobs - old).detach(), advantage, clip_low=0.2, clip_high=0.28)
    assert torch.equal(gradient == 0, inert | (advantage == 0))


def test_the_upper_clip_is_wider_than_the_lower_one():
    gap = torch.tensor([1.25, 1.29, 0.81, 0.79, 1.29, 0.79]).log()
    advantage = torch.tensor([1.0, 1.0, -1.0, -1.0, -1.0, 1.0])
    expected = [False, True, False, True, False, False]
    assert is_clipped(gap, advantage, clip_low=0.2, clip_high=0.28).tolist() == expected


@given(tokens)
def test_the_kl_penalty_is_never_negative_and_zero_for_equals(rows):
    logprobs, reference, _ = columns(rows)
    assert (kl_penalty(logprobs, reference) >= 0).all()
    assert torch.equal(kl_penalty(logprobs, logprobs), torch.zeros_like(logprobs))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any))
def test_weights_sum_to_one_and_share_it_out_by_token_or_by_episode(lengths):
    n_tokens = torch.tensor(lengths)
    by_token, by_episode = (token_weights(n_tokens, how) * n_tokens for how in (Aggregation.TOKEN, Aggregation.SEQUENCE))
    assert by_token.tolist() == pytest.approx([length / sum(lengths) for length in lengths])
    n_speaking = sum(length > 0 for length in lengths)
    assert by_episode.tolist() == pytest.approx([(length > 0) / n_speaking for length in lengths])
