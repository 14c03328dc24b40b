"""Supervised fine-tuning: the policy learns to say what the teacher said. Only the teacher's own words carry loss.

One loop for both parts of the curriculum: perception (frames, named and asked about) and episodes (whole trajectories). Questions
about one video begin with the same frames; drawn together, these are computed once.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch, transformers and safetensors are only partly typed)

import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from deepsport.errors import TrainingError
from deepsport.policy.local.policy import LocalPolicy
from deepsport.records import Episode, TokenRecord
from deepsport.run import Run
from deepsport.train.dealt import Dealt, dealt
from deepsport.train.distributed import ALONE, World
from deepsport.train.log import follow
from deepsport.train.optimiser import require_finite
from deepsport.train.sampler import draw
from deepsport.train.trainee import Trainee, TraineeConfig
from deepsport.video.source import FrameSource


class SFTConfig(TraineeConfig):
    """One stage of supervised fine-tuning."""

    steps: int = Field(default=200, ge=1)
    batch_size: int = Field(default=16, ge=1)
    """Episodes per step."""
    train_vision: bool = True


def fit(
    policy: LocalPolicy,
    episodes: Sequence[Episode] | Dealt[Episode],
    source: FrameSource,
    config: SFTConfig,
    run: Run,
    *,
    stage: str,
    origin: Path,
    seed: int,
    world: World = ALONE,
) -> None:
    """Trains in place, resuming from the stage's newest checkpoint. Raises TrainingError before a bad step moves a weight."""
    taught = episodes if isinstance(episodes, Dealt) else dealt(episodes, world)
    trainee = Trainee(policy, source, config, config.steps, seed=seed, world=world)
    folder = run.path(f"checkpoints/{stage}")
    first = trainee.resume(folder)
    with follow(run, stage, n_steps=config.steps, first=first, shown=world.writes, tensorboard=config.tensorboard) as log:
        for step in range(first, config.steps):
            started = time.monotonic()
            batch = taught.of(draw(range(len(taught)), config.batch_size, step, seed))
            learnt = _imitate(trainee, batch, step)
            norm = trainee.step(step, [episode.id for episode in batch])
            seconds = time.monotonic() - started
            trainee.save(folder, step + 1, origin)
            log(step, learnt | {"grad_norm": norm, "seconds": seconds})
    policy.features.forget()


def _imitate(trainee: Trainee, batch: Sequence[Episode], step: int) -> dict[str, float]:
    """Gradients of the mean loss over all words of the teacher; returns the loss, and all tokens of the batch."""
    records = [_tokens(episode) for episode in batch]
    n_spoken = sum(sum(record.sampled) for record in records)
    sums = {"loss": 0.0, "tokens_unique": 0.0}
    for portion in trainee.portions(records):
        share = -trainee.logprobs(portion).sum() / n_spoken * portion.counts
        require_finite(share, step, [batch[index].id for index in portion.members.tolist()])
        trainee.backward(share, portion)
        sums["loss"] += share.item()
        sums["tokens_unique"] += portion.part.tree.n_tokens * portion.counts
    return trainee.world.total(sums) | {"tokens": float(sum(len(record.ids) for record in records))}


def _tokens(episode: Episode) -> TokenRecord:
    if episode.tokens is None:
        raise TrainingError(f"episode {episode.id} has no token record: play it back through the policy's tokenizer first")
    return episode.tokens
