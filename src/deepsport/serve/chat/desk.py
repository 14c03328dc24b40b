"""Who is let in: so many requests at once, and none once the server ends.

A place is taken before the body is read, so that bodies and media of at most so many requests are here at a time. The desk also
knows when the server is to end: it then lets nobody in, and after the grace tells what still runs to stop.
"""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager

from deepsport.serve.chat.refusal import LONGEST_RETRY_S, shutting_down, too_busy

LOOK_S = 0.1
"""Between two looks whether all have gone."""


class Desk:
    """Counts places, in one event loop."""

    def __init__(self, n_places: int, at_once: int, mean_s: Callable[[], float], grace_s: float) -> None:
        """`mean_s` tells how long one request takes, of which `at_once` run together."""
        self._n_places = n_places
        self._at_once = at_once
        self._mean_s = mean_s
        self._grace_s = grace_s
        self._n_taken = 0
        self.is_ending = False
        """Whether nobody is let in any more."""
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

    async def close(self) -> None:
        """Lets nobody in any more, and waits until all have gone; what outlives the grace is told to stop."""
        self.is_ending = True
        asyncio.get_running_loop().call_later(self._grace_s, self.over.set)
        while self._n_taken:
            await asyncio.sleep(LOOK_S)
