"""An endpoint that fails in every way we know: asked again if that can help, otherwise one typed error that says what to do.

The server is real (sockets, resets, half bodies); only sleeping and chance are replaced, so that waits cost no time.
"""

import asyncio
import logging
import time
import traceback
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from deepsport.errors import BadConfig, ContextOverflow, PolicyError
from deepsport.policy.base import Message, Reply, Sampling
from deepsport.policy.openai import Backoff, OpenAIPolicy
from deepsport.policy.openai.failure import Failure, retry_after_s
from model_server import Act, Drip, Hang, ModelServer, Request, Reset, Say, Send, error

KEY = "sk-fault-4f9a8b7c6d5e"
OK = Say(text="<think>a</think><answer>b</answer>")
ASKED = [Message("user", ("Why was the card given?",))]


class Waits:
    """A sleep that takes no time and remembers how long it was asked to take."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def ask(server: ModelServer, waits: Waits | None = None, **settings: Any) -> Reply:
    """One question to one server; settings are those of OpenAIPolicy."""

    async def once() -> Reply:
        policy = OpenAIPolicy("m", server.url, KEY, sleep=waits or Waits(), chance=lambda: 0.5, **settings)
        try:
            return await policy.session(Sampling()).reply(ASKED)
        finally:
            await policy.aclose()

    return asyncio.run(once())


def failed(*acts: Act, **settings: Any) -> tuple[PolicyError, int]:
    """The error that these acts end in, and how many requests were made."""
    with ModelServer(acts) as server:
        with pytest.raises(PolicyError) as caught:
            ask(server, **settings)
        return caught.value, len(server.requests)


# What is asked again

TRANSIENT: dict[str, Act] = {
    **{f"status {status}": error(status, "try later") for status in (408, 409, 425, 429, 500, 502, 503, 504, 529)},
    "status 502 with a web page": Send(status=502, body=b"<html>Bad gateway</html>", content_type="text/html"),
    "status 503 without a body": Send(status=503),
    "not JSON": Send(body=b"upstream connect error or disconnect"),
    "not UTF-8": Send(body=b'{"choices": [{"message": {"content": "\xff\xfe'),
    "JSON cut in the middle": Send(body=OK.body()[:-40]),
    "connection closed before the end": Send(body=OK.body()[:-40], missing_bytes=40),
    "empty body": Send(body=b""),
    "JSON of another kind": Send(body=b"[1, 2, 3]"),
    "JSON nested 100,000 deep": Send(body=b"[" * 100_000),
    "wrong types inside": Send(body=b'{"choices": [{"message": {"content": 5}}]}'),
    "no choices": Send(body=b'{"choices": []}'),
    "choices null": Send(body=b'{"choices": null}'),
    "an error with status 200": Send(body=b'{"error": {"message": "upstream is busy", "code": 502}}'),
    "no content": Say(text=None),
    "reset": Reset(),
}


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT.keys())
def test_a_fault_that_may_pass_is_asked_again_and_the_next_reply_counts(fault: Act) -> None:
    waits = Waits()
    with ModelServer([fault, fault, OK]) as server:
        assert ask(server, waits).text == OK.text
        assert len(server.requests) == 3
    assert len(waits.seconds) == 2


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT.keys())
def test_a_fault_that_stays_ends_in_one_error_after_the_last_attempt(fault: Act) -> None:
    caught, n_requests = failed(*[fault] * 5, max_retries=2)
    assert n_requests == 3
    assert "(tried 3 times)" in str(caught)
    assert not isinstance(caught, ContextOverflow)


def test_a_reply_is_asked_for_with_the_same_request_every_time() -> None:
    with ModelServer([error(500, "x"), Reset(), OK]) as server:
        ask(server)
    first, *others = (request.body for request in server.requests)
    assert others == [first, first]


# What is not

PERMANENT: dict[str, tuple[Act, str]] = {
    "400": (error(400, "At most 4 image(s) may be provided in one prompt."), "At most 4 image"),
    "401": (error(401, "Incorrect API key provided"), "OPENAI_API_KEY"),
    "403": (error(403, "no access to this model"), "may use this model"),
    "404": (error(404, "The model `m` does not exist."), "/v1"),
    "404 of a web server": (Send(status=404, body=b"<h1>Not Found</h1>", content_type="text/html"), "/v1"),
    "413": (error(413, "Request too large"), "max_side_px"),
    "422": (Send(status=422, body=b'{"detail": [{"loc": ["body", "model"], "msg": "bad"}]}'), "bad"),
    "429 without credit": (error(429, "You exceeded your current quota", "insufficient_quota"), "credit"),
    "web page with status 200": (Send(body=b"\n<!doctype html><title>Log in</title>", content_type="text/html"), "web page"),
    "refusal": (Say(text=None, message={"refusal": "I cannot help with that."}), "I cannot help with that."),
    "content filter": (Say(text="", finish="content_filter"), "content filter"),
}


@pytest.mark.parametrize(("fault", "hint"), PERMANENT.values(), ids=PERMANENT.keys())
def test_a_fault_that_would_come_again_ends_at_once_and_says_what_to_do(fault: Act, hint: str) -> None:
    caught, n_requests = failed(fault, OK)
    assert n_requests == 1
    assert hint in str(caught)
    assert "m at http://127.0.0.1:" in str(caught)


OVERFLOWS = [
    error(400, "too long", "context_length_exceeded"),
    error(400, "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."),
    error(400, "You passed 1015 input tokens. However, the model's context length is only 1024 tokens."),
    error(400, "The decoder prompt (length 5000) is longer than the maximum model length of 4096."),
    error(400, "The prompt (total length 25938) is too long to fit into the model."),
    error(400, "prompt is too long: 208310 tokens > 200000 maximum"),
    error(400, "The input token count (1100000) exceeds the maximum number of tokens allowed (1048576)."),
    error(413, "the request exceeds the available context size", "exceed_context_size_error"),
    error(422, "input exceeds the context window"),
]


@pytest.mark.parametrize("fault", OVERFLOWS, ids=lambda fault: fault.body[23:60].decode())
def test_a_conversation_that_is_too_long_is_a_context_overflow_whatever_the_server_calls_it(fault: Send) -> None:
    caught, n_requests = failed(fault, OK)
    assert isinstance(caught, ContextOverflow)
    assert n_requests == 1


def test_a_server_fault_that_mentions_the_context_is_not_a_context_overflow() -> None:
    caught, _ = failed(error(500, "context length worker died"), max_retries=0)
    assert not isinstance(caught, ContextOverflow)


# Waiting


def test_waits_double_up_to_a_ceiling_and_chance_halves_them_at_most() -> None:
    backoff = Backoff(first_s=1, longest_s=10)
    fault = Failure("x", "y", transient=True)
    assert [backoff.wait_s(fault, attempt, 1.0) for attempt in (0, 1, 2, 3, 4, 5_000)] == [1, 2, 4, 8, 10, 10]
    assert [backoff.wait_s(fault, attempt, 0.0) for attempt in (0, 1, 2, 3, 4)] == [0.5, 1, 2, 4, 5]


@pytest.mark.parametrize(
    ("asked_for", "waited_s"),
    [("7", 7.0), ("0", 0.0), ("1.5", 1.5), ("86400", 120.0), ("soon", 0.75), ("-5", 0.75), ("nan", 0.75)],
)
def test_a_rate_limit_is_waited_out_as_long_as_the_server_asks_up_to_two_minutes(asked_for: str, waited_s: float) -> None:
    waits = Waits()
    with ModelServer([error(429, "slow down", retry_after=asked_for), OK]) as server:
        ask(server, waits, backoff=Backoff(first_s=1.0))
    jitter_s = 0.0 if waited_s == 0.75 else 0.5
    assert waits.seconds == [waited_s + jitter_s]


def test_retry_after_may_be_a_date() -> None:
    now_s = 1_700_000_000.0
    assert retry_after_s({"retry-after": formatdate(now_s + 30, usegmt=True)}, now_s) == 30.0
    assert retry_after_s({"retry-after": formatdate(now_s - 30, usegmt=True)}, now_s) == 0.0
    assert retry_after_s({}, now_s) is None


def test_no_attempt_is_made_once_the_budget_for_waiting_is_spent() -> None:
    waits = Waits()
    with ModelServer([error(429, "slow down", retry_after="40")] * 9) as server:
        with pytest.raises(PolicyError):
            ask(server, waits, max_retries=8, backoff=Backoff(budget_s=100))
        assert len(server.requests) == 3
    assert sum(waits.seconds) <= 100


def test_a_conversation_that_waits_holds_no_place_of_another() -> None:
    async def two() -> list[str]:
        second_was_answered = asyncio.Event()

        async def sleep(seconds: float) -> None:
            await asyncio.wait_for(second_was_answered.wait(), 5)

        policy = OpenAIPolicy("m", server.url, KEY, max_concurrent=1, sleep=sleep)

        async def second() -> Reply:
            reply = await policy.session(Sampling()).reply([Message("user", ("second",))])
            second_was_answered.set()
            return reply

        replies = await asyncio.gather(policy.session(Sampling()).reply(ASKED), second())
        return [reply.text for reply in replies]

    first_fails = iter([error(500, "x"), Say(text="after the wait")])
    with ModelServer(lambda r: Say(text="s") if r.body["messages"][0]["content"] == "second" else next(first_fails)) as server:
        assert asyncio.run(two()) == ["after the wait", "s"]


# Silence, resets and no server


@pytest.mark.parametrize("silence", [Hang(), Drip()], ids=["nothing at all", "a byte now and then"])
def test_a_server_that_never_finishes_is_given_up_after_the_timeout(silence: Act) -> None:
    started_s = time.monotonic()
    caught, n_requests = failed(silence, silence, OK, timeout_s=0.3, max_retries=1)
    assert "no reply within 0.3 s (tried 2 times)" in str(caught)
    assert n_requests == 2
    assert time.monotonic() - started_s < 3


def test_a_timeout_is_asked_again() -> None:
    with ModelServer([Hang(), OK]) as server:
        assert ask(server, timeout_s=0.5).text == OK.text


def test_a_server_that_does_not_run_is_named_with_what_to_check() -> None:
    with ModelServer([]) as server:
        url = server.url
    waits = Waits()
    policy = OpenAIPolicy("m", url, KEY, max_retries=3, sleep=waits)
    with pytest.raises(PolicyError, match=r"no connection \(ConnectError.*Check that the server runs") as caught:
        asyncio.run(policy.session(Sampling()).reply(ASKED))
    assert url in str(caught.value)
    assert len(waits.seconds) == 3


def test_after_an_error_the_same_messages_can_be_sent_again() -> None:
    async def conversation() -> str:
        session = OpenAIPolicy("m", server.url, KEY, max_retries=0).session(Sampling())
        with pytest.raises(PolicyError):
            await session.reply(ASKED)
        return (await session.reply(ASKED)).text

    with ModelServer([error(500, "x"), OK]) as server:
        assert asyncio.run(conversation()) == OK.text
        assert server.requests[0].body == server.requests[1].body


def test_of_sixty_four_conversations_one_fails_and_sixty_three_are_answered() -> None:
    def script(request: Request) -> Act:
        return error(403, "not you") if request.body["messages"][0]["content"] == "17" else OK

    async def all_at_once() -> list[Reply | BaseException]:
        policy = OpenAIPolicy("m", server.url, KEY)
        asks = (policy.session(Sampling()).reply([Message("user", (str(n),))]) for n in range(64))
        return await asyncio.gather(*asks, return_exceptions=True)

    with ModelServer(script) as server:
        outcomes = asyncio.run(all_at_once())
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, PolicyError)] == [17]
    assert sum(isinstance(outcome, Reply) for outcome in outcomes) == 63


# Being stopped


def test_cancelling_passes_through_while_waiting_for_the_server() -> None:
    async def cancelled_early() -> None:
        task = asyncio.create_task(OpenAIPolicy("m", server.url, KEY).session(Sampling()).reply(ASKED))
        while not server.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with ModelServer([Hang()]) as server:
        asyncio.run(cancelled_early())
        assert len(server.requests) == 1


@pytest.mark.parametrize("stop", [KeyboardInterrupt, asyncio.CancelledError])
def test_an_interrupt_passes_through_while_waiting_to_ask_again(stop: type[BaseException]) -> None:
    async def interrupted(seconds: float) -> None:
        raise stop

    with ModelServer([error(500, "x"), OK]) as server, pytest.raises(stop):
        asyncio.run(OpenAIPolicy("m", server.url, KEY, sleep=interrupted).session(Sampling()).reply(ASKED))


# The key


def echo_key(request: Request) -> Act:
    return error(401, f"Incorrect API key provided: {request.headers['authorization']}")


def test_a_message_that_is_cut_short_within_the_key_shows_no_part_of_it() -> None:
    for n_before in range(290 - len(KEY), 300):
        fault, _ = failed(error(401, f"{'x' * n_before} {KEY}"), max_retries=0)
        assert KEY[:4] not in str(fault)


def test_a_key_that_is_said_again_in_a_reply_is_not_handed_on() -> None:
    with ModelServer([Say(text=f"Your key is {KEY}")]) as server:
        assert ask(server).text == "Your key is [key]"


@pytest.mark.parametrize(
    "script",
    [
        echo_key,
        *(lambda _, act=act: act for act in TRANSIENT.values()),
        *(lambda _, act=act: act for act, _ in PERMANENT.values()),
    ],
)
def test_the_key_is_in_no_error_and_no_log_line(script: Callable[[Request], Act], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), ModelServer(script) as server:
        with pytest.raises(PolicyError) as caught:
            ask(server, max_retries=1)
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    chain = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert KEY not in chain
    assert KEY not in caplog.text
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_the_key_is_not_in_what_a_policy_prints_as() -> None:
    assert KEY not in repr(OpenAIPolicy("m", "http://localhost:1/v1", KEY))


@pytest.mark.parametrize("key", ["sk-very\nsecret", "sk-very\x00secret", "sk-verysecret”"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_quoted(key: str) -> None:
    with pytest.raises(BadConfig) as caught:
        OpenAIPolicy("m", "http://localhost:1/v1", key)
    assert "very" not in str(caught.value)


def test_the_user_and_password_of_an_address_are_not_quoted() -> None:
    with ModelServer([error(403, "no")]) as server:
        url = server.url.replace("127.0.0.1", "coach:whistle@127.0.0.1") + "?token=abc"
        with pytest.raises(PolicyError) as caught:
            asyncio.run(OpenAIPolicy("m", url, KEY).session(Sampling()).reply(ASKED))
    assert "whistle" not in str(caught.value)
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_redirect_is_reported_and_neither_key_nor_frames_follow_it(status: int) -> None:
    with (
        ModelServer([OK]) as other,
        ModelServer([Send(status=status, headers={"location": other.url + "/chat/completions"})]) as server,
    ):
        with pytest.raises(PolicyError, match="redirect"):
            ask(server)
        assert other.requests == []


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8000/v1", "ftp://localhost/v1", "http://", "http://[::1/v1", "http://host:99999/v1", "http://a b/v1", "/v1"],
)
def test_an_address_that_is_none_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(BadConfig, match="http://localhost:8000/v1"):
        OpenAIPolicy("m", url, KEY)


@pytest.mark.parametrize("text", ["\x1b[31mred\x07", "x" * 10_000, "two\nlines\r\nof text", "‮reversed"])
def test_what_a_server_says_is_quoted_on_one_short_printable_line(text: str) -> None:
    caught, _ = failed(error(400, text))
    assert str(caught).isprintable()
    assert len(str(caught)) < 700


def test_listing_the_models_of_a_server_that_does_not_run_is_one_policy_error() -> None:
    with ModelServer([]) as server:
        url = server.url
    with pytest.raises(PolicyError, match="no connection"):
        asyncio.run(OpenAIPolicy("m", url, KEY).served_models())
