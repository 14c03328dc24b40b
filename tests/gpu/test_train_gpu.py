"""Training on a GPU: weights in bf16, the tree through FlexAttention, tokens drawn there. None of it is exact to the last bit."""

import asyncio
import math
import random
from pathlib import Path

import pytest
import torch
from torch import Tensor

from deepsport.policy.local.backbone import Backbone
from deepsport.policy.local.checkpoint import load_policy
from deepsport.policy.local.engine import Request, _draw
from deepsport.policy.local.policy import LocalPolicy
from deepsport.records import Episode, Question, Reward
from deepsport.run import Run
from deepsport.train.batches import waited
from deepsport.train.forward import lay_out, sampled_logprobs
from deepsport.train.frames import FrameReader
from deepsport.train.grpo import GRPOConfig, Learner, rollouts
from deepsport.train.optimiser import OptimiserConfig
from deepsport.train.sft import SFTConfig, fit
from deepsport.train.trainee import Trainee, TraineeConfig
from deepsport.train.watch import Group
from deepsport.video.source import FrameSource
from tiny_models import ANSWER, CALL, LIMITS, clip, interrupt_after, nano_folder, question, spoken, widen

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: training in bf16 on CUDA is not checked here")

SAID = [[CALL, ANSWER], [CALL, ANSWER + " "], [CALL + " ", ANSWER], [ANSWER]]
MISMATCH = 0.1
"""See test_local_gpu.py."""


@pytest.fixture(scope="module")
def source():
    with FrameSource() as opened:
        yield opened


@pytest.fixture(scope="module")
def asked(tmp_path_factory) -> Question:
    return question(clip(tmp_path_factory.mktemp("clips") / "clip.mp4"))


@pytest.fixture
def policy(tmp_path) -> LocalPolicy:
    """A nano with wide weights, the same on every device."""
    policy = load_policy(str(nano_folder(tmp_path)))
    model, device = policy.backbone.model, policy.backbone.device
    widen(model.cpu(), seed=0)
    model.to(device)
    return policy


@pytest.fixture
def taught(policy, source, asked) -> list[Episode]:
    return [spoken(policy, source, asked, texts, f"taught-{n}") for n, texts in enumerate(SAID)]


def gradients(backbone: Backbone, policy: LocalPolicy, source: FrameSource, taught: list[Episode], *, tree: bool) -> Tensor:
    """Of a weighted sum of log-probabilities, all in one vector; as a packed tree, or of separate episodes in rows."""
    backbone.model.zero_grad()
    backbone.model.requires_grad_(True)
    records = [episode.tokens for episode in taught if episode.tokens]
    part = lay_out(records, backbone, least_saving=1 if tree else 10**9)
    frames = FrameReader(source, policy, backbone).embed(part.tree.frames)
    logprobs_S = sampled_logprobs(backbone, part, frames, packed=tree)
    (logprobs_S * torch.linspace(-1, 1, len(logprobs_S), device=logprobs_S.device)).sum().backward()
    found = [weight.grad for weight in backbone.model.parameters() if weight.grad is not None]
    return torch.cat([gradient.double().flatten() for gradient in found])


def test_gradients_of_a_tree_are_as_near_to_fp32_as_those_of_separate_episodes(policy, source, taught):
    exact = gradients(policy.backbone.copy(torch.float32), policy, source, taught, tree=False)
    packed, apart = (gradients(policy.backbone, policy, source, taught, tree=tree) for tree in (True, False))
    wrong, wrong_apart = ((one - exact).norm() / exact.norm() for one in (packed, apart))
    assert wrong < max(1.5 * wrong_apart, 1e-3)
    assert wrong < 0.1


@pytest.mark.parametrize("again", [False, True], ids=["kept", "computed again"])
@pytest.mark.parametrize("lora_rank", [0, 4], ids=["all weights", "adapter"])
def test_a_few_steps_make_what_was_taught_likelier(policy, source, taught, lora_rank, again):
    config = TraineeConfig(lora_rank=lora_rank, gradient_checkpointing=again, optimiser=OptimiserConfig(lr=3e-3, warmup_steps=1))
    trainee = Trainee(policy, source, config, n_steps=20)
    (portion,) = trainee.portions([episode.tokens for episode in taught if episode.tokens])
    means: list[float] = []
    for step in range(12):
        logprobs_S = trainee.logprobs(portion)
        means.append(logprobs_S.mean().item())
        trainee.backward(-logprobs_S.mean(), portion)
        trainee.step(step, ["taught"])
    assert means[-1] > means[0] + 0.5
    assert {parameter.dtype for parameter in trainee.parameters} == {torch.float32}


def test_activations_computed_again_give_the_same_gradients(policy, source, taught):
    found: list[Tensor] = []
    for again in (False, True):
        trainee = Trainee(policy, source, TraineeConfig(lora_rank=4, gradient_checkpointing=again), n_steps=2)
        (portion,) = trainee.portions([episode.tokens for episode in taught if episode.tokens])
        trainee.backward(trainee.logprobs(portion).mean(), portion)
        found.append(torch.cat([p.grad.flatten() for p in trainee.parameters if p.grad is not None]))
        policy.backbone.model.zero_grad()
    assert found[0].norm() > 0
    assert (found[0] - found[1]).norm() < 1e-2 * found[0].norm()


def test_a_killed_run_goes_on_where_it_was(source, taught, tmp_path):
    """Not bit for bit: a GPU adds gradients in no fixed order."""
    config = SFTConfig(steps=5, batch_size=2, checkpoint_every=2, lora_rank=4, train_vision=False)
    origin = nano_folder(tmp_path / "origin")

    def train(folder: Path, killed_at: int = 10**9) -> dict[str, Tensor]:
        policy = load_policy(str(origin))
        interrupt_after(policy, killed_at)
        with Run.open(folder, None) as run:
            fit(policy, taught, source, config, run, stage="sft", origin=origin, seed=0)
        return {name: weight for name, weight in policy.backbone.model.named_parameters() if "lora_B" in name}

    straight = train(tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", killed_at=3)
    assert [path.name for path in (tmp_path / "killed/checkpoints/sft").glob("step-*")] == ["step-000002"]
    for name, weight in train(tmp_path / "killed").items():
        assert straight[name].norm() > 0
        assert (weight - straight[name]).norm() < 0.05 * straight[name].norm(), name


def test_a_step_of_rl_agrees_with_what_was_sampled(policy, source, asked):
    config = GRPOConfig(questions_per_step=2, group_size=4, max_reply_tokens=8, lora_rank=4, gradient_checkpointing=True)
    learner = Learner(Trainee(policy, source, config, n_steps=3), config)
    for step in range(2):
        episodes_PG = waited(rollouts(policy, [asked, asked], source, config, LIMITS, seed=step))
        learnt = learner.step([scored(episodes) for episodes in episodes_PG], step)
        assert learnt["mismatch"] < MISMATCH
        assert math.isfinite(learnt["grad_norm"])
        assert learnt["grad_norm"] > 0


def scored(episodes: list[Episode]) -> Group:
    parts = [Reward(total=n % 2, accuracy=n % 2, tool=0.0, format_penalty=0.0, well_formed=True) for n in range(len(episodes))]
    return Group(episodes, parts)


def test_tokens_that_may_not_be_sampled_are_never_drawn():
    device = "cuda" if torch.cuda.is_available() else "cpu"
    logits = torch.randn(64, 152_064, generator=torch.Generator().manual_seed(0))
    logits[:, ::3] = -math.inf
    logprobs_BV = torch.log_softmax(logits, dim=-1).to(device)
    of = torch.arange(64, device=device).repeat(8)

    async def requests() -> list[Request]:
        future = asyncio.get_running_loop().create_future()
        none = torch.zeros(3, 1, dtype=torch.long)
        return [Request((0,), none, (), (), None, 0, 1.0, 1, random.Random(seed), future) for seed in range(len(of))]

    for _ in range(20):
        asked = asyncio.run(requests())
        tokens, logprobs = _draw(logprobs_BV, of, asked)
        assert min(logprobs) > -math.inf
    again = asyncio.run(requests())
    on_cpu, _ = _draw(logprobs_BV.cpu(), of.cpu(), again)
    assert sum(one != other for one, other in zip(tokens, on_cpu, strict=True)) <= 2


def test_the_batch_is_bounded_by_the_memory_that_is_free(policy):
    policy.engine._most_cells = 0
    free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved()
    assert 0 < policy.engine._cells() * policy.backbone.cache_bytes < free
