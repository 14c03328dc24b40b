"""Puts the figures of a report into a page, between `<!-- demo:begin -->` and `<!-- demo:end -->`.

    python docs/fill.py runs/demo/report.json README.md

A figure in the README is never typed: it comes from a `report.json` that a run wrote, with its interval, or it is a dash.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from deepsport.bench.report import PairedReport, Report, SystemReport
from deepsport.durable import write_atomic
from deepsport.progress import clock_time

BEGIN, END = "<!-- demo:begin -->", "<!-- demo:end -->"
NAMES = {"no_tool": "no tool", "sft": "SFT", "sft_rl": "SFT + RL"}
Interval = tuple[float, float] | None

ROWS: dict[str, Callable[[SystemReport], str]] = {
    "score, 0-100 (95 % interval)": lambda system: with_interval(system.score, system.ci95),
    "a blind guess would score": lambda system: number(system.chance, 1),
    "valid actions": lambda system: share(system.valid_action_rate),
    "window met the event": lambda system: share(system.grounding_hit_rate),
    "a frame of the event was seen": lambda system: share(system.event_seen_rate),
    "tool used where it was not needed": lambda system: share(system.over_call_rate),
    "tool calls per question": lambda system: number(system.tool_calls_per_question, 2),
    "frames per question": lambda system: number(system.frames_per_question, 1),
    "questions (clips)": lambda system: f"{system.n_questions} ({system.n_videos})",
}


def number(value: float | None, digits: int) -> str:
    """A figure, or a dash where there was nothing to measure."""
    return "-" if value is None else f"{value:.{digits}f}"


def share(value: float | None) -> str:
    """A rate as percent."""
    return "-" if value is None else f"{100 * value:.0f} %"


def with_interval(value: float | None, interval: Interval) -> str:
    """`71.5 (66.0 to 77.1)`."""
    return number(value, 1) + (f" ({interval[0]:.1f} to {interval[1]:.1f})" if interval else "")


def table(report: Report) -> Iterator[str]:
    """One column per system, in the order of the report."""
    yield "| | " + " | ".join(NAMES.get(name, name) for name in report.systems) + " |"
    yield "|---|" + "---|" * len(report.systems)
    for title, figure in ROWS.items():
        yield f"| {title} | " + " | ".join(figure(system) for system in report.systems.values()) + " |"


def pair(name: str, paired: PairedReport) -> str:
    """One sentence on two systems."""
    first, second = (NAMES.get(part, part) for part in name.split("_minus_"))
    sign = "+" if paired.difference >= 0 else ""
    points = with_interval(paired.difference, paired.ci95)
    return f"- {first} against {second}: {sign}{points} points on the same {paired.n} questions, sign test p = {paired.p:.2g}."


def section(report: Report) -> str:
    """Everything that stands between the two markers."""
    stages = ", ".join(f"{name} {clock_time(seconds)}" for name, seconds in report.seconds_per_stage.items())
    total = clock_time(sum(report.seconds_per_stage.values()))
    packages = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    lines = [*table(report), "", *(pair(name, paired) for name, paired in report.paired.items()), ""]
    lines.append(
        f"Seed {report.seed}." + (f" {total} in all: {stages}." if stages else "") + (f" {packages}." if packages else "")
    )
    return "\n".join(lines)


def fill(page: str, report: Report) -> str:
    """The page with its section replaced. Raises ValueError if the markers are not there exactly once, in order."""
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise ValueError(f"the page must hold {BEGIN} and then {END}, each once")
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{section(report)}\n{END}{rest.split(END)[1]}"


def main(report_path: str, page_path: str) -> None:
    """Reads the report, rewrites the page."""
    page = Path(page_path)
    report = Report.model_validate_json(Path(report_path).read_bytes())
    write_atomic(page, fill(page.read_text(encoding="utf-8"), report))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
