"""Training learns, seen on clips and questions it has never met: a minute of perception, and half a minute of RL."""

import asyncio
from pathlib import Path

import pytest

from deepsport.config import load
from deepsport.demo import Demo, DemoConfig
from deepsport.policy.base import Image, Message, Sampling
from deepsport.policy.local.checkpoint import load_policy
from deepsport.policy.local.policy import LocalPolicy
from deepsport.records import Episode, Frame, Question
from deepsport.run import Run
from deepsport.train.batches import waited
from deepsport.train.grpo import GRPOConfig, reinforce, rollouts
from deepsport.train.optimiser import OptimiserConfig
from deepsport.train.perception import ASK
from deepsport.video.source import FrameSource
from even_words import EvenWords, share_even
from tiny_models import LIMITS, clip, nano_folder, question

SETTINGS = ["train_clips=48", "heldout_clips=16", "looks_per_clip=16", "perception.steps=90", "perception.batch_size=32"]


@pytest.mark.slow
@pytest.mark.xdist_group("learning")
def test_after_a_minute_of_perception_a_fresh_nano_names_the_sport_of_unseen_clips(tmp_path: Path) -> None:
    config = load(DemoConfig, None, SETTINGS)
    with Run.open(tmp_path / "run", config) as run, FrameSource() as source:
        demo = Demo(run, config, source)
        train, heldout = demo.train_set(), demo.heldout_set()
        policy = demo.begin(train)
        policy = demo.imitate("perception", config.perception, policy, lambda: demo.looks(train, policy, each=1, most=10**9))
        unseen = [look for look in demo.looks(heldout, policy, each=1, most=10**9) if look.question.text == ASK]
        right = asyncio.run(_share_right(policy, unseen, source))
    assert right >= 0.6, f"named the sport of {right:.0%} of unseen frames; chance is 8 %"


async def _share_right(policy: LocalPolicy, looks: list[Episode], source: FrameSource) -> float:
    """Share of frames whose sport the policy names as the teacher does."""

    async def named(look: Episode) -> bool:
        (frame,) = look.first_frames
        image = Image(
            Frame(video=frame.video, index=frame.index, time_s=frame.time_s), source.frames(frame.video, [frame.index])[0]
        )
        label = f"frame {frame.index} ({frame.time_s:.2f}s):"
        reply = await policy.session(Sampling(max_tokens=24)).reply([Message("user", (label, image, "\n", ASK))])
        return _sport(reply.text) == _sport(look.answer or "")

    answers = await asyncio.gather(*map(named, looks))
    return sum(answers) / len(answers)


def _sport(caption: str) -> str:
    """The sport in "frame 12: soccer, score 0 1, play."."""
    return caption.partition(": ")[2].partition(",")[0]


@pytest.mark.slow
@pytest.mark.xdist_group("learning")
def test_rl_finds_out_what_pays_and_does_it_on_unseen_clips(tmp_path: Path) -> None:
    policy = load_policy(str(nano_folder(tmp_path / "nano")))
    config = GRPOConfig(
        steps=30, questions_per_step=4, group_size=8, max_reply_tokens=8, optimiser=OptimiserConfig(lr=1e-2, warmup_steps=2)
    )
    known = [question(clip(tmp_path / f"known-{n}.mp4", 40 + n), f"known-{n}") for n in range(4)]
    unseen = [question(clip(tmp_path / f"unseen-{n}.mp4", 60 + n), f"unseen-{n}") for n in range(4)]
    with Run.open(tmp_path / "run", None) as run, FrameSource() as source:
        before = _mean_share(policy, unseen, source, config)
        reinforce(policy, known, source, config, run, limits=LIMITS, reward=EvenWords(), origin=tmp_path / "nano", seed=0)
        after = _mean_share(policy, unseen, source, config)
    assert before < 0.6, f"{before:.0%} of the words were even before anything was learnt"
    assert after >= 0.9, f"{before:.0%} of the words were even before and {after:.0%} after RL"


def _mean_share(policy: LocalPolicy, questions: list[Question], source: FrameSource, config: GRPOConfig) -> float:
    """Of even tokens in sampled episodes."""
    groups = waited(rollouts(policy, questions, source, config, LIMITS, seed=99))
    episodes = [episode for group in groups for episode in group]
    return sum(map(share_even, episodes)) / len(episodes)
