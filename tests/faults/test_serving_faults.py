"""Group A: what a server must survive. Real sockets, and where it is about signals a real process."""

import asyncio
import http.client
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import PIL.Image
import pytest

from chat_server import (
    Endless,
    Failing,
    Reader,
    Running,
    about_clip,
    asking,
    chat_head,
    clip,
    connect,
    data_uri,
    eventually,
    film,
    hold,
    image_part,
    picture,
    running,
    video_part,
)
from deepsport.actor import Actor
from deepsport.agent.prompt import PromptStyle
from deepsport.errors import BadConfig, ContextOverflow, PolicyError, RunError
from deepsport.serve import head_limit
from deepsport.serve.chat.serving import chat_server, serve_chat
from deepsport.serve.chat.settings import ServeConfig
from deepsport.serve.media.settings import MediaPolicy
from deepsport.serve.media.store import MediaStore

KEY = "a-key-that-is-long-enough"
GOOD = {"model": "reader", "messages": about_clip(4)}


@pytest.fixture(scope="module")
def server() -> Generator[Running]:
    with running(Reader(), max_body_bytes=2**20) as started:
        yield started


@pytest.fixture(scope="module")
def locked() -> Generator[Running]:
    os.environ["TEST_SERVING_KEY"] = KEY
    with running(Reader(), key_env="TEST_SERVING_KEY") as started:
        yield started
    del os.environ["TEST_SERVING_KEY"]


def require_refused(response: httpx2.Response, status: int, code: str | None, param: str | None = None) -> str:
    """The error object of the API, and the id of the request; returns the message."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["code"], error["param"]) == (code, param)
    assert response.headers["x-request-id"].startswith("req-")
    return error["message"]


def events(response: httpx2.Response) -> list[str]:
    """The data of a stream."""
    return [line.removeprefix("data: ") for line in response.text.split("\n\n") if line.startswith("data: ")]


# --- who may ask


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_without_a_key_only_this_machine_may_reach_the_server(host):
    with pytest.raises(BadConfig, match="no key is set"):
        chat_server(ServeConfig(host=host, port=0), Actor(Reader(), PromptStyle.FULL), MediaStore(MediaPolicy()), on_ready=print)


def test_an_address_in_use_is_a_bad_configuration(server):
    port = int(server.root.rsplit(":", 1)[1])
    with pytest.raises(BadConfig, match="cannot be listened at"):
        chat_server(ServeConfig(port=port), Actor(Reader(), PromptStyle.FULL), MediaStore(MediaPolicy()), on_ready=print)


def test_a_place_that_takes_no_media_ends_the_start_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(RunError, match=f"{tmp_path}/nowhere: there is no such file"):
        serve_chat(ServeConfig(port=0), Actor(Reader(), PromptStyle.FULL), on_ready=print)


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Bearer {KEY}x"},
        {"authorization": f"Basic {KEY}"},
        {"api-key": KEY},
    ],
    ids=["none", "wrong", "longer", "other scheme", "other header"],
)
@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/v1/chat/completions"])
def test_a_missing_or_wrong_key_is_401_everywhere_but_at_health(path, sent, locked):
    require_refused(locked.get(path, **sent), 401, "no_key")
    assert locked.get("/health").status_code == locked.get("/ready").status_code == 200


def test_the_right_key_opens_and_stands_in_no_metric_no_answer_and_no_log(locked, caplog):
    caplog.set_level(logging.DEBUG)
    right = {"authorization": f"Bearer {KEY}"}
    answer = locked.post(GOOD, **right)
    refused = locked.post({**GOOD, "model": KEY[:5]}, **right)
    assert answer.status_code == 200
    texts = [answer.text, refused.text, locked.get("/metrics", **right).text, locked.get("/v1/models").text, caplog.text]
    assert [text for text in texts if KEY in text] == []


def test_a_page_that_rebinds_its_name_to_this_machine_is_turned_away(server):
    require_refused(server.post(GOOD, host="evil.example:80"), 421, "unknown_host")


# --- what is asked


DEEP = b'{"model":"reader","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
UNREADABLE = {
    "empty": b"",
    "no json": b"hello",
    "torn json": b'{"model": "reader", "messages": [',
    "a list": b"[]",
    "null": b"null",
    "nested deeply": DEEP,
    "not utf-8": b'{"model": "\xff\xfe"}',
    "half a surrogate": b'{"model": "\\ud800", "messages": []}',
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_body_that_is_no_request_is_a_400(body, server):
    response = server.post(body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


VIDEO = video_part(data_uri(b"x"))
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no model": ({"model": None}, "model"),
    "no messages": ({"messages": None}, "messages"),
    "empty messages": ({"messages": []}, "messages"),
    "a message without a role": ({"messages": [{"content": "hi"}]}, "messages[0].role"),
    "an unknown role": ({"messages": [{"role": "boss", "content": "hi"}]}, "messages[0].role"),
    "content that is a number": ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
    "a part of an unknown type": (
        {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
        "messages[0].content[0]",
    ),
    "a part without its address": (
        {"messages": [{"role": "user", "content": [{"type": "video_url"}]}]},
        "messages[0].content[0].video_url",
    ),
    "fps in a part": (
        {"messages": [{"role": "user", "content": [{"type": "video_url", "video_url": {"url": "data:", "fps": 1000}}]}]},
        "messages[0].content[0].video_url.fps",
    ),
    "a temperature of text": ({"temperature": "hot"}, "temperature"),
    "a temperature of 3": ({"temperature": 3}, "temperature"),
    "no tokens": ({"max_tokens": 0}, "max_tokens"),
    "a seed beyond 64 bits": ({"seed": 2**64}, "seed"),
    "a true n": ({"n": True}, "n"),
    "n of 0": ({"n": 0}, "n"),
    "n above the ceiling": ({"n": 5}, "n"),
    "n far above it": ({"n": 10**9}, "n"),
    "the last message is not the user's": (
        {"messages": [*asking(VIDEO), {"role": "assistant", "content": "so"}]},
        "messages",
    ),
    "no question": ({"messages": [{"role": "user", "content": [VIDEO]}]}, "messages"),
    "an unknown field of the extension": ({"deepsport": {"fram": 1}}, "deepsport.fram"),
    "negative frames": ({"deepsport": {"first_frames": -1}}, "deepsport.first_frames"),
    "one option": ({"deepsport": {"options": ["a"]}}, "deepsport.options"),
    "an option twice": ({"deepsport": {"options": ["a", "a"]}}, "deepsport.options"),
}


@pytest.mark.parametrize(("change", "param"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_value_is_a_400_that_names_its_place(change, param, server):
    body = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    response = server.post(body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("tool_choice", "required"),
        ("functions", [{"name": "f"}]),
        ("response_format", {"type": "json_object"}),
        ("logprobs", True),
        ("stop", ["\n"]),
        ("top_p", 0.5),
        ("logit_bias", {"1": 2}),
        ("presence_penalty", 1.5),
        ("audio", {"voice": "x"}),
        ("modalities", ["audio"]),
        ("fps", 1000),
        ("max_frames", 10**9),
        ("mm_processor_kwargs", {"fps": 1000, "max_frames": 10**9}),
    ],
)
def test_what_would_change_the_answer_and_is_not_done_is_refused_by_name(name, value, server):
    message = require_refused(server.post({**GOOD, name: value}), 400, "unsupported_parameter", name)
    assert message.startswith(f"{name} is not done here")


def test_fields_that_mean_nothing_here_and_defaults_are_passed_over(server):
    idle = {
        "user": "me",
        "store": True,
        "metadata": {"a": "b"},
        "reasoning_effort": "high",
        "tools": [],
        "stop": None,
        "top_p": 1,
    }
    neutral = {"response_format": {"type": "text"}, "logprobs": False, "frequency_penalty": 0.0, "tool_choice": "none"}
    assert server.post({**GOOD, **idle, **neutral}).status_code == 200


def test_an_unknown_field_is_refused_with_what_was_likely_meant(server):
    message = require_refused(server.post({**GOOD, "temprature": 1}), 400, "unknown_parameter", "temprature")
    assert "Did you mean temperature?" in message


def test_a_long_text_is_refused_before_it_is_tokenised(server):
    body = {**GOOD, "messages": asking(VIDEO, text="why? " * 10_000)}
    require_refused(server.post(body), 400, "string_above_max_length", "messages")


def test_requests_above_the_ceilings_get_the_ceilings_and_are_told(server):
    wanted = {"first_frames": 10**9, "frames_per_call": 10**9, "max_turns": 10**9}
    told = server.post({**GOOD, "deepsport": wanted, "max_tokens": 10**9}).json()["deepsport"]
    assert told["limits"] == {
        "max_turns": 8,
        "first_frames": 32,
        "frames_per_call": 16,
        "max_reply_tokens": 4096,
        "with_tool": True,
    }
    assert len(told["episodes"][0]["first_frames"]) == 24  # the whole clip


def test_of_a_body_with_a_hundred_thousand_faults_the_first_is_told_at_once(server):
    parts = b"{}," * 100_000 + b"{}"
    started = time.monotonic()
    response = server.post(b'{"model":"reader","messages":[{"role":"user","content":[' + parts + b"]}]}")
    assert time.monotonic() - started < 1.0
    require_refused(response, 400, "invalid_value", "messages[0].content[0]")


def test_many_unknown_fields_are_counted_and_not_listed(server):
    message = require_refused(server.post({**GOOD, "deepsport": {f"k{n}": 1 for n in range(1000)}}), 400, "invalid_value")
    assert "1000 faults" in message


def test_a_name_of_a_field_is_told_shortened(server):
    assert len(server.post({**GOOD, "deepsport": {"x" * 100_000: 1}}).text) < 1000


def test_a_picture_too_narrow_for_any_model_is_refused(server):
    narrow = io.BytesIO()
    PIL.Image.new("RGB", (1, 201)).save(narrow, "PNG")
    messages = asking(image_part(data_uri(narrow.getvalue(), "image/png")))
    assert "1x201" in require_refused(server.post({**GOOD, "messages": messages}), 400, "media_malformed", "messages")


def test_a_video_too_narrow_for_any_model_is_refused(server):
    narrow = video_part(data_uri(film([np.zeros((402, 2, 3), np.uint8)] * 3)))
    message = require_refused(server.post({**GOOD, "messages": asking(narrow)}), 400, "bad_video", "messages")
    assert message.startswith("the video is 2x402: ")


def test_ten_thousand_frames_in_a_data_uri_are_refused(server):
    frame = data_uri(picture(1), "image/png").partition(",")[2][:40]
    url = "data:video/jpeg;base64," + ",".join([frame] * 10_000)
    require_refused(server.post({**GOOD, "messages": asking(video_part(url))}), 400, "media_too_many", "messages")


@pytest.mark.parametrize(
    "parts",
    [
        [video_part(data_uri(clip(1))), video_part(data_uri(clip(2)))],
        [video_part(data_uri(clip(1))), image_part(data_uri(picture(1), "image/png"))],
    ],
    ids=["two videos", "a video and a picture"],
)
def test_a_message_brings_one_video_or_pictures(parts, server):
    assert server.post({**GOOD, "messages": asking(*parts)}).status_code == 400


def test_a_broken_video_is_the_senders_fault_and_no_path_is_told(server):
    torn = clip(1)[:800]
    message = require_refused(server.post({**GOOD, "messages": asking(video_part(data_uri(torn)))}), 400, "bad_video", "messages")
    assert "the video" in message
    assert not re.search(r"/\w+/|deepsport-media", message)


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "in chunks"])
def test_a_body_above_the_limit_is_a_413(announced, server):
    body = b" " * (2**20 + 1)
    chunks = [body] if announced else [body[:1000]] * 1100
    content = body if announced else iter(chunks)
    response = httpx2.post(f"{server.url}/chat/completions", content=content, trust_env=False)
    require_refused(response, 413, "too_large")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/nothing", 404), ("GET", "/v1/chat/completions", 405), ("GET", "/docs", 404)]
)
def test_other_addresses_are_refused_in_the_same_form(method, path, status, server):
    require_refused(httpx2.request(method, server.root + path, trust_env=False), status, "unknown_url")


# --- time and crowds


def test_a_body_that_drips_is_given_up():
    with running(Reader(), wait_s=0.5) as server, connect(server.url, chat_head(1000) + b"{") as connection:
        assert b" 408 " in connection.recv(4096)


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nhost: loc"], ids=["nothing", "half a head"])
def test_a_client_whose_head_does_not_come_is_hung_up_on(sent, server, monkeypatch):
    monkeypatch.setattr(head_limit, "HEAD_S", 0.3)
    with connect(server.url, sent) as connection:
        assert connection.recv(4096) == b""


def test_a_half_head_after_an_answer_is_hung_up_on_too(server, monkeypatch):
    monkeypatch.setattr(head_limit, "HEAD_S", 0.3)
    with connect(server.url, b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n") as connection:
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, answer.read()) == (200, b'{"status":"ok"}')
        connection.sendall(b"GET /health")
        assert connection.recv(4096) == b""


def test_an_answer_may_take_longer_than_a_head(monkeypatch):
    monkeypatch.setattr(head_limit, "HEAD_S", 0.2)
    with running(Reader(pause_s=0.4)) as server:
        assert server.post(GOOD).status_code == 200


def test_a_body_that_drips_holds_up_the_end_no_longer_than_the_grace():
    places = {"concurrency": 1, "queue": 0}
    with running(Reader(), wait_s=60, grace_s=0.3, **places) as server, connect(server.url, chat_head(1000) + b"{") as connection:
        assert eventually(lambda: server.post({}).status_code == 429)
        server.end()
        assert b" 503 " in connection.recv(4096)


def test_a_body_that_breaks_off_takes_no_place_for_long():
    with running(Reader(), concurrency=1, queue=0) as server:
        connect(server.url, chat_head(1000) + b"{").close()
        assert eventually(lambda: server.post({**GOOD, "model": "reader"}).status_code == 200)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_hangs_up_stops_the_generation(stream):
    endless = Endless()
    with running(endless) as server:
        connection = hold(server.url, model="endless", stream=stream)
        assert endless.begun.wait(10)
        connection.close()
        assert eventually(lambda: endless.n_stopped == 1, 5)
        steps = endless.n_steps
        time.sleep(0.2)
        assert endless.n_steps == steps
        assert eventually(lambda: server.metric("deepsport_in_flight") == 0)
        assert server.metric("deepsport_hung_up_total") == 1


def test_a_client_that_hangs_up_while_it_waits_is_never_played():
    endless = Endless()
    with running(endless, concurrency=1, grace_s=0.0) as server:
        first = hold(server.url, model="endless")
        assert endless.begun.wait(10)
        second = hold(server.url, model="endless")
        assert eventually(lambda: server.metric("deepsport_queued") == 1)
        second.close()
        assert eventually(lambda: server.metric("deepsport_queued") == 0)
        assert endless.n_stopped == 0
        first.close()
        assert eventually(lambda: endless.n_stopped == 1)


def test_a_full_queue_is_a_429_that_says_when_to_come_back():
    endless = Endless()
    with running(endless, concurrency=1, queue=1, grace_s=0.0) as server:
        held = [hold(server.url, model="endless") for _ in range(2)]
        assert endless.begun.wait(10)
        assert eventually(lambda: server.metric("deepsport_queued") == 1)
        response = server.post({"model": "endless", "messages": about_clip(1)})
        require_refused(response, 429, "overloaded")
        assert 1 <= int(response.headers["retry-after"]) <= 60
        for connection in held:
            connection.close()


def sent_to_the_end(server: Running, n_bytes: int, *headers: str) -> bytes:
    """What a client reads that looks for an answer only when it has sent everything, in steps."""
    head = chat_head(n_bytes).replace(b"\r\n\r\n", "".join(f"\r\n{each}" for each in headers).encode() + b"\r\n\r\n")
    with connect(server.url, head) as connection:
        for _ in range(16):
            time.sleep(0.02)
            connection.sendall(b" " * (n_bytes // 16))
        return connection.recv(65_536)


def test_the_429_reaches_a_client_that_is_still_sending():
    endless = Endless()
    with running(endless, concurrency=1, queue=0, grace_s=0.0) as server:
        held = hold(server.url, model="endless")
        assert endless.begun.wait(10)
        assert b" 429 " in sent_to_the_end(server, 8 * 2**20)
        held.close()


def test_the_413_reaches_a_client_that_is_still_sending(server):
    assert b" 413 " in sent_to_the_end(server, 8 * 2**20)


def test_the_401_reaches_a_client_that_is_still_sending(locked):
    assert b" 401 " in sent_to_the_end(locked, 8 * 2**20, "authorization: Bearer wrong")


def test_a_turn_that_does_not_come_is_a_503():
    endless = Endless()
    with running(endless, concurrency=1, wait_s=0.5, grace_s=0.0) as server:
        held = hold(server.url, model="endless")
        assert endless.begun.wait(10)
        response = server.post({"model": "endless", "messages": about_clip(1)})
        require_refused(response, 503, "queue_timeout")
        assert "retry-after" in response.headers
        held.close()


def test_an_episode_that_takes_too_long_is_a_504_and_stops():
    endless = Endless()
    with running(endless, episode_s=1.5) as server:
        response = server.post({"model": "endless", "messages": about_clip(1)})
        require_refused(response, 504, "timeout")
        assert (endless.n_stopped, response.headers["x-should-retry"]) == (1, "false")


class Blocking(Reader):
    """Holds its event loop, as a model does that computes."""

    def session(self, sampling):
        time.sleep(3.0)
        return super().session(sampling)


def test_health_and_refusals_are_answered_while_a_model_computes():
    with running(Blocking()) as server:
        asking_it = threading.Thread(target=server.post, args=(GOOD,))
        asking_it.start()
        assert eventually(lambda: server.metric("deepsport_in_flight") == 1)
        started = time.monotonic()
        assert server.get("/health").status_code == 200
        assert server.post(b"{}").status_code == 400
        assert time.monotonic() - started < 1.0
        assert asking_it.is_alive()
        asking_it.join()


def decoders() -> list[int]:
    """Decoding processes of this process."""
    listed = [task / "children" for task in Path("/proc/self/task").iterdir()]
    pids = [int(pid) for file in listed if file.exists() for pid in file.read_text().split()]
    return [pid for pid in pids if b"deepsport.video.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_a_file_that_hangs_its_decoder_holds_up_nobody_else():
    with running(Reader(), concurrency=2) as server:
        before = set(decoders())
        thread, got = in_thread(server.url, {"model": "reader", "messages": about_clip(1)})
        assert eventually(lambda: set(decoders()) != before)
        (hanging,) = set(decoders()) - before
        os.kill(hanging, signal.SIGSTOP)
        try:
            for number in (2, 3):
                answer = server.post({"model": "reader", "messages": about_clip(number)})
                assert answer.json()["choices"][0]["message"]["content"] == f"clip {number}"
            assert thread.is_alive()
        finally:
            os.kill(hanging, signal.SIGCONT)
        thread.join()
        assert got[0].json()["choices"][0]["message"]["content"] == "clip 1"


def test_no_more_requests_have_their_pictures_in_memory_than_are_played_and_a_video_passes_them_by():
    endless = Endless()
    pictures = {"model": "endless", "messages": asking(image_part(data_uri(picture(1), "image/png")))}
    with running(endless, concurrency=1, wait_s=1.0, grace_s=0.0) as server:
        held = hold(server.url, **pictures)
        assert endless.begun.wait(10)
        brought = server.metric("deepsport_media_bytes_total")
        require_refused(server.post(pictures), 503, "queue_timeout")
        assert server.metric("deepsport_media_bytes_total") == brought > 0
        require_refused(server.post({"model": "endless", "messages": about_clip(1)}), 503, "queue_timeout")
        assert server.metric("deepsport_media_bytes_total") > brought
        held.close()


def test_a_disk_that_takes_no_media_is_a_503_with_its_reason_in_the_log_only(caplog, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with running(Reader()) as server:
        (store,) = tmp_path.glob("deepsport-media-*")
        store.rename(tmp_path / "gone")
        response = server.post(GOOD)
        (tmp_path / "gone").rename(store)
        assert server.post(GOOD).status_code == 200
    message = require_refused(response, 503, "no_room")
    assert str(tmp_path) not in response.text
    assert response.headers["x-request-id"] in message
    assert f"request {response.headers['x-request-id']}: {tmp_path}" in caplog.text


# --- a model that breaks


BROKEN = [
    RuntimeError(f"tensor <object at 0x7f00deadbeef> in {__file__}"),
    PolicyError(f"the checkpoint at {__file__} is torn at 0x7f00deadbeef"),
    ZeroDivisionError("division by zero"),
    asyncio.CancelledError(),
]


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_model_that_breaks_is_a_500_with_an_id_and_without_what_broke(stream, error, caplog):
    with running(Failing(error)) as server:
        response = server.post({"model": "failing", "messages": about_clip(1), "stream": stream})
    body = json.loads(events(response)[-2]) if stream else response.json()
    request_id = response.headers["x-request-id"]
    assert response.status_code == (200 if stream else 500)
    assert (body["error"]["code"], request_id in body["error"]["message"]) == ("model_error", True)
    assert not re.search(r"0x[0-9a-f]{6}|Traceback|\.py|/\w+/|zero", response.text)
    assert request_id in caplog.text
    assert str(error) in caplog.text


def test_a_conversation_that_does_not_fit_is_said_so():
    with running(Failing(ContextOverflow("9 tokens, /a/path"))) as server:
        response = server.post({"model": "failing", "messages": about_clip(1)})
    assert "/a/path" not in require_refused(response, 400, "context_length_exceeded", "messages")


def test_one_request_that_breaks_leaves_the_others_whole(server):
    torn = {**GOOD, "messages": asking(video_part(data_uri(clip(1)[:900])))}
    statuses = [server.post(body).status_code for body in (GOOD, torn, GOOD, {}, GOOD)]
    assert statuses == [200, 400, 200, 400, 200]


# --- streams


@pytest.mark.parametrize(
    ("policy", "settings", "code"),
    [
        (Reader("m"), {}, None),
        (Failing(PolicyError("no"), "m"), {}, "model_error"),
        (Failing(ContextOverflow("no"), "m"), {}, "context_length_exceeded"),
        (Endless("m"), {"episode_s": 0.3}, "timeout"),
    ],
    ids=["answered", "broken", "overflown", "timed out"],
)
def test_a_stream_always_ends_with_done(policy, settings, code):
    with running(policy, **settings) as server:
        told = events(server.post({"model": "m", "messages": about_clip(1), "stream": True}))
    assert told[-1] == "[DONE]"
    assert told.count("[DONE]") == 1
    assert [json.loads(each)["error"]["code"] for each in told[:-1] if "error" in json.loads(each)] == [code] * (code is not None)


def test_a_stream_with_nothing_to_tell_says_that_it_is_there():
    with running(Endless(), beat_s=0.1, episode_s=0.6) as server:
        text = server.post({"model": "endless", "messages": about_clip(1), "stream": True}).text
    assert text.count(": still at it\n\n") >= 3


# --- the end

PROCESS = """
import sys
from chat_server import Endless, Reader
from deepsport.actor import Actor
from deepsport.agent.prompt import PromptStyle
from deepsport.serve.chat.serving import serve_chat
from deepsport.serve.chat.settings import ServeConfig
policy = Reader(pause_s=0.6) if sys.argv[1] == "reader" else Endless()
config = ServeConfig(port=0, grace_s=float(sys.argv[2]))
serve_chat(config, Actor(policy, PromptStyle.FULL), on_ready=lambda url: print(url, flush=True))
"""


@contextmanager
def process(policy: str, grace_s: float, scratch: Path) -> Generator[tuple[subprocess.Popen[str], str]]:
    tests = str(Path(__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": tests, "TMPDIR": str(scratch)}
    command = [sys.executable, "-c", PROCESS, policy, str(grace_s)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        try:
            yield serving, serving.stdout.readline().strip()
        finally:
            serving.kill()


def in_thread(url: str, body: dict[str, Any]) -> tuple[threading.Thread, list[httpx2.Response]]:
    got: list[httpx2.Response] = []

    def ask() -> None:
        got.append(httpx2.post(f"{url}/chat/completions", json=body, timeout=30, trust_env=False))

    thread = threading.Thread(target=ask)
    thread.start()
    return thread, got


def in_flight(url: str) -> bool:
    text = httpx2.get(url.removesuffix("/v1") + "/metrics", trust_env=False).text
    return "deepsport_in_flight 1.0" in text


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_runs_finish_and_nobody_in_and_ends_with_0(sig, tmp_path):
    with process("reader", 20, tmp_path) as (serving, url):
        thread, got = in_thread(url, GOOD)
        assert eventually(lambda: in_flight(url))
        serving.send_signal(sig)
        root = url.removesuffix("/v1")
        assert eventually(lambda: httpx2.get(f"{root}/ready", trust_env=False).status_code == 503, 2)
        late = httpx2.post(f"{url}/chat/completions", json=GOOD, trust_env=False)
        require_refused(late, 503, "shutting_down")
        assert "retry-after" in late.headers
        thread.join()
        assert got[0].json()["choices"][0]["message"]["content"] == "clip 4"
        assert serving.wait(10) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_stream_that_outlives_the_grace_is_told_and_closed_with_done(tmp_path):
    with process("endless", 0.5, tmp_path) as (serving, url):
        thread, got = in_thread(url, {"model": "endless", "messages": about_clip(1), "stream": True})
        assert eventually(lambda: in_flight(url))
        serving.send_signal(signal.SIGTERM)
        thread.join()
        told = events(got[0])
        assert (json.loads(told[-2])["error"]["code"], told[-1]) == ("shutting_down", "[DONE]")
        assert serving.wait(10) == 0


def test_a_second_signal_ends_at_once(tmp_path):
    with process("endless", 60, tmp_path) as (serving, url), hold(url, model="endless"):
        assert eventually(lambda: in_flight(url))
        serving.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert serving.poll() is None
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(3) == 128 + signal.SIGTERM
