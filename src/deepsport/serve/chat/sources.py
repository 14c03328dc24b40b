"""Decoding processes for files nobody vouches for: each running request has one to itself.

A file that hangs or kills its decoder so holds up no other request. A source is renewed after a number of requests: its process
keeps the last few files open, and removed files take room on the disk until they are closed. A source whose request was given up
may still be busy with it; it is closed in a thread, which waits for that, and never lent again.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from deepsport.errors import BadVideo
from deepsport.serve.media.brought import Album, Brought
from deepsport.serve.media.images import narrowness
from deepsport.serve.media.stills import Stills
from deepsport.video.source import FrameSource, VideoInfo

RENEWED_AFTER = 50
"""Requests."""


class Untrusted(FrameSource):
    """Videos of a decoding process, but for those that no model takes."""

    def __init__(self) -> None:
        """Starts no process yet."""
        super().__init__(trusted=False)

    def info(self, path: str) -> VideoInfo:
        """The facts about the file as it is now. Raises BadVideo."""
        info = super().info(path)
        if fault := narrowness(info.width, info.height):
            raise BadVideo(f"{path} is {fault}")
        return info


class Sources:
    """Lends sources within one event loop; as many as are asked for at once, which is for the borrower to bound."""

    def __init__(self) -> None:
        """Starts no process: they come when they are needed."""
        self._idle: list[tuple[FrameSource, int]] = []
        """With the number of requests each has served; the one used last is taken first."""
        self._closing: set[asyncio.Future[None]] = set()

    @asynccontextmanager
    async def source(self, brought: Brought) -> AsyncGenerator[FrameSource]:
        """Where the frames of a medium come from, for one request."""
        if isinstance(brought, Album):
            yield Stills(brought)
            return
        source, n_served = self._idle.pop() if self._idle else (Untrusted(), 0)
        try:
            yield source
        except BaseException:
            self._discard(source)
            raise
        if n_served + 1 < RENEWED_AFTER:
            self._idle.append((source, n_served + 1))
        else:
            self._discard(source)

    async def close(self) -> None:
        """Ends the processes that are idle, and waits for those that are ending."""
        while self._idle:
            self._discard(self._idle.pop()[0])
        if self._closing:
            await asyncio.wait(self._closing)

    def _discard(self, source: FrameSource) -> None:
        closing = asyncio.get_running_loop().run_in_executor(None, source.close)
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
