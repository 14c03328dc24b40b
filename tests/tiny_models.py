"""Tiny policies with random weights, made on the spot: a nano, a Qwen2.5-VL and a Qwen3-VL, each a whole checkpoint folder.

The weights are drawn wide (standard deviation 0.1), so that an image that is not looked at, or looked at in the wrong place,
shows in the logits.
"""

import asyncio
import gzip
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.utils.hooks import RemovableHandle
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen3VLConfig, Qwen3VLForConditionalGeneration

from deepsport.agent.grammar import write_answer, write_call
from deepsport.agent.prompt import PromptStyle
from deepsport.agent.rollout import Limits, run_episode
from deepsport.policy.base import Image, Message, Sampling
from deepsport.policy.local.checkpoint import load_policy
from deepsport.policy.local.nano import NanoConfig, make_nano
from deepsport.policy.local.policy import LocalPolicy, Recorded
from deepsport.policy.scripted import Scripted
from deepsport.records import Choice, Episode, Frame, Question, TokenRecord
from deepsport.train.forward import lay_out, sampled_logprobs
from deepsport.train.frames import FrameReader
from deepsport.video.source import FrameSource
from video_files import Recipe, write

SIZE = NanoConfig(
    vocab_size=1490,
    hidden_size=32,
    n_layers=2,
    n_heads=2,
    intermediate_size=64,
    vision_hidden_size=32,
    vision_layers=2,
    vision_heads=2,
    max_pixels=6272,
)
"""6272 pixels are 112x56: 8 tokens a frame."""
TEXTS = [
    "system\nuser\nassistant\ntool: choose_frames tool: none",
    write_call("the score changes here", 10, 20),
    write_answer("the ball is in", "volley"),
    "Video: soccer, 40 frames, 1.60 s.\nframe 12 (0.48s):\nQuestion: How was the goal scored?",
] * 20
LIMITS = Limits(first_frames=3, frames_per_call=3, max_turns=3, style=PromptStyle.BRIEF)
CALL, ANSWER = write_call("the score changes here", 10, 20), write_answer("the ball is in", "volley")

QWEN3_EXTRAS = ("<tool_response>", "</tool_response>", "<think>", "</think>")


def nano_folder(folder: Path, seed: int = 0) -> Path:
    """A nano of 50 thousand weights or so."""
    make_nano(folder, TEXTS, SIZE, seed=seed)
    return folder


def wide_nano(folder: Path, seed: int = 0) -> LocalPolicy:
    """A nano whose random weights are wide."""
    policy = load_policy(str(nano_folder(folder, seed)))
    widen(policy.backbone.model, seed)
    return policy


def widen(model: torch.nn.Module, seed: int) -> None:
    """Redraws every matrix with a standard deviation of 0.1."""
    drawn = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.copy_(torch.randn(weight.shape, generator=drawn) * 0.1)


def question(video: Path, name: str = "q") -> Question:
    """A question with a closed answer about a video."""
    gold = Choice(options=("header", "volley"), answer="volley")
    return Question(id=name, video=str(video), text="How was the goal scored?", gold=gold, sport="soccer")


def clip(path: Path, n_frames: int = 40) -> Path:
    """A video in which no two frames are alike; 112x56."""
    return write(path, Recipe(n_frames=n_frames, width=112, height=56, gop=10))


def image(index: int, height: int = 56, width: int = 112, video: str = "a.mp4") -> Image:
    """A frame of noise, a function of its index alone."""
    pixels = np.random.default_rng(index).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image(Frame(video=video, index=index, time_s=index / 25), pixels)


def opening(images: Sequence[Image], text: str = "Question: How was the goal scored?") -> list[Message]:
    """A system message and a user message with images."""
    parts = [part for shown in images for part in (f"frame {shown.frame.index} ({shown.frame.time_s:.2f}s):", shown, "\n")]
    return [Message("system", ("tool: choose_frames",)), Message("user", (*parts, text))]


def qwen25_folder(shared: Path, folder: Path) -> Path:
    """Qwen2.5-VL: the published configuration, tokenizer and template at a fraction of the width."""
    config: dict[str, Any] = json.loads((shared / "qwen/configs/Qwen2.5-VL-7B.config.json").read_text())
    narrow = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "layer_types": ["full_attention"] * 2,
        "rope_scaling": {"mrope_section": [4, 2, 2], "rope_type": "default", "type": "default"},
    }
    text = config["text_config"] | narrow
    vision = config["vision_config"] | {
        "depth": 2,
        "fullatt_block_indexes": [1],
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 32,
    }
    ids = {name: value for name, value in config.items() if name.endswith("token_id")}
    whole = Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=False, **ids)
    _save(Qwen2_5_VLForConditionalGeneration, whole, folder)
    shutil.copyfile(shared / "qwen/configs/Qwen2.5-VL-7B.preprocessor_config.json", folder / "preprocessor_config.json")
    return _with_tokenizer(shared, folder, extras=())


def qwen3_folder(shared: Path, folder: Path) -> Path:
    """Qwen3-VL: three vision layers, two of which feed the language model directly (DeepStack)."""
    text = {
        "vocab_size": 152064,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "max_position_embeddings": 4096,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 5e6,
            "mrope_section": [4, 2, 2],
            "mrope_interleaved": True,
        },
    }
    vision = {
        "depth": 3,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 32,
        "patch_size": 16,
        "deepstack_visual_indexes": [0, 1],
        "num_position_embeddings": 64,
    }
    _save(Qwen3VLForConditionalGeneration, Qwen3VLConfig(text_config=text, vision_config=vision), folder)
    shutil.copyfile(shared / "qwen/configs/Qwen3-VL-Embedding.preprocessor_config.json", folder / "preprocessor_config.json")
    return _with_tokenizer(shared, folder, extras=QWEN3_EXTRAS)


def _save(family: Any, config: Any, folder: Path) -> None:
    model = family(config)
    widen(model, seed=0)
    model.save_pretrained(folder)


def _with_tokenizer(shared: Path, folder: Path, extras: Sequence[str]) -> Path:
    path = folder / "tokenizer.json"
    path.write_bytes(gzip.decompress((shared / "qwen/tokenizer.json.gz").read_bytes()))
    shutil.copyfile(shared / "qwen/configs/Qwen2.5-VL.chat_template.jinja", folder / "chat_template.jinja")
    if extras:
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.add_tokens(list(extras))
        tokenizer.save(str(path))
    return folder


def features_of(policy: LocalPolicy, images: Sequence[Image]) -> dict[tuple[str, int], torch.Tensor]:
    """By video and index, straight from the vision tower, past every cache."""
    patches, grids = zip(*(policy.preprocessor.patches(shown.pixels) for shown in images), strict=True)
    names = [(shown.frame.video, shown.frame.index) for shown in images]
    return dict(zip(names, policy.backbone.features(patches, grids), strict=True))


def embedded(policy: LocalPolicy, images: Sequence[Image]) -> torch.Tensor:
    """[visual tokens, K, D] straight from the vision tower, past every cache."""
    patches, grids = zip(*(policy.preprocessor.patches(shown.pixels) for shown in images), strict=True)
    return torch.cat(policy.backbone.features(patches, grids))


def full_forward(policy: LocalPolicy, record: TokenRecord, images: Sequence[Image], temperature: float = 1.0) -> torch.Tensor:
    """[S] log-probabilities of a record's sampled tokens by one plain forward over all of it."""
    with torch.no_grad():
        shown = {slot.frame.index: seen for slot, seen in zip(record.images, images, strict=True)}
        features = {
            (slot.frame.video, slot.frame.index): value
            for slot in record.images
            for value in features_of(policy, [shown[slot.frame.index]]).values()
        }
        return sampled_logprobs(policy.backbone, lay_out([record], policy.backbone), features, temperature)


def plain_logprobs(policy: LocalPolicy, source: FrameSource, records: Sequence[TokenRecord]) -> tuple[torch.Tensor, torch.Tensor]:
    """[S] log-probabilities of the sampled tokens of records, nothing shared, and which record each belongs to."""
    part = lay_out(records, policy.backbone, least_saving=10**9)
    features = FrameReader(source, policy, policy.backbone).embed(part.tree.frames)
    return sampled_logprobs(policy.backbone, part, features), part.record_S


def logged(record: TokenRecord) -> torch.Tensor:
    """[S] the sampler's log-probabilities."""
    return torch.tensor([value for value, own in zip(record.logprobs, record.sampled, strict=True) if own])


def raise_logits(policy: LocalPolicy, ids: Sequence[int], by: float) -> RemovableHandle:
    """Adds to the logits of some tokens until the handle is removed."""

    def add(_module: torch.nn.Module, _inputs: object, logits: torch.Tensor) -> torch.Tensor:
        return logits.index_add(-1, torch.tensor(ids), torch.full((*logits.shape[:-1], len(ids)), by))

    return policy.backbone.model.get_submodule("lm_head").register_forward_hook(add)


def interrupt_after(policy: LocalPolicy, n_forwards: int) -> RemovableHandle:
    """Lets a policy run so many times, then raises KeyboardInterrupt, as Ctrl-C does."""
    left = n_forwards

    def count(_module: object, _inputs: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt

    return policy.backbone.model.get_submodule("lm_head").register_forward_pre_hook(count)


def spoken(policy: LocalPolicy, source: FrameSource, asked: Question, texts: Sequence[str], name: str) -> Episode:
    """An episode in which the policy says given words, with the log-probabilities that it gives to them."""
    teacher = Recorded(Scripted(texts), policy.chat)
    episode = asyncio.run(run_episode(asked, teacher, source, limits=LIMITS, sampling=Sampling(), episode_id=name))
    assert episode.tokens is not None
    with torch.no_grad():
        values = iter(plain_logprobs(policy, source, [episode.tokens])[0].tolist())
    logprobs = tuple(next(values) if own else 0.0 for own in episode.tokens.sampled)
    return episode.model_copy(update={"tokens": episode.tokens.model_copy(update={"logprobs": logprobs})})
