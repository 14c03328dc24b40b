"""`deepsport data correct`: questions with the windows that people gave their events."""

from pathlib import Path
from typing import Annotated

import typer

from deepsport.cli.plain import plain, plain_errors


def correct(
    questions: Annotated[Path, typer.Argument(help="A .jsonl file of questions.", show_default=False)],
    windows: Annotated[
        Path, typer.Argument(help="A CSV file: question_id, start_s, end_s, labeller. The viewer writes one.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file that is written.", show_default=False)],
    labeller: Annotated[str | None, typer.Option(help="Whose word counts, where people differ.")] = None,
) -> None:
    """Put corrected gold windows into questions. The old file stays as it is; a run belongs to the file that it was begun with.

    \b
    deepsport data correct set/questions.jsonl runs/nano.windows.csv --out set/corrected.jsonl
    deepsport data correct set/questions.jsonl runs/nano.windows.csv --out set/corrected.jsonl --labeller anna
    """
    from deepsport.bench.judged.windows import read_windows
    from deepsport.data.correcting import MOST_NAMED
    from deepsport.data.correcting import correct as write_corrected

    with plain_errors():
        found = write_corrected(questions, read_windows(windows), out, labeller)
    typer.echo(plain(f"{out}: {found.n_changed} of {len(found.questions)} questions have another window"))
    if found.unknown:
        are = "window is" if len(found.unknown) == 1 else "windows are"
        typer.echo(plain(f"{len(found.unknown)} {are} of other questions: {', '.join(found.unknown[:MOST_NAMED])}"), err=True)
