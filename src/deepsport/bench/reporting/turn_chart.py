"""What each turn brought: a line per system from the opening to the longest episode.

A system that needed fewer turns than another is drawn to where it ended.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from deepsport.bench.report import AtTurn, SystemReport
from deepsport.bench.reporting.figures import name_of
from deepsport.bench.reporting.plot import Axis, Plot, frame, mark, segment
from deepsport.bench.reporting.scatter import SCORES, asides

Value = Callable[[AtTurn], float | None]


@dataclass(frozen=True, slots=True)
class TurnPanel:
    """One figure, turn by turn; all run from 0 to 100."""

    title: str
    about: str
    drawing: Markup


PANELS: tuple[tuple[str, str, Value], ...] = (
    ("Score so far", "of 100; what is not yet answered counts 0", lambda at: at.score),
    ("Answered so far", "percent of all questions", lambda at: _points(at.answered)),
    ("Event seen so far", "percent of the questions that need a look", lambda at: _points(at.seen)),
)


def turn_panels(systems: Mapping[str, SystemReport]) -> list[TurnPanel]:
    """The panels that have anything to show; none if no system had a second turn."""
    if max((len(one.turns) for one in systems.values()), default=0) < 3:
        return []
    drawn = [TurnPanel(title, about, turn_chart(systems, title, value)) for title, about, value in PANELS]
    return [panel for panel in drawn if panel.drawing]


def turn_chart(systems: Mapping[str, SystemReport], title: str, value: Value) -> Markup:
    """One panel; empty if no system has the figure."""
    curves = {number: curve for number, one in enumerate(systems.values()) if (curve := _curve(one.turns, value))}
    if not curves:
        return Markup()
    last = max(turn for curve in curves.values() for turn, _ in curve)
    plot = Plot(Axis(range(last + 1)), SCORES)
    places = {n: [(plot.left(turn), plot.top(height)) for turn, height in curve] for n, curve in curves.items()}
    lines = [segment(n, "step", a, b) for n, curve in places.items() for a, b in pairwise(curve)]
    ends = [curve[-1] for curve in places.values()]
    names = [f"{n + 1}, {name_of(name)}" for n, name in enumerate(systems)]
    said = [f"{names[n]}: {curve[-1][1]:.1f} after turn {curve[-1][0]}" for n, curve in curves.items()]
    marks = [mark(n, *end, words, aside_px=px) for n, end, words, px in zip(curves, ends, said, asides(ends), strict=True)]
    return frame(plot, "turn", "turns", f"{title}. {'; '.join(said)}", [*lines, *marks])


def _curve(turns: Sequence[AtTurn], value: Value) -> list[tuple[int, float]]:
    return [(at.turn, height) for at in turns if (height := value(at)) is not None]


def _points(share: float | None) -> float | None:
    return None if share is None else 100 * share
