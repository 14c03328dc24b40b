"""`deepsport bench import`: answers that were given somewhere else, as a benchmark run."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from deepsport.cli.plain import plain, plain_errors

N_NAMED = 10
"""Questions without an answer that the terminal names."""


def import_answers(
    questions: Annotated[Path, typer.Argument(help="A .jsonl file of questions, or a split of a dataset.", show_default=False)],
    predictions: Annotated[
        Path, typer.Argument(help="Answers: a JSON list, a JSON object from id to answer, or JSON lines.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The run directory to make.")],
    system: Annotated[str, typer.Option("--system", "--name", help="What the system is called in reports.")],
    id_key: Annotated[str, typer.Option(help="Where a record has the question's id, if not as id, question_id or qid.")] = "",
    answer_key: Annotated[
        str, typer.Option(help="Where it has the answer, if not as answer, prediction, pred, response or output.")
    ] = "",
    missing: Annotated[Literal["wrong", "unscored"], typer.Option(help="What a question without an answer counts as.")] = "wrong",
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete what the folder holds.")] = False,
) -> None:
    """Score answers that another program wrote: table, report.json and report.html, and a run to compare and judge anew.

    \b
    deepsport bench import heldout/questions.jsonl answers.json --out runs/theirs --system theirs
    """
    with plain_errors():
        from rich.console import Console

        from deepsport.bench.exchange.predictions import Missing, import_predictions
        from deepsport.bench.reporting.table import render

        found = import_predictions(
            questions,
            predictions,
            out,
            system=system,
            id_key=id_key,
            answer_key=answer_key,
            missing=Missing(missing),
            fresh=fresh,
        )
        Console().print(render(found.report))
    for what, names in (
        (f"without an answer, counted as {missing}", found.missing),
        ("out of form, counted as wrong", found.malformed),
    ):
        if names:
            more = f" and {len(names) - N_NAMED} more" if len(names) > N_NAMED else ""
            typer.echo(plain(f"{len(names)} {what}: {', '.join(names[:N_NAMED])}{more}"))
    typer.echo(plain(f"{out / 'report.html'} shows answers; {out / 'report.json'} holds every figure."))
