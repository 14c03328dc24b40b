"""The real families at a fraction of their width: published tokenizer, template and settings, random weights.

What transformers itself makes of the same conversation, with its own template, image processor and forward pass, is what we make.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import jinja2
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoConfig
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from deepsport.policy.base import Message, Sampling
from deepsport.policy.local.chat import TokenLog, mrope_positions
from deepsport.policy.local.checkpoint import FAMILIES, load_policy
from deepsport.policy.local.policy import LocalPolicy
from deepsport.records import Reward, TokenRecord
from deepsport.train.batches import waited
from deepsport.train.grpo import GRPOConfig, Learner, rollouts
from deepsport.train.trainee import Trainee
from deepsport.train.watch import Group
from deepsport.video.source import FrameSource
from tiny_models import (
    ANSWER,
    CALL,
    LIMITS,
    clip,
    embedded,
    full_forward,
    image,
    logged,
    opening,
    question,
    qwen3_folder,
    qwen25_folder,
)

MAKERS = {"qwen2_5_vl": qwen25_folder, "qwen3_vl": qwen3_folder}
FIRST, SECOND = [image(1, 80, 120), image(2, 200, 90)], image(3, 130, 130)
AGAIN = [Message("user", ("frame 3 (0.12s):", SECOND, "\n"))]


@pytest.fixture(scope="module", params=MAKERS)
def folder(request, shared_folder, tmp_path_factory) -> Path:
    return MAKERS[request.param](shared_folder, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def policy(folder) -> LocalPolicy:
    return load_policy(str(folder), max_pixels=40_000)


@pytest.fixture(scope="module")
def processor(folder) -> Qwen2VLImageProcessorPil:
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    needed = ("patch_size", "temporal_patch_size", "merge_size", "image_mean", "image_std", "min_pixels")
    return Qwen2VLImageProcessorPil(**{key: settings[key] for key in needed}, max_pixels=40_000)


@pytest.fixture(scope="module")
def dialogue(policy) -> TokenRecord:
    """System and user with images, an assistant's call, a user turn with an image, an assistant's answer."""
    log = TokenLog()
    policy.chat.add_messages(log, opening(FIRST))
    call, answer = policy.chat.encode_reply(CALL), policy.chat.encode_reply(ANSWER)
    log.add(call, [0.0] * len(call))
    policy.chat.add_messages(log, AGAIN)
    log.add(answer, [0.0] * len(answer))
    return log.record()


def as_content(message: Message) -> dict[str, Any]:
    parts = [{"type": "text", "text": part} if isinstance(part, str) else {"type": "image"} for part in message.parts]
    return {"role": message.role, "content": parts}


def rendered_ids(folder: Path, processor: Qwen2VLImageProcessorPil) -> tuple[list[int], Any]:
    """The same conversation by the published template, with transformers' pixel values."""
    assistant = [{"role": "assistant", "content": text} for text in (CALL, ANSWER)]
    messages = [*map(as_content, opening(FIRST)), assistant[0], *map(as_content, AGAIN), assistant[1]]
    text = jinja2.Template((folder / "chat_template.jinja").read_text()).render(messages=messages)
    seen = processor(images=[shown.pixels for shown in (*FIRST, SECOND)], return_tensors="pt")
    for grid in seen["image_grid_thw"]:
        text = text.replace("<|image_pad|>", "<placeholder>" * int(grid.prod() // 4), 1)
    return Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text.replace("<placeholder>", "<|image_pad|>")).ids, seen


def test_our_tokens_are_those_of_the_published_template(folder, policy, processor, dialogue):
    theirs, _ = rendered_ids(folder, processor)
    assert [*dialogue.ids, *policy.chat.encode("\n")] == theirs


def test_our_logits_are_those_of_transformers_own_path(folder, policy, processor, dialogue):
    ids, seen = rendered_ids(folder, processor)
    row = torch.tensor([ids[: len(dialogue.ids)]])
    config = AutoConfig.from_pretrained(folder)
    theirs = FAMILIES[config.model_type].from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        expected = theirs(input_ids=row, mm_token_type_ids=(row == policy.chat.image_pad).int(), **seen).logits
        positions = torch.from_numpy(mrope_positions(len(dialogue.ids), dialogue.images, 2))[:, None]
        causal = torch.ones(1, 1, len(dialogue.ids), len(dialogue.ids), dtype=torch.bool).tril()
        hidden = policy.backbone.hidden(row, embedded(policy, [*FIRST, SECOND]), positions, causal)
        ours = policy.backbone.logprobs(hidden)
    expected[..., policy.chat.suppressed] = float("-inf")
    kept = [i for i in range(ours.shape[-1]) if i not in set(policy.chat.suppressed)]
    assert expected[..., kept].std() > 0.1
    assert torch.allclose(ours[..., kept], expected.log_softmax(-1)[..., kept], atol=1e-4)


def test_our_positions_are_those_of_transformers(policy, dialogue):
    row = torch.tensor([dialogue.ids])
    grids = torch.tensor([(1, *slot.grid_hw) for slot in dialogue.images])
    theirs, _ = policy.backbone.model.model.get_rope_index(
        row, mm_token_type_ids=(row == policy.chat.image_pad).int(), image_grid_thw=grids
    )
    assert torch.equal(torch.from_numpy(mrope_positions(len(dialogue.ids), dialogue.images, 2)), theirs[:, 0])


def two_turns(policy: LocalPolicy) -> TokenRecord:
    session = policy.session(Sampling(temperature=1.0, max_tokens=6, seed=3))
    asyncio.run(session.reply(opening(FIRST)))
    asyncio.run(session.reply(AGAIN))
    record = session.tokens()
    assert record is not None
    return record


def test_image_tokens_are_accounted_for_on_every_turn(policy):
    record = two_turns(policy)
    placed = {i for slot in record.images for i in range(slot.offset, slot.offset + slot.n_tokens)}
    assert placed == {i for i, token in enumerate(record.ids) if token == policy.chat.image_pad}
    assert [slot.frame.index for slot in record.images] == [1, 2, 3]
    assert [slot.n_tokens for slot in record.images] == [
        down * across // 4 for down, across in (s.grid_hw for s in record.images)
    ]


def test_the_sampler_and_the_trainer_agree_to_a_ten_thousandth(policy):
    record = two_turns(policy)
    assert torch.allclose(logged(record), full_forward(policy, record, [*FIRST, SECOND]), atol=1e-4)


def test_another_frame_on_the_second_turn_moves_the_second_reply_and_not_the_first(policy):
    record = two_turns(policy)
    as_was = full_forward(policy, record, [*FIRST, SECOND])
    moved = (full_forward(policy, record, [*FIRST, image(99, 130, 130)]) - as_was).abs()
    n_first = sum(record.sampled[: record.images[2].offset])
    assert moved[:n_first].max() == 0
    assert moved[n_first:].max() > 1e-3


def test_a_group_of_episodes_is_rolled_out_and_learnt_from(folder, tmp_path):
    asked, config = question(clip(tmp_path / "clip.mp4")), GRPOConfig(group_size=2, questions_per_step=1, max_reply_tokens=6)
    policy = load_policy(str(folder), max_pixels=40_000)
    with FrameSource() as source:
        ((first, second),) = waited(rollouts(policy, [asked], source, config, LIMITS, seed=0))
        assert first.tokens is not None
        assert first.tokens.ids != (second.tokens and second.tokens.ids)
        rewards = [Reward(total=value, accuracy=value, tool=0.0, format_penalty=0.0, well_formed=True) for value in (0.0, 1.0)]
        before = policy.backbone.model.lm_head.weight.detach().clone()
        learnt = Learner(Trainee(policy, source, config, 1), config).step([Group([first, second], rewards)], 0)
    assert learnt["mismatch"] < 1e-4
    assert learnt["grad_norm"] > 0
    assert not torch.equal(policy.backbone.model.lm_head.weight, before)
