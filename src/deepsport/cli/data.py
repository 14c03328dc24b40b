"""`deepsport data`: published annotations in, questions out; what they hold, what is wrong with them, where their clips are."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Annotated

import typer

from deepsport.cli.correct import correct
from deepsport.cli.dataset import split
from deepsport.cli.executor import ExecutorOption
from deepsport.cli.export import export, restore
from deepsport.cli.plain import plain, plain_errors
from deepsport.executor.shards import Executor

if TYPE_CHECKING:
    from rich.table import Table

    from deepsport.data.importing import ImportReport
    from deepsport.data.stats import DatasetStats

app = typer.Typer(help="Published annotations in, one dataset out; episodes for other trainers, and back.", no_args_is_help=True)


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
    executor: ExecutorOption = Executor.LOCAL,
) -> None:
    """Turn an annotation into questions; what becomes none is counted by reason, in import.json.

    \b
    deepsport data import finediving spot/data/finediving -o sets/finediving
    deepsport data import tennis spot/data/tennis/val.json -o sets/tennis --videos footage/tennis
    deepsport data import tennis spot/data/tennis -o sets/tennis --videos footage/tennis --executor ray
    """
    from deepsport.data.importing import import_source
    from deepsport.data.source import find_source
    from deepsport.executor.cluster import cluster_for
    from deepsport.progress import track

    where = executor if videos else Executor.LOCAL  # without clips there is nothing to spread
    with plain_errors(), cluster_for(where) as cluster, track("import", unit="questions") as tick:
        n_read = count(1)
        report = import_source(
            find_source(source),
            path,
            out,
            videos,
            on_question=tick,
            on_clip=lambda: tick(0, extra=f"{next(n_read)} clips read"),
            cluster=cluster,
        )
    _say(report, out)


@app.command()
def link(
    questions: Annotated[Path, typer.Argument(help="The folder of an import, or a file of questions.", show_default=False)],
    videos: Annotated[Path, typer.Option(help="The folder that the clips are in now.", show_default=False)],
) -> None:
    """Find the clips of questions again, after footage was moved, renamed or fetched: by content hash, else by name.

    \b
    deepsport data link sets/tennis --videos footage
    deepsport data link sets/tennis/questions.jsonl --videos /mnt/disk/clips
    """
    from deepsport.data.linking import link as link_questions
    from deepsport.progress import track

    with plain_errors(), track("look at", unit="clips") as tick:
        report = link_questions(questions, videos, on_clip=tick)
    typer.echo(f"{report.n_linked} questions have their clip again, {report.n_kept} had it, {report.n_missing} have none")
    for unfit in report.unfit:
        typer.echo(plain(f"  not linked: {unfit.n_times} x {unfit.reason}, such as {', '.join(unfit.examples)}"))


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="The folder of an import, a file of questions, or a dataset.", show_default=False)],
    open_clips: Annotated[bool, typer.Option("--open", help="Open every clip, for its length.")] = False,
    hash_clips: Annotated[bool, typer.Option("--hash", help="Read every clip, to see whether it has changed.")] = False,
    executor: ExecutorOption = Executor.LOCAL,
) -> None:
    """Look for what is wrong with questions; exit code 1 if there is an error, 0 if there are warnings at most.

    \b
    deepsport data check sets/tennis
    deepsport data check sets/tennis/questions.jsonl --open --hash
    deepsport data check sets/tennis --hash --executor ray
    """
    from deepsport.data.check import check as check_questions
    from deepsport.executor.cluster import cluster_for
    from deepsport.progress import track

    where = executor if open_clips or hash_clips else Executor.LOCAL  # else there is nothing to spread
    with plain_errors(), cluster_for(where) as cluster, track("check", unit="questions") as tick:
        n_read = count(1)
        report = check_questions(
            path,
            open_clips=open_clips,
            hash_clips=hash_clips,
            on_question=tick,
            on_clip=lambda: tick(0, extra=f"{next(n_read)} clips read"),
            cluster=cluster,
        )
    apart = f", and {report.n_missing} set apart without a clip" if report.n_missing else ""
    typer.echo(plain(f"{path}: {report.n_questions} questions{apart}"))
    for found in report.findings:
        typer.echo(plain(f"  {found.severity:<8}{found.n_times} x {found.fault}, such as {', '.join(found.examples)}"))
    if report.n_errors:
        raise typer.Exit(1)
    typer.echo("  no errors")


@app.command()
def stats(
    paths: Annotated[list[Path], typer.Argument(help="Import folders, files of questions, datasets.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Count what is in question sets, all together: sports, answers, sources, clips, windows, and the balance of options.

    \b
    deepsport data stats sets/tennis
    deepsport data stats sets/tennis sets/finegym --json
    """
    from deepsport.data.stats import stats as count_questions
    from deepsport.progress import track

    with plain_errors(), track("count", unit="questions") as tick:
        counted = count_questions(paths, on_question=tick)
    if as_json:
        typer.echo(counted.model_dump_json(indent=1))
    else:
        _show(counted)


def _say(report: "ImportReport", out: Path) -> None:
    typer.echo(f"{out / 'questions.jsonl'}: {report.n_questions} questions about {report.n_clips} clips")
    for title, counts in (("dimension", report.by_dimension), ("answer", report.by_answer), ("sport", report.by_sport)):
        typer.echo(f"  by {title:<10}{', '.join(f'{name} {n}' for name, n in counts.items()) or 'none'}")
    if report.n_missing:
        typer.echo(f"  {report.n_missing} questions have no clip in the folder of videos: {out / 'missing.jsonl'}")
    for dropped in report.dropped:
        typer.echo(plain(f"  left out {dropped.n_times} x {dropped.reason}, such as {dropped.examples[0]}"))


def _show(counted: "DatasetStats") -> None:
    from rich.console import Console

    Console().print(_sports(counted))
    for line in _figures(counted):
        typer.echo(plain(line))


def _sports(counted: "DatasetStats") -> "Table":
    """Sports by dimensions, with totals. Names are plain text, never markup."""
    from rich.table import Table
    from rich.text import Text

    dimensions = list(dict.fromkeys(each for counts in counted.by_sport.values() for each in counts))
    table = Table(box=None, pad_edge=False, header_style="bold", show_footer=True)
    table.add_column("sport", footer="total")
    for dimension in dimensions:
        total = sum(counts.get(dimension, 0) for counts in counted.by_sport.values())
        table.add_column(Text(dimension), justify="right", footer=str(total))
    table.add_column("total", justify="right", footer=str(counted.n_questions))
    for sport, counts in counted.by_sport.items():
        cells = [str(counts.get(dimension, 0)) for dimension in dimensions]
        table.add_row(Text(plain(sport)), *cells, str(sum(counts.values())))
    return table


def _figures(counted: "DatasetStats") -> Iterator[str]:
    if counted.n_broken:
        yield f"lines that are no question  {counted.n_broken} (`deepsport data check` says which)"
    yield f"answers  {', '.join(f'{kind} {n}' for kind, n in counted.by_answer.items()) or 'none'}"
    for name, source in counted.by_source.items():
        licences = ", ".join(licence or "no licence stated" for licence in source.licences)
        yield f"source   {name}: {source.n_questions} ({licences})"
    timed = f", {counted.hours:.2f} hours in the {counted.n_clips_timed} whose length is known" if counted.n_clips_timed else ""
    yield f"clips    {counted.n_clips} of {counted.n_matches} matches{timed}"
    share = counted.n_with_window / max(1, counted.n_questions)
    lengths = counted.window_quartiles_s
    quartiles = f", quartiles of their lengths {', '.join(f'{length:g} s' for length in lengths)}" if lengths else ""
    yield f"windows  {counted.n_with_window} ({share:.0%}){quartiles}"
    for n_options in counted.right_option:
        letters = zip(ascii_uppercase, counted.shares(n_options), strict=False)
        yield f"right of {n_options} options  {', '.join(f'{letter} {share:.0%}' for letter, share in letters)}"
    for text, n in counted.frequent_texts:
        yield f"asked {n} x  {' '.join(text.split())}"


app.command()(correct)
app.command()(split)
app.command()(export)
app.command()(restore)
