"""The command `deepsport`.

One module per command, each no more than its options, help and output. Modules import nothing heavy at their top: everything a
command needs is imported inside it, so that help comes at once. A new command adds one line here.
"""

from typing import Annotated

import typer

from deepsport.cli import arena, bench, data, judge
from deepsport.cli.ask import ask
from deepsport.cli.demo import demo
from deepsport.cli.diagnose import diagnose
from deepsport.cli.distill import distill
from deepsport.cli.doctor import doctor
from deepsport.cli.evidence import ablate, stress
from deepsport.cli.plan import plan
from deepsport.cli.serve import serve
from deepsport.cli.train import rl, sft
from deepsport.cli.view import view

app = typer.Typer(
    name="deepsport",
    help="Models that think with sports video: look at sparse frames, decide where to look again, answer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"deepsport {version('deepsport')}")
        raise typer.Exit


@app.callback()
def _root(  # pyright: ignore[reportUnusedFunction] (typer calls it)
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None: ...


app.command()(ask)
app.command()(view)
app.command()(serve)
app.command()(demo)
app.command()(distill)
app.command()(sft)
app.command()(rl)
app.command()(plan)
app.command()(diagnose)
app.command()(ablate)
app.command()(stress)
app.command()(doctor)
app.add_typer(arena.app, name="arena")
app.add_typer(bench.app, name="bench")
app.add_typer(data.app, name="data")
app.add_typer(judge.app, name="judge")
