"""`deepsport ablate` and `deepsport stress`: the paper's own experiments, in the arena."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from deepsport.cli.plain import plain_errors

Folder = Annotated[Path, typer.Argument(help="Where the runs are kept; what is finished is not done again.", show_default=False)]
Overrides = Annotated[list[str] | None, typer.Argument(help="Settings, as key=value.", show_default=False)]
Recipe = Annotated[Path | None, typer.Option("--recipe", "-r", help="A TOML recipe.")]


def ablate(folder: Folder, overrides: Overrides = None, recipe: Recipe = None) -> None:
    """Change one thing of the method at a time, over several seeds, and tabulate what it does to the held-out score.

    \b
    deepsport ablate runs/ablation --recipe recipes/ablate.toml
    deepsport ablate runs/gates 'variants=["no_format_gate", "no_tool_gate", "no_accuracy_gate"]' 'seeds=[0]'
    """
    with plain_errors():
        from deepsport.ablate import AblationConfig, run_ablation, table
        from deepsport.config import load
        from deepsport.evidence import draw_ablation

        outcomes = run_ablation(folder, load(AblationConfig, recipe, overrides or ()))
        draw_ablation(outcomes, folder / "ablation.png")
        _show(table(outcomes), folder / "ablation.md")


def stress(
    folder: Folder,
    overrides: Overrides = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="nano, a checkpoint or a run; several are shown together.", show_default="nano"),
    ] = None,
    recipe: Recipe = None,
) -> None:
    """Test how short an event may be, and how long a clip, for a policy still to find it.

    \b
    deepsport stress runs/stress
    deepsport stress runs/stress --model runs/seed0/policies/sft_rl --model runs/seed1/policies/sft_rl
    deepsport stress runs/quick 'lengths=[64, 512]' 'durations=[3, 8]' clips_per_cell=12
    """
    with plain_errors():
        from deepsport.agent.prompt import PromptStyle
        from deepsport.config import load
        from deepsport.evidence import draw_stress
        from deepsport.policy.local.checkpoint import load_policy
        from deepsport.stress import Stress, StressConfig, rows, run_stress, sport_rows

        results: list[Stress] = []
        for number, name in enumerate(model or ["nano"]):
            policy = load_policy(name)
            config = load(StressConfig, recipe, [*(overrides or ()), f"system={name}"])
            style = PromptStyle.BRIEF if policy.brief else PromptStyle.FULL
            results.append(run_stress(folder / str(number), config, policy, style))
        of_several = " (mean and range of the policies)" if len(results) > 1 else ""
        for figure in ("hit", "accuracy", "zooms"):
            typer.echo(f"{figure}, %{of_several}")
            _show(rows(results, figure), folder / f"{figure}.md")
        for figure in ("hit", "accuracy"):
            typer.echo(f"{figure} by sport, %{of_several}")
            _show(sport_rows(results, figure), folder / f"{figure}_by_sport.md")
        draw_stress(results, folder / "stress.png")


def _show(rows: Sequence[Sequence[str]], path: Path) -> None:
    """Prints a table, to a file or a pipe as Markdown, and writes it so."""
    from rich.console import Console
    from rich.table import Table

    grid = Table(box=None, header_style="bold")
    for place, title in enumerate(rows[0]):
        grid.add_column(title, no_wrap=place == 0)
    for row in rows[1:]:
        grid.add_row(*row)
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    path.write_text(text, encoding="utf-8")
    if Console().is_terminal:
        Console().print(grid)
    else:
        typer.echo(text)
