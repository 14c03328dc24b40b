"""The other end of one request: its body, whether it is still there, and what it is sent.

Nothing is waited for without an end: neither for a body that drips, nor for a client that takes no more.
"""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from deepsport.serve.chat.desk import Desk
from deepsport.serve.chat.refusal import HungUp, came_too_slowly, shutting_down

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import Message, Receive, Scope, Send

T = TypeVar("T")

SEND_S = 30.0
"""Longest that a client may leave its answer untaken."""


class Client:
    """Whoever sent a request."""

    def __init__(self, scope: "Scope", receive: "Receive", send: "Send", desk: Desk) -> None:
        """Has read nothing yet."""
        self._scope = scope
        self._receive = receive
        self._send = send
        self._desk = desk
        self._is_read = False

    async def body(self, limit_s: float) -> bytes:
        """All of the body. Raises Refused if it takes too long or the server ends, HungUp if it breaks off."""
        try:
            async with asyncio.timeout(limit_s):
                return await self.waits_for(self._all_of_it())
        except TimeoutError:
            raise came_too_slowly(limit_s) from None

    async def waits_for(self, work: Coroutine[None, None, T]) -> T:
        """The result of what is done for this client. Raises HungUp if it goes, Refused if the server ends; the work is then
        stopped."""
        working = asyncio.ensure_future(work)
        gone, over = asyncio.ensure_future(self._gone()), asyncio.ensure_future(self._desk.over.wait())
        tasks: set[asyncio.Future[Any]] = {working, gone, over}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if working.cancelled():
                raise RuntimeError("the work was cancelled, and not by us")
            if working.done():
                return working.result()
            raise HungUp("the client has gone") if gone.done() else shutting_down()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def send(self, message: "Message") -> None:
        """Sends a part of the answer. Raises HungUp if it is not taken."""
        await self._taken(self._send(message))

    async def respond(self, response: "Response") -> None:
        """Sends an answer as a whole. Raises HungUp if it is not taken."""
        await self._taken(response(self._scope, self._receive, self._send))

    async def _taken(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(SEND_S):
                await sending
        except TimeoutError:
            raise HungUp("the client takes nothing any more") from None

    async def _all_of_it(self) -> bytes:
        chunks: list[bytes] = []
        while not self._is_read:
            chunks.append(await self._chunk())
        return b"".join(chunks)

    async def _chunk(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise HungUp("the client has gone")
        self._is_read = not message.get("more_body", False)
        return message.get("body", b"")

    async def _gone(self) -> None:
        if not self._is_read:  # whoever reads the body will see it
            await asyncio.Event().wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
