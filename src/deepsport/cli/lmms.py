"""`deepsport bench export-lmms`: the same questions and the same score in another harness."""

from pathlib import Path
from typing import Annotated

import typer

from deepsport.cli.plain import plain_errors


def export_lmms(
    questions: Annotated[Path, typer.Argument(help="A .jsonl file of questions, or a split of a dataset.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The task folder to write.")],
    name: Annotated[str, typer.Option(help="Name of the task.")] = "deepsport",
) -> None:
    """Write a task folder for lmms-eval 0.7: the same frames, prompt and score as a passive run of 8 frames.

    \b
    deepsport bench export-lmms heldout/questions.jsonl --out tasks/heldout --name heldout
    python -m lmms_eval --include_path tasks/heldout --tasks heldout --model async_openai ...
    """
    with plain_errors():
        from deepsport.bench.exchange.lmms_export import write_task
        from deepsport.bench.tasks import load_questions

        asked = load_questions(questions)
        task = write_task(asked, out, name)
    typer.echo(f"{task}: {len(asked)} questions; point lmms-eval at the folder with --include_path {out}")
