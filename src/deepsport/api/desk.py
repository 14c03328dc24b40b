"""Where the models of this process work: one event loop in a thread of its own, with one decoder beside it.

A model that runs here decodes replies for all its callers together, and so belongs to one event loop; and nobody can wait in a
notebook's own loop, which runs already. So whoever asks, from whatever thread or loop, is answered from this one. It starts when
it is first needed and ends with the process; a forked process begins with a new one.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from deepsport.errors import BadVideo
from deepsport.loop_thread import LoopThread
from deepsport.policy.base import Image, Message, Policy, Reply, Sampling, Session
from deepsport.records import TokenRecord
from deepsport.video.container import stamp_of
from deepsport.video.source import FrameSource, Stamp

T = TypeVar("T")


class Desk:
    """An event loop that runs in a thread of its own, and where its frames come from."""

    def __init__(self) -> None:
        """Starts the thread, which ends with the process. Files are decoded as untrusted ones."""
        self.source = FrameSource(trusted=False)
        self._loop = LoopThread("deepsport")
        self._loop.start()

    def wait_for(self, work: Coroutine[None, None, T]) -> T:
        """Does the work on the loop and waits for it, in any other thread; Ctrl-C ends both. Raises what the work raises."""
        if threading.current_thread() is self._loop.thread:
            work.close()
            raise RuntimeError("ask() would wait here for itself: inside a policy, use `await ask_async(...)` instead")
        future = self._loop.begin(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def done(self, work: Coroutine[None, None, T]) -> T:
        """The same from a coroutine of any loop; when that is cancelled, so is the work."""
        if asyncio.get_running_loop() is self._loop.loop:
            return await work
        return await asyncio.wrap_future(self._loop.begin(work))

    def close(self) -> None:
        """Ends the loop and the decoder."""
        self._loop.stop(timeout_s=1.0)
        self.source.close()


_desk: Desk | None = None
_opening = threading.Lock()


def desk() -> Desk:
    """The one of this process."""
    global _desk
    with _opening:
        if _desk is None:
            _desk = Desk()
            atexit.register(_desk.close)
        return _desk


def _after_fork() -> None:
    """Threads do not follow into a forked process, nor may its decoder be shared with the parent."""
    global _desk, _opening
    if _desk is not None:
        atexit.unregister(_desk.close)
    _desk, _opening = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


@dataclass(frozen=True, slots=True)
class AtDesk:
    """A policy whose replies are made at the desk, whoever asks."""

    policy: Policy
    forget: Callable[[], None] = field(default=lambda: None)
    """Drops what the policy remembers of frames, if it remembers any."""
    stamps: dict[str, Stamp] = field(default_factory=dict[str, Stamp])
    """Of the videos it was shown, by path."""

    @property
    def name(self) -> str:
        """That of the policy."""
        return self.policy.name

    def session(self, sampling: Sampling) -> Session:
        """Opens a conversation."""
        return _SessionAtDesk(self.policy.session(sampling), self)

    def notice(self, messages: Sequence[Message]) -> None:
        """Lets the policy forget its frames if a video among these has taken the place of one that it was shown."""
        shown = {part.frame.video for message in messages for part in message.parts if isinstance(part, Image)}
        for video in shown:
            with suppress(BadVideo):  # it is gone: the frames at hand are those of the old one
                stamp = stamp_of(video)
                if self.stamps.setdefault(video, stamp) != stamp:
                    self.forget()
                self.stamps[video] = stamp


@dataclass(frozen=True, slots=True)
class _SessionAtDesk:
    session: Session
    policy: AtDesk

    async def reply(self, messages: Sequence[Message]) -> Reply:
        return await desk().done(self._reply(messages))

    async def _reply(self, messages: Sequence[Message]) -> Reply:
        self.policy.notice(messages)
        return await self.session.reply(messages)

    def tokens(self) -> TokenRecord | None:
        return self.session.tokens()
