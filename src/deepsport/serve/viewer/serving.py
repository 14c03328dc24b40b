"""Runs the viewer's server until somebody stops it.

A signal ends it gently: open pages are told, requests under way are finished within GRACE_S, the decoding process ends. A second
signal ends it at once.
"""

import asyncio
import gc
import resource
import socket
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from deepsport.bench.result import VERDICTS
from deepsport.errors import BadConfig, RunError
from deepsport.serve.guard import PAGE_HEADERS, Guard, names_of, require_bindable
from deepsport.serve.viewer.catalogue import Catalogue

if TYPE_CHECKING:
    import uvicorn

GRACE_S = 3
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

    Raises BadConfig if others could reach it without a key or FastAPI is not installed, BadRecord for a path at which there is
    nothing to view, RunError if the address cannot be had."""
    require_bindable(host, key, "Set one with --key")
    catalogue = Catalogue.open(runs, videos=videos, verdicts=verdicts, labeller=labeller)
    sys.setswitchinterval(SWITCH_S)
    _allow_many_files()
    with listening_at(host, port) as taken, catalogue:
        url = address(taken, key)
        server = server_of(catalogue, host=host, key=key)
        gc.freeze()  # what is loaded by now stays: looking through it again and again would hold up requests

        def ready() -> None:
            on_ready(url)
            if open_browser:
                import webbrowser

                threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()  # some wait until it is closed

        asyncio.run(_serve(server, taken, ready))


class Listening:
    """The viewer in a thread of this process, on a free port of this machine: for notebooks and tests."""

    def __init__(self, catalogue: Catalogue, *, key: str | None = None) -> None:
        """Takes the port; the catalogue is opened and closed by the caller."""
        self._socket = _listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = server_of(catalogue, host="127.0.0.1", key=key)
        self._thread = threading.Thread(target=self._run, name="viewer", daemon=True)

    def __enter__(self) -> Self:
        """Begins to answer."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stops, and waits for that."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(_serve(self._server, self._socket, lambda: None))


def server_of(catalogue: Catalogue, *, host: str, key: str | None) -> "uvicorn.Server":
    """A server for this catalogue that has not begun. Raises BadConfig if FastAPI is not installed."""
    try:
        import uvicorn

        from deepsport.serve.viewer.app import viewer_app
        from deepsport.serve.viewer.graceful_server import GracefulServer
    except ImportError as error:
        raise BadConfig("The viewer needs fastapi and uvicorn: pip install 'deepsport[serve]'") from error
    app = viewer_app(catalogue)
    guarded = Guard(app=app, names=names_of(host), headers=PAGE_HEADERS, key=key, cookie=COOKIE, own_page_only=True)
    config = uvicorn.Config(
        guarded,
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=30,
    )
    stopping: asyncio.Event = app.state.stopping
    return GracefulServer(config, stopping.set)


@contextmanager
def listening_at(host: str, port: int) -> Generator[socket.socket]:
    """A socket that others can connect to already. Raises RunError if the address cannot be had."""
    try:
        taken = _listen(host, port)
    except OSError as error:
        why = error.strerror or error
        raise RunError(f"{host}:{port} cannot be had ({why}). Choose another --port, or --port 0 for a free one.") from error
    with taken:
        yield taken


def address(taken: socket.socket, key: str | None) -> str:
    """What to open in a browser."""
    host, port = taken.getsockname()[:2]
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}/" + (f"?key={quote(key, safe='')}" if key else "")


def _allow_many_files() -> None:
    """Every set keeps up to three files open, and the usual limit is 1,024: a server that reaches it answers nobody."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=128)


async def _serve(server: "uvicorn.Server", taken: socket.socket, ready: Callable[[], None]) -> None:
    telling = asyncio.create_task(_tell(server, ready))
    await server.serve([taken])
    telling.cancel()
    with suppress(asyncio.CancelledError):
        await telling


async def _tell(server: "uvicorn.Server", ready: Callable[[], None]) -> None:
    while not server.started:
        await asyncio.sleep(0.01)
    ready()
