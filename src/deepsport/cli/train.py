"""`deepsport sft` and `deepsport rl`: one recipe, one run directory."""

from pathlib import Path
from typing import Annotated

import typer

from deepsport.cli.plain import plain_errors

Folder = Annotated[Path, typer.Argument(help="The run directory; a run that was stopped goes on.", show_default=False)]
Recipe = Annotated[Path | None, typer.Option("--recipe", "-r", help="A TOML recipe.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="Settings, as key=value.", show_default=False)]
Fresh = Annotated[bool, typer.Option("--fresh", help="Delete what an earlier run left, and start over.")]


def sft(folder: Folder, overrides: Overrides = None, recipe: Recipe = None, fresh: Fresh = False) -> None:
    """Teach a policy from recorded episodes.

    \b
    deepsport sft runs/sft episodes=runs/demo/episodes/teacher.jsonl model=runs/demo/untrained limits.style=brief
    deepsport sft runs/sft --recipe sft.toml sft.steps=300 sft.optimiser.lr=1e-5
    """
    with plain_errors():
        from deepsport.config import load
        from deepsport.train.recipe import SFTRecipe, run_sft

        typer.echo(f"{run_sft(folder, load(SFTRecipe, recipe, overrides or ()), fresh=fresh)}")


def rl(folder: Folder, overrides: Overrides = None, recipe: Recipe = None, fresh: Fresh = False) -> None:
    """Train a policy by agentic GRPO on questions with known answers.

    \b
    deepsport rl runs/rl questions=runs/demo/arena/train/questions.jsonl model=runs/demo/policies/sft limits.style=brief
    deepsport rl runs/rl --recipe rl.toml rl.steps=200 rl.group_size=16
    """
    with plain_errors():
        from deepsport.config import load
        from deepsport.train.recipe import RLRecipe, run_rl

        typer.echo(f"{run_rl(folder, load(RLRecipe, recipe, overrides or ()), fresh=fresh)}")
