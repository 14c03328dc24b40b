"""`deepsport bench`: measure a policy on a question set."""

from pathlib import Path
from typing import Annotated

import typer

from deepsport.cli.plain import plain_errors


def bench(
    questions: Annotated[Path, typer.Argument(help="A .jsonl file of questions.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The run directory; a run that was stopped goes on.")],
    model: Annotated[str | None, typer.Option(help="nano, a checkpoint folder, a hub id, or a served model's name.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Address of an OpenAI-compatible server.")] = None,
    native_tools: Annotated[bool, typer.Option(help="Use the endpoint's own function calling.")] = False,
    no_tool: Annotated[bool, typer.Option("--no-tool", help="Withhold the tool: answer from the sparse frames.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many questions.")] = None,
    max_turns: Annotated[int, typer.Option(min=1, help="Replies per question, the answer included.")] = 5,
    concurrency: Annotated[int, typer.Option(min=1, help="Questions at once.")] = 64,
    seed: Annotated[int, typer.Option(help="Of sampling and resampling.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete what an earlier run left, and start over.")] = False,
) -> None:
    """Ask a whole question set and score the answers: table, report.json and report.html.

    \b
    deepsport bench heldout/questions.jsonl --out runs/nano
    deepsport bench heldout/questions.jsonl --out runs/blindfold --no-tool --limit 100
    deepsport bench heldout/questions.jsonl --out runs/qwen --endpoint http://localhost:8000/v1 --model qwen2.5-vl
    """
    with plain_errors():
        from rich.console import Console

        from deepsport.bench.suite import BenchConfig, run_bench
        from deepsport.bench.table import render
        from deepsport.cli.actor import local_actor, remote_actor

        actor = remote_actor(endpoint, model, native_tools) if endpoint else local_actor(model or "nano")
        config = BenchConfig(
            questions=str(questions),
            system=actor.policy.name,
            with_tool=not no_tool,
            limit=limit,
            max_turns=max_turns,
            seed=seed,
        )
        report = run_bench(out, config, actor.policy, actor.style, concurrency=concurrency, fresh=fresh)
        Console().print(render(report))
        typer.echo(f"{out / 'report.html'} shows episodes; {out / 'report.json'} holds every figure.")
