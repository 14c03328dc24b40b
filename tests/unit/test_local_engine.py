"""Decoding many conversations together gives what decoding each alone gives."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from deepsport.errors import ContextOverflow, TrainingError
from deepsport.policy.base import Image, Message, Reply, Sampling
from deepsport.policy.local.checkpoint import load_policy, save_policy
from deepsport.policy.local.engine import Engine, Request
from deepsport.policy.local.policy import LocalPolicy
from deepsport.records import TokenRecord
from tiny_models import full_forward, image, logged, opening, raise_logits, wide_nano

SHOWN = [[image(1)], [image(2), image(3)], [image(4, 90, 60), image(5), image(6)], [], [image(2)]]
"""First images of five conversations of different lengths."""
SECOND = [image(number, 56 + 20 * number, 90) for number in range(30, 35)]
"""And the image each of them is shown next."""


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> LocalPolicy:
    return wide_nano(tmp_path_factory.mktemp("nano"))


async def converse(
    policy: LocalPolicy, first: Sequence[Image], second: Image, sampling: Sampling
) -> tuple[list[Reply], TokenRecord]:
    session = policy.session(sampling)
    replies = [await session.reply(opening(first)), await session.reply([Message("user", ("frame:", second))])]
    record = session.tokens()
    assert record is not None
    return replies, record


def alone_and_together(policy: LocalPolicy, samplings: Sequence[Sampling]) -> tuple[list[TokenRecord], list[TokenRecord]]:
    async def together() -> list[tuple[list[Reply], TokenRecord]]:
        return await asyncio.gather(*(converse(policy, *case) for case in zip(SHOWN, SECOND, samplings, strict=True)))

    alone = [asyncio.run(converse(policy, *case)) for case in zip(SHOWN, SECOND, samplings, strict=True)]
    return [record for _, record in alone], [record for _, record in asyncio.run(together())]


def require_alike(one: TokenRecord, other: TokenRecord) -> None:
    assert (one.ids, one.sampled, one.images) == (other.ids, other.sampled, other.images)
    assert torch.allclose(torch.tensor(one.logprobs), torch.tensor(other.logprobs), atol=1e-4)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_conversations_together_say_what_each_says_alone(temperature, policy):
    samplings = [Sampling(temperature=temperature, max_tokens=5 + 4 * number, seed=number) for number in range(5)]
    for alone, together in zip(*alone_and_together(policy, samplings), strict=True):
        require_alike(alone, together)


def test_conversations_wait_for_room_when_the_batch_is_full(policy):
    samplings = [Sampling(temperature=1.0, max_tokens=6, seed=number) for number in range(5)]
    roomy, policy.engine = policy.engine, Engine(policy.backbone, policy.features, policy.chat.end, max_batch=2)
    _, narrow = alone_and_together(policy, samplings)
    policy.engine = roomy
    for one, other in zip(narrow, alone_and_together(policy, samplings)[1], strict=True):
        require_alike(one, other)


def test_logged_logprobs_equal_a_plain_forward_over_the_whole_conversation(policy):
    samplings = [Sampling(temperature=1.0, max_tokens=12, seed=number) for number in range(5)]
    _, records = alone_and_together(policy, samplings)
    for shown, second, record in zip(SHOWN, SECOND, records, strict=True):
        expected = full_forward(policy, record, [*shown, second])
        assert torch.allclose(logged(record), expected, atol=1e-4)


def test_a_group_prefilled_once_says_what_separate_prefills_say(policy):
    samplings = [Sampling(temperature=1.0, max_tokens=10, seed=number) for number in range(4)]

    async def group() -> list[tuple[list[Reply], TokenRecord]]:
        return await asyncio.gather(*(converse(policy, SHOWN[1], SECOND[0], sampling) for sampling in samplings))

    records = [record for _, record in asyncio.run(group())]
    assert len({record.ids for record in records}) == 4
    for sampling, record in zip(samplings, records, strict=True):
        require_alike(asyncio.run(converse(policy, SHOWN[1], SECOND[0], sampling))[1], record)


def test_a_group_may_mix_temperatures(policy):
    samplings = [Sampling(temperature=temperature, max_tokens=10, seed=1) for temperature in (0.3, 1.0, 3.0)]

    async def group() -> list[tuple[list[Reply], TokenRecord]]:
        return await asyncio.gather(*(converse(policy, SHOWN[1], SECOND[0], sampling) for sampling in samplings))

    for sampling, (_, record) in zip(samplings, asyncio.run(group()), strict=True):
        expected = full_forward(policy, record, [*SHOWN[1], SECOND[0]], sampling.temperature)
        assert torch.allclose(logged(record), expected, atol=1e-4)


def test_a_cancelled_conversation_leaves_the_others_right(policy):
    samplings = [Sampling(temperature=1.0, max_tokens=25, seed=number) for number in range(3)]

    async def one_gives_up() -> list[tuple[list[Reply], TokenRecord]]:
        tasks = [asyncio.create_task(converse(policy, SHOWN[n], SECOND[n], samplings[n])) for n in range(3)]
        victim = asyncio.create_task(converse(policy, SHOWN[1], SECOND[0], Sampling(temperature=1.0, max_tokens=3000)))
        await asyncio.sleep(0.05)
        victim.cancel()
        done = await asyncio.gather(*tasks)
        with pytest.raises(asyncio.CancelledError):
            await victim
        return done

    for number, (_, record) in enumerate(asyncio.run(one_gives_up())):
        require_alike(asyncio.run(converse(policy, SHOWN[number], SECOND[number], samplings[number]))[1], record)


def test_a_reply_that_reaches_its_limit_is_cut_off_and_one_that_ends_is_not(policy):
    cut = asyncio.run(policy.session(Sampling(max_tokens=3)).reply(opening(SHOWN[0])))
    assert (cut.cut_off, cut.reply_tokens) == (True, 3)
    handle = raise_logits(policy, [policy.chat.end], by=1e4)
    ended = asyncio.run(policy.session(Sampling(max_tokens=3)).reply(opening(SHOWN[0])))
    handle.remove()
    assert (ended.cut_off, ended.reply_tokens, ended.text) == (False, 1, "")


def test_a_conversation_longer_than_the_context_overflows_and_one_that_just_fits_is_cut_off(policy, tmp_path):
    n_prompt = asyncio.run(policy.session(Sampling(max_tokens=1)).reply(opening(SHOWN[0]))).prompt_tokens
    save_policy(policy, tmp_path, origin=Path(policy.name))
    fits, too_small = (load_policy(str(tmp_path), context=n_prompt + extra) for extra in (2, 0))
    reply = asyncio.run(fits.session(Sampling(max_tokens=10)).reply(opening(SHOWN[0])))
    assert (reply.cut_off, reply.reply_tokens) == (True, 2)
    with pytest.raises(ContextOverflow, match=f"has {n_prompt} tokens, the context"):
        asyncio.run(too_small.session(Sampling()).reply(opening(SHOWN[0])))


def request(policy: LocalPolicy, ids: Sequence[int], draw: random.Random) -> Request:
    positions = torch.arange(len(ids)).expand(3, -1)
    future = asyncio.get_running_loop().create_future()
    return Request(ids, positions, (), (tuple(ids),), None, 0, 1.0, 1, draw, future)


def test_a_failed_prefill_reaches_everybody_who_waits_and_the_engine_goes_on(policy):
    async def fail_then_work() -> None:
        bad = [request(policy, [policy.chat.image_pad] * n, random.Random(0)) for n in (1, 2)]
        outcomes = await asyncio.wait_for(
            asyncio.gather(*(policy.engine.sample(r) for r in bad), return_exceptions=True), timeout=20
        )
        assert [type(outcome) for outcome in outcomes] == [TrainingError, TrainingError]
        assert len((await policy.engine.sample(request(policy, [20, 21], random.Random(0)))).ids) == 1

    asyncio.run(fail_then_work())


class AlmostOne(random.Random):
    """Draws the largest double below 1, which single precision rounds up to 1."""

    def random(self) -> float:
        return 1 - 2**-53


def test_the_largest_random_number_still_draws_a_possible_token(policy):
    last = policy.backbone.text_config.vocab_size - 1
    handle = raise_logits(policy, [last], by=-1e4)

    async def sample() -> float:
        return (await policy.engine.sample(request(policy, [20, 21], AlmostOne()))).logprobs[0]

    assert asyncio.run(sample()) > -100
    handle.remove()


def rows_decoded(policy: LocalPolicy, samplings: Sequence[Sampling]) -> tuple[list[int], list[TokenRecord]]:
    """Rows of every pass through the model while equal questions are answered under the given samplings."""
    n_rows: list[int] = []
    whole = policy.backbone.hidden

    def counted(ids: torch.Tensor, *rest: object) -> torch.Tensor:
        n_rows.append(len(ids))
        return whole(ids, *rest)  # pyright: ignore[reportArgumentType]

    async def ask() -> list[tuple[list[Reply], TokenRecord]]:
        return await asyncio.gather(*(converse(policy, SHOWN[1], SECOND[0], sampling) for sampling in samplings))

    policy.backbone.hidden = counted
    try:
        return n_rows, [record for _, record in asyncio.run(ask())]
    finally:
        del policy.backbone.hidden


def test_a_group_that_draws_alike_is_one_row_over_both_turns(policy):
    n_rows, records = rows_decoded(policy, [Sampling(temperature=1.0, max_tokens=6, seed=3)] * 8)
    assert set(n_rows) == {1}
    assert len({record.ids for record in records}) == 1


def test_members_of_a_group_part_where_their_draws_do_and_say_what_each_says_alone(policy):
    samplings = [Sampling(temperature=1.0, max_tokens=6, seed=seed) for seed in range(8)]
    n_rows, records = rows_decoded(policy, samplings)
    assert n_rows[0] == 1
    assert n_rows[1] == len({next(t for t, own in zip(r.ids, r.sampled, strict=True) if own) for r in records})
    alone = [asyncio.run(converse(policy, SHOWN[1], SECOND[0], sampling))[1] for sampling in samplings]
    for record, expected in zip(records, alone, strict=True):
        require_alike(record, expected)
