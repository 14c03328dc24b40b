"""A teacher's words in our tokens are what our own session would have logged, had it said them."""

import asyncio

import torch

from deepsport.agent.rollout import run_episode
from deepsport.policy.base import Sampling
from deepsport.policy.local.checkpoint import load_policy
from deepsport.policy.local.policy import Recorded
from deepsport.policy.scripted import Scripted
from deepsport.run import Run
from deepsport.train.optimiser import OptimiserConfig
from deepsport.train.sft import SFTConfig, fit
from deepsport.video.source import FrameSource
from tiny_models import ANSWER, CALL, LIMITS, clip, nano_folder, question


def test_a_policy_that_learnt_an_episode_by_heart_logs_the_teachers_tokens(tmp_path):
    origin, asked = nano_folder(tmp_path / "nano"), question(clip(tmp_path / "clip.mp4"))
    policy = load_policy(str(origin))
    teacher = Recorded(Scripted([CALL, ANSWER]), policy.chat)
    config = SFTConfig(steps=60, batch_size=1, checkpoint_every=60, optimiser=OptimiserConfig(lr=6e-3))
    with FrameSource() as source, Run.open(tmp_path / "run", None) as run:
        taught = asyncio.run(run_episode(asked, teacher, source, limits=LIMITS, sampling=Sampling()))
        fit(policy, [taught], source, config, run, stage="sft", origin=origin, seed=0)
        own = asyncio.run(run_episode(asked, policy, source, limits=LIMITS, sampling=Sampling(max_tokens=80)))
    assert [turn.text for turn in own.turns] == [CALL, ANSWER]
    assert own.tokens is not None
    assert taught.tokens is not None
    assert (own.tokens.ids, own.tokens.sampled) == (taught.tokens.ids, taught.tokens.sampled)
    assert own.tokens.images == taught.tokens.images
    assert own.frames_seen == taught.frames_seen
    assert torch.tensor(own.tokens.logprobs).max() <= 0
