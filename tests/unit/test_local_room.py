"""A batch has room for so many tokens at once and so much of a cache; what is said does not depend on it."""

import asyncio
import random
from collections.abc import Sequence

import pytest
import torch

from deepsport.errors import PolicyError
from deepsport.policy.base import Message, Sampling
from deepsport.policy.local import engine
from deepsport.policy.local.engine import Engine, Request
from deepsport.policy.local.policy import LocalPolicy
from deepsport.records import TokenRecord
from tiny_models import image, opening, wide_nano

SAMPLINGS = [Sampling(temperature=1.0, max_tokens=4 + 2 * seed, seed=seed) for seed in range(5)]


@pytest.fixture
def policy(tmp_path) -> LocalPolicy:
    return wide_nano(tmp_path)


def talk(policy: LocalPolicy) -> tuple[list[TokenRecord], list[int], list[bool]]:
    """Five conversations of two turns, some of them alike at first; the rows of every pass; and whether those who were taken in
    went on with a conversation."""
    n_rows: list[int] = []
    went_on: list[bool] = []
    whole, admit = policy.backbone.hidden, policy.engine._admit

    def counted(ids: torch.Tensor, *rest: object) -> torch.Tensor:
        n_rows.append(len(ids))
        return whole(ids, *rest)  # pyright: ignore[reportArgumentType]

    def seen(newcomers: list[Request]) -> None:
        went_on.extend(request.n_cached > 0 for request in newcomers)
        admit(newcomers)

    async def one(sampling: Sampling) -> TokenRecord:
        session = policy.session(sampling)
        await session.reply(opening([image(1), image(2 + sampling.seed % 2)]))
        await session.reply([Message("user", ("frame:", image(10 + sampling.seed, 84, 56)))])
        record = session.tokens()
        assert record is not None
        return record

    async def together() -> list[TokenRecord]:
        return await asyncio.wait_for(asyncio.gather(*map(one, SAMPLINGS)), timeout=60)

    policy.backbone.hidden, policy.engine._admit = counted, seen
    try:
        return asyncio.run(together()), n_rows, went_on
    finally:
        del policy.backbone.hidden, policy.engine._admit


def require_alike(ours: Sequence[TokenRecord], others: Sequence[TokenRecord]) -> None:
    for one, other in zip(ours, others, strict=True):
        assert (one.ids, one.sampled, one.images) == (other.ids, other.sampled, other.images)
        assert torch.allclose(torch.tensor(one.logprobs), torch.tensor(other.logprobs), atol=1e-4)


def test_a_prefill_in_many_passes_says_what_one_pass_says(policy, monkeypatch):
    records, n_rows, _ = talk(policy)
    monkeypatch.setattr(engine, "MOST_PREFILLED", 1)
    apart, n_rows_apart, _ = talk(policy)
    assert n_rows[0] == 2
    assert n_rows_apart[:2] == [1, 1]
    require_alike(apart, records)


@pytest.mark.parametrize("cells", [1, 250, 400])
def test_conversations_wait_for_room_in_the_memory_of_the_cache(policy, cells):
    records, n_rows, _ = talk(policy)
    policy.engine._most_cells = cells
    bounded, n_rows_bounded, _ = talk(policy)
    assert max(n_rows_bounded) < max(n_rows) == 5
    require_alike(bounded, records)


def test_who_goes_on_is_taken_in_before_who_begins(policy):
    policy.engine = Engine(policy.backbone, policy.features, policy.chat.end, max_batch=2)
    records, _, went_on = talk(policy)
    assert went_on.index(True) <= 4
    assert sorted(went_on) == [False] * 5 + [True] * 5
    assert len(records) == 5


def request(policy: LocalPolicy, ids: Sequence[int], cache: engine.LayerCache | None = None, n_cached: int = 0) -> Request:
    positions = torch.arange(n_cached, n_cached + len(ids)).expand(3, -1)
    future = asyncio.get_running_loop().create_future()
    return Request(ids, positions, (), (tuple(ids), n_cached), cache, n_cached, 0.0, 1, random.Random(0), future)


def test_a_cache_that_has_gone_into_the_batch_is_not_held_twice_and_not_lent_twice(policy):
    async def ask() -> None:
        first = await policy.engine.sample(request(policy, [20, 21]))
        kept = first.cache
        assert len(kept) == policy.backbone.text_config.num_hidden_layers
        await policy.engine.sample(request(policy, [first.ids[-1], 22], kept, first.n_cached))
        assert kept == []
        with pytest.raises(PolicyError, match="is gone: an earlier reply"):
            await policy.engine.sample(request(policy, [first.ids[-1], 22], kept, first.n_cached))

    asyncio.run(ask())


def test_members_of_a_group_each_keep_a_cache_when_another_has_gone_on(policy):
    async def ask() -> list[list[int]]:
        one, other = await asyncio.gather(*(policy.engine.sample(request(policy, [20, 21])) for _ in range(2)))
        await policy.engine.sample(request(policy, [one.ids[-1], 22], one.cache, one.n_cached))
        again = await policy.engine.sample(request(policy, [other.ids[-1], 23], other.cache, other.n_cached))
        alone = await policy.engine.sample(request(policy, [20, 21, other.ids[-1], 23]))
        return [again.ids, alone.ids]

    again, alone = asyncio.run(ask())
    assert again == alone
