"""`deepsport bench compare`: two runs on the same questions, held against each other."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from deepsport.cli.plain import fail, plain, plain_errors

if TYPE_CHECKING:
    from deepsport.bench.comparing.comparison import Comparison, Flip
    from deepsport.bench.comparing.comparison_text import Row

N_FLIPS = 5
"""Flips of each kind that the terminal names."""


def compare(
    a: Annotated[Path, typer.Argument(help="A benchmark run.", show_default=False)],
    b: Annotated[Path, typer.Argument(help="The run to hold against it: differences are B minus A.", show_default=False)],
    csv: Annotated[Path | None, typer.Option(help="Write every question that flipped, with both answers, as CSV.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write all of it as a page.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write all of it as JSON.")] = None,
    verdicts: Annotated[
        str | None, typer.Option(help="File of the judge whose verdicts count in both, such as verdicts-NAME.jsonl.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of resampling.")] = 0,
) -> None:
    """Which questions flipped between two runs, by how much the scores differ, and on what kind of question.

    \b
    deepsport bench compare runs/passive16 runs/agent --csv flips.csv
    deepsport bench compare runs/old runs/new --html compare.html --json compare.json
    """
    with plain_errors():
        from deepsport.bench.comparing.comparison import compare_runs
        from deepsport.bench.comparing.comparison_text import comparison_page, flips_csv
        from deepsport.bench.judged.judging import needs_judge
        from deepsport.bench.result import VERDICTS, load_result
        from deepsport.durable import write_atomic

        if verdicts and not any((folder / verdicts).is_file() for folder in (a, b)):
            fail(f"neither run has a file {verdicts}. `deepsport bench rejudge` makes one, and says how it is called.")
        runs = [load_result(folder, verdicts or VERDICTS) for folder in (a, b)]
        for run in runs:
            if verdicts and not (run.folder / verdicts).is_file() and any(map(needs_judge, run.episodes)):
                fail(
                    f"{run.folder} has no file {verdicts}, so its free answers would not count: `deepsport bench rejudge` it too."
                )
        comparison = compare_runs(*runs, seed=seed)
        if csv:
            write_atomic(csv, flips_csv(comparison))
        if html:
            write_atomic(html, comparison_page(comparison))
        if json:
            write_atomic(json, comparison.model_dump_json(indent=1) + "\n")
    _say(comparison, all_in=csv or html or json)


def _say(comparison: "Comparison", all_in: Path | None) -> None:
    from deepsport.bench.comparing.comparison_text import change_rows, lead, slice_rows

    typer.echo(plain(lead(comparison)))
    for warning in comparison.warnings:
        typer.echo(plain(f"mind: {warning}"), err=True)
    _table(slice_rows(comparison), ["", "A", "B", "B - A", "p (Holm)"])
    _table(change_rows(comparison), ["per question", "A", "B", "B - A"])
    outcomes: tuple[Literal["broken", "fixed"], ...] = ("broken", "fixed")
    for outcome in outcomes:
        flips = comparison.flipped(outcome)
        for flip in flips[:N_FLIPS]:
            typer.echo(plain(f"{outcome}: {_flip(flip)}"))
        if len(flips) > N_FLIPS:
            where = all_in or "--csv FILE, which names them all"
            typer.echo(f"... and {len(flips) - N_FLIPS} more {outcome}: see {where}")


def _table(rows: "list[Row]", heads: list[str]) -> None:
    if not rows:
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place else "left")
    for row in rows:
        table.add_row(
            *(Text(plain(cell), style="bold" if row.marked else "") for cell in (row.label, *(cell.said for cell in row.cells)))
        )
    Console().print(table)


def _flip(flip: "Flip") -> str:
    from deepsport.bench.comparing.comparison_text import answers_in_words

    return (
        f"{flip.question_id}: {answers_in_words(flip.answers_a)!r}, then {answers_in_words(flip.answers_b)!r}; "
        f"right is {flip.reference!r}"
    )
