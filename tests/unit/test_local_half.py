"""Weights in bf16 with an adapter kept in fp32 and computed in bf16, as on a GPU."""

import asyncio

import pytest
import torch

from deepsport.policy.base import Message, Sampling
from deepsport.policy.local.adapter import add_adapter, train_only_adapter
from deepsport.policy.local.policy import LocalPolicy
from deepsport.records import TokenRecord
from deepsport.train.forward import lay_out, sampled_logprobs
from tiny_models import features_of, image, logged, opening, wide_nano

SHOWN, THEN = [image(1), image(2)], image(3)
TOLERANCE = 0.1
"""bf16 has 8 bits: see tests/gpu."""


@pytest.fixture
def policy(tmp_path) -> LocalPolicy:
    """With an adapter that changes what is said."""
    policy = wide_nano(tmp_path)
    add_adapter(policy.backbone.model, 4, 8.0, seed=0)
    drawn = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in policy.backbone.model.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=drawn) * 0.1)
    train_only_adapter(policy.backbone.model)
    return policy


def halve(policy: LocalPolicy) -> None:
    """All but the adapter."""
    for name, weight in policy.backbone.model.named_parameters():
        if "lora_" not in name:
            weight.data = weight.data.bfloat16()


def conversation(policy: LocalPolicy) -> TokenRecord:
    async def both() -> TokenRecord | None:
        session = policy.session(Sampling(temperature=1.0, max_tokens=12, seed=1))
        await session.reply(opening(SHOWN))
        await session.reply([Message("user", ("frame:", THEN))])
        return session.tokens()

    record = asyncio.run(both())
    assert record is not None
    return record


def learnt(policy: LocalPolicy, record: TokenRecord) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Log-probabilities of a record, and the gradients of their mean."""
    with torch.no_grad():
        features = features_of(policy, [*SHOWN, THEN])
    logprobs_S = sampled_logprobs(policy.backbone, lay_out([record], policy.backbone), features)
    logprobs_S.mean().backward()
    named = policy.backbone.model.named_parameters()
    return logprobs_S.detach(), {name: weight.grad for name, weight in named if weight.grad is not None}


def test_sampler_and_trainer_agree_where_the_weights_are_bf16_and_the_adapter_is_not(policy):
    halve(policy)
    record = conversation(policy)
    assert logged(record).std() > 0.3
    assert (logged(record) - learnt(policy, record)[0]).abs().max() < TOLERANCE


def test_gradients_of_the_adapter_are_those_of_fp32_up_to_rounding_and_are_kept_in_fp32(policy):
    record = conversation(policy)
    logprobs, gradients = learnt(policy, record)
    policy.backbone.model.zero_grad()
    policy.features.forget()
    halve(policy)
    rough, rough_gradients = learnt(policy, record)
    assert (logprobs - rough).abs().max() < TOLERANCE
    assert {gradient.dtype for gradient in rough_gradients.values()} == {torch.float32}
    assert rough_gradients.keys() == gradients.keys()
    for name, gradient in gradients.items():
        assert (rough_gradients[name] - gradient).norm() < 0.2 * gradient.norm() + 1e-6, name


@pytest.mark.parametrize("half", [True, False])
def test_an_adapter_is_computed_in_the_precision_of_the_weights_beside_it(policy, half):
    if half:
        halve(policy)
    seen: list[tuple[torch.dtype, torch.dtype]] = []
    layer = next(module for name, module in policy.backbone.model.named_modules() if name.endswith("down_proj.lora_B.default"))
    layer.register_forward_hook(lambda _module, inputs, output: seen.append((inputs[0].dtype, output.dtype)))
    conversation(policy)
    assert set(seen) == {(torch.bfloat16,) * 2 if half else (torch.float32,) * 2}
