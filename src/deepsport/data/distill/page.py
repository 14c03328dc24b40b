"""The page of a distillation: what was kept and what was not, with trajectories of both to look at.

Nothing is picked for looks: the first few of each reason, in the order of the questions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from deepsport.bench.reporting.episode_html import episode_card
from deepsport.bench.reporting.page import render
from deepsport.data.distill.judging import Judgement
from deepsport.data.distill.record_index import EpisodeIndex
from deepsport.data.distill.report import DistillReport
from deepsport.video.source import FrameSource

KEPT_SHOWN, DROPPED_SHOWN = 6, 2
"""Trajectories shown: of those kept, and of each reason."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A trajectory on the page."""

    heading: str
    detail: str
    card: Markup


def page(report: DistillReport, judgements: Sequence[Judgement], played: EpisodeIndex, source: FrameSource) -> str:
    """The page as text: self-contained, and without a script."""
    kept = list(_exhibits(judgements, None, KEPT_SHOWN, played, source))
    dropped = [
        exhibit for drop in report.dropped for exhibit in _exhibits(judgements, drop.reason, DROPPED_SHOWN, played, source)
    ]
    return str(render("distill.html", title="DeepSport distillation", report=report, kept=kept, dropped=dropped))


def _exhibits(
    judgements: Sequence[Judgement], drop: str | None, most: int, played: EpisodeIndex, source: FrameSource
) -> Iterator[Exhibit]:
    """The first trajectories with this reason, each of another question."""
    shown: set[str] = set()
    for judgement in judgements:
        if judgement.drop != drop or judgement.question_id in shown:
            continue
        shown.add(judgement.question_id)
        heading = judgement.drop or "kept"
        points = "" if judgement.thought_points is None else f"{judgement.thought_points} points for its thoughts"
        card = episode_card(played.read(judgement.episode_id), source, width=176)
        yield Exhibit(heading, judgement.detail or points, card)
        if len(shown) == most:
            return
