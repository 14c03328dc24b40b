"""Around everything: ids for requests, a count of answers, and no answer that is lost because its request was still on the way.

A client that is still sending when its connection is closed never sees what it was told. So what is left of a body is read, and
thrown away, before any answer goes out: for a few seconds at most.
"""

import secrets
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from deepsport.serve.chat.meters import Meters
from deepsport.serve.guard import read_away

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOO_SLOW = 408
"""The status of a request that did not come in: there is nothing to wait for."""


@dataclass(slots=True)
class _Body:
    """What of a request's body has been read."""

    receive: "Receive"
    is_over: bool = False

    async def next(self) -> "Message":
        """A part of it, for the app."""
        message = await self.receive()
        self.is_over = not message.get("more_body", False)
        return message

    async def drain(self) -> None:
        """Reads what is left."""
        if not self.is_over:
            await read_away(self.next, inf)


@dataclass(frozen=True, slots=True)
class Watch:
    """Wraps the guarded app."""

    app: "ASGIApp"
    meters: Meters

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Passes a request on, and its answer back."""
        request_id = f"req-{secrets.token_hex(8)}"
        scope.setdefault("state", {})["request_id"] = request_id
        body = _Body(receive)

        async def counted(message: "Message") -> None:
            if message["type"] == "http.response.start":
                if message["status"] != TOO_SLOW:
                    await body.drain()
                self.meters.requests.labels(str(message["status"])).inc()
                message = {**message, "headers": [*message.get("headers", ()), (b"x-request-id", request_id.encode())]}
            await send(message)

        await self.app(scope, body.next, counted)
