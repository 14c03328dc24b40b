"""`deepsport demo`: the whole loop, small."""

import resource
import sys
from pathlib import Path
from typing import Annotated

import typer

from deepsport.cli.plain import plain, plain_errors


def demo(
    folder: Annotated[Path, typer.Argument(help="The run directory; a run that was stopped goes on.")] = Path("runs/demo"),
    overrides: Annotated[list[str] | None, typer.Argument(help="Settings, as key=value.", show_default=False)] = None,
    recipe: Annotated[Path | None, typer.Option("--recipe", "-r", help="A TOML recipe.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete what an earlier run left, and start over.")] = False,
) -> None:
    """Render clips, teach a small model, train it by RL, and measure it on held-out clips: about ten minutes.

    \b
    deepsport demo
    deepsport demo runs/seed1 seed=1
    deepsport demo runs/longer rl.steps=200 --fresh
    """
    with plain_errors():
        from rich.console import Console

        from deepsport.bench.reporting.table import render
        from deepsport.config import load
        from deepsport.demo import DemoConfig, run_demo

        report = run_demo(folder, load(DemoConfig, recipe, overrides or ()), fresh=fresh)
        Console().print(render(report))
        typer.echo(f"{_peak_memory_gb():.1f} GB of memory at most, in the process that trains.")
        typer.echo(f"{folder / 'report.html'} shows curves and episodes; {folder / 'report.json'} holds every figure.")
        typer.echo(plain(f"deepsport view {folder} plays the clips and shows every episode."))


def _peak_memory_gb() -> float:
    """The most memory this process ever held; the system counts it in bytes on macOS and in KiB elsewhere."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)
