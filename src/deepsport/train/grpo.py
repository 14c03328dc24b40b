"""Agentic GRPO: groups of whole episodes, a gated reward, group-relative advantages, no critic.

Groups whose answers are all equally right teach nothing and are dropped; those of them that still differ in total reward (by the
exploration bonus alone) are counted as phantom groups. Tool output carries no loss. P questions, G episodes each, S sampled
tokens.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch, transformers and safetensors are only partly typed)

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor

from deepsport.agent.rollout import Limits, run_episode
from deepsport.config import Config
from deepsport.policy.base import Sampling
from deepsport.policy.local.policy import LocalPolicy
from deepsport.progress import track
from deepsport.records import Episode, Question, Reward
from deepsport.reward.gated import GatedReward
from deepsport.run import Run
from deepsport.train import checkpoint
from deepsport.train.batch import Batch, collate_groups, sampled_logprobs
from deepsport.train.frames import FrameReader
from deepsport.train.objective import Aggregation, advantages, clipped_loss, has_spread, is_clipped, kl_penalty, token_weights
from deepsport.train.optimiser import OptimiserConfig, make_optimiser, require_finite, update
from deepsport.train.sampler import draw
from deepsport.train.watch import describe_step
from deepsport.video.source import FrameSource


class GRPOConfig(Config):
    """One run of reinforcement learning."""

    steps: int = Field(default=60, ge=1)
    questions_per_step: int = Field(default=8, ge=1)
    """P."""
    group_size: int = Field(default=8, ge=1)
    """G, episodes per question."""
    temperature: float = Field(default=1.0, gt=0)
    max_reply_tokens: int = Field(default=128, ge=1)
    updates_per_step: int = Field(default=1, ge=1)
    """Optimiser steps on each batch of rollouts."""
    rows_per_forward: int = Field(default=16, ge=1)
    """Episodes in one forward pass; bounds memory."""
    divide_by_std: bool = False
    """Divide advantages by the group's standard deviation (original GRPO)."""
    filter_by_accuracy: bool = True
    """Drop groups whose answers are all equally right; else only groups of equal total reward are dropped."""
    clip_low: float = 0.2
    clip_high: float = 0.28
    aggregation: Aggregation = Aggregation.TOKEN
    kl_coefficient: float = 0.0
    """Weight of the KL penalty against the policy at the start; 0 leaves the reference out."""
    train_vision: bool = False
    """Also train the vision tower; frozen, a frame is embedded once for the whole run."""
    train_embeddings: bool = True
    """Also train the token embeddings. AdamW moves that of a token sampled once as far as a weight that every token trains."""
    optimiser: OptimiserConfig = OptimiserConfig(lr=2e-4)
    checkpoint_every: int = Field(default=20, ge=1)


@dataclass(frozen=True, slots=True)
class Group:
    """The scored episodes of one question."""

    episodes: list[Episode]
    rewards: list[Reward]

    @property
    def teaches(self) -> bool:
        """Whether some answers were better than others."""
        return _differ([reward.accuracy or 0.0 for reward in self.rewards])

    @property
    def differs(self) -> bool:
        """Whether total rewards differ."""
        return _differ([reward.total for reward in self.rewards])


def reinforce(
    policy: LocalPolicy,
    questions: Sequence[Question],
    source: FrameSource,
    config: GRPOConfig,
    run: Run,
    *,
    limits: Limits,
    reward: GatedReward,
    origin: Path,
    seed: int,
) -> None:
    """Trains in place, resuming from the newest checkpoint. Raises TrainingError before a bad step moves a weight."""
    policy.backbone.vision.requires_grad_(config.train_vision)
    if not config.train_embeddings:
        policy.backbone.embeddings.requires_grad_(False)
    optimiser = make_optimiser([p for p in policy.backbone.model.parameters() if p.requires_grad], config.optimiser)
    learner = Learner(policy, optimiser, FrameReader(source, policy), config)
    folder = run.path("checkpoints/rl")
    first = checkpoint.resume(folder, policy, optimiser)
    with track("rl", total=config.steps, unit="steps", done=first) as tick:
        for step in range(first, config.steps):
            started = time.monotonic()
            questions_P = draw(questions, config.questions_per_step, step, seed)
            episodes_PG = asyncio.run(rollouts(policy, questions_P, source, config, limits, seed=seed * 100_003 + step))
            groups = [score(episodes, reward) for episodes in episodes_PG]  # bad episodes are left out, not scored
            kept = [group for group in groups if (group.teaches if config.filter_by_accuracy else group.differs)]
            seconds_rollout = time.monotonic() - started
            learnt = learner.step(kept, step) if kept else {}
            seconds = {"seconds": time.monotonic() - started, "seconds_rollout": seconds_rollout}
            metrics = describe_step([(g.episodes, g.rewards) for g in groups]) | {
                "groups_flat": sum(not group.teaches for group in groups) / len(groups),
                "groups_phantom": sum(not group.teaches and group.differs for group in groups) / len(groups),
            }
            run.append("metrics.jsonl", {"stage": "rl", "step": step, **metrics, **learnt, **seconds})
            tick(extra=f"reward {metrics['reward']:.2f}  accuracy {metrics['accuracy']:.2f}  calls {metrics['tool_calls']:.2f}")
            if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.steps:
                checkpoint.save(folder, policy, optimiser, step + 1, origin)


async def rollouts(
    policy: LocalPolicy, questions_P: Sequence[Question], source: FrameSource, config: GRPOConfig, limits: Limits, *, seed: int
) -> list[list[Episode]]:
    """G episodes for each of P questions, all at once; every episode has its own seed."""

    async def one(question: Question, number: int) -> Episode:
        sampling = Sampling(
            temperature=config.temperature,
            max_tokens=config.max_reply_tokens,
            seed=seed * len(questions_P) * config.group_size + number,
        )
        return await run_episode(question, policy, source, limits=limits, sampling=sampling)

    G = config.group_size
    flat = await asyncio.gather(*(one(q, p * G + g) for p, q in enumerate(questions_P) for g in range(G)))
    return [flat[start : start + G] for start in range(0, len(flat), G)]


def score(episodes: Sequence[Episode], reward: GatedReward) -> Group:
    """Rewards of a group; an episode that nobody can score (its video or policy failed) is left out."""
    scored = [(episode, reward.score(episode)) for episode in episodes]
    valid = [(episode, parts) for episode, parts in scored if parts.accuracy is not None]
    return Group([episode for episode, _ in valid], [parts for _, parts in valid])


class Learner:
    """Turns scored groups into optimiser steps."""

    def __init__(self, policy: LocalPolicy, optimiser: torch.optim.Optimizer, frames: FrameReader, config: GRPOConfig) -> None:
        self._policy = policy
        self._optimiser = optimiser
        self._frames = frames
        self._config = config
        model = policy.backbone.model
        self._reference = {k: v.clone() for k, v in model.state_dict().items()} if config.kl_coefficient else None

    def step(self, groups: Sequence[Group], step: int) -> dict[str, float]:
        """One batch of rollouts, `updates_per_step` times; returns what to log."""
        config = self._config
        episodes = [episode for group in groups for episode in group.episodes]
        rewards_by_group = [torch.tensor([[reward.total for reward in group.rewards]]) for group in groups]
        advantages_B = torch.cat([advantages(r, divide_by_std=config.divide_by_std)[0] for r in rewards_by_group])
        group_of = [number for number, group in enumerate(groups) for _ in group.episodes]
        speaking = [row for row, episode in enumerate(episodes) if _n_sampled(episode)]
        parts = self._collate(episodes, group_of, speaking)
        references = self._reference_logprobs([batch for batch, _ in parts])
        n_tokens = sum(len(batch.rows_S) for batch, _ in parts)
        old_logprobs: list[Tensor] = []  # the trainer's own: the sampler's differ in the last bits with what shared its batch
        stats: dict[str, float] = {}
        for number in range(config.updates_per_step):
            loss, mismatch, clipped = 0.0, 0.0, 0.0
            for part, ((batch, rows), reference) in enumerate(zip(parts, references, strict=True)):
                weights_S = self._weights(batch, n_tokens, len(speaking))
                logprobs_S = sampled_logprobs(self._policy, batch, self._frames.features(batch.frames), config.temperature)
                if number == 0:
                    old_logprobs.append(logprobs_S.detach())
                    mismatch = max(mismatch, (old_logprobs[part] - batch.old_logprobs_S).abs().max().item())
                advantages_S = advantages_B[rows].to(logprobs_S.device)[batch.rows_S]
                losses_S = clipped_loss(
                    logprobs_S, old_logprobs[part], advantages_S, clip_low=config.clip_low, clip_high=config.clip_high
                )
                if reference is not None:
                    losses_S = losses_S + config.kl_coefficient * kl_penalty(logprobs_S, reference)
                share = (losses_S * weights_S).sum()
                require_finite(share, step, [episodes[row].id for row in rows])
                share.backward()
                loss += share.item()
                gap_S = (logprobs_S - old_logprobs[part]).detach()
                inert_S = is_clipped(gap_S, advantages_S, clip_low=config.clip_low, clip_high=config.clip_high)
                clipped += float((weights_S * inert_S).sum())
            norm = update(self._optimiser, config.optimiser, step, config.steps, [episode.id for episode in episodes])
            if number == 0:
                stats = {"loss": loss, "grad_norm": norm, "mismatch": mismatch}
            stats["clipped"] = clipped
        if config.train_vision:
            self._policy.features.forget()
        return stats | {"tokens": float(n_tokens)}

    def _collate(
        self, episodes: Sequence[Episode], group_of: Sequence[int], rows: Sequence[int]
    ) -> list[tuple[Batch, list[int]]]:
        """Micro-batches of the given episodes, of like length, each with the rows it came from."""
        size, order = self._config.rows_per_forward, sorted(rows, key=lambda row: len(_ids(episodes[row])))
        cuts = [order[start : start + size] for start in range(0, len(order), size)]
        records = [[episodes[row].tokens for row in cut] for cut in cuts]
        return [
            (collate_groups([r for r in part if r is not None], [group_of[row] for row in cut], self._policy), cut)
            for part, cut in zip(records, cuts, strict=True)
        ]

    def _weights(self, batch: Batch, n_tokens: int, n_episodes: int) -> Tensor:
        """[S] shares of the whole batch's mean, of which this micro-batch is a part."""
        how = self._config.aggregation
        share = len(batch.rows_S) / n_tokens if how is Aggregation.TOKEN else batch.n_rows / n_episodes
        return token_weights(batch.rows_S, batch.n_rows, how) * share

    def _reference_logprobs(self, batches: Sequence[Batch]) -> list[Tensor] | list[None]:
        """[S] of each batch by the weights at the start, which change places with today's once for all of them."""
        if self._reference is None:
            return [None] * len(batches)
        model, temperature = self._policy.backbone.model, self._config.temperature
        with torch.no_grad():
            now = {k: v.clone() for k, v in model.state_dict().items()}
            model.load_state_dict(self._reference)
            logprobs = [sampled_logprobs(self._policy, b, self._frames.features(b.frames), temperature) for b in batches]
            model.load_state_dict(now)
        return logprobs


def _differ(values: Sequence[float]) -> bool:
    """Whether the episodes of a group differ; where none could be scored, none does."""
    return bool(values) and bool(has_spread(torch.tensor([values])))


def _n_sampled(episode: Episode) -> int:
    """How many tokens the policy itself spoke; none if the opening already overflowed its context."""
    return sum(episode.tokens.sampled) if episode.tokens else 0


def _ids(episode: Episode) -> tuple[int, ...]:
    return episode.tokens.ids if episode.tokens else ()
