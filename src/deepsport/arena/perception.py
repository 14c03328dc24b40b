"""What a single frame shows, as one short sentence, and nothing that only other frames show.

These sentences are what the perception stage of training learns to say; the oracle thinks in the same words.
"""

import random
from dataclasses import dataclass

from deepsport.arena.sports import SPORTS
from deepsport.arena.truth import ClipTruth, Event
from deepsport.video.sample import uniform, window

GLIMPSE = 8
"""Frames looked at together."""


@dataclass(frozen=True, slots=True)
class Sight:
    """The facts that can be read from one frame."""

    index: int
    sport: str
    score: tuple[int, ...]
    event: Event | None


def look(truth: ClipTruth, index: int) -> Sight:
    """The facts of one frame. Raises IndexError outside the clip."""
    return Sight(index, truth.sport, truth.state_at(index).score, truth.event_at(index))


def describe(truth: ClipTruth, index: int) -> str:
    """ "soccer, score 0 1, red header, yellow card", or "soccer, score 0 1, play"."""
    sight = look(truth, index)
    shown = say_event(sight.event) if sight.event else "play"
    return f"{say_sport(sight.sport)}, {say_score(sight)}, {shown}"


def glimpses(truth: ClipTruth, n: int, rng: random.Random) -> list[tuple[int, ...]]:
    """Frame indices to look at together, as an episode would: by turns over the whole clip and around its event."""
    drawn: list[tuple[int, ...]] = []
    for number in range(n):
        event = truth.events[0]
        reach = (rng.randint(2, 12), rng.randint(2, 12))
        near = (max(0, event.first_index - reach[0]), min(truth.n_frames - 1, event.last_index + reach[1]))
        drawn.append(window(*near, GLIMPSE) if number % 2 else uniform(truth.n_frames - rng.randrange(8), GLIMPSE))
    return drawn


def say_sport(name: str) -> str:
    """A sport's name in words."""
    return name.replace("_", " ")


def say_score(sight: Sight) -> str:
    """What stands on the board, in words."""
    return f"{SPORTS[sight.sport].state_word} {say_digits(sight.score)}"


def say_digits(score: tuple[int, ...]) -> str:
    """The digits of the board alone."""
    return " ".join(map(str, score))


def say_event(event: Event) -> str:
    """What an event's frames show."""
    return f"{event.actor} {event.kind}, {event.cue}"
