"""A uvicorn server that says when it answers, and that a signal ends gently; the process then goes on and cleans up after itself.

uvicorn raises the signal again once it has stopped, which would end the process before its decoders are.
"""

import os
import socket
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from deepsport.serve.head_limit import TimedHead

if TYPE_CHECKING:
    from starlette.types import ASGIApp


class GracefulServer(uvicorn.Server):
    """One app at one socket. A second signal ends the server at once, or if `second_kills` the whole process."""

    def __init__(
        self,
        app: "ASGIApp",
        listening: socket.socket,
        *,
        on_ready: Callable[[], None],
        on_stop: Callable[[], Awaitable[None]],
        flush_s: int,
        idle_s: int,
        second_kills: bool = False,
    ) -> None:
        """`on_ready` is called once requests are answered. `on_stop` is waited for while they still are; answers under way then
        have `flush_s`. A connection that is not used is closed after `idle_s`."""
        super().__init__(
            uvicorn.Config(
                app,
                http=TimedHead,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=flush_s,
                timeout_keep_alive=idle_s,
            )
        )
        self._listening = listening
        self._on_ready = on_ready
        self._on_stop = on_stop
        self._second_kills = second_kills

    def serve_until_told(self) -> None:
        """Serves until a signal, or `should_exit`, ends it."""
        with self._listening:
            super().run(sockets=[self._listening])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Then says so."""
        await super().startup(sockets)
        self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal begins the end, the second one is it."""
        if self.should_exit and self._second_kills:
            os._exit(128 + sig)
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Lets requests under way come to their end."""
        await self._on_stop()
        await super().shutdown(sockets)
