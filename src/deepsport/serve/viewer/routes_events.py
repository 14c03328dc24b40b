"""What changed, told to open pages as server-sent events: a set that has other rows, or other runs and curves.

An event says that something is new, not what: the page asks for what it shows. A page that comes late asks anyway.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from deepsport.serve.viewer.catalogue import Catalogue, EpisodeSet
from deepsport.serve.viewer.responses import NOT_KEPT, catalogue_of

EVERY_S = 0.5
KEEP_ALIVE_S = 15.0
events = APIRouter(prefix="/api")


@events.get("/events")
async def changes(request: Request) -> StreamingResponse:
    """Goes on until the page is closed or the server stops."""
    told = tell(catalogue_of(request), request.app.state.stopping)
    return StreamingResponse(told, headers=NOT_KEPT, media_type="text/event-stream")


async def tell(catalogue: Catalogue, stopping: asyncio.Event) -> AsyncIterator[str]:
    """The events, at most one for each set every EVERY_S."""
    versions = {one.id: one.version for one in catalogue.sets.values()}
    runs, loop = catalogue.runs_version, asyncio.get_running_loop()
    told_at = loop.time()
    yield ": hello\n\n"
    while not await _stopped(stopping):
        found = list[str]()
        if catalogue.runs_version != runs:
            runs = catalogue.runs_version
            found.append("event: runs\ndata: {}\n\n")
        for one in catalogue.sets.values():
            if versions.get(one.id) != (version := one.version):
                versions[one.id] = version
                found.append(f"event: change\ndata: {json.dumps(_news(one, version))}\n\n")
        if found or loop.time() - told_at > KEEP_ALIVE_S:
            told_at = loop.time()
            yield "".join(found) or ": keep-alive\n\n"


def _news(one: EpisodeSet, version: int) -> dict[str, Any]:
    return {"set": one.id, "n": int(one.index.view().rows_F["shown"].sum()), "indexed": one.index.share_read, "version": version}


async def _stopped(stopping: asyncio.Event) -> bool:
    """Waits a moment; whether the server is to stop."""
    try:
        await asyncio.wait_for(stopping.wait(), EVERY_S)
    except TimeoutError:
        return False
    return True
