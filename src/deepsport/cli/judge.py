"""`deepsport judge`: find out whether a model can be trusted as a judge."""

from pathlib import Path
from typing import Annotated

import typer

from deepsport.cli.plain import fail, plain, plain_errors

app = typer.Typer(help="Models as judges of free answers.", no_args_is_help=True)


@app.callback()
def _commands() -> None:  # pyright: ignore[reportUnusedFunction] (with one command alone, typer would take its name away)
    pass


@app.command()
def probe(
    questions: Annotated[Path, typer.Argument(help="A .jsonl file of questions with known answers.", show_default=False)],
    endpoint: Annotated[str, typer.Option(help="Address of an OpenAI-compatible server.", show_default=False)],
    model: Annotated[str, typer.Option(help="The judge's name there.", show_default=False)],
    limit: Annotated[int, typer.Option(min=1, help="Questions that every empty answer is given to.")] = 20,
) -> None:
    """Give a judge answers that say nothing, and count how often it gives points for them.

    \b
    deepsport judge probe sets/tennis/questions.jsonl --endpoint http://localhost:8000/v1 --model my-judge

    \b
    Exit code 0: it never did. 1: it did, or nothing was scored.
    """
    with plain_errors():
        import asyncio

        from deepsport.bench.tasks import load_questions
        from deepsport.policy.openai import OpenAIPolicy
        from deepsport.reward.model_judge import ModelJudge
        from deepsport.reward.probe import master_key_rate

        asked = [question for question in load_questions(questions) if question.gold is not None][:limit]
        if not asked:
            fail(f"{questions} holds no question whose answer is known, and so nothing to judge by")
        found = asyncio.run(master_key_rate(ModelJudge(OpenAIPolicy(model, endpoint)), asked))
    if found.rate is None:
        fail(f"none of {found.n_unscored} answers was scored: is {model} served at {endpoint}?")
    typer.echo(f"{found.rate:.1%} of {found.n_scored} answers that say nothing got points; {found.n_unscored} were not scored")
    for question_id, key in found.fooled[:10]:
        typer.echo(plain(f"  {key!r} as an answer to {question_id}"))
    if found.fooled:
        raise typer.Exit(1)
