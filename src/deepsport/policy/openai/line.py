"""The connections of one event loop to an endpoint: one for each request in flight, the one used last taken first.

A client with many connections looks at all of its idle ones whenever a request begins or ends, which soon costs more than the
request itself. So each client here has a single one, and a server that is quick is asked over the same few. The OpenAI library
says what the account and the address are in HTTP (it reads the organisation and the project from the environment); the requests
themselves, which are ready bytes, go past it, as its handling of one takes twice as long as sending it.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepsport.policy.openai.failure import Failure
from deepsport.policy.openai.reply_cache import Keeper, Replies

if TYPE_CHECKING:
    from httpx2 import URL, AsyncClient, Response


@dataclass(frozen=True, slots=True)
class Client:
    """One connection to one endpoint."""

    http: "AsyncClient"
    base_url: "URL"

    async def post(self, path: str, content: bytes) -> "Response":
        """Sends JSON. Raises what httpx2 raises."""
        return await self.http.post(self._url(path), content=content, headers={"content-type": "application/json"})

    async def get(self, path: str) -> "Response":
        """Asks for a resource. Raises what httpx2 raises."""
        return await self.http.get(self._url(path))

    def _url(self, path: str) -> "URL":
        return self.base_url.copy_with(raw_path=self.base_url.raw_path + path.encode())


class Line:
    """At most `places` requests at once. Belongs to the loop `loop`, as its connections do."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, places: int, open_client: Callable[[], Client], cache: Replies | None
    ) -> None:
        self.loop = loop
        self.keeper = Keeper(cache) if cache else None
        self._free = asyncio.Semaphore(places)
        self._open_client = open_client
        self._idle: list[Client] = []
        self._opened: list[Client] = []

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[Client]:
        """A client for one request, as soon as there is a place."""
        async with self._free:
            client = self._idle.pop() if self._idle else self._another()
            try:
                yield client
            finally:
                self._idle.append(client)

    async def close(self) -> None:
        """Waits for replies that are on their way to the disk, and closes every connection."""
        if self.keeper:
            await self.keeper.close()
        for client in self._opened:
            await client.http.aclose()

    def _another(self) -> Client:
        client = self._open_client()
        self._opened.append(client)
        return client


def opener(base_url: str, api_key: str | None, timeout_s: float) -> Callable[[], Client]:
    """Makes clients of one address. Loading the library takes half a second, and certificates are read once for all clients."""
    from httpx2 import AsyncClient, Limits, create_ssl_context
    from openai import AsyncOpenAI

    certificates = create_ssl_context()

    def connection(headers: dict[str, str]) -> AsyncClient:
        # frames go to the named address only
        limits = Limits(max_connections=1)
        return AsyncClient(headers=headers, timeout=timeout_s, follow_redirects=False, verify=certificates, limits=limits)

    account = AsyncOpenAI(api_key=api_key, base_url=base_url, http_client=connection({}))
    stated = {**account.default_headers, **account.auth_headers}
    headers = {name: value for name, value in stated.items() if isinstance(value, str)}  # others stand for none
    return lambda: Client(connection(headers), account.base_url)


async def attempt(line: Line, ask: "Callable[[Client], Awaitable[Response]]", timeout_s: float) -> "Response | Failure":
    """One request, whatever its status, or why nothing came back."""
    from httpx2 import HTTPError, InvalidURL, TimeoutException

    try:
        async with line.client() as client, asyncio.timeout(timeout_s):
            return await ask(client)
    except (TimeoutException, TimeoutError):
        return Failure(f"no reply within {timeout_s:g} s", "Raise timeout_s, or lower max_concurrent.", transient=True)
    except (HTTPError, InvalidURL, OSError) as error:
        what = f"no connection ({type(error).__name__}: {error})"
        return Failure(what, "Check that the server runs and that the address is right.", transient=True)
