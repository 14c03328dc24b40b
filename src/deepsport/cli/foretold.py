"""What endpoints will be asked for, as a table: for the dry runs of `distill` and `bench run`."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from deepsport.cli.plain import plain

if TYPE_CHECKING:
    from rich.table import Table

    from deepsport.bench.load import Load

WIDTH = 160
"""Where there is no terminal whose width could be asked: figures are not to be cut."""


def print_loads(likely: "Sequence[Load]", most: "Sequence[Load]") -> None:
    """One line for each step, and one for all of them."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else WIDTH).print(_table(likely, most))


def _table(likely: "Sequence[Load]", most: "Sequence[Load]") -> "Table":
    from rich.table import Table

    heads = ("step", "model", "", "requests", "images", "prompt tokens", "reply tokens", "cost", "at the limits of pace")
    table = Table(*heads, box=None)
    for name, loads in (("likely", likely), ("at most", most)):
        for load in loads:
            table.add_row(plain(load.step), plain(load.model), name, *_figures(load))
        usd = sum(load.usd for load in loads)
        table.add_row("all", "", name, f"{sum(load.n_requests for load in loads):,}", "", "", "", f"${usd:,.2f}", "")
    return table


def _figures(load: "Load") -> tuple[str, ...]:
    from deepsport.progress import clock_time

    counts = (load.n_requests, load.n_images, load.prompt_tokens, load.reply_tokens)
    return *(f"{n:,}" for n in counts), f"${load.usd:,.2f}", clock_time(load.shortest_s) if load.shortest_s else "none set"
