"""`deepsport sft` and `deepsport rl`: one recipe, one run directory."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepsport.cli.plain import plain_errors

if TYPE_CHECKING:
    from deepsport.train.planning.budget import Budget

Folder = Annotated[Path, typer.Argument(help="The run directory; a run that was stopped goes on.", show_default=False)]
Recipe = Annotated[Path | None, typer.Option("--recipe", "-r", help="A TOML recipe.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="Settings, as key=value.", show_default=False)]
Fresh = Annotated[bool, typer.Option("--fresh", help="Delete what an earlier run left, and start over.")]


InitFrom = Annotated[
    str | None,
    typer.Option(
        "--init-from", help="Begin with this checkpoint, policy folder or run, instead of the recipe's model.", show_default=False
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print memory, tokens and steps; load nothing, write nothing.")]


def sft(
    folder: Folder,
    overrides: Overrides = None,
    recipe: Recipe = None,
    init_from: InitFrom = None,
    dry_run: DryRun = False,
    fresh: Fresh = False,
) -> None:
    """Teach a policy from recorded episodes.

    \b
    deepsport sft runs/sft episodes=runs/demo/episodes/teacher.jsonl model=runs/demo/untrained limits.style=brief
    deepsport sft runs/sft_7b --recipe recipes/sft_7b.toml --dry-run
    torchrun --nproc-per-node 8 -m deepsport.cli sft runs/sft_7b_full --recipe recipes/sft_7b_full.toml
    """
    with plain_errors():
        from deepsport.config import load
        from deepsport.train.recipe import SFTRecipe, run_sft, sft_needs

        settings = load(SFTRecipe, recipe, _with_start(overrides, init_from))
        if dry_run:
            _show(sft_needs(settings, _n_processes()))
        else:
            typer.echo(f"{run_sft(folder, settings, fresh=fresh)}")


def rl(
    folder: Folder,
    overrides: Overrides = None,
    recipe: Recipe = None,
    init_from: InitFrom = None,
    dry_run: DryRun = False,
    fresh: Fresh = False,
) -> None:
    """Train a policy by agentic GRPO on questions with known answers.

    \b
    deepsport rl runs/rl questions=runs/demo/arena/train/questions.jsonl model=runs/demo/policies/sft limits.style=brief
    deepsport rl runs/rl_7b --recipe recipes/rl_7b.toml --init-from runs/sft_7b --dry-run
    torchrun --nproc-per-node 8 -m deepsport.cli rl runs/rl_7b_full --recipe recipes/rl_7b_full.toml
    """
    with plain_errors():
        from deepsport.config import load
        from deepsport.train.recipe import RLRecipe, rl_needs, run_rl

        settings = load(RLRecipe, recipe, _with_start(overrides, init_from))
        if dry_run:
            _show(rl_needs(settings, _n_processes()))
        else:
            typer.echo(f"{run_rl(folder, settings, fresh=fresh)}")


def _with_start(overrides: list[str] | None, init_from: str | None) -> list[str]:
    return [*(overrides or ()), *([f"model={init_from}"] if init_from else [])]


def _n_processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _show(budget: "Budget") -> None:
    from rich.console import Console
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    for name, text in budget.lines():
        grid.add_row(name, text)
    Console().print(grid)
