"""`deepsport doctor`: is everything here that the package needs?"""

from typing import Annotated

import typer

from deepsport.cli.plain import plain


def doctor(
    endpoint: Annotated[str | None, typer.Option(help="Also ask this OpenAI-compatible server which models it serves.")] = None,
) -> None:
    """Check this machine: versions, cores, memory, disk, GPU, video decoding, and a server if one is named.

    \b
    deepsport doctor
    deepsport doctor --endpoint http://localhost:8000/v1

    \b
    Exit code 0: fit for work. 1: something is at fault, and the line says what to do.
    """
    from rich.console import Console
    from rich.text import Text

    from deepsport.cli.checks import State, all_checks

    styles = {State.OK: "green", State.NOTE: "yellow", State.FAULT: "bold red"}
    findings = all_checks(endpoint)
    console = Console(highlight=False)
    for finding in findings:
        line = Text.assemble((f"{finding.state:<7}", styles[finding.state]), f"{finding.part:<11}", plain(finding.text))
        console.print(line, soft_wrap=True)
    if any(finding.state is State.FAULT for finding in findings):
        raise typer.Exit(1)
