"""A web server on 127.0.0.1 that hands out media the way a test tells it to: lies about lengths, drips, never ends, redirects.

Real HTTP (or HTTPS, with a certificate made on the spot) over real sockets. A route is an act, or a list of them, one per
request; the head of every request is kept for the test to look at.
"""

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

import pytest


@dataclass(frozen=True)
class Head:
    """What the client sent."""

    path: str
    headers: dict[str, str]
    """Names in lower case."""
    sent: tuple[str, ...]
    """Every header name as often as it came."""


@dataclass(frozen=True, kw_only=True)
class Give:
    """A response."""

    body: bytes = b""
    content_type: str = "video/mp4"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    announced: int | None = None
    """Bytes that Content-Length promises, if not those of the body; the connection is closed after the body."""


@dataclass(frozen=True, kw_only=True)
class Flow:
    """A body without an end and without a length."""

    chunk: bytes = b"\0" * 65536
    pause_s: float = 0.0


@dataclass(frozen=True)
class HangUp:
    """Closes the connection without a word."""


Act = Give | Flow | HangUp


def redirect(to: str, status: int = 302, **headers: str) -> Give:
    """A redirect; header names are written with underscores."""
    further = {name.replace("_", "-"): value for name, value in headers.items()}
    return Give(status=status, headers={"location": to, **further}, content_type="text/plain")


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    """Connections that may wait to be taken; with five, as it comes, the sixth of many at once is late by a second."""


class FetchServer:
    """Runs while its `with` block does; a path without a route is 404."""

    def __init__(self, routes: Mapping[str, Act | Sequence[Act]], certificate: Path | None = None) -> None:
        self.routes = {path: list(acts) if isinstance(acts, Sequence) else acts for path, acts in routes.items()}
        self.requests: list[Head] = []
        self.named: list[str | None] = []
        """The name that each TLS client asked for."""
        self.n_sent = 0
        """Bytes of bodies without an end."""
        self.closing = threading.Event()
        self._http = _Listening(("127.0.0.1", 0), _handler(self))
        if certificate:
            self._http.socket = self._with_tls(certificate)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def port(self) -> int:
        return self._http.server_address[1]

    def __enter__(self) -> "FetchServer":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def next_act(self, head: Head) -> Act:
        self.requests.append(head)
        acts = self.routes.get(head.path, Give(status=404, body=b"none", content_type="text/plain"))
        return acts.pop(0) if isinstance(acts, list) else acts

    def _with_tls(self, certificate: Path) -> ssl.SSLSocket:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.sni_callback = lambda _, name, __: self.named.append(name)
        return context.wrap_socket(self._http.socket, server_side=True)


def self_signed(folder: Path, host: str) -> Path:
    """Key and certificate of a host, signed by itself, in one file."""
    if not (openssl := shutil.which("openssl")):
        pytest.skip("there is no openssl here, which makes the certificate")
    path = folder / f"{host}.pem"
    made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={host}"]
    made += ["-addext", f"subjectAltName=DNS:{host}", "-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run(made, check=True, capture_output=True)
    with path.open("ab") as file:
        file.write(Path(f"{path}.crt").read_bytes())
    return path


def _handler(server: FetchServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            names = tuple(name.lower() for name in self.headers)
            head = Head(self.path, {name.lower(): value for name, value in self.headers.items()}, names)
            match server.next_act(head):
                case Give() as give:
                    _give(self, give)
                case Flow() as flow:
                    _flow(self, flow, server)
                case HangUp():
                    self.close_connection = True

        def log_message(self, *args: object) -> None:
            """Keeps the test's output quiet."""

    return Handler


def _give(handler: BaseHTTPRequestHandler, give: Give) -> None:
    handler.send_response(give.status)
    handler.send_header("content-type", give.content_type)
    handler.send_header("content-length", str(len(give.body) if give.announced is None else give.announced))
    for name, value in give.headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(give.body)
    handler.close_connection = handler.close_connection or give.announced is not None


def _flow(handler: BaseHTTPRequestHandler, flow: Flow, server: FetchServer) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "video/mp4")
    handler.end_headers()
    handler.close_connection = True
    handler.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while not server.closing.wait(flow.pause_s):
        try:
            handler.wfile.write(flow.chunk)
            server.n_sent += len(flow.chunk)
        except OSError:
            return
