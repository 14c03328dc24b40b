"""`deepsport diagnose`: why the answers of a benchmark run are wrong."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepsport.actor import model_of_run
from deepsport.cli.plain import fail, plain, plain_errors

if TYPE_CHECKING:
    from deepsport.bench.diagnosis.planted import PlantedOutcome
    from deepsport.bench.diagnosis.summary import DiagnosisReport
    from deepsport.policy.openai import EndpointConfig


def diagnose(
    folder: Annotated[Path, typer.Argument(help="A run of `deepsport bench run`; with --planted, an arena set.")],
    replay: Annotated[bool, typer.Option("--replay/--no-replay", help="Ask again with the frames of the event given.")] = True,
    judge_endpoint: Annotated[str | None, typer.Option(help="Address of a model that looks at the frames of failures.")] = None,
    judge_model: Annotated[str | None, typer.Option(help="Its name there.")] = None,
    judge_prices: Annotated[
        tuple[float, float], typer.Option(help="US dollars for a million tokens of its prompts and replies, for --max-cost.")
    ] = (0.0, 0.0),
    labels: Annotated[Path | None, typer.Option(help="A CSV file with people's labels: question_id, failure.")] = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="US dollars that all attempts together may spend.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where it is written, if not in the run itself.")] = None,
    planted: Annotated[bool, typer.Option("--planted", help="Test the diagnosis: on policies that fail in a known way.")] = False,
) -> None:
    """Tell for each wrong answer whether looking, seeing or something else failed, and by what evidence.

    \b
    deepsport diagnose runs/nano
    deepsport diagnose runs/qwen --judge-endpoint http://localhost:8000/v1 --judge-model qwen2.5-vl
    deepsport diagnose heldout --planted --out runs/planted

    \b
    Exit code 0: told. 2: not told, or not to the end; what is finished is kept, and the same command goes on.
    """
    with plain_errors():
        if planted:
            _say_planted(folder, out, replay)
            return
        from deepsport.bench.diagnosis.diagnosing import diagnose_folder
        from deepsport.bench.diagnosis.gathering import Means
        from deepsport.bench.result import load_result

        local = partial(model_of_run, load_result(folder).config)
        examiner = _examiner(judge_endpoint, judge_model, judge_prices)
        means = Means(local=local, with_replay=replay, examiner=examiner, max_usd=max_cost)
        _say(diagnose_folder(folder, means, out=out, labels=labels), out or folder)


def _examiner(address: str | None, model: str | None, prices: tuple[float, float]) -> "EndpointConfig | None":
    from deepsport.policy.openai import EndpointConfig

    if address is None and model is None:
        return None
    if address is None or model is None:
        fail("--judge-endpoint and --judge-model belong together: give both, or neither")
    return EndpointConfig(model=model, base_url=address, prompt_usd=prices[0], reply_usd=prices[1])


def _say(report: "DiagnosisReport", folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from deepsport.bench.diagnosis.words import CAUSE_NAMES, lead, notes, percent, span

    typer.echo(plain(lead(report)))
    table = Table("class", "failures", "share", "95 %", box=None, pad_edge=False)
    for failure, share in report.classes.items():
        table.add_row(failure.replace("_", " "), str(share.n), percent(share.share), span(share.ci95))
    table.add_section()
    for cause, n in report.causes.items():
        table.add_row(f"  {CAUSE_NAMES[cause]}", str(n), "", "")
    Console().print(table)
    for note in notes(report):
        typer.echo(note)
    typer.echo(f"{folder / 'diagnosis.html'} shows them; {folder / 'diagnosis.csv'} lists each with its evidence.")


def _say_planted(folder: Path, out: Path | None, replay: bool) -> None:
    """The confusion of what was planted and what it was taken for."""
    from rich.console import Console
    from rich.table import Table

    from deepsport.bench.diagnose import Failure
    from deepsport.bench.diagnosis.planted import diagnose_planted

    if out is None:
        fail("--planted plays five policies, and needs a folder for their runs: give --out")
    questions = folder if folder.suffix == ".jsonl" else folder / "questions.jsonl"
    names = [failure.rpartition("_")[2] for failure in Failure]
    for with_truth in (False, True):
        outcomes = diagnose_planted(questions, out, with_replay=replay, with_truth=with_truth)
        table = Table("planted", "failures", *names, "class right", "cause right", box=None, pad_edge=False)
        for each in outcomes:
            table.add_row(*_planted_row(each))
        typer.echo("With the arena's truth as examiner:" if with_truth else "By stop reasons, windows and replay alone:")
        Console().print(table)


def _planted_row(outcome: "PlantedOutcome") -> list[str]:
    from deepsport.bench.diagnose import Failure
    from deepsport.bench.diagnosis.words import percent

    counts = [str(outcome.classed.get(failure, 0)) for failure in Failure]
    return [outcome.fault, str(outcome.n_failed), *counts, percent(outcome.class_rate), percent(outcome.cause_rate)]
