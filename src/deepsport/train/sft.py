"""Supervised fine-tuning: the policy learns to say what the teacher said. Only the teacher's own words carry loss.

One loop for both parts of the curriculum: perception (frames, named and asked about) and episodes (whole trajectories).
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch, transformers and safetensors are only partly typed)

import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from deepsport.config import Config
from deepsport.policy.local.policy import LocalPolicy
from deepsport.progress import track
from deepsport.records import Episode, TokenRecord
from deepsport.run import Run
from deepsport.train import checkpoint
from deepsport.train.batch import collate, sampled_logprobs
from deepsport.train.frames import FrameReader
from deepsport.train.optimiser import OptimiserConfig, make_optimiser, require_finite, update
from deepsport.train.sampler import draw
from deepsport.video.source import FrameSource


class SFTConfig(Config):
    """One stage of supervised fine-tuning."""

    steps: int = Field(default=200, ge=1)
    batch_size: int = Field(default=16, ge=1)
    """Episodes per step."""
    train_vision: bool = True
    """Also train the vision tower; frozen, a frame is embedded once for the whole run."""
    optimiser: OptimiserConfig = OptimiserConfig()
    checkpoint_every: int = Field(default=100, ge=1)
    """Steps between checkpoints."""


def fit(
    policy: LocalPolicy,
    episodes: Sequence[Episode],
    source: FrameSource,
    config: SFTConfig,
    run: Run,
    *,
    stage: str,
    origin: Path,
    seed: int,
) -> None:
    """Trains in place, resuming from the stage's newest checkpoint. Raises TrainingError before a bad step moves a weight."""
    policy.backbone.vision.requires_grad_(config.train_vision)
    frames = FrameReader(source, policy)
    optimiser = make_optimiser([p for p in policy.backbone.model.parameters() if p.requires_grad], config.optimiser)
    folder = run.path(f"checkpoints/{stage}")
    first = checkpoint.resume(folder, policy, optimiser)
    with track(stage, total=config.steps, unit="steps", done=first) as tick:
        for step in range(first, config.steps):
            started = time.monotonic()
            batch_of = draw(episodes, config.batch_size, step, seed)
            ids = [episode.id for episode in batch_of]
            batch = collate([_tokens(episode) for episode in batch_of], policy)
            loss = -sampled_logprobs(policy, batch, frames.features(batch.frames)).mean()
            require_finite(loss, step, ids)
            loss.backward()
            norm = update(optimiser, config.optimiser, step, config.steps, ids)
            seconds = time.monotonic() - started
            run.append(
                "metrics.jsonl", {"stage": stage, "step": step, "loss": loss.item(), "grad_norm": norm, "seconds": seconds}
            )
            tick(extra=f"loss {loss.item():.3f}")
            if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.steps:
                checkpoint.save(folder, policy, optimiser, step + 1, origin)
    policy.features.forget()


def _tokens(episode: Episode) -> TokenRecord:
    if episode.tokens is None:
        raise ValueError(f"episode {episode.id} has no token record: play it back through the policy's tokenizer first")
    return episode.tokens
