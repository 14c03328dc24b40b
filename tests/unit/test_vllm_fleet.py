"""Several vLLM servers as one: who is asked, what happens when one fails, and which weights each of them has."""

import asyncio
import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from deepsport.errors import EngineError, PolicyError
from deepsport.policy.base import Sampling
from deepsport.policy.local.checkpoint import load_policy
from deepsport.policy.local.policy import LocalPolicy
from deepsport.policy.vllm.fleet import MOST_TRIES, SLACK, Fleet
from deepsport.policy.vllm.server import Version
from deepsport.records import TokenRecord
from model_server import Hang, Reset, error
from served_runs import OWNER, adapter, fleet_of, speaker, talk, version, whole, wide_folder
from tiny_models import full_forward, image, logged, opening
from token_server import TokenServer

T = TypeVar("T")
FRAMES = [image(index) for index in range(2)]
ASKED = opening(FRAMES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return wide_folder(tmp_path_factory.mktemp("nano"))


@pytest.fixture(scope="module")
def policy(folder) -> LocalPolicy:
    return load_policy(str(folder))


@pytest.fixture(scope="module")
def versions(folder, tmp_path_factory) -> list[Version]:
    """Adapters of steps 0 to 3."""
    made = tmp_path_factory.mktemp("adapters")
    return [version(f"{OWNER}a-{step}", adapter(folder, made / f"{step}", seed=step)) for step in range(4)]


@pytest.fixture
def two(folder):
    with TokenServer(folder) as first, TokenServer(folder) as second:
        yield first, second


def run(fleet: Fleet, work: Coroutine[Any, Any, T]) -> T:
    """Does it, and closes the fleet."""

    async def whole_life() -> T:
        try:
            return await work
        finally:
            await fleet.close()

    return asyncio.run(whole_life())


async def once(fleet: Fleet, policy: LocalPolicy, weights: Version, text: str = "?", **settings: float) -> TokenRecord:
    """One reply."""
    return await talk(speaker(policy, fleet, weights, **settings), [opening(FRAMES, text)], max_tokens=3)


async def eventually(fleet: Fleet, n_up: int) -> None:
    async with asyncio.timeout(10):
        while len(fleet.up) != n_up:
            await asyncio.sleep(0.01)


# who is asked


def test_a_group_stays_together_and_another_goes_to_the_less_busy_server(policy, two, versions):
    fleet = fleet_of(policy, two)

    async def work() -> None:
        await fleet.publish(versions[0], keep=1)
        await asyncio.gather(*(once(fleet, policy, versions[0], f"group {n // 4}") for n in range(8)))

    run(fleet, work())
    assert sorted(len(server.asked) for server in two) == [4, 4]
    assert all(len({asked.opening for asked in server.asked}) == 1 for server in two)


def test_a_group_leaves_a_server_that_is_much_busier_than_the_others(policy, two, versions):
    fleet = fleet_of(policy, two)
    [first, second] = fleet.servers

    async def work() -> None:
        await fleet.publish(versions[0], keep=1)
        second.in_flight = 1
        await once(fleet, policy, versions[0])
        for busy, expected in ((SLACK + 1, [2, 0]), (SLACK + 2, [2, 1])):
            first.in_flight = busy
            await once(fleet, policy, versions[0])
            assert [len(server.asked) for server in two] == expected

    run(fleet, work())


def test_all_turns_of_a_conversation_go_to_one_server(policy, two, versions):
    fleet = fleet_of(policy, two)

    async def work() -> None:
        await fleet.publish(versions[0], keep=1)
        await talk(speaker(policy, fleet, versions[0]), [ASKED, opening([image(5)]), opening([image(6)])])

    run(fleet, work())
    assert sorted(len(server.asked) for server in two) == [0, 3]


# what happens when one fails


@pytest.mark.parametrize(
    "act", [Reset(), error(500, "EngineCore died"), error(503, ""), Hang(20)], ids=["reset", "500", "503", "hang"]
)
def test_a_reply_that_one_server_does_not_give_another_gives(policy, folder, two, versions, act, caplog):
    two[0].act = lambda number: act
    fleet = fleet_of(policy, two, retry_s=60.0)

    async def work() -> list[TokenRecord]:
        await fleet.publish(versions[0], keep=1)
        return await asyncio.gather(*(once(fleet, policy, versions[0], f"{n}", timeout_s=0.5) for n in range(4)))

    with caplog.at_level(logging.WARNING):
        records = run(fleet, work())
    adapted = load_policy(str(versions[0].folder), keep_adapter=True)
    for record in records:
        assert (logged(record) - full_forward(adapted, record, FRAMES)).abs().max() < 1e-4
    assert [server.address for server in fleet.up] == [two[1].address]
    assert fleet.asked_again == len(two[0].asked) > 0
    assert caplog.text.count("is not asked any more") == 1


def test_a_server_that_comes_back_empty_gets_its_weights_and_is_asked_again(policy, two, versions):
    fleet = fleet_of(policy, two)

    async def work() -> None:
        await fleet.publish(versions[0], keep=2)
        await fleet.publish(versions[1], keep=2)
        two[0].die()
        await asyncio.gather(*(once(fleet, policy, versions[1], f"{n}") for n in range(4)))
        await eventually(fleet, 1)
        await fleet.publish(versions[2], keep=2)
        two[0].revive()
        await eventually(fleet, 2)
        assert set(two[0].loaded) == {versions[1].name, versions[2].name}
        n_before = len(two[0].asked)
        await asyncio.gather(*(once(fleet, policy, versions[2], f"{n}") for n in range(4)))
        assert len(two[0].asked) > n_before

    run(fleet, work())


def test_a_server_that_was_started_anew_between_two_replies_gets_its_weights(policy, folder, versions):
    with TokenServer(folder) as server:
        fleet = fleet_of(policy, [server])

        async def work() -> TokenRecord:
            await fleet.publish(versions[0], keep=1)
            await once(fleet, policy, versions[0])
            server.die()
            server.revive()
            return await once(fleet, policy, versions[0])

        record = run(fleet, work())
    adapted = load_policy(str(versions[0].folder), keep_adapter=True)
    assert (logged(record) - full_forward(adapted, record, FRAMES)).abs().max() < 1e-4


def test_whole_weights_that_a_restart_lost_are_sent_again_before_a_reply_counts(policy, folder, tmp_path):
    weights = version(f"{OWNER}a-1", whole(folder, tmp_path / "whole"), adapter=False)
    with TokenServer(folder) as server:
        fleet = fleet_of(policy, [server])

        async def work() -> TokenRecord:
            await fleet.publish(weights, keep=1)
            server.die()
            server.revive()
            return await once(fleet, policy, weights)

        record = run(fleet, work())
    moved = load_policy(str(weights.folder))
    assert (logged(record) - full_forward(moved, record, FRAMES)).abs().max() < 1e-4
    assert fleet.asked_again > 0


def test_when_none_answers_the_run_ends_after_its_patience_with_every_reason(policy, two, versions):
    fleet = fleet_of(policy, two)

    async def work() -> None:
        await fleet.publish(versions[0], keep=1)
        for server in two:
            server.die()
        await once(fleet, policy, versions[0])

    with pytest.raises(EngineError, match=r"no server answered for 0.5 s .*no connection.*; .*no connection.* can go on"):
        run(fleet, work())


def test_servers_that_are_not_there_yet_are_waited_for(policy, folder, versions):
    with TokenServer(folder) as server:
        server.die()
        fleet = fleet_of(policy, [server], patience_s=10.0)

        async def work() -> None:
            sending = asyncio.create_task(fleet.publish(versions[0], keep=1))
            await asyncio.sleep(0.2)
            assert not sending.done()
            server.revive()
            await sending

        run(fleet, work())
        assert versions[0].name in server.loaded or "/v1/unload_lora_adapter" in server.control


def test_a_reply_that_every_server_fails_at_costs_its_episode_and_not_the_run(policy, two, versions):
    fleet = fleet_of(policy, two)
    for server in two:
        server.act = lambda number: error(500, "poisoned")

    async def work() -> None:
        await fleet.publish(versions[0], keep=1)
        with pytest.raises(PolicyError, match=f"in {MOST_TRIES} tries .*poisoned"):
            await once(fleet, policy, versions[0])
        await eventually(fleet, 2)

    run(fleet, work())
    assert sum(len(server.asked) for server in two) == MOST_TRIES


def test_an_episode_that_has_used_up_its_time_ends_without_blaming_a_server(policy, folder, versions):
    with TokenServer(folder) as server:
        server.act = lambda number: Hang(20)
        fleet = fleet_of(policy, [server])

        async def work() -> None:
            await fleet.publish(versions[0], keep=1)
            with pytest.raises(PolicyError, match="longer than episode_timeout_s"):
                await once(fleet, policy, versions[0], episode_timeout_s=0.3)

        run(fleet, work())
        assert fleet.servers[0].down == ""


# weights


def test_old_adapters_are_forgotten_and_never_more_than_one_too_many_loaded(policy, two, versions):
    fleet = fleet_of(policy, two)

    async def work() -> None:
        for weights in versions:
            await fleet.publish(weights, keep=2)
        assert [set(server.loaded) for server in two] == [{weights.name for weights in versions[2:]}] * 2

    run(fleet, work())
    assert [server.most_loaded for server in two] == [3, 3]
    assert [server.loaded for server in two] == [{}, {}], "a fleet that closes leaves nothing behind"


def test_adapters_of_an_attempt_that_died_are_forgotten_and_those_of_others_left_alone(policy, folder, versions):
    with TokenServer(folder) as server:
        dead = version(f"{OWNER}dead-7", versions[3].folder)
        foreign = version("somebody-else-7", versions[3].folder)
        fleet = fleet_of(policy, [server])

        async def work() -> None:
            for weights in (dead, foreign):
                await fleet.servers[0].install(weights)
            await fleet.publish(versions[0], keep=1)

        run(fleet, work())
        assert set(server.loaded) == {foreign.name}


def test_newer_adapters_that_another_process_of_the_run_sent_are_left_alone(policy, folder, versions):
    with TokenServer(folder) as server:
        ahead, behind = fleet_of(policy, [server]), fleet_of(policy, [server])

        async def work() -> None:
            await ahead.publish(versions[2], keep=1)
            await behind.publish(versions[1], keep=1)
            assert set(server.loaded) == {versions[1].name, versions[2].name}
            await behind.close()

        run(ahead, work())


def test_weights_that_come_while_a_server_is_brought_up_reach_it_too(policy, two, versions):
    fleet = fleet_of(policy, two, patience_s=5.0)

    async def work() -> None:
        await fleet.publish(versions[0], keep=2)
        two[0].die()
        await asyncio.gather(*(once(fleet, policy, versions[0], f"{n}") for n in range(2)))
        await eventually(fleet, 1)
        two[0].revive()
        await fleet.publish(versions[1], keep=2)
        await eventually(fleet, 2)
        assert versions[1].name in two[0].loaded

    run(fleet, work())


def test_one_of_several_servers_is_asked_itself(policy, two, versions):
    fleet = fleet_of(policy, two)

    async def work() -> None:
        await fleet.publish(versions[0], keep=1)
        for server in fleet.servers:
            await once(fleet.only(server), policy, versions[0])

    run(fleet, work())
    assert [len(server.asked) for server in two] == [1, 1]


def test_a_policy_says_how_many_steps_its_weights_were_trained(policy, two, versions):
    fleet = fleet_of(policy, two)
    speaking = speaker(policy, fleet, versions[3])
    assert speaking.name == f"{policy.name}@3"
    speaking.session(Sampling())
