"""The viewer as an ASGI app: its addresses, its files, its errors. No page of documentation, no listing of a folder.

Who may ask is the guard's business (`serve.guard`), laid around the app in `serving`.
"""

import asyncio
from pathlib import Path

from anyio import CapacityLimiter
from fastapi import FastAPI, Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

from deepsport.serve.viewer.catalogue import Catalogue
from deepsport.serve.viewer.responses import with_errors
from deepsport.serve.viewer.routes_annotations import saying
from deepsport.serve.viewer.routes_events import events
from deepsport.serve.viewer.routes_footage import showing
from deepsport.serve.viewer.routes_lists import lists

STATIC = Path(__file__).parent / "static"
AT_ONCE = 8
"""Requests for footage that wait for a disk or a decoder, and as many for an episode with its video."""


def viewer_app(catalogue: Catalogue) -> FastAPI:
    """The app over a catalogue that is kept up to date by whoever opened it."""
    app = FastAPI(title="DeepSport viewer", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.catalogue = catalogue
    app.state.showing, app.state.opening = CapacityLimiter(AT_ONCE), CapacityLimiter(AT_ONCE)
    app.state.stopping = asyncio.Event()
    with_errors(app)
    for router in (lists, showing, saying, events):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.get("/")
    async def page(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """The one page."""
        return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})

    return app
