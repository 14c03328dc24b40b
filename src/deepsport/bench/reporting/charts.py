"""The charts of the report as inline SVG, drawn from scratch: curves over steps, and scores with their intervals.

No script, and no colour of their own: lines carry a class (`s0`, `s1`, ...) that the style sheet colours for light and dark.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from markupsafe import Markup

from deepsport.bench.reporting.curves import Curve, smooth, thin

WIDTH, HEIGHT = 340, 190
LEFT, RIGHT, TOP, BOTTOM = 38, 8, 8, 22
"""Margins of the plot, for the numbers beside it."""
ROW_PX = 48
N_COLOURS = 8
"""Of systems; a ninth has that of the first."""
SMOOTH_FROM = 30
"""Points from which a curve is drawn twice: faint as logged, and smoothed."""


@dataclass(frozen=True, slots=True)
class Series:
    """A curve and what the legend calls it."""

    label: str
    curve: Curve


@dataclass(frozen=True, slots=True)
class Bar:
    """A score with its interval."""

    label: str
    score: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Plot:
    """From steps and values to places in the drawing."""

    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, step: float, value: float) -> tuple[float, float]:
        """Pixels from the left and from the top."""
        across = (step - self.x[0]) / (self.x[1] - self.x[0] or 1)
        up = (value - self.y[0]) / (self.y[1] - self.y[0] or 1)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def line_chart(series: Sequence[Series], title: str) -> Markup:
    """Curves over steps in one frame; those without a point are left out. Empty if none has any."""
    drawn = [(number, one.curve) for number, one in enumerate(series) if one.curve]
    if not drawn:
        return Markup()
    ticks = nice_ticks([value for _, curve in drawn for _, value in curve])
    steps = [step for _, curve in drawn for step, _ in curve]
    plot = Plot((min(steps), max(steps)), (ticks[0], ticks[-1]))
    inside = [*_grid(plot, ticks), *_steps(plot), *(line for number, curve in drawn for line in _lines(plot, number, curve))]
    return Markup('<svg class="chart" role="img" aria-label="{}" viewBox="0 0 {} {}" width="100%">{}</svg>').format(
        title, WIDTH, HEIGHT, Markup("").join(inside)
    )


def interval_chart(bars: Sequence[Bar], chance: float | None) -> Markup:
    """Scores from 0 to 100, one below the other, with intervals; a dashed line marks what guessing scores."""
    height = ROW_PX * len(bars) + 24
    parts = [
        Markup(
            '<line class="grid" x1="{0}%" x2="{0}%" y1="0" y2="{1}"/><text x="{0}%" y="{2}" text-anchor="{3}">{4}</text>'
        ).format(_share(score), height - 20, height - 4, anchor, score)
        for score, anchor in ((0, "start"), (25, "middle"), (50, "middle"), (75, "middle"), (100, "end"))
    ]
    if chance is not None:
        parts.append(
            Markup('<line class="chance" x1="{0}%" x2="{0}%" y1="0" y2="{1}"><title>guessing: {2:.1f}</title></line>').format(
                _share(chance), height - 20, chance
            )
        )
    parts += [_bar(bar, number) for number, bar in enumerate(bars)]
    return Markup(
        '<svg class="intervals" role="img" aria-label="Scores with intervals" width="100%" height="{}">{}</svg>'
    ).format(height, Markup("").join(parts))


def nice_ticks(values: Sequence[float], n: int = 4) -> list[float]:
    """About `n` round numbers that span the values; zero is one of them where it is near."""
    low, high = min(values), max(values)
    if 0 < low < high / 2:
        low = 0.0
    if low == high:
        low, high = (low - abs(low) / 2, high + abs(high) / 2) if low else (0.0, 1.0)
    rough = (high - low) / n
    power = 10.0 ** floor(log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def tick_label(value: float) -> str:
    """A round number in few characters."""
    return f"{value / 1000:.4g}k" if abs(value) >= 10_000 else f"{value:.4g}"


def _share(score: float) -> str:
    return f"{0.5 + 0.99 * score:.3f}"


def _bar(bar: Bar, number: int) -> Markup:
    """Figures and name above, interval and mark below. The page cuts a name that is too long; its tables have the whole of it."""
    top = ROW_PX * number
    low, high = bar.interval or (bar.score, bar.score)
    said = f"{bar.score:.1f}" + (f" ({low:.1f} to {high:.1f})" if bar.interval else "")
    return Markup(
        '<g class="s{0}"><title>{2}: {3}</title>'
        '<text class="name" x="0.5%" y="{1}"><tspan class="figure">{3}</tspan> {2}</text>'
        '<line class="track" x1="0.5%" x2="99.5%" y1="{4}" y2="{4}"/>'
        '<line class="span" x1="{5}%" x2="{6}%" y1="{4}" y2="{4}"/><circle class="mark" cx="{7}%" cy="{4}" r="6"/></g>'
    ).format(number % N_COLOURS, top + 15, bar.label, said, top + 31, _share(low), _share(high), _share(bar.score))


def _grid(plot: Plot, ticks: Sequence[float]) -> list[Markup]:
    lines: list[Markup] = []
    for tick in ticks:
        _, y = plot.at(plot.x[0], tick)
        lines.append(Markup('<line class="grid" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>').format(LEFT, WIDTH - RIGHT, y))
        lines.append(Markup('<text x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(LEFT - 5, y + 3.5, tick_label(tick)))
    return lines


def _steps(plot: Plot) -> list[Markup]:
    """The first, middle and last step under the plot."""
    first, last = round(plot.x[0]), round(plot.x[1])
    places = [(first, "start"), ((first + last) // 2, "middle"), (last, "end")] if last - first > 1 else [(first, "start")]
    return [
        Markup('<text x="{:.1f}" y="{}" text-anchor="{}">{}</text>').format(
            plot.at(step, 0)[0], HEIGHT - 6, anchor, f"step {step}" if step == first else step
        )
        for step, anchor in places
    ]


def _lines(plot: Plot, number: int, curve: Curve) -> list[Markup]:
    points = thin(curve)
    if len(points) < SMOOTH_FROM:
        return [_line(plot, points, f"line s{number}")]
    return [_line(plot, points, f"line raw s{number}"), _line(plot, smooth(points), f"line s{number}")]


def _line(plot: Plot, points: Curve, style: str) -> Markup:
    if len(points) == 1:
        return Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="3"/>').format(style, *plot.at(*points[0]))
    places = " ".join("{:.1f},{:.1f}".format(*plot.at(step, value)) for step, value in points)
    return Markup('<polyline class="{}" points="{}"/>').format(style, places)
