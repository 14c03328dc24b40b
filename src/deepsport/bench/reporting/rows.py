"""Every row of a report, in groups: what is said of the systems side by side, wherever it is said.

A group without a figure, and a row that no system has a figure for, is left out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from deepsport.bench.diagnose import Failure
from deepsport.bench.report import AtTurn, Part, SystemReport, Timing
from deepsport.bench.reporting.figure_list import COST, COUNTS, LOOKING, NUMBERS, TEXTS, TURNS, WAITING
from deepsport.bench.reporting.figures import Cell, Line, count_cell, one_digit, part_cell, spell, value_cell
from deepsport.records import StopReason

K = TypeVar("K")
Systems = Mapping[str, SystemReport]
Timings = Mapping[str, Timing]

FAILURE_NAMES = {
    Failure.TOOL_GROUNDING: "looked in the wrong place",
    Failure.HALLUCINATION: "saw it and misread it",
    Failure.OTHER: "no look, no answer, or nobody knows",
}
STOP_NAMES = {
    StopReason.ANSWERED: "answered",
    StopReason.FORMAT_ERROR: "a turn out of form",
    StopReason.MAX_TURNS: "out of turns",
    StopReason.MAX_TOKENS: "reply too long",
    StopReason.CONTEXT_OVERFLOW: "context too small",
    StopReason.POLICY_ERROR: "lost: model not reached",
    StopReason.VIDEO_ERROR: "lost: video not read",
}

OPENING = 0


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that are read together."""

    title: str
    about: str
    lines: list[Line]


def groups(systems: Systems, timings: Timings | None = None) -> list[Group]:
    """All groups that hold anything, in the order of the page."""
    made = [
        Group("Score", "", scores(systems)),
        Group("Looking", "", looking(systems)),
        Group("Cost", "", [*cost(systems), *waiting(systems, timings or {})]),
        *(Group(title, "", lines) for title, lines in tables(systems)),
        Group("Learning from each turn", "", turns(systems)),
        Group("Numbers", "", numbers(systems)),
        Group("Free answers", "", spell(TEXTS, [one.texts for one in systems.values()])),
        Group("Why answers were wrong", "wrong answers by cause, and each cause's share of them", failing(systems)),
        Group("How episodes ended", "", stops(systems)),
        Group("Runs", "", runs(systems)),
    ]
    return [group for group in made if group.lines]


def scores(systems: Systems) -> list[Line]:
    """The score and what it stands on."""
    return [score_line(systems), *macro_line(systems), *spell(COUNTS, [*systems.values()])]


def score_line(systems: Systems) -> Line:
    """The scores with their intervals."""
    wholes = (Part(score=one.score, ci95=one.ci95, n=_n_in(one.by_ease)) for one in systems.values())
    return Line("Score", "of 100", [part_cell(part) for part in wholes])


def macro_line(systems: Systems) -> list[Line]:
    """The macro averages; nothing where no question names its sport and dimension."""
    macros = (
        Part(score=one.macro, ci95=one.macro_ci95, n=sum(_n_in(cells) for cells in one.by_cell.values()))
        for one in systems.values()
    )
    line = Line("Macro average", "every sport and dimension weighing the same", [part_cell(part) for part in macros])
    return [line] if line.known else []


def looking(systems: Systems) -> list[Line]:
    """How the systems looked."""
    return spell(LOOKING, [*systems.values()])


def cost(systems: Systems) -> list[Line]:
    """What the answers cost, but for time."""
    return spell(COST, [*systems.values()])


def waiting(systems: Systems, timings: Timings) -> list[Line]:
    """How long the answers took, where that was kept."""
    return spell(WAITING, [timings.get(name) for name in systems])


def tables(systems: Systems) -> list[tuple[str, list[Line]]]:
    """The score by parts of the questions: (title, rows), without parts that do not occur."""
    kinds: list[tuple[str, Callable[[SystemReport], dict[str, Part]]]] = [
        ("By sport", lambda report: report.by_sport),
        ("By dimension", lambda report: report.by_dimension),
        ("By kind of answer", lambda report: report.by_answer),
        ("With and without need to look", lambda report: report.by_ease),
    ]
    counted = "questions" if all(one.n_runs == 1 for one in systems.values()) else "answers"
    made = [(title, _parts([parts(report) for report in systems.values()], counted)) for title, parts in kinds]
    return [(title, lines) for title, lines in made if lines]


def turns(systems: Systems) -> list[Line]:
    """What was known by the end of each turn; nothing if no system had a second one."""
    last = max((len(one.turns) for one in systems.values()), default=0) - 1
    if last < 2:
        return []
    lines: list[Line] = []
    for title, figure in TURNS:
        for turn in range(last + 1):
            label = f"{title}: opening" if turn == OPENING else f"{title}: turn {turn}"
            cells = [value_cell(None if at is None else figure.of(at), figure.say) for at in at_turn(systems, turn)]
            lines.append(Line(label, figure.about, cells))
    return [line for line in lines if line.known]


def at_turn(systems: Systems, turn: int) -> list[AtTurn | None]:
    """By the end of that turn, by system; one that needed fewer stays where it ended."""
    return [one.turns[min(turn, len(one.turns) - 1)] if one.turns else None for one in systems.values()]


def numbers(systems: Systems) -> list[Line]:
    """How far off the answers are that are numbers, by sport and unit."""
    units = sorted({unit for one in systems.values() for unit in one.numbers})
    return [
        line
        for unit in units
        for line in spell(NUMBERS, [one.numbers.get(unit) for one in systems.values()], f"{unit.replace('_', ' ')}, ")
    ]


def failing(systems: Systems) -> list[Line]:
    """Failures by class: how many, and of all failures."""
    return _counted(FAILURE_NAMES, [one.failures for one in systems.values()])


def stops(systems: Systems) -> list[Line]:
    """How episodes ended: how many, and of all episodes."""
    counts = [one.stop_reasons for one in systems.values()]
    return _counted({stop: said for stop, said in STOP_NAMES.items() if any(stop in each for each in counts)}, counts)


def runs(systems: Systems) -> list[Line]:
    """The score of each run, and how far they lie apart; nothing if all systems ran once."""
    by_run = [one.score_by_run for one in systems.values()]
    n_runs = max((len(each) for each in by_run), default=0)
    if n_runs < 2:
        return []
    lines = [
        Line(f"Run {run + 1}", "", [value_cell(each[run] if run < len(each) else None, one_digit) for each in by_run])
        for run in range(n_runs)
    ]
    spreads = [max(each) - min(each) if len(each) > 1 else None for each in by_run]
    return [*lines, Line("Best less worst", "", [value_cell(spread, one_digit) for spread in spreads])]


def _n_in(parts: Mapping[str, Part]) -> int:
    return sum(part.n for part in parts.values())


def _counted(names: Mapping[K, str], counts: Sequence[Mapping[K, int]]) -> list[Line]:
    totals = [sum(each.values()) for each in counts]
    if not any(totals):
        return []
    return [
        Line(said, "", [count_cell(each.get(name, 0), total) for each, total in zip(counts, totals, strict=True)])
        for name, said in names.items()
    ]


def _parts(parts: Sequence[Mapping[str, Part]], counted: str) -> list[Line]:
    names = sorted({name for by_name in parts for name in by_name})
    return [
        Line(
            name.replace("_", " "),
            f"{max(by_name[name].n for by_name in parts if name in by_name)} {counted}",
            [part_cell(by_name.get(name)) for by_name in parts],
        )
        for name in names
    ]


def cells_of(report: SystemReport) -> list[tuple[str, Cell]]:
    """The score of every sport and dimension that occur together."""
    return [
        (f"{sport}, {dimension}".replace("_", " "), part_cell(part))
        for sport, by_dimension in report.by_cell.items()
        for dimension, part in by_dimension.items()
    ]
