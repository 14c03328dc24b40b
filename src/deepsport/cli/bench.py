"""`deepsport bench`: measure systems on question sets."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepsport.actor import model_of_run
from deepsport.cli.ask import nameless
from deepsport.cli.compare import compare
from deepsport.cli.executor import ExecutorOption
from deepsport.cli.foretold import print_loads
from deepsport.cli.lmms import export_lmms
from deepsport.cli.plain import fail, plain, plain_errors
from deepsport.cli.predictions import import_answers
from deepsport.cli.rejudge import rejudge
from deepsport.cli.report import report
from deepsport.executor.shards import Executor

if TYPE_CHECKING:
    from deepsport.bench.recipe import BenchConfig
    from deepsport.bench.suite import Outcome

Option = str | int | float | bool | None

app = typer.Typer(help="Measure systems on question sets.", no_args_is_help=True)


@app.command()
def run(
    questions: Annotated[Path, typer.Argument(help="A .jsonl file of questions, or a split of a dataset.", show_default=False)],
    overrides: Annotated[list[str] | None, typer.Argument(help="Settings, as key=value.", show_default=False)] = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The run directory; a run that was stopped goes on.")],
    model: Annotated[str | None, typer.Option(help="nano, a checkpoint folder, a hub id, arena-oracle, a served name.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Address of an OpenAI-compatible server.")] = None,
    native_tools: Annotated[bool, typer.Option("--native-tools", help="Offer the tool as a function of the endpoint.")] = False,
    passive: Annotated[int | None, typer.Option(min=1, help="So many frames, spread over the video, and no tool.")] = None,
    blind: Annotated[bool, typer.Option("--blind", help="The question alone: no frame, no tool.")] = False,
    majority: Annotated[bool, typer.Option("--majority", help="No model: the most frequent answer of other videos.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many questions.")] = None,
    runs: Annotated[int | None, typer.Option(min=1, help="How often each question is asked, each time anew.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, help="0 always takes the likeliest token.")] = None,
    max_turns: Annotated[int | None, typer.Option(min=1, help="Replies per question, the answer included.")] = None,
    judge_endpoint: Annotated[str | None, typer.Option(help="Address of who judges what no rule can score.")] = None,
    judge_model: Annotated[str | None, typer.Option(help="The judge's name there.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="A TOML recipe; options and settings come before it.")] = None,
    name: Annotated[str | None, typer.Option(help="What the system is called in reports.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of sampling and resampling.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Questions at once.")] = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="US dollars that all attempts together may spend.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print requests, tokens and cost; send nothing.")] = False,
    fail_on_error: Annotated[bool, typer.Option("--fail-on-error", help="End at the first answer lost to a fault.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete what an earlier run left, and start over.")] = False,
    executor: ExecutorOption = Executor.LOCAL,
) -> None:
    """Ask a question set and score the answers: a table, report.json and report.html.

    \b
    deepsport bench run heldout/questions.jsonl --out runs/nano
    deepsport bench run heldout/questions.jsonl --out runs/sixteen --passive 16
    deepsport bench run heldout/questions.jsonl --out runs/qwen --endpoint http://localhost:8000/v1 --model qwen2.5-vl
    deepsport bench run heldout/questions.jsonl --out runs/large --recipe recipes/bench.toml --dry-run
    deepsport bench run heldout/questions.jsonl --out runs/nano --executor ray

    \b
    Exit code 0: measured, whatever the score. 2: not measured; what is finished is kept.
    """
    options: dict[str, Option] = {"first_frames": passive, "limit": limit, "runs": runs, "temperature": temperature}
    options |= {"max_turns": max_turns, "system": name, "seed": seed, "concurrency": concurrency}
    options |= {"native_tools": native_tools or None, "judge.base_url": judge_endpoint, "judge.model": judge_model}
    with plain_errors():
        from deepsport.bench.suite import run_bench

        options["protocol"] = _protocol(passive, blind, majority)
        config = _config(questions, overrides or [], recipe, model, endpoint, options)
        if dry_run:
            _foretell(config)
        else:
            local = partial(model_of_run, config)
            asking = partial(run_bench, executor=executor, fail_on_error=fail_on_error, fresh=fresh)
            _say(asking(out, config, local, max_usd=max_cost), out)


def _protocol(passive: int | None, blind: bool, majority: bool) -> str | None:
    """The one that was asked for; None if none was. Raises BadConfig for more than one."""
    from deepsport.errors import BadConfig

    named = {"passive": passive is not None, "blind": blind, "majority": majority}
    chosen = [protocol for protocol, wanted in named.items() if wanted]
    if len(chosen) > 1:
        raise BadConfig(f"{' and '.join(f'--{protocol}' for protocol in chosen)} exclude each other: measure each in its own run")
    return chosen[0] if chosen else None


def _config(
    questions: Path,
    overrides: list[str],
    recipe: Path | None,
    model: str | None,
    endpoint: str | None,
    options: Mapping[str, Option],
) -> "BenchConfig":
    """Recipe, settings and options as one, the later ones winning. Raises BadConfig."""
    from deepsport.actor import require_known
    from deepsport.bench.recipe import Protocol, as_settings, recipe_of
    from deepsport.errors import BadConfig

    if endpoint and not (model or recipe or any(setting.startswith("endpoint.model=") for setting in overrides)):
        raise nameless(endpoint)
    if recipe is None and bool(options["judge.base_url"]) != bool(options["judge.model"]) and not overrides:
        raise BadConfig("a judge needs both --judge-endpoint and --judge-model")
    given = [*overrides, *as_settings({"questions": str(questions), **options})]
    config = recipe_of(recipe, given, model=model, endpoint=endpoint)
    if not config.endpoint and config.protocol is not Protocol.MAJORITY:
        require_known(config.model)
    return config


def _foretell(config: "BenchConfig") -> None:
    from deepsport.bench.estimate import estimate
    from deepsport.bench.tasks import load_questions
    from deepsport.video.source import FrameSource

    with FrameSource() as source:
        expected = estimate(config, load_questions(Path(config.questions))[: config.limit], source)
    frames = f", frames of {expected.frame_wh[0]}x{expected.frame_wh[1]}" if expected.frame_wh else ""
    typer.echo(plain(f"{config.system}: {expected.n_questions} questions, {expected.n_episodes} answers{frames}"))
    typer.echo(f"frames shown: likely {expected.n_frames_likely:,}, at most {expected.n_frames_most:,}")
    if not expected.likely:
        typer.echo("No endpoint is asked, so nothing is paid.")
        return
    print_loads(expected.likely, expected.most)
    likely = "two looks and an answer, of 120 tokens each" if config.with_tool else "an answer of 120 tokens"
    typer.echo(f"likely: {likely}; at most: every turn, frame and token that the recipe allows")


def _say(outcome: "Outcome", folder: Path) -> None:
    from rich.console import Console

    from deepsport.bench.reporting.table import render

    Console().print(render(outcome.report))
    for reason, n in outcome.unscored.items():
        typer.echo(plain(f"without a score: {n} {'answer' if n == 1 else 'answers'}: {reason}"))
    if outcome.usd:
        typer.echo(f"${outcome.usd:.4f} paid, by all attempts together")
    if outcome.unscored and all(system.score is None for system in outcome.report.systems.values()):
        fail("nothing was scored, so nothing was measured; the same command asks again what was lost")
    typer.echo(f"{folder / 'report.html'} shows episodes; {folder / 'report.json'} holds every figure.")
    typer.echo(plain(f"deepsport view {folder} plays the clips, and lets you label answers."))


app.command()(report)
app.command()(compare)
app.command()(rejudge)
app.command("import")(import_answers)
app.command("export-lmms")(export_lmms)
