"""The chat server as an ASGI app: models, chat completions, health and metrics, behind the guard.

Nothing of the framework's own is served: no pages, no schema, and no error but in the form of the API.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deepsport.actor import Actor
from deepsport.serve.chat.desk import Desk
from deepsport.serve.chat.endpoint import ChatEndpoint
from deepsport.serve.chat.episodes import Episodes
from deepsport.serve.chat.meters import Meters
from deepsport.serve.chat.refusal import Json, Refused, failed, unknown_model
from deepsport.serve.chat.settings import ServeConfig
from deepsport.serve.chat.watch import Watch
from deepsport.serve.guard import Guard, names_of
from deepsport.serve.media.store import MediaStore

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_LOG = logging.getLogger("deepsport.serve")

OPEN_PATHS = frozenset({"/health", "/ready"})
"""Answered without a key: they tell nothing but whether the server is there."""


@dataclass(frozen=True, slots=True)
class ChatApp:
    """The app, and what begins and ends with its server."""

    asgi: "ASGIApp"
    desk: Desk
    episodes: Episodes

    def begin(self) -> None:
        """Called in the server's event loop."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(32, "media"))
        self.episodes.start()

    async def end(self) -> None:
        """Lets nobody in any more, and waits for what runs, which is told to stop after the grace."""
        await self.desk.close()
        await self.episodes.close()


def chat_app(config: ServeConfig, actor: Actor, store: MediaStore) -> ChatApp:
    """The whole server but for its sockets; the store is open while it serves."""
    meters = Meters()
    episodes = Episodes(config, actor, meters)
    desk = Desk(config.concurrency + config.queue, config.concurrency, lambda: episodes.mean_s, config.grace_s)
    shown = config.shown_name(actor.policy.name)
    names = list(dict.fromkeys((shown, actor.policy.name)))
    endpoint = ChatEndpoint(
        config=config,
        names=names,
        desk=desk,
        store=store,
        episodes=episodes,
        meters=meters,
        albums=asyncio.Semaphore(config.concurrency),
    )
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.router.routes.append(Route("/v1/chat/completions", endpoint, methods=["POST"]))
    _add_models(app, shown)
    _add_state(app, desk, meters)
    _add_faults(app)
    guarded = Guard(
        app=app,
        names=names_of(config.host, config.names),
        key=config.key,
        open_paths=OPEN_PATHS,
        max_body_bytes=config.max_body_bytes,
    )
    return ChatApp(Watch(guarded, meters), desk, episodes)


def _add_models(app: FastAPI, shown: str) -> None:
    card: Json = {"id": shown, "object": "model", "created": 0, "owned_by": "deepsport"}

    @app.get("/v1/models")
    async def models() -> Response:  # pyright: ignore[reportUnusedFunction] (a route)
        return JSONResponse({"object": "list", "data": [card]})

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> Response:  # pyright: ignore[reportUnusedFunction] (a route)
        return JSONResponse(card) if name == shown else unknown_model(name, shown).response()


def _add_state(app: FastAPI, desk: Desk, meters: Meters) -> None:
    @app.get("/health")
    async def health() -> Response:  # pyright: ignore[reportUnusedFunction] (a route)
        return JSONResponse({"status": "ok"})

    @app.get("/ready")
    async def ready() -> Response:  # pyright: ignore[reportUnusedFunction] (a route)
        return JSONResponse({"status": "ending"}, 503) if desk.is_ending else JSONResponse({"status": "ready"})

    @app.get("/metrics")
    async def metrics() -> Response:  # pyright: ignore[reportUnusedFunction] (a route)
        return Response(meters.page(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_faults(app: FastAPI) -> None:
    """Errors of the framework in the form of the API. What nobody foresaw is logged with its stack, and told by its id."""

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:  # pyright: ignore[reportUnusedFunction] (a handler)
        message = f"{request.method} {request.url.path[:80]}: {error.detail}. See GET /v1/models, POST /v1/chat/completions."
        return Refused(error.status_code, "invalid_request_error", message, "unknown_url").response()

    @app.exception_handler(Exception)
    async def broken(request: Request, _: Exception) -> Response:  # pyright: ignore[reportUnusedFunction] (a handler)
        _LOG.error("request %s broke; its stack follows", request.state.request_id)
        return failed(request.state.request_id).response()
