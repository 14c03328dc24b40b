"""How fast an endpoint may be asked: requests and tokens a minute, spread evenly instead of in bursts.

Each limit is a clock of its own that runs ahead of time with every request (the generic cell rate algorithm, ITU-T I.371); who
comes when a clock is ahead is told to wait. Tokens are estimated before a request and corrected after it: the rate is right on
average.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

BURST_S = 1.0
"""A clock may be this far ahead: what a limit grants in a second may come at once."""


@dataclass(slots=True)
class Pace:
    """The limits of one endpoint; None is no limit."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    now_s: Callable[[], float] = time.monotonic
    _requests_until_s: float = field(default=float("-inf"), init=False)
    _tokens_until_s: float = field(default=float("-inf"), init=False)

    def wait_s(self, n_tokens: int) -> float:
        """Seconds until a request of so many tokens may be sent, which is hereby counted; in the order of asking."""
        now_s = self.now_s()
        ahead_s = max(self._requests_until_s, self._tokens_until_s) - now_s - BURST_S
        if self.requests_per_minute:
            self._requests_until_s = max(now_s, self._requests_until_s) + 60 / self.requests_per_minute
        if self.tokens_per_minute:
            self._tokens_until_s = max(now_s, self._tokens_until_s) + 60 * n_tokens / self.tokens_per_minute
        return max(0.0, ahead_s)

    def correct(self, n_tokens: int) -> None:
        """So many tokens more than were taken (fewer: negative) turned out to be used."""
        if self.tokens_per_minute:
            self._tokens_until_s += 60 * n_tokens / self.tokens_per_minute
