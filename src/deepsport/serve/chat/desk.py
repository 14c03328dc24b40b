"""Who is let in: so many requests at once, and none once the server ends.

A place is taken before the body is read, so that bodies and media of at most so many requests are here at a time. The desk also
knows when the server is to end: it then lets nobody in, and after the grace tells what still runs to stop.
"""

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from deepsport.serve.chat.refusal import LONGEST_RETRY_S, shutting_down, too_busy


class Desk:
    """Counts places. All of it runs in one event loop, but `end`, which a signal handler may call."""

    def __init__(self, n_places: int, at_once: int, mean_s: Callable[[], float], grace_s: float) -> None:
        """`mean_s` tells how long one request takes, of which `at_once` run together."""
        self._n_places = n_places
        self._at_once = at_once
        self._mean_s = mean_s
        self._grace_s = grace_s
        self._n_taken = 0
        self._ends_at: float | None = None
        self.over = asyncio.Event()
        """Set when what still runs must stop."""

    @contextmanager
    def place(self) -> Generator[None]:
        """A place for one request. Raises Refused if there is none."""
        if self.is_ending:
            raise shutting_down()
        if self._n_taken >= self._n_places:
            raise too_busy(self.retry_after_s)
        self._n_taken += 1
        try:
            yield
        finally:
            self._n_taken -= 1

    @property
    def retry_after_s(self) -> float:
        """Until what is here now will be done."""
        return min(LONGEST_RETRY_S, max(1.0, self._mean_s() * self._n_taken / self._at_once))

    @property
    def is_ending(self) -> bool:
        """Whether the server lets nobody in any more."""
        return self._ends_at is not None

    def end(self) -> None:
        """Lets nobody in any more; the grace begins."""
        self._ends_at = time.monotonic() + self._grace_s

    def is_empty(self) -> bool:
        """Whether all are gone; looked at again and again once the server ends, and stops what outlives the grace."""
        if self._ends_at is not None and time.monotonic() >= self._ends_at:
            self.over.set()
        return self._n_taken == 0
