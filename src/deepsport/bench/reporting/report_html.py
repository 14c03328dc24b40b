"""The report of benchmark runs or a demo as one page: scores, how they were reached, how they were learnt, episodes to look at.

Everything on the page comes from `report.json`, `metrics.jsonl`, `timing.json`, the recorded episodes and their scores; a missing
part is left out, not faked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from deepsport.bench.report import Report, SystemReport, Timing
from deepsport.bench.reporting.charts import Bar, Series, interval_chart, line_chart
from deepsport.bench.reporting.curves import Curve, Curves, Panel, panels_of
from deepsport.bench.reporting.figures import Line, lead, name_of, pair_in_words
from deepsport.bench.reporting.gallery import gallery
from deepsport.bench.reporting.heat_map import FEW, heat_map
from deepsport.bench.reporting.page import render
from deepsport.bench.reporting.plot import N_COLOURS
from deepsport.bench.reporting.rows import Group, groups
from deepsport.bench.reporting.scatter import points, scatter
from deepsport.bench.reporting.showcase import Played
from deepsport.bench.reporting.turn_chart import turn_panels
from deepsport.progress import clock_time
from deepsport.video.source import FrameSource

STAGE_NAMES = {
    "perception": "Perception: one frame",
    "reading_2": "Perception: two frames",
    "reading_4": "Perception: four frames",
    "reading_8": "Perception: eight frames",
    "sft": "Supervised fine-tuning",
    "rl": "Reinforcement learning",
}
PLACED = ("Score", "Looking", "Cost", "Learning from each turn")
"""Groups of rows that stand in a section of their own; the others follow in their order."""
OPEN_MAPS = 2
"""Systems up to which every heat map is open; of more, the last one is."""
LONG = 12
"""Rows from which a table is folded."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn panel of curves; `legend` holds (series number, label)."""

    title: str
    about: str
    drawing: Markup
    legend: list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Stage:
    """The learning curves of one training stage."""

    name: str
    charts: list[Chart]
    more: list[Chart]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """The scores of one system by sport and dimension."""

    name: str
    table: Markup
    is_open: bool


def report_page(
    report: Report,
    curves: Curves,
    systems: Mapping[str, Sequence[Played]],
    source: FrameSource,
    *,
    timings: Mapping[str, Timing] | None = None,
    notes: Sequence[str] = (),
) -> str:
    """The page as text. `systems`: answers and scores by the names of the report; the last two systems fill the gallery.

    `notes`: what a reader must know before all else, such as what is missing."""
    reports = report.systems
    rows = {group.title: group for group in groups(reports, timings)}
    chance = next((one.chance for one in reports.values()), None)
    return str(
        render(
            "report.html",
            title="DeepSport report",
            names=[name_of(system) for system in reports],
            n_colours=N_COLOURS,
            lead=lead(reports),
            notes=notes,
            scores=interval_chart(_bars(reports), chance),
            chance=chance,
            pairs=[pair_in_words(name, pair, list(reports)) for name, pair in report.paired.items()],
            side_by_side=_lines(rows, "Score") + _lines(rows, "Looking"),
            scatter=scatter(points(reports), joined(systems)),
            cost=_lines(rows, "Score")[:1] + _lines(rows, "Cost"),
            heat_maps=_heat_maps(reports),
            few=FEW,
            turns=turn_panels(reports),
            turn_lines=_lines(rows, "Learning from each turn"),
            groups=[group for title, group in rows.items() if title not in PLACED],
            long=LONG,
            stages=[_stage(stage, by_name) for stage, by_name in curves.items()],
            gallery=gallery(systems, source),
            judges=sorted({judge for one in reports.values() for judge in one.judges}),
            seconds=[(STAGE_NAMES.get(stage, stage), clock_time(s)) for stage, s in report.seconds_per_stage.items()],
            versions=report.versions,
            seed=report.seed,
        )
    )


def joined(systems: Mapping[str, Sequence[Played]]) -> list[list[int]]:
    """Systems, by number, that are one policy shown ever more frames without the tool."""
    found: dict[str, list[int]] = {}
    for number, played in enumerate(systems.values()):
        if played and not played[0][0].with_tool and played[0][0].first_frames:
            found.setdefault(played[0][0].policy, []).append(number)
    return [numbers for numbers in found.values() if len(numbers) > 1]


def _lines(rows: Mapping[str, Group], title: str) -> list[Line]:
    return rows[title].lines if title in rows else []


def _bars(systems: Mapping[str, SystemReport]) -> list[Bar]:
    return [Bar(name_of(name), one.score, one.ci95) for name, one in systems.items() if one.score is not None]


def _heat_maps(systems: Mapping[str, SystemReport]) -> list[HeatMap]:
    drawn = [(name_of(name), heat_map(one, f"{name_of(name)}: score by sport and dimension")) for name, one in systems.items()]
    maps = [(name, table) for name, table in drawn if table]
    return [HeatMap(name, table, len(maps) <= OPEN_MAPS or place == len(maps) - 1) for place, (name, table) in enumerate(maps)]


def _stage(stage: str, by_name: Mapping[str, Curve]) -> Stage:
    known, others = panels_of(by_name)
    charts, more = ([_chart(panel, by_name) for panel in panels] for panels in (known, others))
    return Stage(STAGE_NAMES.get(stage, stage), charts, more)


def _chart(panel: Panel, by_name: Mapping[str, Curve]) -> Chart:
    series = [Series(label, by_name[name]) for name, label in panel.labels.items()]
    legend = [(number, one.label) for number, one in enumerate(series)] if len(series) > 1 else []
    return Chart(panel.title, panel.about, line_chart(series, panel.title), legend)
