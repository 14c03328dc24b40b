"""A uvicorn server that a signal ends gently and a second one at once; the process then goes on, and cleans up after itself.

uvicorn raises the signal again once it has stopped, which would end the process before its decoders are.
"""

import socket
from collections.abc import Callable
from types import FrameType

import uvicorn


class GracefulServer(uvicorn.Server):
    """`on_stop` is called in the server's loop when it begins to stop: for answers that would never end by themselves."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Lets requests under way come to their end."""
        self._on_stop()
        await super().shutdown(sockets)
