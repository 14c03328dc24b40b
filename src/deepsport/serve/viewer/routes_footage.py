"""The addresses of a video: the file, with ranges, and its frames as pictures.

Both wait for disk and decoder in threads of their own, a few at once: a film that hangs must not hold up a list.
"""

import os
from collections.abc import AsyncIterator
from typing import Annotated, BinaryIO

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Path, Query, Request, Response
from starlette.responses import StreamingResponse

from deepsport.serve.viewer.byte_range import Span, UnsatisfiableError, span_of
from deepsport.serve.viewer.footage import SMALLEST, WIDEST, Clip
from deepsport.serve.viewer.responses import catalogue_of, found_of, refuse, set_of

PIECE_BYTES = 2**18
showing = APIRouter(prefix="/api/sets/{set_id}/episodes/{episode_id}")


@showing.api_route("/video", methods=["GET", "HEAD"])
async def video(request: Request, set_id: str, episode_id: str) -> Response:
    """The file, or the part of it that a Range header asks for."""
    limiter: CapacityLimiter = request.app.state.showing

    def opened() -> tuple[Clip, BinaryIO]:
        one, footage = set_of(request, set_id), catalogue_of(request).footage
        clip = footage.clip(found_of(one, episode_id).entry.episode, one.place.path)
        return clip, footage.open(clip)

    clip, file = await to_thread.run_sync(opened, limiter=limiter)
    size, headers = clip.stamp.size, _headers(clip)
    if request.headers.get("if-none-match") == clip.tag:
        file.close()
        return Response(None, 304, headers)
    try:
        is_same = request.headers.get("if-range", clip.tag) == clip.tag
        span = span_of(request.headers.get("range"), size) if is_same and request.method == "GET" else None
    except UnsatisfiableError:
        file.close()
        return refuse(416, "bad_range", f"the file has {size} bytes", {**headers, "content-range": f"bytes */{size}"})
    part = span or Span(0, size)
    headers |= {"content-length": str(part.stop - part.start)}
    headers |= {"content-range": f"bytes {part.start}-{part.stop - 1}/{size}"} if span else {}
    if request.method == "HEAD":
        file.close()
        return Response(None, 200, headers)
    return StreamingResponse(_pieces(file, part, limiter), 206 if span else 200, headers)


@showing.get("/frames/{index}.jpg")
async def frame(
    request: Request,
    set_id: str,
    episode_id: str,
    index: Annotated[int, Path(ge=0, le=2**31 - 1)],
    width: Annotated[int, Query(ge=SMALLEST, le=WIDEST)] = 320,
) -> Response:
    """A frame as it was decoded for the model."""

    def drawn() -> Response:
        one, footage = set_of(request, set_id), catalogue_of(request).footage
        episode = found_of(one, episode_id).entry.episode
        clip = footage.clip(episode, one.place.path)
        headers = {"etag": f'{clip.tag[:-1]}-{index}-{width}"', "cache-control": "private, max-age=0, must-revalidate"}
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(None, 304, headers)
        return Response(footage.picture(clip, episode, index, width), 200, headers, "image/jpeg")

    return await to_thread.run_sync(drawn, limiter=request.app.state.showing)


def _headers(clip: Clip) -> dict[str, str]:
    return {"etag": clip.tag, "accept-ranges": "bytes", "content-type": clip.mime, "cache-control": "private, no-cache"}


async def _pieces(file: BinaryIO, part: Span, limiter: CapacityLimiter) -> AsyncIterator[bytes]:
    """The bytes of a span; fewer if the file was cut meanwhile, which the browser notices."""
    with file:
        place = part.start
        while place < part.stop:
            n_bytes = min(PIECE_BYTES, part.stop - place)
            piece = await to_thread.run_sync(os.pread, file.fileno(), n_bytes, place, limiter=limiter)
            if not piece:
                return
            place += len(piece)
            yield piece
