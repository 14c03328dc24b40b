"""The real families at a fraction of their width: published tokenizer, template and settings, random weights.

What transformers itself makes of the same conversation, with its own template, image processor and forward pass, is what we make.
"""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoConfig
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from deepsport.errors import TrainingError
from deepsport.policy.base import Image, Message, Sampling
from deepsport.policy.local.chat import TokenLog, mrope_positions
from deepsport.policy.local.checkpoint import FAMILIES, load_policy
from deepsport.policy.local.policy import LocalPolicy
from deepsport.records import Reward, TokenRecord
from deepsport.train.batch import Batch, collate, collate_groups, sampled_logprobs
from deepsport.train.frames import FrameReader
from deepsport.train.grpo import Group, GRPOConfig, Learner, rollouts
from deepsport.train.optimiser import make_optimiser
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
    assert [*dialogue.ids, *policy.chat._text("\n")] == theirs


def test_our_logits_are_those_of_transformers_own_path(folder, policy, processor, dialogue):
    ids, seen = rendered_ids(folder, processor)
    row = torch.tensor([ids[: len(dialogue.ids)]])
    config = AutoConfig.from_pretrained(folder)
    theirs = FAMILIES[config.model_type].from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        expected = theirs(input_ids=row, mm_token_type_ids=(row == policy.chat.image_pad).int(), **seen).logits
        batch = collate([dialogue], policy)
        hidden = policy.backbone.hidden(batch.ids_BL, embedded(policy, [*FIRST, SECOND]), batch.positions_3BL)
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


def said(policy: LocalPolicy, images: Sequence[Image], *turns: str) -> TokenRecord:
    """The opening with some images, and turns with an image between each two."""
    log = TokenLog()
    policy.chat.add_messages(log, opening(images))
    for number, text in enumerate(turns):
        if number:
            policy.chat.add_messages(log, AGAIN)
        ids = policy.chat.encode_reply(text)
        log.add(ids, [0.0] * len(ids))
    return log.record()


def logprobs_and_gradients(policy: LocalPolicy, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    shown = {seen.frame.index: seen for seen in (*FIRST, SECOND)}
    logprobs_S = sampled_logprobs(policy, batch, embedded(policy, [shown[frame.index] for frame in batch.frames]))
    weights_S = torch.linspace(-1, 2, len(logprobs_S))
    policy.backbone.model.zero_grad(set_to_none=True)
    (weights_S * logprobs_S).mean().backward()
    gradients = {name: weight.grad for name, weight in policy.backbone.model.named_parameters() if weight.grad is not None}
    policy.backbone.model.zero_grad(set_to_none=True)
    return logprobs_S.detach(), gradients


def test_sharing_the_openings_of_groups_changes_no_logprob_and_no_gradient(policy):
    of_first = [said(policy, FIRST, CALL, ANSWER), said(policy, FIRST, ANSWER), said(policy, FIRST, CALL, CALL, ANSWER)]
    of_second = [said(policy, [SECOND], ANSWER), said(policy, [SECOND], CALL, ANSWER)]
    records, groups = [*of_first, *of_second], [7, 7, 7, 3, 3]
    plain, expected = logprobs_and_gradients(policy, collate(records, policy))
    shared_batch = collate_groups(records, groups, policy)
    shared, gradients = logprobs_and_gradients(policy, shared_batch)
    assert shared_batch.stem is not None
    assert len(shared_batch.frames) == len(FIRST) + 1 + 4 * 1
    assert torch.allclose(shared, plain, atol=1e-5)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, expected[name], atol=1e-5 * max(1.0, float(expected[name].abs().max()))), name


def test_episodes_that_do_not_begin_alike_are_no_group(policy):
    with pytest.raises(TrainingError, match="not asked the same"):
        collate_groups([said(policy, FIRST, ANSWER), said(policy, FIRST[::-1], ANSWER)], [0, 0], policy)


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
    policy.backbone.vision.requires_grad_(False)
    optimiser = make_optimiser([p for p in policy.backbone.model.parameters() if p.requires_grad], config.optimiser)
    with FrameSource() as source:
        ((first, second),) = asyncio.run(rollouts(policy, [asked], source, config, LIMITS, seed=0))
        assert first.tokens is not None
        assert first.tokens.ids != (second.tokens and second.tokens.ids)
        rewards = [Reward(total=value, accuracy=value, tool=0.0, format_penalty=0.0, well_formed=True) for value in (0.0, 1.0)]
        before = policy.backbone.model.lm_head.weight.detach().clone()
        learnt = Learner(policy, optimiser, FrameReader(source, policy), config).step([Group([first, second], rewards)], 0)
    assert learnt["mismatch"] < 1e-4
    assert learnt["grad_norm"] > 0
    assert not torch.equal(policy.backbone.model.lm_head.weight, before)
