"""Runs the viewer's server until somebody stops it.

A signal ends it gently: open pages are told, requests under way are finished within GRACE_S, the decoding process ends. A second
signal ends it at once.
"""

import gc
import resource
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from deepsport.bench.result import VERDICTS
from deepsport.errors import RunError
from deepsport.serve.guard import PAGE_HEADERS, Guard, names_of, require_bindable
from deepsport.serve.listening import address_of, listen
from deepsport.serve.viewer.catalogue import Catalogue

if TYPE_CHECKING:
    from deepsport.serve.graceful_server import GracefulServer

GRACE_S = 3
IDLE_S = 20
"""For a connection that is not used."""
SWITCH_S = 0.001
"""How long the indexing thread may keep a request waiting before it has to let go."""
COOKIE = "deepsport_viewer"


def serve_viewer(
    runs: Sequence[Path],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    key: str | None = None,
    videos: Path | None = None,
    verdicts: str = VERDICTS,
    labeller: str = "",
    on_ready: Callable[[str], None] = print,
    open_browser: bool = False,
) -> None:
    """Serves until SIGINT or SIGTERM. `on_ready` gets the address to open, with the key in it if there is one. Port 0: any free.

    Raises BadConfig if others could reach it without a key, BadRecord for a path at which there is nothing to view, RunError if
    the address cannot be had."""
    require_bindable(host, key, "Set one with --key")
    catalogue = Catalogue.open(runs, videos=videos, verdicts=verdicts, labeller=labeller)
    sys.setswitchinterval(SWITCH_S)
    _allow_many_files()
    try:
        listening = listen(host, port)
    except OSError as error:
        why = error.strerror or error
        raise RunError(f"{host}:{port} cannot be had ({why}). Choose another --port, or --port 0 for a free one.") from error
    url = f"{address_of(listening)}/" + (f"?key={quote(key, safe='')}" if key else "")

    def ready() -> None:
        on_ready(url)
        if open_browser:
            import webbrowser

            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()  # some wait until it is closed

    with catalogue:
        server = server_of(catalogue, listening, host=host, key=key, on_ready=ready)
        gc.freeze()  # what is loaded by now stays: looking through it again and again would hold up requests
        server.serve_until_told()


class Listening:
    """The viewer in a thread of this process, on a free port of this machine: for notebooks and tests."""

    def __init__(self, catalogue: Catalogue, *, key: str | None = None) -> None:
        """Takes the port; the catalogue is opened and closed by the caller."""
        listening = listen("127.0.0.1", 0)
        self.url = address_of(listening)
        self._server = server_of(catalogue, listening, host="127.0.0.1", key=key, on_ready=lambda: None)
        self._thread = threading.Thread(target=self._server.serve_until_told, name="viewer", daemon=True)

    def __enter__(self) -> Self:
        """Begins to answer."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stops, and waits for that."""
        self._server.should_exit = True
        self._thread.join()


def server_of(
    catalogue: Catalogue, listening: socket.socket, *, host: str, key: str | None, on_ready: Callable[[], None]
) -> "GracefulServer":
    """A server for this catalogue that has not begun."""
    from deepsport.serve.graceful_server import GracefulServer
    from deepsport.serve.viewer.app import viewer_app

    app = viewer_app(catalogue)
    guarded = Guard(app=app, names=names_of(host), headers=PAGE_HEADERS, key=key, cookie=COOKIE, own_page_only=True)

    async def stop() -> None:
        app.state.stopping.set()

    return GracefulServer(guarded, listening, on_ready=on_ready, on_stop=stop, flush_s=GRACE_S, idle_s=IDLE_S)


def _allow_many_files() -> None:
    """Every set keeps up to three files open, and the usual limit is 1,024: a server that reaches it answers nobody."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
