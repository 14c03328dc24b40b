"""The policy while it learns: what of it is trained, in which portions it reads episodes, how a step moves and saves it.

One process trains the policy's own weights. Several train a sharded copy and bring the policy's own, with which each rank acts,
up to date after every step.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch, transformers and peft are only partly typed)

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from deepsport.config import Config
from deepsport.errors import BadConfig, TrainingError
from deepsport.policy.local.adapter import add_adapter, has_adapter, train_only_adapter
from deepsport.policy.local.backbone import Backbone
from deepsport.policy.local.policy import LocalPolicy
from deepsport.records import TokenRecord
from deepsport.train import checkpoint
from deepsport.train.distributed import ALONE, World, shard, sum_gradients, whole
from deepsport.train.forward import Part, lay_out, sampled_logprobs
from deepsport.train.frames import FrameReader
from deepsport.train.optimiser import OptimiserConfig, make_optimisers, update
from deepsport.train.tree import portions
from deepsport.video.source import FrameSource


class TraineeConfig(Config):
    """What is trained, and in which portions."""

    train_vision: bool = False
    """Also train the vision tower; frozen, a frame is embedded once for the whole run."""
    train_embeddings: bool = True
    """Also train the token embeddings. AdamW moves that of a token sampled once as far as a weight that every token trains."""
    lora_rank: int = Field(default=0, ge=0)
    """Train low-rank adapters of the language model's linear layers instead of its weights; 0: the weights."""
    lora_alpha: float = Field(default=32.0, gt=0)
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, a third more time."""
    tokens_per_forward: int = Field(default=8192, ge=1)
    """Unique tokens in one forward pass; bounds memory. An episode is never cut."""
    optimiser: OptimiserConfig = OptimiserConfig()
    checkpoint_every: int = Field(default=1, ge=1)
    """Steps between checkpoints; what a kill costs at most."""
    tensorboard: bool = False
    """Write TensorBoard's event files beside metrics.jsonl; needs the package tensorboard."""


@dataclass(frozen=True, slots=True)
class Portion:
    """What goes through the model at once."""

    part: Part
    members: Tensor
    """[records of the part] which of all records they are."""
    counts: bool = True
    """False: another process has one portion more, and this one keeps it company."""

    def spread(self, values_B: Tensor) -> Tensor:
        """[S] a value of each record, for each of the portion's sampled tokens."""
        return values_B.to(self.members.device)[self.members][self.part.record_S]


class _Forward(nn.Module):
    """From tokens and frames to log-probabilities under one module, as sharding wants it."""

    def __init__(self, backbone: Backbone, frames: FrameReader, *, packed: bool, half: bool) -> None:
        super().__init__()
        self.model = backbone.model
        self._backbone = backbone
        self._frames = frames
        self._packed = packed
        self._half = half

    def forward(self, part: Part, temperature: float) -> Tensor:
        """[S]."""
        self.model.train()  # checkpointed layers are so in training mode only, and then without a cache
        with torch.autocast(self._backbone.device.type, torch.bfloat16, enabled=self._half):
            features = self._frames.embed(part.tree.frames)
            logprobs_S = sampled_logprobs(self._backbone, part, features, temperature, packed=self._packed)
        self.model.eval()
        return logprobs_S.clone()  # a view would lose the hook by which FSDP prepares the backward pass


class Trainee:
    """A policy with its optimisers."""

    def __init__(
        self,
        policy: LocalPolicy,
        source: FrameSource,
        config: TraineeConfig,
        n_steps: int,
        *,
        seed: int = 0,
        world: World = ALONE,
    ) -> None:
        """Freezes what is not trained, and shards the rest where there are several processes."""
        self.policy, self.config, self.world = policy, config, world
        self._n_steps = n_steps
        self._n_averaged = 1
        """Gradients are the mean over so many processes, where their sum is wanted."""
        choose_trained(policy.backbone, config, seed=seed)
        sharded = world.size > 1 and not config.lora_rank
        half = policy.backbone.dtype is torch.bfloat16
        own_weights = not config.lora_rank and (sharded or half)  # bfloat16 is too coarse for small steps to add up
        # what is sharded gets its precision shard by shard, so that nobody holds all of it in fp32
        precision = None if sharded else torch.float32
        self._trained = policy.backbone.copy(precision) if own_weights else policy.backbone
        if config.gradient_checkpointing:
            cast(Any, self._trained.model).activation_checkpointing_enable({"use_reentrant": False})
        seeing = self._trained if config.train_vision else policy.backbone
        packed = sharded or config.gradient_checkpointing or policy.backbone.device.type == "cuda"
        frames = FrameReader(source, policy, seeing)
        self._forward = _Forward(self._trained, frames, packed=packed, half=half and own_weights and not sharded)
        if sharded:
            shard(self._forward, self._trained.blocks, world, half=half)
            self._n_averaged = world.size
        named = {name: weight for name, weight in self._trained.model.named_parameters() if weight.requires_grad}
        if sharded and config.optimiser.muon_lr:
            raise BadConfig(
                "optimiser.muon_lr: Muon needs whole matrices, and these are sharded. Leave it at 0, or use one process."
            )
        self.parameters = list(named.values())
        self.optimisers = make_optimisers(named, config.optimiser)

    def portions(self, records: Sequence[TokenRecord]) -> list[Portion]:
        """This process's share of the records, cut to size; every process has equally many portions."""
        cuts = portions(records, self.config.tokens_per_forward)
        mine = self.world.share(cuts)
        n_most = -(-len(cuts) // self.world.size)
        extra = [cuts[0]] * (n_most - len(mine))
        return [
            Portion(
                lay_out([records[index] for index in cut], self._trained),
                torch.tensor(cut, device=self.policy.backbone.device),
                counts=number < len(mine),
            )
            for number, cut in enumerate([*mine, *extra])
        ]

    def logprobs(self, portion: Portion, temperature: float = 1.0) -> Tensor:
        """[S] of a portion's sampled tokens."""
        with _advice(portion, self.config):
            return self._forward(portion.part, temperature)

    def backward(self, share: Tensor, portion: Portion) -> None:
        """Adds the gradients of a portion's share of the whole batch's mean loss to those of the others."""
        with _advice(portion, self.config):
            (share * self._n_averaged).backward()

    def weights(self) -> list[Tensor]:
        """A copy of what is trained."""
        return [parameter.detach().clone() for parameter in self.parameters]

    def put(self, weights: Sequence[Tensor]) -> None:
        """Puts such a copy in place."""
        with torch.no_grad():
            for parameter, weight in zip(self.parameters, weights, strict=True):
                parameter.copy_(weight)

    def step(self, step: int, samples: Sequence[str]) -> float:
        """Moves the weights; returns the gradient's norm. Raises TrainingError, before it, on a gradient that is not finite."""
        sum_gradients(self.parameters, self.world)
        norm = update(self.optimisers, self.config.optimiser, step, self._n_steps, samples)
        if self._trained is not self.policy.backbone:
            with torch.no_grad():
                for own, trained in zip(self.policy.backbone.model.parameters(), self._trained.model.parameters(), strict=True):
                    if own.requires_grad:
                        own.copy_(whole(trained))
        if self.config.train_vision:
            self.policy.features.forget()
        return norm

    def save(self, folder: Path, step: int, origin: Path) -> None:
        """Writes a checkpoint where one is due."""
        if step % self.config.checkpoint_every == 0 or step == self._n_steps:
            checkpoint.save(folder, self._trained.model, self.policy, self.optimisers, step, origin, world=self.world)
            self.world.wait()

    def resume(self, folder: Path) -> int:
        """Goes back to the newest checkpoint; returns the number of finished steps (0: there is none)."""
        return checkpoint.resume(folder, self._trained.model, self.policy, self.optimisers, world=self.world)


def choose_trained(backbone: Backbone, config: TraineeConfig, *, seed: int) -> None:
    """Adds the adapter where one is to be trained and there is none yet; freezes all that is not trained."""
    if config.lora_rank:
        if not has_adapter(backbone.model):
            add_adapter(backbone.model, config.lora_rank, config.lora_alpha, seed=seed)
        train_only_adapter(backbone.model)
        return
    backbone.model.requires_grad_(True)
    backbone.vision.requires_grad_(config.train_vision)
    backbone.embeddings.requires_grad_(config.train_embeddings)


@contextmanager
def _advice(portion: Portion, config: TraineeConfig) -> Generator[None]:
    """Says what to do when memory runs out. Raises TrainingError then."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and "alloc" not in str(error):
            raise
        more = "" if config.gradient_checkpointing else " or turn gradient_checkpointing on"
        raise TrainingError(
            f"out of memory on {portion.part.tree.n_tokens} tokens in one forward pass. "
            f"Lower tokens_per_forward (now {config.tokens_per_forward}){more}; --dry-run estimates what is needed."
        ) from error
