"""The scripted policy: lines in order, functions of the conversation, independent conversations."""

import asyncio

import pytest

from deepsport.errors import PolicyError
from deepsport.policy.base import Message, Policy, Sampling
from deepsport.policy.scripted import Scripted


def user(text: str) -> Message:
    return Message("user", (text,))


def test_lines_are_said_in_order_and_every_conversation_starts_at_the_first() -> None:
    async def two_conversations() -> list[str]:
        policy: Policy = Scripted(["one", "two"])
        first, second = policy.session(Sampling()), policy.session(Sampling())
        sessions = (first, second, first, second)
        return [(await session.reply([user("?")])).text for session in sessions]

    assert asyncio.run(two_conversations()) == ["one", "one", "two", "two"]


def test_a_function_is_given_every_message_of_its_conversation_so_far() -> None:
    async def talk() -> list[str]:
        session = Scripted(lambda seen: ",".join(str(message.parts[0]) for message in seen)).session(Sampling())
        return [(await session.reply(new)).text for new in ([user("a"), user("b")], [user("c")])]

    assert asyncio.run(talk()) == ["a,b", "a,b,c"]


def test_a_function_that_changes_the_list_it_is_given_does_not_change_the_conversation() -> None:
    def forgetful(seen: list[Message]) -> str:
        n_seen = len(seen)
        seen.clear()
        return str(n_seen)

    async def talk() -> list[str]:
        session = Scripted(forgetful).session(Sampling())
        return [(await session.reply([user("a")])).text for _ in range(3)]

    assert asyncio.run(talk()) == ["1", "2", "3"]


def test_a_script_that_has_run_out_is_a_policy_error_that_says_how_long_it_was() -> None:
    async def talk() -> None:
        session = Scripted(["only"]).session(Sampling())
        await session.reply([user("a")])
        with pytest.raises(PolicyError, match="ends after 1 replies"):
            await session.reply([user("b")])

    asyncio.run(talk())


def test_an_error_of_the_script_reaches_the_caller_as_it_is() -> None:
    def failing(seen: list[Message]) -> str:
        raise PolicyError("the endpoint is down")

    with pytest.raises(PolicyError, match="endpoint is down"):
        asyncio.run(Scripted(failing).session(Sampling()).reply([user("a")]))


def test_it_has_a_name_and_no_tokens() -> None:
    policy = Scripted(["x"], name="oracle")
    assert policy.name == "oracle"
    assert policy.session(Sampling()).tokens() is None
