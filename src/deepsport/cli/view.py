"""`deepsport view`: a local page over run directories, while they grow and after."""

from pathlib import Path
from typing import Annotated

import typer

from deepsport.cli.plain import plain, plain_errors

KEY_ENV = "DEEPSPORT_VIEW_KEY"


def view(
    runs: Annotated[
        list[Path], typer.Argument(help="Run directories, folders of them, or .jsonl files of episodes.", show_default=False)
    ],
    host: Annotated[
        str, typer.Option(help=f"Address to listen on; one that others can reach wants a key in {KEY_ENV}.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes one that is free.")] = 8765,
    videos: Annotated[
        Path | None, typer.Option(help="A folder to look in, by file name, for clips that are not where the run says.")
    ] = None,
    verdicts: Annotated[
        str, typer.Option(help="File of the judge whose verdicts count, as `bench rejudge` names it.")
    ] = "verdicts.jsonl",
    labeller: Annotated[str, typer.Option(help="Your name, for what you label. The page can set it, too.")] = "",
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
) -> None:
    """Look at runs: what the model saw, where it looked again, what it said, and whether that was right. Label answers.

    \b
    deepsport view runs/nano
    deepsport view runs/guess runs/nano --labeller anna
    deepsport view runs --no-open --port 9000

    The page shows a run while it is going on. Labels go to a CSV file beside the run, which `bench rejudge` and `diagnose` read.
    """
    import os

    from deepsport.serve.viewer.serving import serve_viewer

    with plain_errors():
        serve_viewer(
            runs,
            host=host,
            port=port,
            key=os.environ.get(KEY_ENV),
            videos=videos,
            verdicts=verdicts,
            labeller=labeller,
            open_browser=open_browser,
            on_ready=lambda url: typer.echo(plain(f"{url}   (stop with Ctrl-C)")),
        )
