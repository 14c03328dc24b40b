"""Why an episode failed, told from what it asked for and what it was shown. `bench.diagnosis` looks deeper.

The paper's three classes. The line between the first two is whether a frame of the event was ever *shown*, not whether a window
brushed it: a window that met the event but whose frames all fell beside it is still a fault of looking.
"""

from enum import StrEnum

from deepsport.data.distill.checks import INSTANT_REACH_S
from deepsport.records import Episode, Reward, StopReason, Window

FAILED_BELOW = 0.5
"""Accuracy under which an answer counts as a failure; half right is not one."""


class Failure(StrEnum):
    """What went wrong: a closed set."""

    TOOL_GROUNDING = "tool_grounding"
    """The tool was called and still no frame of the event was seen."""
    HALLUCINATION = "visual_hallucination"
    """The frames that hold the answer were seen and misread."""
    OTHER = "other"
    """Never looked, gave no well-formed answer, or nobody knows when the event is."""


def failure(episode: Episode, reward: Reward) -> Failure | None:
    """The class of a failed episode; None if it was right or could not be scored."""
    if reward.accuracy is None or reward.accuracy >= FAILED_BELOW:
        return None
    if episode.stop is not StopReason.ANSWERED:
        return Failure.OTHER
    if event_seen(episode) or (episode.question.easy and episode.frames_seen):
        return Failure.HALLUCINATION
    return Failure.TOOL_GROUNDING if episode.calls and episode.question.window else Failure.OTHER


def event_seen(episode: Episode) -> bool:
    """Whether a frame of the event was shown, at the start or by the tool; False where nobody knows when the event is."""
    event = sight_of(episode.question.window)
    return event is not None and any(event.contains(frame.time_s) for frame in episode.frames_seen)


def sight_of(event: Window | None) -> Window | None:
    """The span whose frames show an event. One that is annotated as an instant falls between two frames, and either shows it."""
    if event is None or event.end_s > event.start_s:
        return event
    return Window(start_s=max(0.0, event.start_s - INSTANT_REACH_S), end_s=event.end_s + INSTANT_REACH_S)


def window_met(episode: Episode) -> bool:
    """Whether a window that the tool accepted overlaps the event; False without a call, or where nobody knows when it is."""
    event = episode.question.window
    return event is not None and any(call.window is not None and call.window.overlaps(event) for call in episode.calls)
