"""Events and comments of one half of a soccer match, each at an instant of the half's video: MatchTime and SoccerNet.

Comments come from live tickers and speech recognition, which stutter: the same line again and again, or a line that holds
another. Only the first of such lines is asked about. Options leave out what else is annotated about the same instant.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deepsport.data.asking import Asker
from deepsport.data.source import Drops
from deepsport.data.sources.soccer import FAMILIES, UNSEEN, Families, commentary, event_of, which_event
from deepsport.records import Question, Window

REACH_S = 5.0
"""Seconds to both sides of the instant that an annotation names."""

LOOP_S = 20.0
"""Seconds within which a line that comes again is a loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An annotation at an instant of a half."""

    asker: Asker
    at_s: float
    label: str = ""
    comment: str | None = None
    """None where the source has events only."""


def questions_of_half(moments: Sequence[Moment], drops: Drops, families: Families = FAMILIES) -> Iterator[Question]:
    """Which event each moment is, if it is labelled, and the request for its comment, if it has one that is no repetition."""
    in_time = sorted(moments, key=lambda moment: moment.at_s)
    fresh = {id(moment) for moment in _without_repetitions(in_time, drops)}
    for moment in in_time:
        if moment.comment is not None and id(moment) not in fresh:
            continue
        when = f"at {_clock(moment.at_s)} of this half"
        window = Window(start_s=max(0.0, moment.at_s - REACH_S), end_s=moment.at_s + REACH_S)
        if moment.label.strip():
            also = _events_about(moment, in_time)
            question = which_event(moment.asker, "event", moment.label, when, drops, window=window, also=also, families=families)
            if question:
                yield question
        if moment.comment is None:
            continue
        if moment.label.strip().lower() in UNSEEN:
            drops.add("a comment on nothing that is shown", moment.asker.record)
        else:
            yield commentary(moment.asker, "comment", moment.comment.strip(), when, window)


def _without_repetitions(in_time: Sequence[Moment], drops: Drops) -> Iterator[Moment]:
    """Moments with a comment, less those that say again what was just said."""
    said: dict[str, float] = {}
    before: Moment | None = None
    for moment in in_time:
        words = _words(moment.comment)
        if moment.comment is None:
            continue
        if not words:
            drops.add("a comment without words", moment.asker.record)
        elif moment.at_s - said.get(words, -LOOP_S - 1) <= LOOP_S:
            drops.add("the same comment again within 20 s", moment.asker.record)
            said[words] = moment.at_s  # a loop may go on for longer than that
        elif before and _overlap(before, moment):
            drops.add("a comment that overlaps with another", moment.asker.record)
        else:
            said[words] = moment.at_s
            before = moment
            yield moment


def _overlap(before: Moment, moment: Moment) -> bool:
    """Whether two comments are of one instant, or one holds the other while their windows meet."""
    if moment.at_s == before.at_s:
        return True
    one, other = _words(before.comment), _words(moment.comment)
    return moment.at_s - before.at_s <= 2 * REACH_S and (one in other or other in one)


def _events_about(moment: Moment, in_time: Sequence[Moment]) -> set[str]:
    near = (other for other in in_time if abs(other.at_s - moment.at_s) <= 2 * REACH_S)
    return {event for other in near if (event := event_of(other.label))}


def _words(comment: str | None) -> str:
    return " ".join((comment or "").casefold().split())


def _clock(at_s: float) -> str:
    minutes, seconds = divmod(int(at_s), 60)
    return f"{minutes:02d}:{seconds:02d}"
