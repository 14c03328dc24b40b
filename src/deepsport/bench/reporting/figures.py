"""A figure as a number and as words: what the page, the terminal and the files all say of it.

How many digits a figure has is decided here and nowhere else, so that they agree everywhere. One cell per system; what could not
be measured is a dash, never a zero.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

from deepsport.bench.report import PairedReport, Part, SystemReport

T = TypeVar("T")
SYSTEM_NAMES = {"no_tool": "No tool", "sft": "SFT", "sft_rl": "SFT + RL"}
"""How the demo's systems are called on the page; others by their own name."""
NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure and, smaller, what belongs to it: its interval, or its share."""

    figure: str = NOTHING
    span: str = ""
    value: float | None = None
    """As in `report.json`, not rounded; None where there is nothing."""
    interval: tuple[float, float] | None = None
    n: int | None = None
    """Scored questions, where the figure is a score."""

    @property
    def said(self) -> str:
        """In one line."""
        return f"{self.figure} ({self.span})" if self.span else self.figure


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table: what it says, one cell per system."""

    label: str
    about: str
    cells: list[Cell]

    @property
    def known(self) -> bool:
        """Whether any system has a figure here."""
        return any(cell.value is not None for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Figure(Generic[T]):
    """What a row says of whatever it is told about."""

    label: str
    about: str
    say: Callable[[float], str]
    of: Callable[[T], float | None]


def spell(figures: Iterable[Figure[T]], subjects: Sequence[T | None], prefix: str = "") -> list[Line]:
    """A row for each figure that at least one of the subjects has."""
    lines = (
        Line(
            f"{prefix}{figure.label}",
            figure.about,
            [value_cell(None if one is None else figure.of(one), figure.say) for one in subjects],
        )
        for figure in figures
    )
    return [line for line in lines if line.known]


def value_cell(value: float | None, say: Callable[[float], str]) -> Cell:
    """A figure that has no interval."""
    return Cell() if value is None else Cell(say(value), value=value)


def part_cell(part: Part | None) -> Cell:
    """A score and its interval, a dash if there is none."""
    if part is None or part.score is None:
        return Cell()
    span = f"{part.ci95[0]:.0f} to {part.ci95[1]:.0f}" if part.ci95 else ""
    return Cell(f"{part.score:.1f}", span, part.score, part.ci95, part.n)


def count_cell(count: int, total: int) -> Cell:
    """How many, and which share of all."""
    return Cell(str(count), percent(count / total) if total else "", count)


def name_of(system: str) -> str:
    """What a reader calls a system."""
    return SYSTEM_NAMES.get(system, system.replace("_", " "))


def lead(systems: Mapping[str, SystemReport]) -> str:
    """The outcome in one sentence."""
    scored = [(name_of(name), report) for name, report in systems.items() if report.score is not None]
    if not scored:
        return "Nothing was scored."
    between = "; " if any("," in name for name, _ in scored) else ", "
    said = between.join(f"{name} {report.score:.1f}" for name, report in scored)
    counts = sorted({report.n_questions for _, report in scored})
    videos = max(report.n_videos for _, report in scored)
    asked = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"Score of 100 on {asked} questions about {videos} videos: {said}."


def pair_title(name: str, systems: Sequence[str]) -> str:
    """What is compared."""
    return next((f"{name_of(b)} against {name_of(a)}" for a, b in pairwise(systems) if f"{b}_minus_{a}" == name), name)


def pair_in_words(name: str, pair: PairedReport, systems: Sequence[str]) -> tuple[str, str]:
    """What is compared, and what came out."""
    span = f" (95 % interval {pair.ci95[0]:+.1f} to {pair.ci95[1]:+.1f})" if pair.ci95 else ""
    bootstrap = "" if pair.p_bootstrap is None else f", {p_value(pair.p_bootstrap)} by bootstrap"
    return pair_title(name, systems), (
        f"{pair.difference:+.1f} points{span}; {p_value(pair.p)} by sign test over videos{bootstrap}. "
        f"Of {pair.n} questions it is better on {pair.better} and worse on {pair.worse}."
    )


def p_value(p: float) -> str:
    """With three digits, below which nobody asks."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def percent(share: float) -> str:
    """A share of 1 as whole percent."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def one_digit(value: float) -> str:
    """Such as a score."""
    return f"{value:.1f}"


def two_digits(value: float) -> str:
    """Such as a mean of small counts."""
    return f"{value:.2f}"


def whole(value: float) -> str:
    """A count, in thousands."""
    return f"{value:,.0f}"


def dollars(value: float) -> str:
    """US dollars: cents, and below ten of them three digits that count."""
    return f"${value:,.2f}" if value >= 0.1 or value == 0 else f"${value:.3g}"
