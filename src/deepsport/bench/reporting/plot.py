"""What charts of systems share: axes, grid and numbered marks.

Places across are percentages and places down are pixels, so that one drawing fits a phone and a desk with text of one size. A
system is told by the number in its mark, which is the number of its column in every table; colour only helps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

from markupsafe import Markup

from deepsport.bench.reporting.charts import N_COLOURS, nice_ticks, tick_label

HEIGHT_PX, TOP_PX, BOTTOM_PX = 260, 14, 40
GRID_LEFT, GRID_RIGHT = 9.0, 98.0
LEFT_SHARE, RIGHT_SHARE = 12.5, 95.0
"""Percent of the width at which the first and the last value stand; marks are as wide as the rest."""
WIDE = 4.0
"""Largest value over smallest, neither 0, from which an axis grows by doubling."""
MOST_TICKS = 9
NOTHING = Markup()


@dataclass(frozen=True, slots=True)
class Axis:
    """From values to shares of the way along, by steps or by doubling."""

    ticks: Sequence[float]
    doubling: bool = False

    def share(self, value: float) -> float:
        """0 at the first tick, 1 at the last."""
        first, last, here = (log2(1 + each) if self.doubling else each for each in (self.ticks[0], self.ticks[-1], value))
        return (here - first) / (last - first or 1)


@dataclass(frozen=True, slots=True)
class Plot:
    """The place of a pair of values in the drawing."""

    x: Axis
    y: Axis

    def left(self, value: float) -> float:
        """Percent of the width."""
        return LEFT_SHARE + self.x.share(value) * (RIGHT_SHARE - LEFT_SHARE)

    def top(self, value: float) -> float:
        """Pixels."""
        return HEIGHT_PX - BOTTOM_PX - self.y.share(value) * (HEIGHT_PX - TOP_PX - BOTTOM_PX)


def axis_of(values: Sequence[float]) -> Axis:
    """Round ticks that span the values; by doubling where they are wide apart. A 0 stays in either."""
    above = [value for value in values if value > 0]
    if not above or max(above) < WIDE * min(above):
        return Axis(nice_ticks(values))
    ticks = [0.0] if min(values) <= 0 else []
    tick = 2.0 ** int(log2(max(1.0, min(above))))
    while not ticks or ticks[-1] < max(above):
        ticks.append(tick)
        tick *= 2
    return Axis(ticks, doubling=True)


def frame(plot: Plot, across: str, kind: str, title: str, inside: Sequence[Markup]) -> Markup:
    """The drawing: grid, ticks, what the axis across measures, and what is drawn in it."""
    parts = [*_down(plot), *_across(plot), *inside]
    parts.append(
        Markup('<text class="axis" x="{:.2f}%" y="{}" text-anchor="middle">{}</text>').format(
            (LEFT_SHARE + RIGHT_SHARE) / 2, HEIGHT_PX - 4, across
        )
    )
    return Markup('<svg class="plot {}" role="img" aria-label="{}" width="100%" height="{}">{}</svg>').format(
        kind, title, HEIGHT_PX, Markup("").join(parts)
    )


def mark(number: int, left: float, top: float, said: str, *, aside_px: float = 0, under: Markup = NOTHING) -> Markup:
    """A system's mark: its number, from 1, in a ring; `aside_px` moves it, and what is drawn under it, off another mark."""
    return Markup(
        '<g class="mark sys{}" transform="translate({:.0f} 0)"><title>{}</title>{}<circle cx="{:.2f}%" cy="{:.1f}" r="9"/>'
        '<text x="{:.2f}%" y="{:.1f}" text-anchor="middle">{}</text></g>'
    ).format(number % N_COLOURS, aside_px, said, under, left, top, left, top + 4, number + 1)


def segment(number: int, kind: str, start: tuple[float, float], end: tuple[float, float]) -> Markup:
    """A straight line of a system's colour between two (left, top)."""
    return Markup('<line class="{} sys{}" x1="{:.2f}%" y1="{:.1f}" x2="{:.2f}%" y2="{:.1f}"/>').format(
        kind, number % N_COLOURS, *start, *end
    )


def _down(plot: Plot) -> list[Markup]:
    lines: list[Markup] = []
    for tick in plot.y.ticks:
        top = plot.top(tick)
        lines.append(
            Markup('<line class="grid" x1="{0}%" x2="{1}%" y1="{2:.1f}" y2="{2:.1f}"/>').format(GRID_LEFT, GRID_RIGHT, top)
        )
        lines.append(
            Markup('<text x="{}%" y="{:.1f}" text-anchor="end">{}</text>').format(GRID_LEFT - 1.5, top + 4, tick_label(tick))
        )
    return lines


def _across(plot: Plot) -> list[Markup]:
    return [
        Markup('<text x="{:.2f}%" y="{}" text-anchor="middle">{}</text>').format(
            plot.left(tick), HEIGHT_PX - BOTTOM_PX + 17, tick_label(tick)
        )
        for tick in plot.x.ticks[:: -(-len(plot.x.ticks) // MOST_TICKS)]
    ]
