"""Who may talk to a server of ours, and what a browser may do with its answers: one ASGI guard around every app.

A page of a stranger can make a browser send requests to 127.0.0.1, under a name of its own that it lets point there. So the Host
header must be a name that is meant (against DNS rebinding), and what changes anything must come from our own page (Origin, and a
header that a foreign page cannot set without being asked). A server that others can reach wants a key.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from deepsport.errors import BadConfig

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
READ_AWAY_BYTES, READ_AWAY_S = 64 * 2**20, 5.0
"""Of a request that is refused."""
SAFE_METHODS = frozenset({"GET", "HEAD"})
OWN_HEADER = "x-deepsport"
"""A page of another origin cannot send it without a preflight, which nobody here answers."""

PLAIN_HEADERS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
PAGE_HEADERS: Mapping[str, str] = {
    **PLAIN_HEADERS,
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
"""For what a browser shows: it loads nothing from elsewhere, runs no script of a text, and stands in nobody's frame."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server bound to `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require_bindable(host: str, key: str | None, how: str) -> None:
    """Refuses to let others reach a server without a key; `how` tells how to set one. Raises BadConfig."""
    if not (is_loopback(host) or key):
        raise BadConfig(f"--host {host} lets other machines in, and no key is set. {how}, or leave --host at 127.0.0.1.")


def names_of(host: str, further: Iterable[str] = ()) -> frozenset[str]:
    """The names a server may be called by: the loopback ones, the address it is bound to, and `further`.

    A server on all addresses (0.0.0.0, ::) has a key, which a page that rebinds a name does not know: any name will do."""
    if host in ("0.0.0.0", "::", ""):
        return frozenset({"*"})
    return frozenset({*LOOPBACK_NAMES, host.casefold(), *(name.casefold() for name in further)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Wraps an app; what it refuses never reaches the app."""

    app: "ASGIApp"
    names: frozenset[str]
    """Host names that are meant; see `names_of`."""
    headers: Mapping[str, str] = field(default_factory=lambda: PLAIN_HEADERS)
    """Laid over every response, those of errors included."""
    key: str | None = None
    """Wanted as `Authorization: Bearer KEY`, or where `cookie` is set as that cookie; None: nobody is asked."""
    cookie: str = ""
    """For a browser, which cannot send a key by itself: `/?key=KEY` sets this cookie and goes on to `/`."""
    open_paths: frozenset[str] = frozenset()
    """Answered without a key."""
    own_page_only: bool = False
    """Whether what changes anything must come from a page of this server."""
    max_body_bytes: int = 2**20

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Handles a request, or says why not."""
        if scope["type"] != "http":
            return
        guarded = _with_headers(send, self.headers)
        sent = _Sent.of(scope)
        if refusal := self._refusal(sent):
            await read_away(receive)
            await _refuse(guarded, *refusal)
        elif cookie := self._cookie_to_set(sent):
            await _send(guarded, 303, b"", {"location": "/", "set-cookie": cookie})
        elif (sent.length or 0) > self.max_body_bytes:
            await read_away(receive)
            await _refuse(guarded, 413, "too_large", _too_large(self.max_body_bytes))
        else:
            await self._pass_on(scope, receive, guarded)

    async def _pass_on(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Counts the body as it comes: its announced length is not believed."""
        n_bytes, more, answered = 0, True, False

        async def counted() -> "Message":
            nonlocal n_bytes, more
            message = await receive()
            more = message.get("more_body", False)
            n_bytes += len(message.get("body", b""))
            if n_bytes > self.max_body_bytes:
                raise _TooLargeError
            return message

        async def watched(message: "Message") -> None:
            nonlocal answered
            if answered or n_bytes <= self.max_body_bytes:  # else the app speaks of a body that it could not read
                answered = True
                await send(message)

        with suppress(_TooLargeError):
            await self.app(scope, counted, watched)
        if not answered and n_bytes > self.max_body_bytes:
            if more:
                await read_away(receive)
            await _refuse(send, 413, "too_large", _too_large(self.max_body_bytes))

    def _refusal(self, sent: "_Sent") -> tuple[int, str, str] | None:
        """Status, type and message; None if the request may pass."""
        if "*" not in self.names and sent.host not in self.names:
            advice = "Call it by localhost, or by a name that it was started with."
            return 421, "unknown_host", f"this server is not called {sent.host[:80]!r}. {advice}"
        if self.own_page_only and sent.method not in SAFE_METHODS and not sent.from_own_page:
            return 403, "foreign_page", "only this server's own page may change anything"
        if self.key and sent.path not in self.open_paths and not self._knows_key(sent):
            return 401, "no_key", "the key is missing or wrong: send it as `Authorization: Bearer KEY`"
        return None

    def _knows_key(self, sent: "_Sent") -> bool:
        key = self.key or ""
        by_cookie = bool(self.cookie) and _same(sent.cookies.get(self.cookie, ""), _token(key))
        return _same(sent.bearer, key) or by_cookie or self._cookie_to_set(sent) is not None

    def _cookie_to_set(self, sent: "_Sent") -> str | None:
        if not (self.key and self.cookie and sent.path == "/" and _same(sent.key_in_query, self.key)):
            return None
        return f"{self.cookie}={_token(self.key)}; Path=/; HttpOnly; SameSite=Strict"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """What of a request decides whether it may pass."""

    method: str
    path: str
    host: str
    """Without the port."""
    from_own_page: bool
    bearer: str
    cookies: Mapping[str, str]
    key_in_query: str
    length: int | None

    @classmethod
    def of(cls, scope: "Scope") -> "_Sent":
        """Reads the head of a request."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        length, host = headers.get("content-length", ""), headers.get("host", "")
        kind, _, token = headers.get("authorization", "").partition(" ")
        return cls(
            method=scope["method"],
            path=scope["path"],
            host=_name(host),
            from_own_page=OWN_HEADER in headers and _is_own(headers.get("origin"), headers.get("sec-fetch-site"), host),
            bearer=token.strip().encode("latin-1").decode("utf-8", "replace") if kind.casefold() == "bearer" else "",
            cookies=_cookies(headers.get("cookie", "")),
            key_in_query=parse_qs(scope["query_string"].decode("latin-1")).get("key", [""])[0],
            length=int(length) if length.isascii() and length.isdigit() else None,
        )


class _TooLargeError(Exception):
    """A body that went on after its limit."""


def _name(host: str) -> str:
    """The name in a Host header; empty if it is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").casefold()
    except ValueError:
        return ""


def _is_own(origin: str | None, site: str | None, host: str) -> bool:
    """What a browser says of the page that asks; a program that is no browser says nothing."""
    if site not in (None, "same-origin"):
        return False
    return origin is None or origin.partition("://")[2].casefold() == host.casefold()


def _cookies(header: str) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}


def _token(key: str) -> str:
    """What a cookie holds in place of the key: any key can be written so, and it cannot be told from it."""
    return hashlib.sha256(f"deepsport cookie {key}".encode()).hexdigest()


def _same(given: str, key: str) -> bool:
    """In a time that does not tell how much of it was right."""
    return hmac.compare_digest(given.encode(), key.encode())


def _too_large(limit: int) -> str:
    return f"the request is larger than the {limit / 2**20:g} MiB that this server takes"


def _with_headers(send: "Send", headers: Mapping[str, str]) -> "Send":
    ours = [(name.encode(), value.encode()) for name, value in headers.items()]
    names = {name for name, _ in ours}

    async def guarded(message: "Message") -> None:
        if message["type"] == "http.response.start":
            theirs = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in names]
            message = {**message, "headers": [*theirs, *ours]}
        await send(message)

    return guarded


async def read_away(receive: "Receive", max_bytes: float = READ_AWAY_BYTES) -> None:
    """Takes what a client is still sending, within bounds: one that cannot finish would see a broken line, and not why."""
    n_bytes = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(READ_AWAY_S):
            while n_bytes < max_bytes:
                message = await receive()
                n_bytes += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


async def _refuse(send: "Send", status: int, kind: str, message: str) -> None:
    body = {"error": {"message": message, "type": kind, "param": None, "code": kind}}
    asks = {"www-authenticate": "Bearer"} if status == 401 else {}
    await _send(send, status, json.dumps(body).encode(), {"content-type": "application/json", "connection": "close", **asks})


async def _send(send: "Send", status: int, body: bytes, headers: Mapping[str, str]) -> None:
    listed = [(name.encode(), value.encode("latin-1")) for name, value in {**headers, "content-length": str(len(body))}.items()]
    await send({"type": "http.response.start", "status": status, "headers": listed})
    await send({"type": "http.response.body", "body": body})
