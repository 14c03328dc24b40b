"""`deepsport plan`: what a recipe will need on which machine, before anything runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepsport.cli.plain import plain_errors

if TYPE_CHECKING:
    from deepsport.train.planning.plan import Plan

RecipeFile = Annotated[Path, typer.Argument(help="A recipe of sft, rl, distill or bench run.", show_default=False)]
Overrides = Annotated[list[str] | None, typer.Argument(help="Settings, as key=value.", show_default=False)]
Gpu = Annotated[
    str | None,
    typer.Option("--gpu", help="h100, h200, b200, a100-80, l40s, rtx4090, or `this` for this machine.", show_default=False),
]
Gpus = Annotated[int, typer.Option("--gpus", min=1, help="How many: one process each.")]
Servers = Annotated[
    int | None,
    typer.Option("--servers", min=0, help="GPUs of these that sample with vLLM; else as the recipe says.", show_default=False),
]
Cores = Annotated[float, typer.Option("--cores", min=0.1, help="Processor cores for each GPU; they decode video.")]
Price = Annotated[
    float | None, typer.Option("--usd-per-gpu-hour", min=0, help="Your price; there is no default.", show_default=False)
]
RatesFile = Annotated[
    Path | None, typer.Option("--rates", help="Rates that --measure wrote, here or elsewhere.", show_default=False)
]
Measure = Annotated[
    Path | None,
    typer.Option(
        "--measure", help="Measure this machine first, with the recipe's model and videos, into this file.", show_default=False
    ),
]
Like = Annotated[
    Path | None, typer.Option("--like", help="An RL run whose episodes the new ones will be like.", show_default=False)
]
Turns = Annotated[float | None, typer.Option("--turns", min=1, help="Likely replies of an episode.", show_default=False)]
ReplyTokens = Annotated[float | None, typer.Option("--reply-tokens", min=1, help="Likely tokens of a reply.", show_default=False)]
Unique = Annotated[
    float | None,
    typer.Option(
        "--unique", min=0.01, max=1, help="Share of what follows on the opening that a group does not share.", show_default=False
    ),
]


def plan(
    recipe: RecipeFile,
    overrides: Overrides = None,
    gpus: Gpus = 1,
    gpu: Gpu = None,
    servers: Servers = None,
    cores: Cores = 8.0,
    usd_per_gpu_hour: Price = None,
    rates: RatesFile = None,
    measure: Measure = None,
    like: Like = None,
    turns: Turns = None,
    reply_tokens: ReplyTokens = None,
    unique: Unique = None,
) -> None:
    """Tell memory, tokens, seconds of a step, total time and cost of a recipe; what binds, and what to change.

    Nothing is loaded and nothing is run, but for the minute that --measure takes. Rates that were not measured are assumed
    shares of what vendors promise, and marked so.

    \b
    deepsport plan recipes/rl_7b.toml --gpus 1 --gpu h200 --usd-per-gpu-hour 3
    deepsport plan recipes/sft_7b_full.toml --gpus 8 --gpu h100 sft.batch_size=64
    deepsport plan recipes/rl_7b.toml --measure rates.json
    deepsport plan recipes/rl_7b.toml --rates rates.json --like runs/rl_7b
    """
    with plain_errors():
        import time
        from dataclasses import replace

        from deepsport.train.planning.hardware import THIS, accelerator
        from deepsport.train.planning.lengths import Habits
        from deepsport.train.planning.plan import Asked
        from deepsport.train.planning.rates import assumed, load_rates, save_rates
        from deepsport.train.planning.recipes import habits_of_run, measure_for, plan_of, read_recipe

        settings = read_recipe(recipe, overrides or ())
        if measure:
            save_rates(measure, measure_for(settings, time.perf_counter))
        file = measure or rates
        found = accelerator(gpu or (THIS if file else "h200"))
        said = {"turns": turns, "reply_tokens": reply_tokens, "unique": unique}
        known = {name: value for name, value in said.items() if value is not None}
        habits: Habits | None = habits_of_run(like) if like else Habits() if known else None
        asked = Asked(
            accelerator=found,
            rates=load_rates(file) if file else assumed(found),
            gpus=gpus,
            servers=servers,
            cores=cores,
            habits=replace(habits, **known) if habits else None,
            usd_per_gpu_hour=usd_per_gpu_hour,
        )
        _show(plan_of(settings, asked))


def _show(made: "Plan") -> None:
    import sys

    from rich.console import Console
    from rich.table import Table

    from deepsport.cli.foretold import WIDTH
    from deepsport.train.planning.printed import lines_of

    grid = Table.grid(padding=(0, 2))
    for name, text in lines_of(made):
        grid.add_row(name, text)
    Console(width=None if sys.stdout.isatty() else WIDTH).print(grid, markup=False)
