"""Logits of many tokens are made in pieces, and again in the backward pass, so that memory does not grow with them."""

import pytest
import torch

from deepsport.policy.local.policy import LocalPolicy
from deepsport.train import forward
from deepsport.train.frames import FrameReader
from deepsport.video.source import FrameSource
from tiny_models import ANSWER, CALL, clip, question, spoken, wide_nano


@pytest.fixture
def policy(tmp_path) -> LocalPolicy:
    return wide_nano(tmp_path)


def learnt(policy: LocalPolicy, part: forward.Part, source: FrameSource) -> tuple[torch.Tensor, list[torch.Tensor], int]:
    """Log-probabilities, gradients, and the most rows of logits at once."""
    policy.backbone.model.zero_grad()
    most = 0

    def watch(_module: object, inputs: tuple[torch.Tensor, ...]) -> None:
        nonlocal most
        most = max(most, len(inputs[0]))

    handle = policy.backbone.model.get_submodule("lm_head").register_forward_pre_hook(watch)
    features = FrameReader(source, policy, policy.backbone).embed(part.tree.frames)
    logprobs_S = forward.sampled_logprobs(policy.backbone, part, features, 0.7)
    (logprobs_S * torch.linspace(-1, 1, len(logprobs_S))).sum().backward()
    handle.remove()
    gradients = [weight.grad.clone() for weight in policy.backbone.model.parameters() if weight.grad is not None]
    return logprobs_S.detach(), gradients, most


def test_logits_in_pieces_give_the_same_log_probabilities_and_gradients(policy, tmp_path, monkeypatch):
    asked = question(clip(tmp_path / "a.mp4"))
    with FrameSource() as source:
        records = [spoken(policy, source, asked, [CALL, ANSWER + " " * n], f"{n}").tokens for n in range(3)]
        part = forward.lay_out([record for record in records if record], policy.backbone)
        whole, gradients, most = learnt(policy, part, source)
        assert most == len(part.tokens_U) > 5
        monkeypatch.setattr(forward, "MOST_LOGITS", 5 * policy.backbone.text_config.vocab_size)
        pieces, other_gradients, most = learnt(policy, part, source)
    assert most == 5
    assert torch.allclose(whole, pieces, atol=1e-5)
    for one, other in zip(gradients, other_gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
