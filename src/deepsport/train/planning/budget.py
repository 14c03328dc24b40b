"""What a training run will hold in memory and read in tokens, told before anything loads.

Memory is the larger of two moments: while rollouts fill the key-value cache, and while a portion's activations are held for the
backward pass. Estimates: replies at their limit, activations by the tensors that transformers keeps.
"""
# pyright: reportUnknownMemberType=false
# (torch is only partly typed)

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from deepsport.agent.rollout import Limits
from deepsport.policy.local.engine import MAX_BATCH
from deepsport.policy.local.policy import SEEN_BYTES
from deepsport.records import Question
from deepsport.train.frames import READ_BYTES
from deepsport.train.grpo import GRPOConfig
from deepsport.train.planning.lengths import Lengths, lengths_of
from deepsport.train.planning.shape import GRADIENT, MOMENTS, Shape, shape_of
from deepsport.train.sft import SFTConfig
from deepsport.train.trainee import TraineeConfig

GB = 1e9
LARGE = 1e8
"""Parameters from which on a model is taken to be meant for a GPU, and bfloat16, wherever it is asked about."""
TEACHER_REPLY = 128
"""Tokens of a recorded reply, at most."""
MASK = 8
"""Bytes for each pair of packed tokens, without FlexAttention: a mask of bytes, of floats for the attention, and on its way."""
WORKING = 0.12e9
"""What a first pass brings besides: kernels, threads, the allocator's gaps. Seen on a CPU."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Needs of a run; bytes are those of one process."""

    parameters: int
    trained: int
    tokens_per_frame: int
    tokens_per_episode: int
    """At most."""
    episodes_per_step: int
    unique_tokens_per_step: int
    """What goes through the model in training, shared openings counted once."""
    steps: int
    bytes_by_use: dict[str, float]

    @property
    def peak_bytes(self) -> float:
        """What is always held, and the larger of the two moments."""
        held = sum(n for use, n in self.bytes_by_use.items() if use not in ("key-value cache", "activations"))
        return held + max(self.bytes_by_use.get("key-value cache", 0.0), self.bytes_by_use["activations"])

    @property
    def most(self) -> str:
        """The use that takes most, of those that a recipe can do something about."""
        return max((use for use in self.bytes_by_use if use != "working memory"), key=self.bytes_by_use.__getitem__)

    def lines(self) -> list[tuple[str, str]]:
        """What to print."""
        tokens = self.unique_tokens_per_step * self.steps
        uses = [(use, f"{n / GB:.2f} GB") for use, n in self.bytes_by_use.items()]
        return [
            ("parameters", f"{self.parameters / 1e6:,.1f} M, of which {self.trained / 1e6:,.1f} M are trained"),
            ("tokens", f"{self.tokens_per_frame} a frame, at most {self.tokens_per_episode:,} an episode"),
            ("a step", f"{self.episodes_per_step} episodes, {self.unique_tokens_per_step:,} unique tokens"),
            ("all steps", f"{self.steps:,} with {tokens / 1e6:,.1f} M unique tokens"),
            *uses,
            ("memory at most", f"{self.peak_bytes / GB:.2f} GB in each process"),
        ]


def sft_budget(
    model: str, config: SFTConfig, limits: Limits, asked: Sequence[Question], max_pixels: int | None, n_ranks: int
) -> Budget:
    """For supervised fine-tuning, as if nothing were shared. Raises PolicyError if the model's configuration cannot be had."""
    lengths = lengths_of(model, limits, asked, max_pixels, TEACHER_REPLY)
    return sft_budget_of(shape_of(model, config), config, lengths, n_ranks)


def sft_budget_of(shape: Shape, config: SFTConfig, lengths: Lengths, n_ranks: int) -> Budget:
    """The same, of a model that is known."""
    unique = config.batch_size * lengths.most
    frames = config.steps * config.batch_size * lengths.most_frames
    return budget_of(shape, config, lengths, config.batch_size, unique, config.steps, n_ranks, frames=frames)


def rl_budget(
    model: str,
    config: GRPOConfig,
    limits: Limits,
    asked: Sequence[Question],
    max_pixels: int | None,
    n_ranks: int,
    *,
    served: bool = False,
) -> Budget:
    """For GRPO: the openings of a group are shared. `served`: others sample, and this process keeps no keys and values.

    Raises PolicyError if the model's configuration cannot be had."""
    lengths = lengths_of(model, limits, asked, max_pixels, config.max_reply_tokens)
    return rl_budget_of(shape_of(model, config), config, lengths, n_ranks, served=served)


def rl_budget_of(shape: Shape, config: GRPOConfig, lengths: Lengths, n_ranks: int, *, served: bool) -> Budget:
    """The same, of a model that is known."""
    after = lengths.most - lengths.longest_opening
    unique = config.questions_per_step * (lengths.longest_opening + config.group_size * after)
    n_episodes = config.questions_per_step * config.group_size
    cached = min(MAX_BATCH, -(-n_episodes // n_ranks)) * lengths.most
    frames = config.steps * n_episodes * lengths.most_frames // n_ranks
    own = {} if served else {"cached": cached, "seen_bytes": SEEN_BYTES}
    return budget_of(shape, config, lengths, n_episodes, unique, config.steps, n_ranks, frames=frames, **own)


def budget_of(
    shape: Shape,
    config: TraineeConfig,
    lengths: Lengths,
    n_episodes: int,
    unique: int,
    steps: int,
    n_ranks: int,
    *,
    frames: int,
    cached: int = 0,
    seen_bytes: int = 0,
) -> Budget:
    """From the sizes of all that there is. `frames`: read in all. `cached`: tokens whose keys and values are held at once.
    `seen_bytes`: of frame embeddings that rollouts keep, beside those that training does."""
    half, width = is_half(shape), width_of(shape)
    portion = max(config.tokens_per_forward, lengths.most)
    uses: dict[str, float] = {"weights": width * shape.parameters, "working memory": WORKING}
    if not config.lora_rank and (half or n_ranks > 1):
        uses["fp32 weights"] = 4 * shape.parameters / n_ranks
    shards = 1 if config.lora_rank else n_ranks
    uses["gradients"] = GRADIENT * shape.trained / shards
    uses["optimiser"] = MOMENTS * shape.trained / shards
    if not shape.vision_trained:
        embedded = frames * lengths.per_frame * shape.hidden * shape.features_per_token * width
        uses["frame embeddings"] = min(embedded, READ_BYTES + seen_bytes)
    uses["activations"] = _activations(shape, portion, width, again=config.gradient_checkpointing)
    if not half and (config.gradient_checkpointing or n_ranks > 1):
        uses["activations"] += MASK * portion**2
    if cached:
        uses["key-value cache"] = cached * shape.cache_bytes(width)
    return Budget(shape.parameters, shape.trained, lengths.per_frame, lengths.most, n_episodes, unique, steps, uses)


def is_half(shape: Shape) -> bool:
    """Whether the model will be held in bfloat16: a large one on a machine without a GPU is asked about for another machine."""
    return torch.cuda.is_available() or shape.parameters > LARGE


def width_of(shape: Shape) -> int:
    """Bytes of a weight, a key, a value."""
    return 2 if is_half(shape) else 4


def _activations(shape: Shape, n_tokens: int, width: int, *, again: bool) -> float:
    """Bytes held for the backward pass: per layer all that its matrices and norms were applied to, or its inputs, and of one
    layer all of it with its gradients; and the logits of a quarter of the tokens, in fp32, three times."""
    layer = n_tokens * (13 * shape.hidden + 4 * shape.intermediate) * width
    kept = n_tokens * shape.hidden * width * shape.layers + 2 * layer if again else layer * shape.layers
    return kept + 3 * 4 * shape.vocabulary * n_tokens / 4
