"""A chat-completions server on 127.0.0.1 that says, and fails, what a test tells it to.

Real HTTP over real sockets: what a client has to survive (a reset, half a body, a hang) cannot be shown with a patched client.
A script is a list of acts, one per request, or a function of the request; every request is kept for the test to look at.
"""

import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What the client sent."""

    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: Json


@dataclass(frozen=True, kw_only=True)
class Say:
    """A well-formed reply."""

    text: str | None = None
    finish: str = "stop"
    message: Json = field(default_factory=dict)
    """Further fields of the assistant message: tool_calls, reasoning_content, refusal."""
    usage: Json | None = field(default_factory=lambda: {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107})

    def body(self) -> bytes:
        message = {"role": "assistant", "content": self.text, **self.message}
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        completion = {"id": "c1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
        return json.dumps({**completion, "usage": self.usage}).encode()


@dataclass(frozen=True, kw_only=True)
class Send:
    """Any response at all."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    missing_bytes: int = 0
    """Announced but never sent: the connection closes before the end."""


def error(status: int, message: str, code: str | None = None, **headers: str) -> Send:
    """An error in the form of the OpenAI API; header names are written with underscores."""
    body = json.dumps({"error": {"message": message, "type": "some_error", "param": None, "code": code}}).encode()
    return Send(status=status, body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


@dataclass(frozen=True)
class Hang:
    """Reads the request and says nothing until the server closes, or for `seconds`."""

    seconds: float = 60.0


@dataclass(frozen=True)
class Reset:
    """Closes the connection with a TCP reset."""


@dataclass(frozen=True)
class Drip:
    """Sends a body that never ends, a byte at a time: no single read takes long."""

    pause_s: float = 0.02


Act = Say | Send | Hang | Reset | Drip
Script = Iterable[Act] | Callable[[Request], Act]


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    """Connections that may wait to be taken; five, as it comes, are reset when a client opens more at once."""


class ModelServer:
    """Runs while its `with` block does; `url` is its base address. An exhausted script answers with status 599."""

    def __init__(self, script: Script) -> None:
        self.requests: list[Request] = []
        self.peak_in_flight = 0
        self._script = script if callable(script) else iter(script)
        self._in_flight = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._http = _Listening(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        """Base address, as a client of the API wants it."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> "ModelServer":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _next_act(self, request: Request) -> Act:
        if callable(self._script):
            return self._script(request)
        with self._lock:
            return next(self._script, error(599, "the script of the test server has run out"))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                _send(self, Send(body=json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}).encode()))

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.path, headers, json.loads(raw))
                with server._lock:
                    server.requests.append(request)
                    server._in_flight += 1
                    server.peak_in_flight = max(server.peak_in_flight, server._in_flight)
                try:
                    _perform(self, server._next_act(request), server._closing)
                finally:
                    with server._lock:
                        server._in_flight -= 1

            def log_message(self, *args: object) -> None:
                """Keeps the test's output quiet."""

        return Handler


def _perform(handler: BaseHTTPRequestHandler, act: Act, closing: threading.Event) -> None:
    match act:
        case Say():
            _send(handler, Send(body=act.body()))
        case Send():
            _send(handler, act)
        case Hang(seconds):
            closing.wait(seconds)
            handler.close_connection = True
        case Reset():
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(handler.connection.detach())  # a plain close() would wait for the reading and writing ends, and end politely
            handler.close_connection = True
        case Drip(pause_s):
            _drip(handler, pause_s, closing)


def _send(handler: BaseHTTPRequestHandler, response: Send) -> None:
    handler.send_response(response.status)
    handler.send_header("content-type", response.content_type)
    handler.send_header("content-length", str(len(response.body) + response.missing_bytes))
    for name, value in response.headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(response.body)
    handler.close_connection = handler.close_connection or response.missing_bytes > 0


def _drip(handler: BaseHTTPRequestHandler, pause_s: float, closing: threading.Event) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", "1000000")
    handler.end_headers()
    handler.close_connection = True
    while not closing.wait(pause_s):
        try:
            handler.wfile.write(b" ")
            handler.wfile.flush()
        except OSError:
            return
