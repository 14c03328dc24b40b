"""A policy with random weights in the true shape of Qwen2.5-VL-7B, or in a tiny one of the same make, without any download.

The sizes are those of the published config.json. The tokenizer is made on the spot: its vocabulary is smaller than the model's,
and an id beyond it is a token without text, so prompts are some tenths longer than Qwen's own would be.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from deepsport.agent.prompt import PromptStyle
from deepsport.policy.local.backbone import Backbone
from deepsport.policy.local.chat import Chat
from deepsport.policy.local.checkpoint import use_our_attention
from deepsport.policy.local.nano import CONTROL, VISION, train_tokenizer
from deepsport.policy.local.policy import LocalPolicy
from deepsport.policy.local.preprocess import Preprocessor

TEXT_7B = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "max_position_embeddings": 128000,
    "rms_norm_eps": 1e-6,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
}
VISION_7B = {
    "depth": 32,
    "hidden_size": 1280,
    "intermediate_size": 3420,
    "num_heads": 16,
    "out_hidden_size": 3584,
    "fullatt_block_indexes": [7, 15, 23, 31],
    "window_size": 112,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}
TEXT_TINY = TEXT_7B | {
    "hidden_size": 96,
    "intermediate_size": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "vocab_size": 1600,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]},
}
VISION_TINY = VISION_7B | {
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 2,
    "out_hidden_size": 96,
    "fullatt_block_indexes": [1],
}
WORDS = (
    "the ball is played to the far side and the score changes here tool choose frames system user assistant question video soccer"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How big the model and a step are."""

    name: str
    text: dict[str, Any]
    vision: dict[str, Any]
    frame_wh: tuple[int, int]
    clip_frames: int
    lora_rank: int
    questions: int
    group: int
    reply_tokens: tuple[int, int]
    """Least and most of a reply; the mean is in the middle."""
    tokens_per_forward: int
    sft_episodes: int
    steps_of_memory: int = 20
    style: PromptStyle = PromptStyle.FULL
    repeats: int = 2
    """Measured passes of which the least counts."""

    @property
    def max_pixels(self) -> int:
        """A frame is seen at its own size, or a little smaller."""
        return self.frame_wh[0] * self.frame_wh[1]


TRUE = Size(
    name="Qwen2.5-VL-7B",
    text=TEXT_7B,
    vision=VISION_7B,
    frame_wh=(640, 360),
    clip_frames=400,
    lora_rank=64,
    questions=32,
    group=8,
    reply_tokens=(64, 192),
    tokens_per_forward=32768,
    sft_episodes=16,
)
TINY = Size(
    name="tiny",
    text=TEXT_TINY,
    vision=VISION_TINY,
    frame_wh=(112, 56),
    clip_frames=72,
    lora_rank=4,
    questions=2,
    group=4,
    reply_tokens=(4, 12),
    tokens_per_forward=2048,
    sft_episodes=3,
    steps_of_memory=8,
    style=PromptStyle.BRIEF,
    repeats=1,
)


def make_policy(size: Size, folder: Path, device: str) -> LocalPolicy:
    """In bf16, as checkpoints are loaded on a GPU."""
    train_tokenizer([WORDS] * 20, 1500, ()).save(str(folder / "tokenizer.json"))
    preprocessor = Preprocessor(max_pixels=size.max_pixels)
    chat = Chat(folder, preprocessor)
    backbone = Backbone(
        _network(size, json.loads((folder / "tokenizer.json").read_text()), device), chat.image_pad, chat.suppressed
    )
    return LocalPolicy(f"{size.name}, random", backbone, chat, preprocessor, context=16384, brief=False, arena_only=False)


def configuration(size: Size, ids: dict[str, int] | None = None) -> Any:
    """Of transformers; `ids`: those of the control tokens."""
    return Qwen2_5_VLConfig(text_config=size.text, vision_config=size.vision, tie_word_embeddings=False, **(ids or {}))


def _network(size: Size, tokenizer: dict[str, Any], device: str) -> Any:
    known = {token["content"]: token["id"] for token in tokenizer["added_tokens"] if token["content"] in CONTROL + VISION}
    ids = {
        "image_token_id": known["<|image_pad|>"],
        "video_token_id": known["<|video_pad|>"],
        "vision_start_token_id": known["<|vision_start|>"],
        "vision_end_token_id": known["<|vision_end|>"],
    }
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            network = Qwen2_5_VLForConditionalGeneration(configuration(size, ids))
    finally:
        torch.set_default_dtype(before)
    network.requires_grad_(False)
    use_our_attention(network)
    return network.eval()
