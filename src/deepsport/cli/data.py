"""`deepsport data`: published annotations in, questions out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepsport.cli.plain import plain, plain_errors

if TYPE_CHECKING:
    from deepsport.data.importing import ImportReport

app = typer.Typer(help="Questions from published annotations.", no_args_is_help=True)


@app.command()
def sources() -> None:
    """List the annotation layouts that can be imported, with their licence and what they need.

    \b
    deepsport data sources
    """
    from deepsport.data.source import sources as installed

    with plain_errors():
        for source in installed().values():
            typer.echo(f"{source.name}: {source.title}")
            typer.echo(f"  sports      {', '.join(source.sports) or 'what the annotation names'}")
            typer.echo(f"  dimensions  {', '.join(source.dimensions)}")
            typer.echo(f"  licence     {source.licence or 'none stated: its questions are not exported'}")
            typer.echo(f"  needs       {source.needs}")


@app.command(name="import")
def import_(
    source: Annotated[str, typer.Argument(help="A name that `deepsport data sources` lists.", show_default=False)],
    path: Annotated[Path, typer.Argument(help="The annotation file, or its folder.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder that the questions are written to.", show_default=False)],
    videos: Annotated[
        Path | None, typer.Option(help="The folder of the clips. Questions whose clip is not in it go to missing.jsonl.")
    ] = None,
) -> None:
    """Turn an annotation into questions; what becomes none is counted by reason, in import.json.

    \b
    deepsport data import finediving spot/data/finediving -o sets/finediving
    deepsport data import tennis spot/data/tennis/val.json -o sets/tennis --videos footage/tennis
    """
    from deepsport.data.importing import import_source
    from deepsport.data.source import find_source
    from deepsport.progress import track

    with plain_errors(), track("import", unit="questions") as tick:
        report = import_source(find_source(source), path, out, videos, on_question=tick)
    _say(report, out)


def _say(report: "ImportReport", out: Path) -> None:
    typer.echo(f"{out / 'questions.jsonl'}: {report.n_questions} questions about {report.n_clips} clips")
    for title, counts in (("dimension", report.by_dimension), ("answer", report.by_answer), ("sport", report.by_sport)):
        typer.echo(f"  by {title:<10}{', '.join(f'{name} {n}' for name, n in counts.items()) or 'none'}")
    if report.n_missing:
        typer.echo(f"  {report.n_missing} questions have no clip in the folder of videos: {out / 'missing.jsonl'}")
    for dropped in report.dropped:
        typer.echo(plain(f"  left out {dropped.n_times} x {dropped.reason}, such as {dropped.examples[0]}"))
