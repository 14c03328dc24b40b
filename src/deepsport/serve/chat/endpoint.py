"""POST /v1/chat/completions: from a request to its answer, whole or as a stream.

In order: a place, the body, the media, a turn, the episodes. What fails before a stream has begun is an HTTP error; after that it
is an event of the stream, which the official client raises. A stream always ends with `[DONE]` unless its client has gone.
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from deepsport.errors import RunError
from deepsport.records import Episode, StopReason, Turn
from deepsport.serve.chat.asked import Asked, asked_of, question_of, samplings_of, terms_of
from deepsport.serve.chat.body import read_body
from deepsport.serve.chat.client import Client
from deepsport.serve.chat.desk import Desk
from deepsport.serve.chat.episodes import Episodes, Job, OnTurn, Played
from deepsport.serve.chat.meters import Meters
from deepsport.serve.chat.refusal import HungUp, Json, Refused, bad_request, failed, no_room, waited_too_long
from deepsport.serve.chat.reply import Letterhead, closing_chunks, completion, extension, shown_episode, turn_chunk
from deepsport.serve.chat.settings import ServeConfig
from deepsport.serve.media.brought import Brought
from deepsport.serve.media.data_uri import are_pictures
from deepsport.serve.media.refusal import MediaRefused
from deepsport.serve.media.store import MediaStore

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_LOG = logging.getLogger("deepsport.serve")

_EVENT_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
"""The last keeps a proxy of nginx's kind from holding events back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatEndpoint:
    """An ASGI app of one path."""

    config: ServeConfig
    names: Sequence[str]
    """The model's, the one that is shown first."""
    desk: Desk
    store: MediaStore
    episodes: Episodes
    meters: Meters
    albums: asyncio.Semaphore
    """Requests whose pictures may be in memory at once."""

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answers one request."""
        client = Client(scope, receive, send, self.desk)
        try:
            try:
                with self.desk.place():
                    await self._answer(client, scope["state"]["request_id"])
            except Refused as refused:
                await client.respond(refused.response())
        except HungUp:
            self.meters.hung_up.inc()

    async def _answer(self, client: Client, request_id: str) -> None:
        """Raises Refused before anything is sent, and HungUp."""
        asked = asked_of(read_body(await client.body(self.config.wait_s)), self.config.ceilings, self.names)
        head = Letterhead.now(request_id, self.names[0])
        async with AsyncExitStack() as held:
            brought = await client.waits_for(self._bring(asked, held, request_id))
            asked = replace(asked, media=())  # a data URI is large, and an episode may be long
            terms = terms_of(asked, self.config.ceilings, brought)
            question = question_of(asked, request_id, brought)
            job = Job(question=question, brought=brought, terms=terms, samplings=samplings_of(asked))
            if asked.stream:
                await self._stream(client, head, job, with_usage=asked.with_usage)
            else:
                played = await self._play(client, head, job, _untold)
                await client.respond(JSONResponse(completion(head, played.episodes, _extension(played, job))))

    async def _bring(self, asked: Asked, held: AsyncExitStack, request_id: str) -> Brought:
        """The media, there for as long as they are held. Raises Refused."""
        if are_pictures(asked.media):
            await self._room_for_an_album(held)
        try:
            brought = await held.enter_async_context(self.store.bring(asked.media))
        except MediaRefused as refused:
            self.meters.media_refused.labels(refused.code).inc()
            raise bad_request(str(refused), "messages", f"media_{refused.code}") from None
        except RunError as error:
            _LOG.error("request %s: %s", request_id, error)
            raise no_room(request_id) from None
        self.meters.media_bytes.inc(brought.n_bytes)
        return brought

    async def _room_for_an_album(self, held: AsyncExitStack) -> None:
        """Decoded pictures are large: no more requests have theirs here than are played. Raises Refused."""
        try:
            with self.meters.queued.track_inprogress():
                async with asyncio.timeout(self.config.wait_s):
                    await held.enter_async_context(self.albums)
        except TimeoutError:
            raise waited_too_long(self.config.wait_s, self.episodes.mean_s) from None

    async def _play(self, client: Client, head: Letterhead, job: Job, on_turn: OnTurn) -> Played:
        """The episodes, as the client may have them. Raises Refused, HungUp."""
        try:
            played = await client.waits_for(self.episodes.play(job, on_turn))
        except (Refused, HungUp):
            raise
        except Exception as error:
            _LOG.exception("request %s: the episode broke", head.request_id)
            raise failed(head.request_id) from error
        for episode in played.episodes:
            _require_sound(episode, job, head.request_id)
        shown = tuple(shown_episode(episode, job.brought, self.names[0]) for episode in played.episodes)
        return Played(shown, played.warnings)

    async def _stream(self, client: Client, head: Letterhead, job: Job, *, with_usage: bool) -> None:
        await client.send({"type": "http.response.start", "status": 200, "headers": _EVENT_HEADERS})
        for index in range(len(job.samplings)):
            await _tell(client, head.chunk(index, {"role": "assistant", "content": ""}))
        try:
            played = await self._play_aloud(client, head, job)
            for chunk in closing_chunks(head, played.episodes, _extension(played, job), with_usage=with_usage):
                await _tell(client, chunk)
        except Refused as refused:
            await _tell(client, refused.body())
        await client.send(_event("[DONE]", more=False))

    async def _play_aloud(self, client: Client, head: Letterhead, job: Job) -> Played:
        """Plays, and tells each turn as soon as it is over; says that it is still there when there is nothing to tell."""
        news: asyncio.Queue[tuple[int, Turn] | None] = asyncio.Queue()
        playing = asyncio.ensure_future(self._play(client, head, job, lambda index, turn: news.put_nowait((index, turn))))
        playing.add_done_callback(lambda _: news.put_nowait(None))
        try:
            while (told := await self._next(client, news)) is not None:
                await _tell(client, turn_chunk(head, *told))
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
        return playing.result()

    async def _next(self, client: Client, news: "asyncio.Queue[tuple[int, Turn] | None]") -> tuple[int, Turn] | None:
        while True:
            try:
                async with asyncio.timeout(self.config.beat_s):
                    return await news.get()
            except TimeoutError:
                await client.send({"type": "http.response.body", "body": b": still at it\n\n", "more_body": True})


def _extension(played: Played, job: Job) -> Json:
    return extension(played.episodes, job.terms, played.warnings)


def _untold(index: int, turn: Turn) -> None:
    """Nobody watches."""


async def _tell(client: Client, chunk: Json) -> None:
    await client.send(_event(json.dumps(chunk), more=True))


def _event(text: str, *, more: bool) -> dict[str, object]:
    return {"type": "http.response.body", "body": f"data: {text}\n\n".encode(), "more_body": more}


def _require_sound(episode: Episode, job: Job, request_id: str) -> None:
    """Raises Refused for an episode that a fault ended."""
    match episode.stop:
        case StopReason.CONTEXT_OVERFLOW:
            message = "the conversation does not fit the model's context. Ask for fewer or smaller frames, or fewer turns."
            raise bad_request(message, "messages", "context_length_exceeded")
        case StopReason.VIDEO_ERROR:
            raise bad_request(_without_path(episode.detail, job.brought.path), "messages", "bad_video")
        case StopReason.POLICY_ERROR:
            _LOG.error("request %s: %s", request_id, episode.detail)
            raise failed(request_id)
        case _:
            return


def _without_path(detail: str, path: str) -> str:
    """A message about a file, without where it stands."""
    return detail.replace(repr(path), "the video").replace(path, "the video")
