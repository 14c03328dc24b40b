"""The chat server as a process: sockets and signals.

The first SIGTERM or SIGINT begins the end: new requests are told 503, what runs may finish within the grace, streams end with
`[DONE]`, and the process ends with 0. A second one ends it at once; what it leaves on the disk the next server removes.
"""

import logging
from collections.abc import Callable

from deepsport.actor import Actor
from deepsport.errors import BadConfig
from deepsport.serve.chat.app import chat_app
from deepsport.serve.chat.settings import ServeConfig
from deepsport.serve.graceful_server import GracefulServer
from deepsport.serve.guard import require_bindable
from deepsport.serve.listening import address_of, listen
from deepsport.serve.media.store import MediaStore

_LOG = logging.getLogger("deepsport.serve")

FLUSH_S = 5
"""For the last bytes of answers that are finished."""
IDLE_S = 5
"""For a connection that is not used."""


def chat_server(config: ServeConfig, actor: Actor, store: MediaStore, *, on_ready: Callable[[str], None]) -> GracefulServer:
    """A server that has its socket and does not run yet; `store` is open while it does, and `on_ready` is told its base address.

    Raises BadConfig for an address that cannot be had, or needs a key."""
    require_bindable(config.host, config.key, f"Set {config.key_env or 'key_env'}")
    app = chat_app(config, actor, store)
    try:
        listening = listen(config.host, config.port)
    except OSError as error:
        why = f"{config.host}:{config.port} cannot be listened at ({error.strerror})"
        raise BadConfig(f"{why}. Choose another --port or --host.") from None

    def ready() -> None:
        app.begin()
        on_ready(f"{address_of(listening)}/v1")

    async def stop() -> None:
        _LOG.warning("ending: what runs may finish; a second signal ends at once")
        await app.end()

    return GracefulServer(app.asgi, listening, on_ready=ready, on_stop=stop, flush_s=FLUSH_S, idle_s=IDLE_S, second_kills=True)


def serve_chat(config: ServeConfig, actor: Actor, *, on_ready: Callable[[str], None]) -> None:
    """Serves until a signal ends it; `on_ready` is told the address. Raises BadConfig as `chat_server`, and RunError if there is
    no place for media."""
    with MediaStore(config.media) as store:
        chat_server(config, actor, store, on_ready=on_ready).serve_until_told()
