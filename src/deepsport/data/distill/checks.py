"""What a trajectory must hold to, as far as rules can tell. Pure.

The order is that of the reasons: the first one that holds is the one counted.
"""

import re
from collections.abc import Iterator
from enum import StrEnum
from itertools import combinations

from deepsport.data.distill.recipe import Bounds
from deepsport.records import Episode, StopReason, Window
from deepsport.reward.gated import FAULTS
from deepsport.reward.temporal import window_iou


class Drop(StrEnum):
    """Why a trajectory is not kept."""

    FAULT = "lost to a fault of the endpoint or the video"
    """Tried again when the run goes on."""
    MALFORMED = "a reply outside the grammar"
    NO_ANSWER = "no answer within the limits"
    WRONG = "the answer is wrong"
    UNDECIDED = "nobody could say whether the answer is right"
    MISSED = "no frame shown lies in the event"
    GIVES_AWAY = "a thought gives the facts away"
    MARKS = "a reply holds marks of a chat format"
    """To whoever learns from it they would be tokens, not words."""
    REFUSED_CALL = "a call was refused"
    REPETITION = "a look at the same again"
    SHORT = "a thought is too short"
    LONG = "a thought is too long"
    INCONSISTENT = "the thoughts do not agree with the calls"
    UNREADABLE = "the judge's reply could not be read"
    UNJUDGED = "the judge could not be reached"
    """Judged again when the run goes on."""
    TWIN = "the same as a better one"
    SURPLUS = "others of the question are better"
    NOT_PLAYED_BACK = "does not play back as recorded"


_MARKS = re.compile(
    r"<\|[^|<>]{0,64}\|>|</?(?:image|video|s|tool_response|im_start|im_end)>|\[/?INST\]|<<SYS>>|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)

INSTANT_REACH_S = 0.2
"""An event that is annotated as an instant was seen in a frame this near."""

TRIED_AGAIN = frozenset({Drop.FAULT, Drop.UNJUDGED})


def fault_of_ending(episode: Episode) -> Drop | None:
    """What the stop reason says: grammar and limits."""
    if episode.stop in FAULTS:
        return Drop.FAULT
    if episode.stop is StopReason.FORMAT_ERROR:
        return Drop.MALFORMED
    return None if episode.stop is StopReason.ANSWERED and episode.answer else Drop.NO_ANSWER


def saw_the_event(episode: Episode) -> bool:
    """Whether a frame shown lies in the gold window; true where no window is known. That a window asked for touches it is not
    enough: one over the whole video touches everything."""
    event = episode.question.window
    if event is None:
        return True
    if event.end_s == event.start_s:
        event = Window(start_s=max(0.0, event.start_s - INSTANT_REACH_S), end_s=event.end_s + INSTANT_REACH_S)
    return any(event.contains(frame.time_s) for frame in episode.frames_seen)


def fault_of_form(episode: Episode, bounds: Bounds) -> tuple[Drop, str] | None:
    """Redundancy and length: the first fault, and where it lies."""
    return next(_faults_of_form(episode, bounds), None)


def _faults_of_form(episode: Episode, bounds: Bounds) -> Iterator[tuple[Drop, str]]:
    if marks := [found for turn in episode.turns if (found := _MARKS.search(turn.text))]:
        yield Drop.MARKS, repr(marks[0].group())
    if refused := [call for call in episode.calls if call.window is None]:
        yield Drop.REFUSED_CALL, f"frames {refused[0].start_index} to {refused[0].end_index}"
    for one, other in combinations([call.window for call in episode.calls if call.window], 2):
        if window_iou(one, other) > bounds.most_overlap:
            yield Drop.REPETITION, f"{one.start_s:.2f} to {one.end_s:.2f} s and {other.start_s:.2f} to {other.end_s:.2f} s"
    thoughts = [turn.thought for turn in episode.turns]
    if len(set(thoughts)) < len(thoughts):
        yield Drop.REPETITION, "a thought stands twice"
    for number, thought in enumerate(thoughts, start=1):
        if len(thought) < bounds.shortest_thought:
            yield Drop.SHORT, f"thought {number} has {len(thought)} characters"
        if len(thought) > bounds.longest_thought:
            yield Drop.LONG, f"thought {number} has {len(thought)} characters"
