"""`deepsport distill`: questions in, verified trajectories out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepsport.cli.executor import ExecutorOption
from deepsport.cli.foretold import print_loads
from deepsport.cli.plain import plain, plain_errors
from deepsport.executor.shards import Executor

if TYPE_CHECKING:
    from deepsport.data.distill.recipe import DistillRecipe
    from deepsport.data.distill.report import DistillReport


def distill(
    recipe: Annotated[Path, typer.Argument(help="A TOML recipe.", show_default=False)],
    overrides: Annotated[list[str] | None, typer.Argument(help="Settings, as key=value.", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The run directory, runs/NAME-OF-RECIPE if none is given; a run goes on.")
    ] = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="US dollars that all attempts together may spend.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print requests, tokens and cost; send nothing.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete what an earlier run left, and start over.")] = False,
    executor: ExecutorOption = Executor.LOCAL,
) -> None:
    """Let a teacher answer questions by acting, judge what it did, and keep the best: `deepsport sft` learns from kept.jsonl.

    \b
    deepsport distill recipes/distill.toml --dry-run
    deepsport distill recipes/distill.toml --max-cost 200
    deepsport distill recipes/distill_arena.toml questions=practice/questions.jsonl -o runs/taught
    deepsport distill recipes/distill.toml --executor ray
    """
    with plain_errors():
        from deepsport.config import load
        from deepsport.data.distill.distill import run_distill
        from deepsport.data.distill.recipe import DistillRecipe

        settings = load(DistillRecipe, recipe, overrides or ())
        if dry_run:
            _foretell(settings)
            return
        folder = out or Path("runs") / recipe.stem
        _say(run_distill(folder, settings, max_usd=max_cost, fresh=fresh, executor=executor), folder)


def _foretell(settings: "DistillRecipe") -> None:
    from deepsport.data.distill.distill import questions_of
    from deepsport.data.distill.estimate import estimate
    from deepsport.video.source import FrameSource

    with FrameSource() as source:
        expected = estimate(settings, questions_of(settings), source)
    width, height = expected.frame_wh
    typer.echo(f"{expected.n_questions} questions x {settings.samples} trajectories, frames of {width}x{height}")
    if not expected.likely:
        typer.echo("No endpoint is asked: the arena's oracle acts, and rules judge.")
        return
    print_loads(expected.likely, expected.most)
    typer.echo("likely: two looks and an answer of 120 tokens each; at most: every turn, frame and token that the recipe allows")


def _say(report: "DistillReport", folder: Path) -> None:
    typer.echo(
        f"{folder / 'kept.jsonl'}: {report.n_kept} of {report.n_trajectories} trajectories, "
        f"for {report.n_questions_kept} of {report.n_questions} questions"
    )
    for dropped in report.dropped:
        typer.echo(plain(f"  not kept: {dropped.n_times} x {dropped.reason}, such as {dropped.examples[0]}"))
    if report.n_without_facts:
        typer.echo(f"  {report.n_without_facts} questions have no facts: {folder / 'facts.jsonl'} says why")
    tokens = f"{report.prompt_tokens:,} + {report.reply_tokens:,} tokens"
    typer.echo(f"{tokens}, ${report.usd:.2f} spent; {folder / 'report.html'} shows what was kept and what was not")
