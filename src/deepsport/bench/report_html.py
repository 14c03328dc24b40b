"""The report of a benchmark or a demo as one page: scores, how they were reached, how they were learnt, episodes to look at.

Everything on the page comes from `report.json`, `metrics.jsonl` and the recorded episodes; a missing part is left out, not faked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from deepsport.bench.charts import Bar, Series, interval_chart, line_chart
from deepsport.bench.curves import Curve, Curves, Panel, panels_of
from deepsport.bench.episode_html import Verdict, episode_card, verdict
from deepsport.bench.figures import failing, lead, looking, name_of, pair_in_words, score_line, tables
from deepsport.bench.page import render
from deepsport.bench.report import Report, SystemReport
from deepsport.bench.showcase import Exhibit, showcase
from deepsport.progress import clock_time
from deepsport.records import Episode
from deepsport.reward.gated import GatedReward
from deepsport.video.source import FrameSource

STAGE_NAMES = {
    "perception": "Perception: one frame",
    "reading_2": "Perception: two frames",
    "reading_4": "Perception: four frames",
    "reading_8": "Perception: eight frames",
    "sft": "Supervised fine-tuning",
    "rl": "Reinforcement learning",
}


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
class Shown:
    """An episode of the gallery."""

    heading: str
    verdict: Verdict
    before: str
    card: Markup
    question: str


def report_page(
    report: Report,
    curves: Curves,
    episodes: Mapping[str, Sequence[Episode]],
    source: FrameSource,
    *,
    reward: GatedReward | None = None,
) -> str:
    """The page as text. `episodes` by the names of the report's systems; the last two systems fill the gallery."""
    systems = report.systems
    return str(
        render(
            "report.html",
            title="DeepSport report",
            names=[name_of(system) for system in systems],
            lead=lead(systems),
            scores=interval_chart(_bars(systems), next((s.chance for s in systems.values()), None)),
            chance=next((s.chance for s in systems.values()), None),
            pairs=[pair_in_words(name, pair, list(systems)) for name, pair in report.paired.items()],
            looking=[score_line(systems), *looking(systems)],
            tables=tables(systems),
            failing=failing(systems),
            stages=[_stage(stage, by_name) for stage, by_name in curves.items()],
            gallery=_gallery(list(systems), episodes, source, reward or GatedReward()),
            seconds=[(STAGE_NAMES.get(stage, stage), clock_time(s)) for stage, s in report.seconds_per_stage.items()],
            versions=report.versions,
            seed=report.seed,
        )
    )


def _bars(systems: Mapping[str, SystemReport]) -> list[Bar]:
    return [Bar(name_of(name), one.score, one.ci95) for name, one in systems.items() if one.score is not None]


def _stage(stage: str, by_name: Mapping[str, Curve]) -> Stage:
    known, others = panels_of(by_name)
    charts, more = ([_chart(panel, by_name) for panel in panels] for panels in (known, others))
    return Stage(STAGE_NAMES.get(stage, stage), charts, more)


def _chart(panel: Panel, by_name: Mapping[str, Curve]) -> Chart:
    series = [Series(label, by_name[name]) for name, label in panel.labels.items()]
    legend = [(number, one.label) for number, one in enumerate(series)] if len(series) > 1 else []
    return Chart(panel.title, panel.about, line_chart(series, panel.title), legend)


def _gallery(
    names: Sequence[str], episodes: Mapping[str, Sequence[Episode]], source: FrameSource, reward: GatedReward
) -> list[Shown]:
    shown = [name for name in names if episodes.get(name)]
    if not shown:
        return []
    before = episodes[shown[-2]] if len(shown) > 1 else ()
    return [_show(exhibit, shown, source, reward) for exhibit in showcase(episodes[shown[-1]], before, reward)]


def _show(exhibit: Exhibit, names: Sequence[str], source: FrameSource, reward: GatedReward) -> Shown:
    episode, before = exhibit.episode, exhibit.before
    said = ""
    if before is not None:
        calls = f"{len(before.calls)} tool call{'' if len(before.calls) == 1 else 's'}"
        outcome = verdict(reward.score(before), before.question.gold).text
        said = f"{name_of(names[-2])} on the same question: {before.answer or 'no answer'} ({outcome}, {calls})."
    return Shown(
        exhibit.heading,
        verdict(reward.score(episode), episode.question.gold),
        said,
        episode_card(episode, source, reward=reward, width=176),
        episode.question.text,
    )
