"""An event loop in a thread of its own: what it began goes on while its callers compute or wait elsewhere."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")


class LoopThread:
    """As a context it runs from entering to leaving, and what is unfinished then is cancelled. Else it is started and stopped."""

    def __init__(self, name: str) -> None:
        """Starts nothing yet."""
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)

    def start(self) -> None:
        """Runs the loop."""
        self.thread.start()

    def begin(self, work: Coroutine[None, None, T]) -> "Future[T]":
        """Starts it and goes on; the future tells how it ended."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def run(self, work: Coroutine[None, None, T]) -> T:
        """Starts it and waits for its end."""
        return self.begin(work).result()

    def cancel(self) -> None:
        """Ends all that is under way, and waits for it."""
        self.run(_cancel_others())

    def stop(self, timeout_s: float | None = None) -> None:
        """Ends the loop and waits for its thread, at most so long."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(timeout_s)

    def __enter__(self) -> "LoopThread":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.cancel()
        self.run(self.loop.shutdown_default_executor())
        self.stop()
        self.loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
