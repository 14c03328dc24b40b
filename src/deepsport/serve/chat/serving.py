"""The chat server as a process: sockets and signals.

The first SIGTERM or SIGINT begins the end: new requests are told 503, what runs may finish within the grace, streams end with
`[DONE]`, and the process ends with 0. A second one ends it at once; what it leaves on the disk the next server removes.
"""

import logging
import os
import socket
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import uvicorn

from deepsport.actor import Actor
from deepsport.errors import BadConfig
from deepsport.serve.chat.app import chat_app
from deepsport.serve.chat.desk import Desk
from deepsport.serve.chat.head_limit import TimedHead
from deepsport.serve.chat.settings import ServeConfig
from deepsport.serve.guard import require_bindable
from deepsport.serve.media.store import MediaStore

_LOG = logging.getLogger("deepsport.serve")

FLUSH_S = 5
"""For the last bytes of answers that are finished."""


class ChatServer(uvicorn.Server):
    """A server with its socket open and its ending in our hands."""

    def __init__(self, settings: uvicorn.Config, desk: Desk, listening: socket.socket, on_ready: Callable[[str], None]) -> None:
        """`on_ready` is told the base address once requests are answered."""
        super().__init__(settings)
        self._desk = desk
        self._listening = listening
        self._on_ready = on_ready

    def serve_until_told(self) -> None:
        """Runs until a signal ends it; the process exits with 3 if the start fails."""
        super().run(sockets=[self._listening])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Then says so."""
        await super().startup(sockets)
        if self.started:
            self._on_ready(address_of(self._listening))

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: leaves once all are gone, if it is to end."""
        if self._desk.is_ending and self._desk.is_empty():
            self.should_exit = True
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal begins the end, the second one is it."""
        if self._desk.is_ending:
            _end_at_once(sig)
        _LOG.warning("ending: what runs may finish; a second signal ends at once")
        self._desk.end()


def chat_server(config: ServeConfig, actor: Actor, *, on_ready: Callable[[str], None]) -> ChatServer:
    """A server that has its socket and does not run yet. Raises BadConfig for an address that cannot be had, or needs a key."""
    require_bindable(config.host, config.key, f"Set {config.key_env or 'key_env'}")
    app = chat_app(config, actor, MediaStore(config.media))
    listening = _listen(config.host, config.port)
    settings = uvicorn.Config(
        app.asgi,
        http=TimedHead,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=FLUSH_S,
    )
    return ChatServer(settings, app.desk, listening, on_ready)


def serve_chat(config: ServeConfig, actor: Actor, *, on_ready: Callable[[str], None]) -> None:
    """Serves until a signal ends it; `on_ready` is told the address. Raises BadConfig as `chat_server`."""
    chat_server(config, actor, on_ready=on_ready).serve_until_told()


def address_of(listening: socket.socket) -> str:
    """The base address of the API."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        raise BadConfig(f"{host}:{port} cannot be listened at ({error.strerror}). Choose another --port or --host.") from None
    return listening


def _end_at_once(sig: int) -> NoReturn:
    os._exit(128 + sig)
