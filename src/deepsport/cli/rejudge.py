"""`deepsport bench rejudge`: another judge for the answers of a run, and how far judges, rules and people agree."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepsport.cli.plain import fail, plain, plain_errors

if TYPE_CHECKING:
    from deepsport.bench.judged.agreement import Agreement
    from deepsport.bench.judged.labels import Labels
    from deepsport.bench.judged.rejudge import Rejudged
    from deepsport.bench.result import Result


def rejudge(
    run: Annotated[Path, typer.Argument(help="A benchmark run.", show_default=False)],
    judge_endpoint: Annotated[str | None, typer.Option(help="Address of an OpenAI-compatible server.")] = None,
    judge_model: Annotated[str | None, typer.Option(help="The judge's name there.")] = None,
    own: Annotated[bool, typer.Option("--own", help="The judge of the run's own recipe: asks again what it left open.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="The judge by rule, which is also meant if nobody is named.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Also judge answers that a rule has scored, to test the judge against rules.")
    ] = False,
    labels: Annotated[
        Path | None, typer.Option(help="What people say, as CSV; alone, it is held against the scores that the run has.")
    ] = None,
    key_env: Annotated[
        str, typer.Option(help="The environment variable that holds the judge's key, if not OPENAI_API_KEY.")
    ] = "",
    prompt_usd: Annotated[float, typer.Option(min=0, help="US dollars for a million tokens of prompts.")] = 0.0,
    reply_usd: Annotated[float, typer.Option(min=0, help="US dollars for a million tokens of replies.")] = 0.0,
    max_cost: Annotated[float | None, typer.Option(min=0, help="US dollars that this judge may cost in all attempts.")] = None,
) -> None:
    """Have another judge score the free answers of a run, and see whom it agrees with. The run's own files stay as they are.

    \b
    deepsport bench rejudge runs/nano
    deepsport bench rejudge runs/nano --judge-endpoint http://localhost:8000/v1 --judge-model my-judge --all
    deepsport bench rejudge runs/nano --labels labels.csv
    """
    with plain_errors():
        from deepsport.bench.judged.labels import read_labels
        from deepsport.bench.judged.rejudge import held_against_people
        from deepsport.bench.judged.rejudge import rejudge as judge_anew
        from deepsport.bench.result import load_result
        from deepsport.policy.openai import EndpointConfig

        if (judge_endpoint is None) != (judge_model is None):
            fail("--judge-endpoint and --judge-model belong together: give both, or neither")
        if sum((judge_endpoint is not None, own, offline)) > 1:
            fail("name one judge: an endpoint with its model, --own or --offline")
        said = read_labels(labels) if labels else None
        result = load_result(run)
        if said and not (judge_endpoint or own or offline or everything):
            _say_labels(said, result)
            _say_agreements(held_against_people(result, said))
            return
        config = result.config.judge if own else None
        if judge_endpoint and judge_model:
            config = EndpointConfig(
                model=judge_model, base_url=judge_endpoint, api_key_env=key_env, prompt_usd=prompt_usd, reply_usd=reply_usd
            )
        if said:
            _say_labels(said, result)
        _say(judge_anew(run, config, everything=everything, labels=said, max_usd=max_cost))


def _say_labels(labels: "Labels", run: "Result") -> None:
    from deepsport.bench.judged.labels import labelled

    unknown = labelled(labels.labels, run.episodes).unknown
    typer.echo(f"{len(labels.labels)} labels, {labels.n_blank} rows without one, {labels.n_doubled} said twice")
    if unknown:
        typer.echo(plain(f"{len(unknown)} are about answers that this run does not hold: {', '.join(unknown[:5])}"), err=True)


def _say(found: "Rejudged") -> None:
    for name, after in found.report.systems.items():
        before = found.before.systems[name]
        by = ", ".join(before.judges) or "rules alone"
        typer.echo(plain(f"{name}: {_score(before.score)} as judged by {by}, {_score(after.score)} by {found.judge}"))
    for why, n in found.unscored.items():
        typer.echo(plain(f"  {n} not scored: {why}"))
    _say_agreements(found.agreements)
    paid = f"; ${found.usd:.2f} paid to this judge" if found.usd else ""
    typer.echo(plain(f"{found.verdicts}: count these with --verdicts {found.verdicts.name} in compare and report{paid}"))


def _say_agreements(agreements: "Sequence[Agreement]") -> None:
    if not agreements:
        typer.echo("there is nobody to agree with: no answer has two opinions; --all judges what a rule has scored, too")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    heads = ("", "answers", "kappa", "equal", "bias", "right/wrong alike", "silent")
    table = Table(*heads, box=None, pad_edge=False, header_style="bold")
    for one in agreements:
        table.add_row(*(Text(plain(cell)) for cell in _cells(one)))
    Console().print(table)
    typer.echo("kappa: weighted by squared distance, 1 is full agreement; bias: points of the first minus the second")


def _cells(one: "Agreement") -> tuple[str, ...]:
    from deepsport.bench.reporting.figures import NOTHING

    alike = one.both_right + one.both_wrong
    return (
        f"{one.first} / {one.second}",
        str(one.n),
        NOTHING if one.kappa is None else f"{one.kappa:.2f}{_span(one.kappa_ci95)}",
        NOTHING if one.exact is None else f"{100 * one.exact:.0f} %",
        NOTHING if one.bias is None else f"{one.bias:+.2f}{_span(one.bias_ci95)}",
        f"{alike} of {one.n} (+{one.only_first_right}/+{one.only_second_right})" if one.n else NOTHING,
        f"{one.n_first_silent}/{one.n_second_silent}",
    )


def _span(ci95: tuple[float, float] | None) -> str:
    return f" ({ci95[0]:.2f} to {ci95[1]:.2f})" if ci95 else ""


def _score(score: float | None) -> str:
    from deepsport.bench.reporting.figures import NOTHING

    return NOTHING if score is None else f"{score:.1f}"
