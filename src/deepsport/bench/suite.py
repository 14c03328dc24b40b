"""One system on one question set: episodes, figures, page. Resumed by running it again."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from deepsport.agent.prompt import PromptStyle
from deepsport.agent.rollout import Limits
from deepsport.bench.curves import read_curves
from deepsport.bench.evaluate import ask
from deepsport.bench.measure import compare
from deepsport.bench.report import Report
from deepsport.bench.report_html import report_page
from deepsport.bench.score import scores
from deepsport.bench.tasks import load_questions
from deepsport.config import Config
from deepsport.policy.base import Policy, Sampling
from deepsport.records import Episode
from deepsport.run import Run
from deepsport.video.source import FrameSource


class BenchConfig(Config):
    """What determines the figures of a measurement."""

    questions: str
    """A `.jsonl` file of questions."""
    system: str
    """Name of the policy."""
    with_tool: bool = True
    limit: int | None = None
    """Only the first so many questions."""
    max_turns: int = 5
    max_reply_tokens: int = 1024
    seed: int = 0


def run_bench(
    folder: Path, config: BenchConfig, policy: Policy, style: PromptStyle, *, concurrency: int = 64, fresh: bool = False
) -> Report:
    """Asks what is not yet on record, greedily, and writes `report.json` and `report.html`."""
    questions = load_questions(Path(config.questions))[: config.limit]
    with Run.open(folder, config, fresh=fresh) as run, FrameSource() as source:
        with run.stage("ask"):
            episodes = ask(
                questions,
                policy,
                source,
                run,
                "episodes.jsonl",
                shown_as="bench",
                limits=Limits(max_turns=config.max_turns, style=style),
                sampling=Sampling(max_tokens=config.max_reply_tokens),
                with_tool=config.with_tool,
                concurrency=concurrency,
                seed=config.seed,
            )
        return write_report(run, {config.system: episodes}, source, seed=config.seed)


def write_report(run: Run, systems: Mapping[str, Sequence[Episode]], source: FrameSource, *, seed: int) -> Report:
    """`report.json`: every figure, and each system against the one before it; `report.html`: the same to look at."""
    made = {name: scores(episodes) for name, episodes in systems.items()}
    report = compare(made, seed=seed, seconds_per_stage=run.seconds_per_stage(), versions=run.versions)
    run.write("report.json", report.model_dump_json(indent=1))
    run.write("report.html", report_page(report, read_curves(run), systems, source))
    return report
