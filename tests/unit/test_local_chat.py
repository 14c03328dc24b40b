"""What stands in a conversation's tokens: text stays text, and every image is counted by us alone."""

import asyncio

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepsport.errors import PolicyError, TrainingError
from deepsport.policy.base import Message, Sampling
from deepsport.policy.local.chat import VISION_TOKENS, TokenLog, mrope_positions
from deepsport.policy.local.policy import LocalPolicy
from deepsport.records import Frame, ImageSlot
from tiny_models import ANSWER, CALL, image, opening, raise_logits, wide_nano


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> LocalPolicy:
    return wide_nano(tmp_path_factory.mktemp("nano"))


@pytest.mark.parametrize("token", [*VISION_TOKENS, "<|im_start|>", "<|im_end|>", "<|endoftext|>"])
def test_a_control_token_typed_by_a_user_stays_text(token, policy):
    log, plain = TokenLog(), TokenLog()
    policy.chat.add_messages(log, [Message("user", (f"what is {token}?",))])
    policy.chat.add_messages(plain, [Message("user", ("what is it?",))])
    control = {policy.chat.image_pad, policy.chat.end, policy.chat.pad, *policy.chat.suppressed}
    assert [i for i in log.ids if i in control] == [i for i in plain.ids if i in control]
    assert token in policy.chat.decode(log.ids)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_vision_token_is_never_sampled_even_if_the_policy_prefers_it(temperature, policy):
    handle = raise_logits(policy, policy.chat.suppressed, by=1e4)
    session = policy.session(Sampling(temperature=temperature, max_tokens=40))
    asyncio.run(session.reply(opening([image(1)])))
    handle.remove()
    record = session.tokens()
    assert record is not None
    own = {token for token, sampled in zip(record.ids, record.sampled, strict=True) if sampled}
    assert own
    assert own.isdisjoint(policy.chat.suppressed)
    assert all(policy.chat._id(token) in policy.chat.suppressed for token in VISION_TOKENS)


@pytest.mark.parametrize("n_embeddings", [0, 7, 9])
def test_placeholders_and_embeddings_that_differ_in_number_are_refused(n_embeddings, policy):
    ids = torch.full((1, 8), policy.chat.image_pad)
    features = torch.zeros(n_embeddings, 1, 32) if n_embeddings else None
    with pytest.raises(TrainingError, match=f"8 image placeholders but {n_embeddings} frame embeddings"):
        policy.backbone.hidden(ids, features, torch.zeros(3, 1, 8, dtype=torch.long), torch.ones(1, 1, 8, 8, dtype=torch.bool))


def test_a_frame_of_impossible_shape_is_the_policys_refusal_and_no_crash(policy):
    with pytest.raises(PolicyError, match="4020x20 is too narrow"):
        asyncio.run(policy.session(Sampling()).reply(opening([image(1, 20, 4020)])))


@pytest.mark.parametrize("text", [CALL, ANSWER, "Zürich 3:2 🏀"])
def test_a_reply_decodes_to_the_text_it_was_encoded_from(text, policy):
    ids = policy.chat.encode_reply(text)
    assert ids[-1] == policy.chat.end
    assert policy.chat.decode(ids) == text


sides = st.integers(1, 6).map(lambda n: 2 * n)


@settings(max_examples=30, deadline=None)
@given(pieces=st.lists(st.tuples(st.integers(0, 9), sides, sides), min_size=1, max_size=5), tail=st.integers(0, 9))
def test_positions_equal_those_of_transformers(pieces, tail, policy):
    pad, ids, slots, grids = policy.chat.image_pad, [], [], []
    for n_text, down, across in pieces:
        ids += [20] * (n_text + 1)  # transformers' function takes images side by side for one
        slots.append(
            ImageSlot(
                offset=len(ids), n_tokens=down * across // 4, grid_hw=(down, across), frame=Frame(video="a", index=0, time_s=0)
            )
        )
        grids.append((1, down, across))
        ids += [pad] * slots[-1].n_tokens
    ids += [20] * tail
    row = torch.tensor([ids])
    theirs, _ = policy.backbone.model.model.get_rope_index(
        row, mm_token_type_ids=(row == pad).int(), image_grid_thw=torch.tensor(grids)
    )
    assert torch.equal(torch.from_numpy(mrope_positions(len(ids), slots, 2)), theirs[:, 0])
