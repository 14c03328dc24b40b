"""What a run may ask of an endpoint: replies kept on disk, money, pace, and being told to stop."""

import asyncio
import random
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from deepsport.errors import BadConfig, RunError, Stopped
from deepsport.policy.base import Message, Sampling
from deepsport.policy.openai import Backoff, EndpointConfig, OpenAIPolicy, open_endpoint
from deepsport.policy.openai.allowance import Allowance, Price
from deepsport.policy.openai.pace import Pace
from deepsport.policy.openai.reply_cache import Keeper, ReplyCache, Row
from model_server import Act, Hang, ModelServer, Request, Say, error

ANSWER = "<think>seen</think><answer>red card</answer>"


def ask(policy: OpenAIPolicy, *texts: str, seed: int = 0) -> list[str]:
    """One conversation each, at once."""

    async def one(text: str) -> str:
        return (await policy.session(Sampling(seed=seed)).reply([Message("user", (text,))])).text

    async def together() -> list[str]:
        try:
            return await asyncio.gather(*(one(text) for text in texts))
        finally:
            await policy.aclose()

    return asyncio.run(together())


# Replies on disk


def echo(request: Request) -> Act:
    return Say(text=f"<think></think><answer>{request.body['messages'][-1]['content']}</answer>")


def test_a_request_that_was_answered_before_is_not_sent_again(tmp_path: Path) -> None:
    with ModelServer(echo) as server:
        with ReplyCache(tmp_path / "replies.sqlite") as cache:
            first = ask(OpenAIPolicy("m", server.url, cache=cache), "a", "b")
        with ReplyCache(tmp_path / "replies.sqlite") as cache:  # another attempt
            assert ask(OpenAIPolicy("m", server.url, cache=cache), "a", "b", "c")[:2] == first
        assert len(server.requests) == 3


@pytest.mark.parametrize("change", [{"model": "n"}, {"seed": 1}, {"text": "b"}, {"extra_body": {"top_p": 0.5}}])
def test_whatever_changes_a_request_is_asked_anew(tmp_path: Path, change: dict[str, Any]) -> None:
    with ModelServer(echo) as server, ReplyCache(tmp_path / "replies.sqlite") as cache:
        ask(OpenAIPolicy("m", server.url, cache=cache), "a")
        again = OpenAIPolicy(change.get("model", "m"), server.url, cache=cache, extra_body=change.get("extra_body", {}))
        ask(again, change.get("text", "a"), seed=change.get("seed", 0))
        assert len(server.requests) == 2


def test_failures_are_not_kept(tmp_path: Path) -> None:
    with ModelServer([error(400, "no images"), Say(text=ANSWER)]) as server, ReplyCache(tmp_path / "replies.sqlite") as cache:
        policy = OpenAIPolicy("m", server.url, cache=cache)
        with pytest.raises(RuntimeError, match="no images"):
            ask(policy, "a")
        assert cache.keys() == set()
        assert ask(policy, "a") == [ANSWER]


def test_a_file_that_is_no_cache_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "replies.sqlite"
    path.write_text("these are no replies, but a long enough text to look at" * 40)
    with pytest.raises(RunError, match=r"replies\.sqlite cannot be used as a cache of replies"):
        ReplyCache(path)


def test_a_cache_that_breaks_while_it_is_used_is_an_error_of_the_run(tmp_path: Path) -> None:
    with ReplyCache(tmp_path / "replies.sqlite") as cache:
        sqlite3.connect(tmp_path / "replies.sqlite").execute("DROP TABLE replies")
        with pytest.raises(RunError, match="no such table"):
            cache.get("a")


def test_the_cache_holds_no_key_of_the_account(tmp_path: Path) -> None:
    with ModelServer([Say(text=ANSWER)]) as server, ReplyCache(tmp_path / "replies.sqlite") as cache:
        ask(OpenAIPolicy("m", server.url, "sk-very-secret-key", cache=cache), "a")
    assert all(b"sk-very-secret" not in file.read_bytes() for file in tmp_path.iterdir())


def test_replies_that_come_together_are_all_there_when_each_put_returns(tmp_path: Path) -> None:
    async def scene(cache: ReplyCache) -> None:
        keeper = Keeper(cache)

        async def put(name: str) -> None:
            await keeper.put((name, f"body {name}", 1.0))
            assert cache.get(name) == f"body {name}"

        await asyncio.gather(*(put(str(n)) for n in range(40)))

    with ReplyCache(tmp_path / "replies.sqlite") as cache:
        asyncio.run(scene(cache))
        assert cache.keys() == {str(n) for n in range(40)}
        assert cache.spent_usd() == 40


def test_replies_that_come_while_one_is_written_share_the_next_write(tmp_path: Path) -> None:
    async def scene(cache: ReplyCache) -> None:
        keeper = Keeper(cache)
        await asyncio.gather(*(keeper.put((str(n), "body", 0.0)) for n in range(40)))

    statements: list[str] = []
    with ReplyCache(tmp_path / "replies.sqlite") as cache:
        cache._sql.set_trace_callback(statements.append)
        asyncio.run(scene(cache))
    assert statements.count("COMMIT") == 1


def test_a_keeper_that_is_closed_has_written_what_nobody_waits_for_any_more(tmp_path: Path) -> None:
    async def scene(cache: ReplyCache) -> None:
        keeper, put = Keeper(cache), cache.put

        def slow(rows: Sequence[Row]) -> None:
            time.sleep(0.05)
            put(rows)

        cache.put = slow  # pyright: ignore[reportAttributeAccessIssue]
        impatient: list[asyncio.Task[None]] = []
        for name in "ab":  # the second one comes while the first one is written
            impatient.append(asyncio.create_task(keeper.put((name, "body", 1.0))))
            await asyncio.sleep(0.02)
        for task in impatient:
            task.cancel()
        await asyncio.gather(*impatient, return_exceptions=True)
        await keeper.close()
        cache.close()

    asyncio.run(scene(ReplyCache(tmp_path / "replies.sqlite")))
    with ReplyCache(tmp_path / "replies.sqlite") as cache:
        assert cache.keys() == {"a", "b"}


def test_a_reply_is_kept_though_nobody_waits_for_it_any_more(tmp_path: Path) -> None:
    async def scene(cache: ReplyCache) -> None:
        keeper = Keeper(cache)
        impatient = asyncio.create_task(keeper.put(("a", "body", 0.0)))
        await asyncio.sleep(0)
        impatient.cancel()
        await keeper.put(("b", "body", 0.0))
        assert impatient.cancelled()

    with ReplyCache(tmp_path / "replies.sqlite") as cache:
        asyncio.run(scene(cache))
        assert cache.keys() == {"a", "b"}


def test_a_reply_that_cannot_be_kept_is_an_error_for_all_who_wait_and_the_next_is_tried_anew(tmp_path: Path) -> None:
    async def scene(cache: ReplyCache) -> None:
        keeper = Keeper(cache)
        rival = sqlite3.connect(tmp_path / "replies.sqlite", isolation_level=None)
        rival.execute(
            "CREATE TRIGGER full BEFORE INSERT ON replies WHEN NEW.key = 'b' BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
        outcomes = await asyncio.gather(*(keeper.put((name, "body", 0.0)) for name in "abc"), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [RunError] * 3
        assert cache.keys() == set()
        rival.execute("DROP TRIGGER full")
        await keeper.put(("d", "body", 0.0))

    with ReplyCache(tmp_path / "replies.sqlite") as cache:
        asyncio.run(scene(cache))
        assert cache.keys() == {"d"}


# Money

TEN_DOLLARS = Price(prompt_usd=50_000.0, reply_usd=714_285.0)
"""100 prompt tokens and 7 reply tokens, as the test server counts, cost about 10 dollars."""


def test_a_run_spends_no_more_than_it_may() -> None:
    with ModelServer(echo) as server:
        allowance = Allowance(max_usd=800.0)  # a request may cost up to 735: one fits at a time
        policy = OpenAIPolicy("m", server.url, price=TEN_DOLLARS, allowance=allowance)
        with pytest.raises(Stopped, match=r"of at most \$800\.0000 are spent.*higher --max-cost"):
            ask(policy, *"abcdefghijkl")
        assert 60 < allowance.spent_usd <= 800
        assert server.peak_in_flight == 1
        assert len(server.requests) == round(allowance.spent_usd / 10)


def test_what_was_spent_before_counts(tmp_path: Path) -> None:
    with ModelServer(echo) as server, ReplyCache(tmp_path / "replies.sqlite") as cache:
        ask(OpenAIPolicy("m", server.url, price=TEN_DOLLARS, cache=cache), "a", "b")
        assert cache.spent_usd() == pytest.approx(20, rel=1e-3)
        spent = Allowance(max_usd=750.0, spent_usd=cache.spent_usd())
        with pytest.raises(Stopped, match=r"\$20\.0000 of at most \$750\.0000"):
            ask(OpenAIPolicy("m", server.url, price=TEN_DOLLARS, cache=cache, allowance=spent), "c")


def test_a_reply_without_a_count_of_tokens_costs_the_most_it_can() -> None:
    with ModelServer([Say(text=ANSWER, usage=None)]) as server:
        allowance = Allowance()
        ask(OpenAIPolicy("m", server.url, price=Price(reply_usd=1e6), allowance=allowance), "a")
        assert allowance.spent_usd == 1024


@pytest.mark.parametrize(
    "billed",
    [
        Say(text=None, message={"refusal": "I cannot help with that"}),
        Say(text=None, finish="content_filter"),
        Say(text=None),  # a reasoning model that spent its tokens on thinking
    ],
)
def test_a_reply_that_says_nothing_is_paid_for_each_time(billed: Act, tmp_path: Path) -> None:
    with ModelServer(lambda _: billed) as server, ReplyCache(tmp_path / "replies.sqlite") as cache:
        allowance = Allowance()
        policy = OpenAIPolicy(
            "m", server.url, price=TEN_DOLLARS, cache=cache, allowance=allowance, backoff=Backoff(first_s=0), max_retries=2
        )
        with pytest.raises(RuntimeError):
            ask(policy, "a")
        assert allowance.spent_usd == pytest.approx(10 * len(server.requests), rel=1e-3)
        assert cache.spent_usd() == allowance.spent_usd


def test_a_model_that_counts_more_than_was_thought_possible_is_held_to_the_limit_all_the_same() -> None:
    dear = Say(text=ANSWER, usage={"prompt_tokens": 25_000, "completion_tokens": 7})  # 25 dollars; thought to cost one at most
    with ModelServer(lambda _: dear) as server:
        allowance = Allowance(max_usd=100.0)
        with pytest.raises(Stopped):
            ask(OpenAIPolicy("m", server.url, price=Price(prompt_usd=1000.0), allowance=allowance), *"abcdefghijklmnop")
        assert 50 <= allowance.spent_usd <= 100


@pytest.mark.parametrize("field", ["max_tokens", "n", "messages", "temperature"])
def test_extra_fields_that_would_change_what_is_counted_are_refused(field: str) -> None:
    with pytest.raises(BadConfig, match=field):
        OpenAIPolicy("m", "http://localhost:1/v1", extra_body={field: 1})


def test_sums_of_many_prices_leave_nobody_waiting_for_what_nobody_holds() -> None:
    async def scene() -> None:
        chance = random.Random(1)
        allowance = Allowance(max_usd=1e9)

        async def spend() -> None:
            for _ in range(400):
                async with allowance.request(chance.uniform(0.3, 2.0)) as charge:
                    await asyncio.sleep(0)
                    charge.usd = chance.uniform(0, 0.3)

        await asyncio.gather(*(spend() for _ in range(64)))
        assert allowance.left_usd == 1e9 - allowance.spent_usd
        allowance.max_usd = allowance.spent_usd + 0.1
        with pytest.raises(Stopped):
            await asyncio.wait_for(_enter(allowance, 0.2), 1)

    asyncio.run(scene())


def test_a_request_that_fails_costs_nothing() -> None:
    with ModelServer([error(400, "no")]) as server:
        allowance = Allowance(max_usd=800)
        with pytest.raises(RuntimeError):
            ask(OpenAIPolicy("m", server.url, price=TEN_DOLLARS, allowance=allowance), "a")
        assert allowance.spent_usd == 0


# Being told to stop


def test_a_stop_lets_what_is_in_flight_end_and_sends_nothing_more() -> None:
    allowance = Allowance()

    def stop_and_answer(_: Request) -> Act:
        allowance.stop("interrupted")
        return Say(text=ANSWER)

    with ModelServer(stop_and_answer) as server:
        policy = OpenAIPolicy("m", server.url, allowance=allowance)
        assert ask(policy, "a") == [ANSWER]
        with pytest.raises(Stopped, match="interrupted"):
            ask(policy, "b")
        assert len(server.requests) == 1


def test_a_stop_ends_the_asking_again() -> None:
    allowance = Allowance()

    async def stopped_while_waiting(_: float) -> None:
        allowance.stop("interrupted")

    with ModelServer([error(503, "busy"), Say(text=ANSWER)]) as server:
        with pytest.raises(Stopped):
            ask(OpenAIPolicy("m", server.url, allowance=allowance, sleep=stopped_while_waiting), "a")
        assert len(server.requests) == 1


@pytest.mark.parametrize("busy", [error(503, "busy"), error(429, "slow down", retry_after="60")])
def test_a_stop_wakes_who_waits_to_ask_again(busy: Act) -> None:
    allowance = Allowance()
    with ModelServer(lambda _: busy) as server:
        threading.Timer(0.3, lambda: allowance.stop("interrupted")).start()
        started = time.monotonic()
        with pytest.raises(Stopped):
            ask(OpenAIPolicy("m", server.url, allowance=allowance, backoff=Backoff(first_s=30)), "a", "b")
        assert time.monotonic() - started < 5


def test_a_stop_wakes_who_waits_for_the_pace() -> None:
    allowance = Allowance()
    with ModelServer(echo) as server:
        threading.Timer(0.3, lambda: allowance.stop("interrupted")).start()
        with pytest.raises(Stopped):
            ask(OpenAIPolicy("m", server.url, allowance=allowance, pace=Pace(1)), "a", "b", "c")


def test_who_waits_for_money_is_told_to_stop() -> None:
    async def scene() -> None:
        allowance = Allowance(max_usd=1.0)
        async with allowance.request(0.8):
            waiting = asyncio.create_task(_enter(allowance, 0.5))
            await asyncio.sleep(0.01)
            assert not waiting.done()
            allowance.stop("interrupted")
        with pytest.raises(Stopped):
            await waiting

    asyncio.run(scene())


def test_money_that_was_reserved_and_not_spent_goes_to_who_waits() -> None:
    async def scene() -> None:
        allowance = Allowance(max_usd=1.0)
        async with allowance.request(0.8) as charge:
            waiting = asyncio.create_task(_enter(allowance, 0.5))
            await asyncio.sleep(0.01)
            assert not waiting.done()
            charge.usd = 0.1
        await asyncio.wait_for(waiting, 1)
        assert allowance.spent_usd == pytest.approx(0.1)

    asyncio.run(scene())


async def _enter(allowance: Allowance, usd: float) -> None:
    async with allowance.request(usd):
        pass


def test_a_cancelled_request_gives_its_money_back() -> None:
    async def scene() -> None:
        allowance = Allowance(max_usd=1.0)
        with ModelServer([Hang()]) as server:
            policy = OpenAIPolicy("m", server.url, price=Price(reply_usd=900.0), allowance=allowance)
            asking = asyncio.create_task(policy.session(Sampling()).reply([Message("user", ("a",))]))
            while not server.requests:
                await asyncio.sleep(0.01)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await policy.aclose()
        await asyncio.wait_for(_enter(allowance, 1.0), 1)

    asyncio.run(scene())


# Pace


class Time:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def now(self) -> float:
        return self.now_s


def elapsed_s(n: int, *, n_tokens: int = 5, unused: int = 0, idle_s: float = 0.0, **limits: float) -> float:
    """How long so many requests take, one after the other, each as soon as it may."""
    clock = Time()
    pace = Pace(**limits, now_s=clock.now)
    for number in range(n):
        clock.now_s += pace.wait_s(n_tokens) + (idle_s if number == 0 else 0.0)
        pace.correct(-unused)
    return clock.now_s


def test_requests_are_spread_over_the_minute() -> None:
    assert elapsed_s(121, requests_per_minute=120) == pytest.approx(60, abs=1.5)
    assert elapsed_s(121, tokens_per_minute=600) == pytest.approx(60, abs=1.5)
    assert elapsed_s(121) == 0


def test_tokens_that_were_not_used_are_given_back() -> None:
    assert elapsed_s(61, n_tokens=100, unused=90, tokens_per_minute=600) == pytest.approx(60, abs=1.5)


def test_an_idle_minute_is_not_saved_up() -> None:
    assert elapsed_s(61, requests_per_minute=60, idle_s=600) == pytest.approx(600 + 59, abs=1.5)


def test_asking_again_keeps_to_the_pace_too() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    with ModelServer([*[error(503, "busy")] * 3, Say(text=ANSWER)]) as server:
        ask(OpenAIPolicy("m", server.url, pace=Pace(6), sleep=sleep, backoff=Backoff(first_s=0)), "a")
    assert sorted(waits)[-3:] == pytest.approx([9, 19, 29], abs=0.5)


# Recipes


def test_an_endpoint_is_opened_as_its_recipe_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHERS_KEY", "sk-the-teachers-own")
    with ModelServer([Say(text=ANSWER)]) as server:
        config = EndpointConfig(model="m", base_url=server.url, api_key_env="TEACHERS_KEY", extra_body={"top_k": 5})
        ask(open_endpoint(config), "a")
        assert server.requests[0].headers["authorization"] == "Bearer sk-the-teachers-own"
        assert server.requests[0].body["top_k"] == 5
        assert "sk-the" not in config.model_dump_json()


def test_a_key_that_is_not_set_is_named() -> None:
    with pytest.raises(BadConfig, match="NO_SUCH_KEY, which is not set"):
        open_endpoint(EndpointConfig(model="m", base_url="http://localhost:1/v1", api_key_env="NO_SUCH_KEY"))
