"""Fetching a medium from an allowed host, in such a way that nobody is led into the network this server stands in.

Each hop of a redirect is checked as if it were the first: its scheme, its host against the list, every address that its name
leads to. The connection is made to the very address that was checked, under the name that was asked for (Host, TLS). A name that
also leads to a private address is refused. No cookies, no proxies, nothing of the environment. A host that is busy or fails is
asked three times in all.
"""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from deepsport.policy.openai.failure import retry_after_s
from deepsport.serve.media.addresses import as_address, reachable
from deepsport.serve.media.brought import Kind
from deepsport.serve.media.hosts import WebAddress, read_rule, read_web_address, require_listed
from deepsport.serve.media.intake import Intake
from deepsport.serve.media.refusal import MediaRefused, Refusal
from deepsport.serve.media.settings import MediaPolicy

if TYPE_CHECKING:
    from httpx2 import AsyncClient, Response

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to the addresses, as text."""

CONNECT_S = 5.0
"""For one address of a host; then the next one is tried."""
PAUSES_S = (0.5, 1.0)
"""Before the second and the third attempt, if the host does not say."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
AGAIN = frozenset({408, 429, 500, 502, 503, 504})
UNNAMED = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/mp4"})
"""Types that say nothing, or nothing wrong; the decoder will tell."""


for _name in ("httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.WARNING)
"""They write every address they ask for into the log, with the signature that may stand in it."""


class _Failed(Exception):  # noqa: N818
    """An attempt that may do better when made again."""

    def __init__(self, refused: MediaRefused, pause_s: float | None = None) -> None:
        super().__init__(str(refused))
        self.refused = refused
        self.pause_s = pause_s


async def resolve_name(host: str, port: int) -> list[str]:
    """The addresses of a host, as this machine finds them. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


class Fetcher:
    """Fetches under one policy; whoever calls it sets the time limit."""

    def __init__(self, policy: MediaPolicy, resolve: Resolve = resolve_name) -> None:
        """`resolve` is asked once for each hop."""
        self._rules = [read_rule(host) for host in policy.hosts]
        self._reachable = reachable(policy.networks)
        self._policy = policy
        self._resolve = resolve

    async def fetch(self, url: str, kind: Kind, intake: Intake) -> None:
        """Brings what an address holds. Raises MediaRefused."""
        try:
            for pause_s in PAUSES_S:
                try:
                    return await self._follow(url, kind, intake)
                except _Failed as failed:
                    asked_s = pause_s if failed.pause_s is None else failed.pause_s
                    if asked_s >= self._policy.fetch_s:
                        raise
                    await asyncio.sleep(asked_s)
            await self._follow(url, kind, intake)
        except _Failed as failed:
            raise failed.refused from None

    async def _follow(self, url: str, kind: Kind, intake: Intake) -> None:
        """Goes from hop to hop. Raises MediaRefused, or _Failed."""
        intake.restart()
        address = read_web_address(url)
        for _ in range(self._policy.max_redirects + 1):
            require_listed(address, self._rules)
            async with self._asked(address) as response:
                if response.status_code not in REDIRECTS:
                    return await _take(response, kind, intake)
                address = _next(address, response.headers.get("location", ""))
        raise MediaRefused(
            Refusal.REDIRECT, f"it redirects more than {self._policy.max_redirects} times. Send where it leads to."
        )

    @asynccontextmanager
    async def _asked(self, address: WebAddress) -> AsyncGenerator["Response"]:
        """The head of the answer, its body still to come. A client of its own: no cookie and no connection is carried on."""
        from httpx2 import AsyncClient, HTTPError, Timeout

        places = await self._places(address)
        limits = Timeout(self._policy.fetch_s, connect=CONNECT_S)
        client = AsyncClient(trust_env=False, follow_redirects=False, verify=certificates(), timeout=limits)
        try:
            async with client:
                yield await _first_answer(client, address, places)
        except HTTPError:
            said = "the host could not be reached, or hung up before all was here. Check the address, or try again later."
            raise _Failed(MediaRefused(Refusal.UPSTREAM, said)) from None

    async def _places(self, address: WebAddress) -> list[str]:
        """The addresses of the host, each of which may be connected to. Raises MediaRefused."""
        try:
            found = [address.host] if as_address(address.host) else await self._resolve(address.host, address.port)
        except OSError:
            found = ()
        if not found:
            raise MediaRefused(Refusal.UPSTREAM, "its host has no address. Check its name.")
        parsed = [as_address(place) for place in found]
        if not all(each is not None and self._reachable(each) for each in parsed):
            advice = "Send the file as a data: URI, or ask whoever runs the server."
            raise MediaRefused(Refusal.ADDRESS, f"its host leads into a network that this server does not fetch from. {advice}")
        return [str(each) for each in parsed]


@cache
def certificates() -> ssl.SSLContext:
    """Those that are trusted, read once: it takes a while."""
    from httpx2 import create_ssl_context

    return create_ssl_context()


async def _first_answer(client: "AsyncClient", address: WebAddress, places: Sequence[str]) -> "Response":
    """Of the first address that can be connected to. Raises what httpx2 raises."""
    from httpx2 import ConnectError, ConnectTimeout

    *others, last = places
    for place in others:
        try:
            return await _answer(client, address, place)
        except (ConnectError, ConnectTimeout):
            continue
    return await _answer(client, address, last)


async def _answer(client: "AsyncClient", address: WebAddress, place: str) -> "Response":
    headers = {"host": address.authority, "accept": "*/*", "accept-encoding": "identity", "user-agent": "deepsport"}
    request = client.build_request("GET", address.at(place), headers=headers, extensions={"sni_hostname": address.host})
    return await client.send(request, stream=True)


async def _take(response: "Response", kind: Kind, intake: Intake) -> None:
    """The body, if it may be what was asked for. Raises MediaRefused, or _Failed."""
    _require_ok(response)
    _require_kind(response, kind)
    announced = response.headers.get("content-length", "")
    intake.room.require(int(announced) if announced.isascii() and announced.isdigit() else 0)
    async for chunk in response.aiter_raw():
        intake.add(chunk)
    if not intake.n_bytes:
        raise MediaRefused(Refusal.UPSTREAM, "the host sent nothing. Check the address.")


def _require_ok(response: "Response") -> None:
    status = response.status_code
    if status == HTTPStatus.OK:
        return
    wants_login = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    advice = "Send an address that needs no login." if wants_login else "Check the address, or try again later."
    refused = MediaRefused(Refusal.UPSTREAM, f"the host answered with status {status}. {advice}")
    if status in AGAIN:
        raise _Failed(refused, retry_after_s(response.headers, time.time()))
    raise refused


def _require_kind(response: "Response", kind: Kind) -> None:
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type in ("text/html", "application/xhtml+xml"):
        page = f"the host sent a web page, perhaps a login page, and no {kind}"
        raise MediaRefused(Refusal.TYPE, f"{page}. Send the address of the file itself, one that needs no login.")
    if media_type not in UNNAMED and not media_type.startswith(f"{kind}/"):
        raise MediaRefused(
            Refusal.TYPE, f"the host sent something that it does not call a {kind}. Send the address of a {kind} file."
        )
    if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise MediaRefused(Refusal.TYPE, "the host compressed what was asked for uncompressed. Send the file as a data: URI.")


def _next(address: WebAddress, location: str) -> WebAddress:
    """Where a redirect leads. Raises MediaRefused."""
    if not location:
        raise MediaRefused(Refusal.REDIRECT, "it redirects to nowhere. Check the address.")
    try:
        url = urljoin(str(address), location)
    except ValueError:
        raise MediaRefused(Refusal.REDIRECT, "it redirects to what is no address. Check the address.") from None
    if not url.lower().startswith(("http:", "https:")):
        raise MediaRefused(Refusal.SCHEME, "it redirects to something other than http and https.")
    to = read_web_address(url)
    if address.scheme == "https" and to.scheme == "http":
        raise MediaRefused(Refusal.REDIRECT, "it redirects from https to http, which anybody on the way can change.")
    return to
