"""The page of a diagnosis: classes and evidence, windows against events, offsets, labels confused, the worst kinds with examples.

Nothing is picked for looks: rows and examples are the first of their kind in the order of the questions, sports in turn where
rows are cut off. What is left off is counted, and stands in the tables beside the page.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from deepsport.bench.diagnosis.confusion import Confused
from deepsport.bench.diagnosis.drawings import STYLE, histogram, offsets, share_bar, window_rows
from deepsport.bench.diagnosis.record import Diagnosis
from deepsport.bench.diagnosis.summary import PAPER_SHARES, DiagnosisReport, Kind
from deepsport.bench.diagnosis.words import BY_NAMES, CAUSE_NAMES, CLASS_NAMES, lead, notes, percent, span
from deepsport.bench.reporting.gallery import fitting_cards
from deepsport.bench.reporting.page import render
from deepsport.bench.result import Result
from deepsport.video.source import FrameSource

MOST_ROWS = 40
"""Failures drawn row by row."""
MOST_LABELS = 8
"""Confusions listed for each sport."""
MOST_KINDS = 16
EXAMPLES = 8
"""Episodes shown with their frames."""


@dataclass(frozen=True, slots=True)
class Example:
    """A failed episode, with its frames and why it failed."""

    heading: str
    diagnosis: Diagnosis
    cause: str
    card: Markup


def diagnosis_page(report: DiagnosisReport, result: Result, diagnoses: Sequence[Diagnosis], source: FrameSource) -> str:
    """The page as text: self-contained, and without a script."""
    with_time = [each for each in diagnoses if each.window and each.clip_s]
    rows = list(_sports_in_turn(with_time))[:MOST_ROWS]
    return str(
        render(
            "diagnosis.html",
            title=f"Why {report.system} fails",
            report=report,
            lead=lead(report),
            notes=notes(report),
            bar=share_bar({failure: share.share for failure, share in report.classes.items()}, "Failures by class"),
            paper_bar=share_bar(PAPER_SHARES, "Failures by class as the paper reports them"),
            styles=STYLE,
            class_names=CLASS_NAMES,
            cause_names=CAUSE_NAMES,
            by_names=BY_NAMES,
            rows=window_rows(rows) if rows else None,
            n_rows=len(rows),
            n_with_time=len(with_time),
            offsets=offsets(with_time),
            histogram=histogram(with_time),
            confused=_by_sport(report.confused),
            worst=report.worst[:MOST_KINDS],
            examples=list(_examples(report.worst, result, diagnoses, source)),
            percent=percent,
            span=span,
        )
    )


def _sports_in_turn(diagnoses: Sequence[Diagnosis]) -> Iterator[Diagnosis]:
    queues: defaultdict[str, list[Diagnosis]] = defaultdict(list)
    for each in diagnoses:
        queues[each.sport or ""].append(each)
    for place in range(max(map(len, queues.values()), default=0)):
        yield from (queue[place] for queue in queues.values() if place < len(queue))


def _by_sport(confused: Sequence[Confused]) -> dict[str, list[Confused]]:
    groups: defaultdict[str, list[Confused]] = defaultdict(list)
    for each in confused:
        groups[each.sport or "no sport named"].append(each)
    return {sport: groups[sport][:MOST_LABELS] for sport in sorted(groups)}


def _examples(worst: Sequence[Kind], result: Result, diagnoses: Sequence[Diagnosis], source: FrameSource) -> Iterator[Example]:
    """The first failed episode of each of the worst kinds, no episode twice; then the first of the others."""
    told = {each.episode_id: each for each in diagnoses}
    played = {episode.id: (episode, score) for episode, score in zip(result.episodes, result.scores, strict=True)}
    chosen = dict.fromkeys([*(kind.examples[0] for kind in worst), *told])
    shown = list(chosen)[:EXAMPLES]
    cards = fitting_cards([played[episode_id] for episode_id in shown], source)
    for episode_id, card in zip(shown, cards, strict=True):
        diagnosis = told[episode_id]
        yield Example(played[episode_id][0].question.text, diagnosis, CAUSE_NAMES[diagnosis.cause], card)
