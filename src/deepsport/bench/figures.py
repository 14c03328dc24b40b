"""The figures of a report as words: what the page and the terminal both say, row by row.

One cell per system. A figure that could not be measured is a dash, never a zero.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from deepsport.bench.diagnose import Failure
from deepsport.bench.report import PairedReport, Part, SystemReport

SYSTEM_NAMES = {"no_tool": "No tool", "sft": "SFT", "sft_rl": "SFT + RL"}
"""How the demo's systems are called on the page; others by their own name."""
FAILURE_NAMES = {
    Failure.TOOL_GROUNDING: "looked in the wrong place",
    Failure.HALLUCINATION: "saw it and misread it",
    Failure.OTHER: "never looked, or gave no answer",
}
NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure and, smaller, its interval."""

    figure: str
    span: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table: what it says, one cell per system."""

    label: str
    about: str
    cells: list[Cell]


def name_of(system: str) -> str:
    """What a reader calls a system."""
    return SYSTEM_NAMES.get(system, system.replace("_", " "))


def lead(systems: Mapping[str, SystemReport]) -> str:
    """The outcome in one sentence."""
    scored = [(name_of(name), report) for name, report in systems.items() if report.score is not None]
    if not scored:
        return "Nothing was scored."
    said = ", ".join(f"{name} {report.score:.1f}" for name, report in scored)
    last = scored[-1][1]
    return f"Score of 100 on {last.n_questions} questions about {last.n_videos} videos: {said}."


def pair_in_words(name: str, pair: PairedReport, systems: Sequence[str]) -> tuple[str, str]:
    """What is compared, and what came out."""
    title = next((f"{name_of(b)} against {name_of(a)}" for a, b in pairwise(systems) if f"{b}_minus_{a}" == name), name)
    span = f" (95 % interval {pair.ci95[0]:+.1f} to {pair.ci95[1]:+.1f})" if pair.ci95 else ""
    p = "p < 0.001" if pair.p < 0.001 else f"p = {pair.p:.3f}"
    return title, (
        f"{pair.difference:+.1f} points{span}; {p} by sign test over videos. "
        f"Of {pair.n} questions it is better on {pair.better} and worse on {pair.worse}."
    )


def score_line(systems: Mapping[str, SystemReport]) -> Line:
    """The scores with their intervals."""
    return Line(
        "Score", "of 100", [part_cell(Part(score=one.score, ci95=one.ci95, n=one.n_questions)) for one in systems.values()]
    )


def looking(systems: Mapping[str, SystemReport]) -> list[Line]:
    """The figures beside the score, one line each."""

    def line(label: str, about: str, say: Callable[[float], str], of: Callable[[SystemReport], float | None]) -> Line:
        values = [of(report) for report in systems.values()]
        return Line(label, about, [Cell(NOTHING if value is None else say(value)) for value in values])

    return [
        line("Valid actions", "of all turns: an answer, or a call that brought frames", _percent, lambda s: s.valid_action_rate),
        line("Tool calls", "per question", _two_digits, lambda s: s.tool_calls_per_question),
        line("Window on the event", "of the questions that need a look", _percent, lambda s: s.grounding_hit_rate),
        line("Event seen", "a frame of it was shown", _percent, lambda s: s.event_seen_rate),
        line("Looked without need", "of the questions that the sparse frames answer", _percent, lambda s: s.over_call_rate),
        line("Frames shown", "per question, the sparse ones included", _one_digit, lambda s: s.frames_per_question),
        line("Reward", "mean, all gates applied", _two_digits, lambda s: s.reward and s.reward.total),
        line("Not scored", "questions", _count, lambda s: s.unscored),
    ]


def tables(systems: Mapping[str, SystemReport]) -> list[tuple[str, list[Line]]]:
    """The score by parts of the questions: (title, rows), without parts that do not occur."""
    kinds: list[tuple[str, Callable[[SystemReport], dict[str, Part]]]] = [
        ("By sport", lambda report: report.by_sport),
        ("By dimension", lambda report: report.by_dimension),
        ("By kind of answer", lambda report: report.by_answer),
        ("With and without need to look", lambda report: report.by_ease),
    ]
    return [(title, lines) for title, parts in kinds if (lines := _parts([parts(report) for report in systems.values()]))]


def _parts(parts: Sequence[Mapping[str, Part]]) -> list[Line]:
    names = sorted({name for by_name in parts for name in by_name})
    return [
        Line(
            name.replace("_", " "),
            f"{max(by_name[name].n for by_name in parts if name in by_name)} questions",
            [part_cell(by_name.get(name)) for by_name in parts],
        )
        for name in names
    ]


def part_cell(part: Part | None) -> Cell:
    """A score and its interval, a dash if there is none."""
    if part is None or part.score is None:
        return Cell(NOTHING)
    return Cell(f"{part.score:.1f}", f"{part.ci95[0]:.0f} to {part.ci95[1]:.0f}" if part.ci95 else "")


def failing(systems: Mapping[str, SystemReport]) -> list[Line]:
    """Failures by class: how many, and of all failures."""
    totals = [sum(report.failures.values()) for report in systems.values()]
    if not any(totals):
        return []
    return [
        Line(
            said,
            "",
            [_of_all(report.failures.get(cause, 0), total) for report, total in zip(systems.values(), totals, strict=True)],
        )
        for cause, said in FAILURE_NAMES.items()
    ]


def _of_all(count: int, total: int) -> Cell:
    return Cell(str(count), f"{100 * count / total:.0f}\N{NO-BREAK SPACE}%" if total else "")


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def _one_digit(value: float) -> str:
    return f"{value:.1f}"


def _two_digits(value: float) -> str:
    return f"{value:.2f}"


def _count(value: float) -> str:
    return f"{value:.0f}"
