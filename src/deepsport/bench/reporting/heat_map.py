"""Scores by sport and dimension as a coloured table: the deeper the blue, the higher the score.

A table and no drawing, since the numbers are what is read: every cell says its score, interval and number of answers, so that
colour adds nothing that an eye which cannot tell it, a screen reader or paper would miss. A cell of few answers is marked.
"""

from collections.abc import Sequence

from markupsafe import Markup

from deepsport.bench.report import Part, SystemReport
from deepsport.bench.reporting.figures import part_cell
from deepsport.records import Dimension

FEW = 10
"""Scored answers below which a cell says little."""
DEEPEST = 0.62
"""Opacity of the blue at a score of 100: text on it still has a contrast of 5 to 1, light and dark."""
ALL = "all"


def heat_map(report: SystemReport, title: str) -> Markup:
    """The table; empty if no question names both its sport and its dimension."""
    columns, rows = grid(report)
    if not rows:
        return Markup()
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in columns)
    body = Markup("").join(_row(name, parts) for name, parts in rows)
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{0}"><table class="heat"><caption>{0}</caption>'
        "<thead><tr><td></td>{1}</tr></thead><tbody>{2}</tbody></table></div>"
    ).format(title, head, body)


def grid(report: SystemReport) -> tuple[list[str], list[tuple[str, list[Part | None]]]]:
    """The columns, in the order of the paper, and each row with its parts; the last row and column are of all.

    Both empty if no question names its sport and its dimension."""
    found = {dimension for cells in report.by_cell.values() for dimension in cells}
    if not found:
        return [], []
    names = [dimension.value for dimension in Dimension if dimension.value in found]
    names += sorted(found.difference(names))
    rows: list[tuple[str, list[Part | None]]] = [
        (sport.replace("_", " "), [*(cells.get(name) for name in names), report.by_sport.get(sport)])
        for sport, cells in report.by_cell.items()
        if cells
    ]
    rows.append((ALL, [*(report.by_dimension.get(name) for name in names), _whole(report)]))
    return [*names, ALL], rows


def _whole(report: SystemReport) -> Part:
    return Part(score=report.score, ci95=report.ci95, n=sum(part.n for part in report.by_ease.values()))


def _row(name: str, parts: Sequence[Part | None]) -> Markup:
    kind = Markup(' class="sum"') if name == ALL else Markup()
    cells = (_cell(part, is_sum=name == ALL or place == len(parts) - 1) for place, part in enumerate(parts))
    return Markup('<tr{}><th scope="row">{}</th>{}</tr>').format(kind, name, Markup("").join(cells))


def _cell(part: Part | None, *, is_sum: bool) -> Markup:
    cell = part_cell(part)
    if part is None or part.score is None:
        return Markup('<td class="none">{}</td>').format(cell.figure)
    few = part.n < FEW
    kinds = " ".join(kind for kind, holds in (("few", few), ("sum", is_sum)) if holds)
    title = f"{cell.said}, {part.n} scored answer{'' if part.n == 1 else 's'}"
    return Markup('<td class="{}" style="--heat:{:.3f}" title="{}"><b>{}{}</b><span>{}</span><span>n {}</span></td>').format(
        kinds, DEEPEST * part.score / 100, title, cell.figure, Markup("<sup>*</sup>") if few else "", cell.span, part.n
    )
