"""The report in a terminal: one column per system, the score with its interval on top."""

from typing import TYPE_CHECKING

from deepsport.bench.figures import Cell, looking, name_of, score_line, tables
from deepsport.bench.report import Report

if TYPE_CHECKING:
    from rich.table import Table


def render(report: Report) -> "Table":
    """Scores, the figures beside them, and the parts, as one rich table. Names are plain text, never markup."""
    from rich.table import Table
    from rich.text import Text

    systems = report.systems
    table = Table(title=None, box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for name in systems:
        table.add_column(Text(name_of(name)), justify="right")
    groups = [("", [score_line(systems), *looking(systems)]), *tables(systems)]
    for title, lines in groups:
        if title:
            table.add_row(Text(title, style="bold"))
        for line in lines:
            table.add_row(Text(f"  {line.label}" if title else line.label), *(Text(_said(cell)) for cell in line.cells))
        table.add_section()
    return table


def _said(cell: Cell) -> str:
    return f"{cell.figure} ({cell.span})" if cell.span else cell.figure
