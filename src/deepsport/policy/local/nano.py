"""nano: a Qwen2.5-VL-architecture model of about 1.5 M parameters that can be trained in the arena on two CPU cores.

Everything but the size is the family's own: ChatML, M-RoPE, the vision tower with its merger, the checkpoint layout. The
tokenizer is a byte-level BPE trained on the texts it will meet, so that frequent words are one token; so is every number below
a thousand: to copy the index of a frame is then one step, where digits one by one, as in Qwen, are three that must all be right.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch, transformers and safetensors are only partly typed)

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from deepsport.config import Config

CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
VISION = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")
TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<answer>", "</answer>")
_PIECES = r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))| ?\p{L}+|[^\s\p{L}\p{N}]+|\s+"
"""Digits in threes from the right; a word with the space before it; runs of punctuation; white space."""
NUMBERS = tuple(map(str, range(1000))) + tuple(f"{number:03d}" for number in range(100))
"""Single tokens: all that stands before or behind a thousands' place."""


class NanoConfig(Config):
    """The size of a nano."""

    vocab_size: int = 2048
    """Upper bound: the tokenizer may need fewer. Numbers take 1,090."""
    hidden_size: int = 128
    n_layers: int = 4
    n_heads: int = 4
    intermediate_size: int = 384
    vision_hidden_size: int = 96
    vision_layers: int = 3
    vision_heads: int = 3
    max_pixels: int = 9408
    """Frames are shrunk to at most this area: 224x126 becomes 112x56, 8 tokens."""


def make_nano(folder: Path, texts: Iterable[str], config: NanoConfig, *, phrases: Iterable[str] = (), seed: int) -> None:
    """Writes an untrained nano with its tokenizer as a checkpoint folder. Every phrase becomes a single token."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(texts, config.vocab_size, phrases)
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(_architecture(config, tokenizer))
    _begin_as_identity(model)
    model.save_pretrained(folder)
    preprocessor = {
        "min_pixels": 3136,
        "max_pixels": config.max_pixels,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "image_processor_type": "Qwen2VLImageProcessor",
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2), encoding="utf-8")


def train_tokenizer(texts: Iterable[str], vocab_size: int, phrases: Iterable[str]) -> Tokenizer:
    """A byte-level BPE with the family's control tokens; the grammar's tags and the phrases are single tokens."""
    fixed = [*TAGS, *phrases]
    numerals = [number for number in NUMBERS if len(number) > 1]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(token, special=True, normalized=False) for token in CONTROL + VISION]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(fixed) - len(numerals),
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((re.sub(r"\d+", "0", text) for text in texts), trainer)
    tokenizer = _with_words(tokenizer, numerals)
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in fixed])
    return tokenizer


def _with_words(tokenizer: Tokenizer, words: Iterable[str]) -> Tokenizer:
    """The tokenizer with more whole words, which are taken before any merge."""
    written = json.loads(tokenizer.to_str())
    vocab: dict[str, int] = written["model"]["vocab"]
    vocab |= {word: place for place, word in enumerate(words, start=len(vocab))}
    written["model"]["ignore_merges"] = True
    return Tokenizer.from_str(json.dumps(written))


def _begin_as_identity(model: nn.Module) -> None:
    """No block adds anything yet: what writes into the residual stream starts at zero, so tokens reach the output unmixed.

    With the family's own 0.02 everywhere, meant for widths of thousands, nano needs three times the steps."""
    for name, weight in model.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight", "attn.proj.weight")):
            nn.init.zeros_(weight)


def _architecture(config: NanoConfig, tokenizer: Tokenizer) -> Qwen2_5_VLConfig:
    ids = {token: cast(int, tokenizer.token_to_id(token)) for token in CONTROL + VISION}
    head_dim = config.hidden_size // config.n_heads
    third = head_dim // 6
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": tokenizer.get_vocab_size(),
            "hidden_size": config.hidden_size,
            "intermediate_size": config.intermediate_size,
            "num_hidden_layers": config.n_layers,
            "num_attention_heads": config.n_heads,
            "num_key_value_heads": config.n_heads,
            "max_position_embeddings": 4096,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [head_dim // 2 - 2 * third, third, third],
            },
            "bos_token_id": ids["<|endoftext|>"],
            "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
            "tie_word_embeddings": True,
            "initializer_range": config.hidden_size**-0.5,
        },
        vision_config={
            "depth": config.vision_layers,
            "hidden_size": config.vision_hidden_size,
            "intermediate_size": 2 * config.vision_hidden_size,
            "num_heads": config.vision_heads,
            "out_hidden_size": config.hidden_size,
            "fullatt_block_indexes": list(range(config.vision_layers)),
            "initializer_range": config.vision_hidden_size**-0.5,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
