"""Sampler and trainer on a GPU, in the bf16 that checkpoints are loaded in there."""

import asyncio

import pytest
import torch

from deepsport.policy.base import Message, Sampling
from deepsport.policy.local.checkpoint import load_policy
from tiny_models import full_forward, image, logged, nano_folder, opening, widen

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: agreement in bf16 on CUDA is not checked here")

TOLERANCE = 0.1
"""bf16 has 8 bits: a hidden state of size 1 is off by 2**-9 after each rounding, some dozens of them in two layers. Logits of
this model have a spread of about 0.6, so errors of 0.02 are expected and 0.1 is a wrong position, mask or frame."""


def test_the_sampler_and_the_trainer_agree_in_bf16(tmp_path):
    policy = load_policy(str(nano_folder(tmp_path)))
    model = policy.backbone.model.cpu()
    widen(model, seed=0)
    model.cuda()
    assert next(model.parameters()).dtype is torch.bfloat16
    shown, then = [image(1), image(2)], image(3)

    async def both(seed: int):
        session = policy.session(Sampling(temperature=1.0, max_tokens=12, seed=seed))
        await session.reply(opening(shown))
        await session.reply([Message("user", ("frame:", then))])
        return session.tokens()

    async def group():
        return await asyncio.gather(*(both(seed) for seed in range(4)))

    for record in asyncio.run(group()):
        ours = logged(record)
        assert ours.std() > 0.3
        assert (ours - full_forward(policy, record, [*shown, then]).cpu()).abs().max() < TOLERANCE
