"""The episodes that a report shows, as cards that open: frames, windows, words, and what a judge said.

Pictures are what makes a page heavy, so they are made smaller until all of them fit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from deepsport.bench.reporting.episode_html import Verdict, episode_card, verdict
from deepsport.bench.reporting.figures import name_of
from deepsport.bench.reporting.showcase import Exhibit, Played, showcase
from deepsport.video.source import FrameSource

WIDTHS_PX = (176, 128, 96)
"""Of the pictures, the widest first."""
MOST_CHARS = 2_500_000
"""That all cards together may take, if the smallest pictures are small enough for that."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An episode of the gallery."""

    heading: str
    verdict: Verdict
    before: str
    card: Markup
    question: str


@dataclass(frozen=True, slots=True)
class Gallery:
    """Whose episodes are shown, and beside whose."""

    system: str
    before: str
    """Empty if there is one system only."""
    shown: list[Shown]


def gallery(systems: Mapping[str, Sequence[Played]], source: FrameSource) -> Gallery | None:
    """Cards of the last system that has episodes, beside what the one before it did; None if there is no episode."""
    names = [name for name, played in systems.items() if played]
    if not names:
        return None
    before = names[-2] if len(names) > 1 else ""
    exhibits = showcase(systems[names[-1]], systems.get(before, ()))
    cards = fitting_cards([(exhibit.episode, exhibit.score) for exhibit in exhibits], source)
    shown = [_show(exhibit, card, name_of(before)) for exhibit, card in zip(exhibits, cards, strict=True)]
    return Gallery(name_of(names[-1]), name_of(before), shown)


def fitting_cards(played: Sequence[Played], source: FrameSource) -> list[Markup]:
    """A card for each, with pictures as wide as all of them together leave room for."""
    cards: list[Markup] = []
    for width in WIDTHS_PX:
        cards = [episode_card(episode, source, score=score, width=width) for episode, score in played]
        if sum(map(len, cards)) <= MOST_CHARS:
            break
    return cards


def _show(exhibit: Exhibit, card: Markup, earlier: str) -> Shown:
    gold = exhibit.episode.question.gold
    said = ""
    if exhibit.before is not None:
        episode, score = exhibit.before
        calls = f"{len(episode.calls)} tool call{'' if len(episode.calls) == 1 else 's'}"
        outcome = verdict(score.reward, gold).text
        said = f"{earlier} on the same question: {episode.answer or 'no answer'} ({outcome}, {calls})."
    return Shown(exhibit.heading, verdict(exhibit.score.reward, gold), said, card, exhibit.episode.question.text)
