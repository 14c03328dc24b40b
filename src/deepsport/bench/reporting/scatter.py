"""Score against frames: what looking buys, each system a mark with its interval.

Systems that are one model shown ever more frames are joined by a line. The axis of frames doubles where systems are far apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from deepsport.bench.report import SystemReport
from deepsport.bench.reporting.figures import name_of
from deepsport.bench.reporting.plot import Axis, Plot, axis_of, frame, mark, segment

SCORES = Axis((0, 20, 40, 60, 80, 100))
NEAR_SHARE, NEAR_PX, ASIDE_PX = 3.0, 18.0, 19.0
"""Marks nearer than this, in percent across and in pixels down, would cover each other, and stand so far aside."""
FARTHEST_PX, MIDDLE_SHARE = 120.0, 54.0
"""As far aside as a phone has room for, towards the middle of the drawing; more marks than that stand closer together."""


@dataclass(frozen=True, slots=True)
class Point:
    """A system in the plane of frames and score."""

    number: int
    """Its place among the systems, from 0."""
    label: str
    frames: float
    score: float
    interval: tuple[float, float] | None

    @property
    def said(self) -> str:
        """As a reader is told."""
        span = f" ({self.interval[0]:.1f} to {self.interval[1]:.1f})" if self.interval else ""
        return f"{self.number + 1}, {self.label}: {self.score:.1f}{span} with {self.frames:.1f} frames"


def points(systems: Mapping[str, SystemReport]) -> list[Point]:
    """The systems that have both figures."""
    return [
        Point(number, name_of(name), one.frames_per_question, one.score, one.ci95)
        for number, (name, one) in enumerate(systems.items())
        if one.score is not None and one.frames_per_question is not None
    ]


def scatter(found: Sequence[Point], joined: Sequence[Sequence[int]] = ()) -> Markup:
    """The drawing; `joined`: numbers of the systems on each line. Empty below two points: one has nothing to be held against."""
    if len(found) < 2:
        return Markup()
    plot = Plot(axis_of([point.frames for point in found]), SCORES)
    at = {point.number: (plot.left(point.frames), plot.top(point.score)) for point in found}
    lines = [
        segment(numbers[0], "join", at[a], at[b])
        for numbers in joined
        for a, b in pairwise(sorted((n for n in numbers if n in at), key=lambda n: at[n]))
    ]
    marks = [
        mark(point.number, *at[point.number], point.said, aside_px=px, under=_span(plot, point))
        for point, px in zip(found, asides([*at.values()]), strict=True)
    ]
    said = "; ".join(point.said for point in found)
    return frame(plot, "frames shown per question", "scatter", f"Score against frames. {said}", [*lines, *marks])


def asides(places: Sequence[tuple[float, float]]) -> list[float]:
    """Pixels by which each mark is moved towards the middle, so that it covers none before it."""
    moved: list[float] = []
    for place, (left, top) in enumerate(places):
        near = [
            moved[other] for other, (x, y) in enumerate(places[:place]) if abs(x - left) < NEAR_SHARE and abs(y - top) < NEAR_PX
        ]
        moved.append(next(ASIDE_PX * step for step in range(len(near) + 1) if ASIDE_PX * step not in near))
    closer = min(1.0, FARTHEST_PX / max([*moved, 1.0]))
    return [px * closer * (1 if left < MIDDLE_SHARE else -1) for px, (left, _) in zip(moved, places, strict=True)]


def _span(plot: Plot, point: Point) -> Markup:
    low, high = point.interval or (point.score, point.score)
    left = plot.left(point.frames)
    return segment(point.number, "span", (left, plot.top(low)), (left, plot.top(high)))
