"""Trains a tiny nano by SFT and by RL in as many processes as torchrun starts; the first writes what happened as JSON.

`python -m torch.distributed.run --nproc-per-node 2 tests/train_together.py MODEL CLIP RUN STEPS`; alone, without torchrun.
"""

import json
import sys
from pathlib import Path

import torch
from torch.distributed.tensor import DTensor

from deepsport.policy.local.checkpoint import load_policy
from deepsport.policy.local.policy import LocalPolicy
from deepsport.records import Episode, Reward
from deepsport.reward.gated import GatedReward
from deepsport.run import Run
from deepsport.train.distributed import ALONE, World, join
from deepsport.train.grpo import GRPOConfig, Learner, reinforce
from deepsport.train.optimiser import OptimiserConfig
from deepsport.train.sft import SFTConfig, fit
from deepsport.train.trainee import Trainee
from deepsport.train.watch import Group
from deepsport.video.source import FrameSource
from tiny_models import ANSWER, CALL, LIMITS, question, spoken

STEADY = OptimiserConfig(lr=1e-3, warmup_steps=2)


class ByWords(GatedReward):
    """Rewards what was said, so that groups of random words differ."""

    def score(self, episode: Episode, judged: float | None = None) -> Reward:
        assert episode.tokens is not None
        total = sum(episode.tokens.ids) % 7 / 7
        return Reward(total=total, accuracy=total, tool=0.0, format_penalty=0.0, well_formed=True)


def main(model: Path, clip: Path, folder: Path, steps: int, world: World) -> None:
    """SFT, GRPO on fixed words, and GRPO on what is sampled; the first and last go on from their checkpoints if there are any."""
    sft = SFTConfig(steps=steps, batch_size=3, tokens_per_forward=200, optimiser=STEADY)
    rl = GRPOConfig(
        steps=steps, questions_per_step=3, group_size=3, max_reply_tokens=5, filter_by_accuracy=False,
        tokens_per_forward=300, optimiser=STEADY, train_vision=True,
    )  # fmt: skip
    with world.run(folder, None) as run, FrameSource() as source:
        policy, asked = load_policy(str(model)), question(clip)
        taught = [
            spoken(policy, source, asked, texts, f"taught-{n}") for n, texts in enumerate([[CALL, ANSWER], [ANSWER], [CALL]])
        ]
        fit(policy, taught, source, sft, run, stage="sft", origin=model, seed=0, world=world)
        on_fixed_words(load_policy(str(model)), source, taught, rl, run, world)
        questions = [asked.model_copy(update={"id": name, "text": f"{asked.text} {name}"}) for name in "abcd"]
        begun = load_policy(str(model))  # not what SFT ended with, so that each stage of a shorter run begins a longer one's
        reinforce(begun, questions, source, rl, run, limits=LIMITS, reward=ByWords(), origin=model, seed=0, world=world)
        trainee = Trainee(policy, source, rl, steps, world=world)
        kinds = sorted({type(parameter).__name__ for parameter in trainee.parameters})
        run.write("facts.json", json.dumps({"parameters": kinds, "sharded": isinstance(trainee.parameters[0], DTensor)}))


def on_fixed_words(
    policy: LocalPolicy, source: FrameSource, taught: list[Episode], config: GRPOConfig, run: Run, world: World
) -> None:
    """What is sampled may flip by a last bit, and from there on two runs have nothing in common; fixed words do not."""
    rewards = [Reward(total=t, accuracy=t, tool=0.0, format_penalty=0.0, well_formed=True) for t in (1.0, 0.2, 0.6)]
    learner = Learner(Trainee(policy, source, config, config.steps, world=world), config)
    learnt: list[dict[str, float | str]] = []
    for step in range(config.steps):
        learnt.append({"stage": "fixed", "step": step, **learner.step([Group(taught, rewards)], step)})
    run.write("fixed.json", json.dumps(learnt))


def alone(model: Path, clip: Path, folder: Path, steps: int) -> None:
    """In one process, for a test that starts many: such a process is forked from one that has all of this imported."""
    torch.set_num_threads(1)
    main(model, clip, folder, steps, ALONE)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with join() as joined:
        main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), joined)
