"""What a training run will need, told before anything loads: parameters, memory by use, tokens and steps.

Counted from the model's configuration alone (its network is laid out without memory), the recipe, and the first video. Memory is
the larger of two moments: while rollouts fill the key-value cache, and while a portion's activations are held for the backward
pass. Estimates: text at 3.5 characters a token, replies at their limit, activations by the tensors that transformers keeps.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch and transformers are only partly typed)

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from deepsport.agent.prompt import opening
from deepsport.agent.rollout import Limits
from deepsport.errors import BadVideo
from deepsport.policy.local.backbone import Backbone, head_dim
from deepsport.policy.local.checkpoint import FAMILIES, model_config, side_files
from deepsport.policy.local.engine import MAX_BATCH
from deepsport.policy.local.preprocess import Preprocessor
from deepsport.records import Question
from deepsport.train.grpo import GRPOConfig
from deepsport.train.sft import SFTConfig
from deepsport.train.trainee import TraineeConfig, choose_trained
from deepsport.video.probe import VideoInfo
from deepsport.video.source import FrameSource

CHARACTERS_PER_TOKEN = 3.5
LABEL = 16
"""Tokens around a frame: its index and time, and where it begins and ends."""
GB = 1e9


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
    per_frame, opening_tokens = _opening(model, limits, asked, max_pixels)
    whole = _longest(opening_tokens, per_frame, limits, reply_tokens=128)
    return _budget(model, config, n_ranks, per_frame, whole, config.batch_size, config.batch_size * whole, config.steps, 0)


def rl_budget(
    model: str, config: GRPOConfig, limits: Limits, asked: Sequence[Question], max_pixels: int | None, n_ranks: int
) -> Budget:
    """For GRPO: the openings of a group are shared. Raises PolicyError if the model's configuration cannot be had."""
    per_frame, opening_tokens = _opening(model, limits, asked, max_pixels)
    whole = _longest(opening_tokens, per_frame, limits, config.max_reply_tokens)
    n_episodes = config.questions_per_step * config.group_size
    unique = config.questions_per_step * (opening_tokens + config.group_size * (whole - opening_tokens))
    rows = min(MAX_BATCH, -(-n_episodes // n_ranks))
    return _budget(model, config, n_ranks, per_frame, whole, n_episodes, unique, config.steps, rows * whole)


def _budget(
    model: str,
    config: TraineeConfig,
    n_ranks: int,
    per_frame: int,
    whole: int,
    n_episodes: int,
    unique: int,
    steps: int,
    cached: int,
) -> Budget:
    network = _laid_out(model, config)
    sizes = [(weight.numel(), weight.requires_grad) for weight in network.parameters()]
    n_all, n_trained = sum(n for n, _ in sizes), sum(n for n, trained in sizes if trained)
    text = model_config(model).text_config
    half = torch.cuda.is_available() or n_all > 1e8  # a large model on a machine without a GPU is asked about for another one
    width = 2 if half else 4
    portion = max(config.tokens_per_forward, whole)
    uses: dict[str, float] = {"weights": width * n_all}
    if not config.lora_rank and (half or n_ranks > 1):
        uses["fp32 weights"] = 4 * n_all / n_ranks
    shards = 1 if config.lora_rank else n_ranks
    uses["gradients"] = 4 * n_trained / shards
    uses["optimiser"] = 8 * n_trained / shards
    uses["activations"] = _activations(text, portion, width, again=config.gradient_checkpointing)
    if cached:
        uses["key-value cache"] = 2 * cached * text.num_hidden_layers * text.num_key_value_heads * head_dim(text) * width
    return Budget(n_all, n_trained, per_frame, whole, n_episodes, unique, steps, uses)


def _laid_out(model: str, config: TraineeConfig) -> nn.Module:
    """The network without memory, frozen as the recipe says."""
    known = model_config(model)
    with torch.device("meta"):
        network = FAMILIES[known.model_type](known)
        choose_trained(Backbone(network, image_pad=0, suppressed=()), config, seed=0)
    return network


def _activations(text: Any, n_tokens: int, width: int, *, again: bool) -> float:
    """Bytes held for the backward pass: per layer its inputs, or all that its matrices and norms were applied to; and the logits
    of a quarter of the tokens, in fp32, three times."""
    layer = n_tokens * (10 * text.hidden_size + 4 * text.intermediate_size) * width
    kept = n_tokens * text.hidden_size * width * text.num_hidden_layers + layer if again else layer * text.num_hidden_layers
    return kept + 3 * 4 * text.vocab_size * n_tokens / 4


def _opening(model: str, limits: Limits, asked: Sequence[Question], max_pixels: int | None) -> tuple[int, int]:
    """Tokens of a frame, and of the opening of the longest question."""
    video = _first_video(asked)
    down, across = Preprocessor.load(side_files(model), max_pixels=max_pixels).grid(video.height, video.width)
    per_frame = down * across // 4
    longest = max(asked, key=lambda question: len(question.text))
    messages = opening(
        longest, video, [], style=limits.style, with_tool=True, frames_per_call=limits.frames_per_call, max_turns=limits.max_turns
    )
    text = sum(len(part) for message in messages for part in message.parts if isinstance(part, str))
    return per_frame, _tokens_of(text) + limits.first_frames * (per_frame + LABEL)


def _longest(opening_tokens: int, per_frame: int, limits: Limits, reply_tokens: int) -> int:
    calls = limits.max_turns - 1
    return opening_tokens + limits.max_turns * reply_tokens + calls * limits.frames_per_call * (per_frame + LABEL)


def _tokens_of(n_characters: int) -> int:
    return round(n_characters / CHARACTERS_PER_TOKEN)


def _first_video(asked: Sequence[Question]) -> VideoInfo:
    """Raises BadVideo if not one of the videos can be opened."""
    with FrameSource() as source:
        for question in asked[:20]:
            try:
                return source.info(question.video)
            except BadVideo:
                continue
    raise BadVideo(f"none of the first {min(20, len(asked))} videos can be opened, {Path(asked[0].video).name} among them")
