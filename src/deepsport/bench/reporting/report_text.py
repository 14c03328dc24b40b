"""The report as text: Markdown to read, CSV to reckon with, LaTeX to print. The rows are those of the page.

Names come from recipes and questions, so each format gets them with everything that means something to it made inert, a formula
at the start of a CSV cell included. CSV holds the figures as they are in `report.json`: scores from 0 to 100, shares from 0 to 1.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence

from deepsport.bench.report import PairedReport, Report, Timing
from deepsport.bench.reporting.figures import Cell, Line, lead, name_of, p_value, pair_in_words, pair_title, part_cell
from deepsport.bench.reporting.heat_map import grid
from deepsport.bench.reporting.rows import cells_of, groups, macro_line, score_line, tables

CSV_COLUMNS = ("system", "group", "name", "figure", "low", "high", "n")
CsvRow = tuple[str, str, str, float | None, float | None, float | None, int | None]
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""What makes a spreadsheet run a cell, in both widths."""
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}
"""Brackets and stars too: at the start of a row they would be read as arguments of the line break before it."""
_MARKDOWN = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", **{sign: f"\\{sign}" for sign in r"\`*_[]|~#!$"}}


def markdown(report: Report, timings: Mapping[str, Timing] | None = None, notes: Sequence[str] = ()) -> str:
    """Every table of the page, and every comparison."""
    systems = report.systems
    heads = [escape_markdown(name_of(name)) for name in systems]
    lines = ["# DeepSport report", "", escape_markdown(lead(systems)), ""]
    lines += [text for note in notes for text in (f"> {escape_markdown(note)}", "")]
    for title, outcome in (pair_in_words(name, pair, list(systems)) for name, pair in report.paired.items()):
        lines.append(f"- **{escape_markdown(title)}**: {escape_markdown(outcome)}")
    for group in groups(systems, timings):
        lines += ["", f"## {group.title}", ""]
        lines += _markdown_table(heads, [(line.label, line.about, [cell.said for cell in line.cells]) for line in group.lines])
    for name, one in systems.items():
        columns, rows = grid(one)
        if rows:
            lines += ["", f"## By sport and dimension: {escape_markdown(name_of(name))}", ""]
            lines += _markdown_table(columns, [(label, "", [part_cell(part).said for part in parts]) for label, parts in rows])
    return _encodable("\n".join(lines)) + "\n"


def csv_table(report: Report, timings: Mapping[str, Timing] | None = None) -> str:
    """One row for each figure of each system."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row in _csv_rows(report, timings or {}):
        writer.writerow([csv_text(cell) if isinstance(cell, str) else "" if cell is None else repr(cell) for cell in row])
    return _encodable(out.getvalue())


def latex(report: Report) -> str:
    """One table for `booktabs`: systems down, the whole and the dimensions across, intervals in small."""
    systems = report.systems
    by_dimension = dict(tables(systems)).get("By dimension", [])
    columns: list[Line] = [score_line(systems), *macro_line(systems), *by_dimension]
    heads = " & ".join(escape_latex(text) for text in ("System", *(line.label for line in columns)))
    rows = [
        " & ".join([escape_latex(name_of(name)), *(_latex_cell(line, place) for line in columns)]) + r" \\"
        for place, name in enumerate(systems)
    ]
    comments = [f"% {_one_line(text)}" for text in _latex_notes(report)]
    body = [r"\begin{tabular}{l" + "r" * len(columns) + "}", r"\toprule", heads + r" \\", r"\midrule", *rows, r"\bottomrule"]
    return _encodable("\n".join([*comments, *body, r"\end{tabular}", ""]))


def escape_markdown(text: str) -> str:
    """Read as the characters it holds, in a table too: no link, no mention, no markup."""
    inert = "".join(_MARKDOWN.get(char, char) for char in _one_line(text))
    return re.sub(r"(?i)(www)\.", r"\1&#46;", inert.replace("://", "&#58;//"))


def escape_latex(text: str) -> str:
    """Printed as the characters it holds; letters of other scripts are left to the document's font."""
    return "".join(_LATEX.get(char, char) for char in _one_line(text))


def csv_text(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    plain = _one_line(text)
    return f"'{plain}" if plain.startswith(_FORMULA) else plain


def _markdown_table(heads: Sequence[str], rows: Sequence[tuple[str, str, Sequence[str]]]) -> Iterator[str]:
    yield "| | " + " | ".join(heads) + " |"
    yield "|---|" + "---:|" * len(heads)
    for label, about, cells in rows:
        said = escape_markdown(label + (f" ({about})" if about else ""))
        yield f"| {said} | " + " | ".join(escape_markdown(cell) for cell in cells) + " |"


def _csv_rows(report: Report, timings: Mapping[str, Timing]) -> Iterator[CsvRow]:
    for group in groups(report.systems, timings):
        for line in group.lines:
            for system, cell in zip(report.systems, line.cells, strict=True):
                yield from _row(system, group.title, line.label, cell)
    for system, one in report.systems.items():
        for name, cell in cells_of(one):
            yield from _row(system, "By sport and dimension", name, cell)
    for name, pair in report.paired.items():
        yield from _pair_rows(name, pair)


def _row(system: str, group: str, name: str, cell: Cell) -> Iterator[CsvRow]:
    """Nothing for a cell without a figure."""
    low, high = cell.interval or (None, None)
    if cell.value is not None:
        yield system, group, name, cell.value, low, high, cell.n


def _pair_rows(name: str, pair: PairedReport) -> Iterator[CsvRow]:
    low, high = pair.ci95 or (None, None)
    yield name, "Comparison", "Difference", pair.difference, low, high, pair.n
    yield name, "Comparison", "p by sign test", pair.p, None, None, pair.n
    if pair.p_bootstrap is not None:
        yield name, "Comparison", "p by bootstrap", pair.p_bootstrap, None, None, pair.n


def _latex_cell(line: Line, place: int) -> str:
    cell = line.cells[place]
    return escape_latex(cell.figure) + (rf" {{\scriptsize ({escape_latex(cell.span)})}}" if cell.span else "")


def _latex_notes(report: Report) -> Iterator[str]:
    yield r"Scores of 100 with 95 % intervals over videos. Needs \usepackage{booktabs}."
    for name, pair in report.paired.items():
        bootstrap = "" if pair.p_bootstrap is None else f", {p_value(pair.p_bootstrap)} (bootstrap)"
        yield f"{pair_title(name, [*report.systems])}: {pair.difference:+.1f}, {p_value(pair.p)} (sign test){bootstrap}"


def _one_line(text: str) -> str:
    """Without line breaks and whatever else cannot be seen."""
    return "".join(char for char in re.sub(r"\s", " ", text) if char.isprintable()).strip()


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
