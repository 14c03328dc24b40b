"""Progress of a long stage: a bar on a terminal, one plain line every few seconds anywhere else.

It goes to stderr, so that stdout stays for results. The rate counts only what was done since the start, so that work kept from an
earlier attempt does not make the time left look short. rich is imported only when there is a terminal to draw on.
"""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import RenderableType

EVERY_S = 5.0
"""Seconds between two plain lines."""


class Tick(Protocol):
    """What a stage calls whenever it has finished something."""

    def __call__(self, n: int = 1, *, extra: str = "", panel: "Callable[[], RenderableType] | None" = None) -> None:
        """`n` more are done; `extra` is shown behind the figures until the next one, `panel` above the bar of a terminal."""
        ...


@contextmanager
def track(
    title: str,
    *,
    total: int | None = None,
    unit: str = "",
    done: int = 0,
    shown: bool = True,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Tick]:
    """Shows how far a stage is, if `shown`. `done` of `total` (None: nobody knows) were finished in an earlier attempt."""
    out = stream or sys.stderr
    if not shown:
        yield _silent
        return
    state = _State(title, total, unit, done, clock, clock())
    with _bar(state, out) if out.isatty() else _lines(state, out) as tick:
        yield tick


@dataclass(slots=True)
class _State:
    title: str
    total: int | None
    unit: str
    done: int
    clock: Callable[[], float]
    started: float
    fresh: int = 0
    """Done since `started`."""
    extra: str = ""

    def advance(self, n: int, extra: str) -> None:
        self.done += n
        self.fresh += n
        self.extra = extra or self.extra

    def line(self) -> str:
        """`sft 40/200 steps, 8.1/s, 20 s left, loss 0.31`."""
        elapsed = self.clock() - self.started
        rate = self.fresh / elapsed if elapsed > 0 else 0.0
        count = f"{self.done}/{self.total}" if self.total is not None else str(self.done)
        parts = [f"{self.title} {count} {self.unit}".rstrip(), _rate(rate)]
        if self.total is not None and rate > 0 and self.done < self.total:
            parts.append(f"{clock_time((self.total - self.done) / rate)} left")
        else:
            parts.append(clock_time(elapsed))
        return ", ".join(part for part in [*parts, self.extra] if part)


def clock_time(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _rate(per_second: float) -> str:
    if per_second <= 0:
        return ""
    return f"{per_second:.1f}/s" if per_second >= 1 else f"{1 / per_second:.1f} s each"


def _silent(n: int = 1, *, extra: str = "", panel: "Callable[[], RenderableType] | None" = None) -> None:
    pass


@contextmanager
def _lines(state: _State, stream: TextIO) -> Generator[Tick]:
    """Plain lines; the last state is always printed, also after a fault, so that a log says how far a stage came."""
    printed_at, printed_done = state.started, -1

    def show() -> None:
        nonlocal printed_at, printed_done
        printed_at, printed_done = state.clock(), state.done
        print(state.line(), file=stream, flush=True)

    def tick(n: int = 1, *, extra: str = "", panel: "Callable[[], RenderableType] | None" = None) -> None:
        state.advance(n, extra)
        if state.clock() - printed_at >= EVERY_S:
            show()

    try:
        yield tick
    finally:
        if printed_done != state.done:
            show()


@contextmanager
def _bar(state: _State, stream: TextIO) -> Generator[Tick]:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), BarColumn(bar_width=24), TextColumn("{task.description}", markup=False))
    progress = Progress(*columns)
    task = progress.add_task(state.line(), total=state.total, completed=state.done)
    with Live(progress, console=Console(file=stream), transient=False) as live:

        def tick(n: int = 1, *, extra: str = "", panel: "Callable[[], RenderableType] | None" = None) -> None:
            state.advance(n, extra)
            progress.update(task, completed=state.done, description=state.line())
            if panel:
                live.update(Group(panel(), progress))

        yield tick
