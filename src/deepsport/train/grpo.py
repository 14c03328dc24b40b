"""Agentic GRPO: groups of whole episodes, a gated reward, group-relative advantages, no critic.

Groups whose answers are all equally right teach nothing and are dropped; those of them that still differ in total reward (by the
exploration bonus alone) are counted as phantom groups. Tool output carries no loss. P questions, G episodes each, B episodes of
all groups, S sampled tokens.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch, transformers and safetensors are only partly typed)

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor

from deepsport.agent.rollout import Limits, run_episode
from deepsport.policy.base import Policy, Sampling
from deepsport.policy.local.policy import LocalPolicy
from deepsport.policy.vllm.settings import VLLMConfig
from deepsport.records import Episode, Question, TokenRecord
from deepsport.reward.gated import GatedReward
from deepsport.run import Run
from deepsport.train.batches import BatchesHere
from deepsport.train.batches_ahead import batches_ahead
from deepsport.train.distributed import ALONE, World
from deepsport.train.judged import Accuracies, by_rule
from deepsport.train.log import follow
from deepsport.train.objective import Aggregation, advantages, clipped_loss, importance, is_clipped, kl_penalty, token_weights
from deepsport.train.optimiser import OptimiserConfig, require_finite
from deepsport.train.proof import Probe
from deepsport.train.sampler import draw
from deepsport.train.samples import keep_samples, samples_of
from deepsport.train.trainee import Portion, Trainee, TraineeConfig
from deepsport.train.watch import Clock, Group, describe_groups
from deepsport.video.source import FrameSource


class GRPOConfig(TraineeConfig):
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
    divide_by_std: bool = False
    """Divide advantages by the group's standard deviation (original GRPO)."""
    filter_by_accuracy: bool = True
    """Drop groups whose answers are all equally right; else only groups of equal total reward are dropped."""
    clip_low: float = 0.2
    clip_high: float = 0.28
    aggregation: Aggregation = Aggregation.TOKEN
    importance_cap: float = Field(default=0.0, ge=0)
    """Most that a token counts for being likelier to the trainer than to the engine that sampled it; 0: no token is weighed so,
    as is right where this very process samples. Servers want 2."""
    kl_coefficient: float = 0.0
    """Weight of the KL penalty against the policy at the start; 0 leaves the reference out."""
    optimiser: OptimiserConfig = OptimiserConfig(lr=2e-4)


def reinforce(
    policy: LocalPolicy,
    questions: Sequence[Question],
    source: FrameSource,
    config: GRPOConfig,
    run: Run,
    *,
    stage: str = "rl",
    limits: Limits,
    reward: GatedReward,
    accuracies: Accuracies = by_rule,
    origin: Path,
    seed: int,
    world: World = ALONE,
    servers: VLLMConfig | None = None,
) -> None:
    """Trains in place, resuming from the newest checkpoint. With `servers` the episodes are sampled by them, else here.

    Raises TrainingError before a bad step moves a weight, EngineError when no server can be relied on."""
    trainee = Trainee(policy, source, config, config.steps, seed=seed, world=world)
    folder = run.path(f"checkpoints/{stage}")
    learner = Learner(trainee, config)  # before resuming: the reference is the policy at the start
    first = trainee.resume(folder)

    async def sample(actor: Policy, step: int) -> list[list[Episode]]:
        questions_P = draw(questions, config.questions_per_step, step, seed)
        return await rollouts(actor, questions_P, source, config, limits, seed=seed * 100_003 + step, world=world)

    here = nullcontext(BatchesHere(policy, sample, world))
    probe = Probe(questions=questions, source=source, limits=limits, temperature=config.temperature)
    with (
        follow(run, stage, n_steps=config.steps, first=first, shown=world.writes, tensorboard=config.tensorboard) as log,
        batches_ahead(trainee, servers, sample, probe, run, origin, config.steps) if servers else here as batches,
    ):
        for step in range(first, config.steps):
            clock = Clock()
            episodes_PG = batches.of(step)
            right_PG = world.gather([accuracies(episodes) for episodes in world.share(episodes_PG)])
            groups = [score(*group, reward) for group in zip(episodes_PG, right_PG, strict=True)]  # bad episodes are left out
            kept = [group for group in groups if (group.teaches if config.filter_by_accuracy else group.differs)]
            clock.lap("rollout")
            learnt = learner.step(kept, step) if kept else {}
            clock.lap("learn")
            pushed = batches.follow(step + 1)  # before the step counts as done: if it fails, the run goes on with this step
            clock.lap("push")
            keep_samples(run, stage, samples_of(groups, kept, step))
            trainee.save(folder, step + 1, origin)
            clock.lap("save")
            log(step, describe_groups(groups) | learnt | pushed | clock.seconds)


async def rollouts(
    policy: Policy,
    questions_P: Sequence[Question],
    source: FrameSource,
    config: GRPOConfig,
    limits: Limits,
    *,
    seed: int,
    world: World = ALONE,
) -> list[list[Episode]]:
    """G episodes for each of this rank's share of P questions, all at once; every episode has its own seed."""
    G = config.group_size

    async def one(question: Question, number: int) -> Episode:
        sampling = Sampling(
            temperature=config.temperature,
            max_tokens=config.max_reply_tokens,
            seed=seed * len(questions_P) * G + number,
        )
        return await run_episode(question, policy, source, limits=limits, sampling=sampling)

    async def group(p: int, question: Question) -> list[Episode]:
        return await asyncio.gather(*(one(question, p * G + g) for g in range(G)))

    return await asyncio.gather(*(group(p, question) for p, question in world.share(list(enumerate(questions_P)))))


def score(episodes: Sequence[Episode], right: Sequence[float | None], reward: GatedReward) -> Group:
    """Rewards of a group, given the accuracies; an episode that nobody could score (its video or policy failed, or the judge was
    silent) is left out."""
    scored = [(episode, reward.score(episode, accuracy)) for episode, accuracy in zip(episodes, right, strict=True)]
    valid = [(episode, parts) for episode, parts in scored if parts.accuracy is not None]
    return Group([episode for episode, _ in valid], [parts for _, parts in valid])


class Learner:
    """Turns scored groups into optimiser steps."""

    def __init__(self, trainee: Trainee, config: GRPOConfig) -> None:
        self._trainee = trainee
        self._config = config
        self._reference = trainee.weights() if config.kl_coefficient else None

    def step(self, groups: Sequence[Group], step: int) -> dict[str, float]:
        """One batch of rollouts, `updates_per_step` times; returns what to log."""
        config, trainee = self._config, self._trainee
        episodes, records, advantages_B = _speaking(groups, divide_by_std=config.divide_by_std)
        portions = trainee.portions(records)
        weights_B = token_weights(torch.tensor([sum(record.sampled) for record in records]), config.aggregation)
        references = self._reference_logprobs(portions)
        settings = {"clip_low": config.clip_low, "clip_high": config.clip_high}
        old_logprobs: list[Tensor] = []  # the trainer's own: the sampler's differ in the last bits with what shared its batch
        stats: dict[str, float] = {}
        mismatch = 0.0
        for number in range(config.updates_per_step):
            sums = {"loss": 0.0, "clipped": 0.0, "tokens_spoken": 0.0, "tokens_unique": 0.0}
            for place, (portion, reference_S) in enumerate(zip(portions, references, strict=True)):
                logprobs_S = trainee.logprobs(portion, config.temperature)
                advantages_S, weights_S = (portion.spread(values_B) for values_B in (advantages_B, weights_B))
                if number == 0:
                    old_logprobs.append(logprobs_S.detach())
                    mismatch = max(mismatch, (old_logprobs[place] - portion.part.old_logprobs_S).abs().max().item())
                losses_S = clipped_loss(logprobs_S, old_logprobs[place], advantages_S, **settings)
                if config.importance_cap:
                    losses_S = losses_S * importance(old_logprobs[place], portion.part.old_logprobs_S, cap=config.importance_cap)
                if reference_S is not None:
                    losses_S = losses_S + config.kl_coefficient * kl_penalty(logprobs_S, reference_S)
                share = (losses_S * weights_S).sum() * portion.counts
                require_finite(share, step, [episodes[row].id for row in portion.members.tolist()])
                trainee.backward(share, portion)
                inert_S = is_clipped((logprobs_S - old_logprobs[place]).detach(), advantages_S, **settings)
                sums["loss"] += share.item()
                sums["clipped"] += float((weights_S * inert_S).sum()) * portion.counts
                sums["tokens_spoken"] += len(weights_S) * portion.counts
                sums["tokens_unique"] += portion.part.tree.n_tokens * portion.counts
            norm = trainee.step(step, [episode.id for episode in episodes])
            sums = trainee.world.total(sums)
            stats = {"grad_norm": norm, "mismatch": mismatch} | stats | sums | {"loss": stats.get("loss", sums["loss"])}
        return stats

    def _reference_logprobs(self, portions: Sequence[Portion]) -> list[Tensor] | list[None]:
        """[S] of each portion by the weights at the start, which change places with today's once for all of them."""
        if self._reference is None:
            return [None] * len(portions)
        now = self._trainee.weights()
        with torch.no_grad():
            self._trainee.put(self._reference)
            logprobs = [self._trainee.logprobs(portion, self._config.temperature) for portion in portions]
            self._trainee.put(now)
        return logprobs


def _speaking(groups: Sequence[Group], *, divide_by_std: bool) -> tuple[list[Episode], list[TokenRecord], Tensor]:
    """The episodes in which the policy spoke at all (an opening may overflow its context), their tokens, and [B] advantages."""
    by_group = [torch.tensor([[reward.total for reward in group.rewards]]) for group in groups]
    advantages_B = torch.cat([advantages(rewards_1G, divide_by_std=divide_by_std)[0] for rewards_1G in by_group])
    episodes = [episode for group in groups for episode in group.episodes]
    heard = [(row, e, e.tokens) for row, e in enumerate(episodes) if e.tokens and any(e.tokens.sampled)]
    return [e for _, e, _ in heard], [tokens for *_, tokens in heard], advantages_B[[row for row, *_ in heard]]
