"""The report in a terminal, which has 80 columns: up to three systems side by side, each with its intervals; more, one below the
other with their headlines. What is left out stands in the other reports."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deepsport.bench.report import Report, Timing
from deepsport.bench.reporting.figures import Line, name_of
from deepsport.bench.reporting.rows import Group, groups

if TYPE_CHECKING:
    from rich.table import Table

MOST_BESIDE = 3
"""Systems that fit beside one another."""
HEADLINES = ("Score", "Macro average", "Event seen", "Frames shown", "Cost per right answer", "Not scored")
UNTITLED = ("Score", "Looking", "Cost")
"""Groups that need no title."""
LEFT_OUT = ("Learning from each turn", "Numbers", "How episodes ended", "Runs")
"""Groups for which a terminal is too short."""


def render(report: Report, timings: Mapping[str, Timing] | None = None) -> "Table":
    """Scores, the figures beside them, and the parts, as one rich table. Names are plain text, never markup."""
    said = [group for group in groups(report.systems, timings) if group.title not in LEFT_OUT]
    names = [name_of(name) for name in report.systems]
    return _beside(names, said) if len(names) <= MOST_BESIDE else _below(names, said)


def _beside(names: list[str], said: list[Group]) -> "Table":
    from rich.text import Text

    table = _empty("", *names)
    for group in said:
        has_title = group.title not in UNTITLED
        if has_title:
            table.add_row(Text(group.title, style="bold"))
        for line in group.lines:
            table.add_row(Text(f"{'  ' * has_title}{_label(line)}"), *(Text(cell.said) for cell in line.cells))
        table.add_section()
    return table


def _below(names: list[str], said: list[Group]) -> "Table":
    from rich.text import Text

    lines = [line for group in said if group.title in UNTITLED for line in group.lines if line.label in HEADLINES]
    table = _empty("", *(line.label.replace(" ", "\n") for line in lines))
    for place, name in enumerate(names):
        score, *others = (line.cells[place] for line in lines)
        table.add_row(Text(name), Text(score.said), *(Text(cell.figure) for cell in others))
    return table


def _empty(first: str, *others: str) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(title=None, box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column(Text(first), min_width=20)
    for name in others:
        table.add_column(Text(name), justify="right")
    return table


def _label(line: Line) -> str:
    """With what it counts by, which elsewhere stands below."""
    return f"{line.label} per question" if line.about.startswith("per question") else line.label
