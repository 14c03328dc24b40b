"""`deepsport bench report`: benchmark runs side by side, to look at, to reckon with and to print."""

from pathlib import Path
from typing import Annotated

import typer

from deepsport.cli.plain import plain, plain_errors


def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders that `bench run` has made, finished or not.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the report goes.")] = Path("runs/report"),
    verdicts: Annotated[str, typer.Option(help="Whose verdicts count: a file that `rejudge` made.")] = "verdicts.jsonl",
) -> None:
    """Put runs side by side: report.html to look at, report.md, report.csv, report.tex and report.json.

    Each run is compared with the one before it; the page shows episodes of the last one.

    \b
    deepsport bench report runs/nano
    deepsport bench report runs/passive8 runs/passive16 runs/agent --out runs/frames
    deepsport bench report runs/agent --verdicts verdicts-strict.jsonl
    """
    with plain_errors():
        from rich.console import Console

        from deepsport.bench.reporting.side_by_side import write_side_by_side
        from deepsport.bench.reporting.table import render

        made = write_side_by_side(runs, out, verdicts=verdicts)
        for note in made.notes:
            typer.echo(plain(note))
        Console().print(render(made.report, made.timings))
        typer.echo(plain(f"{out / 'report.html'} shows charts and episodes; the same tables stand in .md, .csv and .tex."))
