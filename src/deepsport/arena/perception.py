"""What a single frame shows, as one short sentence, and nothing that only other frames show.

These sentences are what the perception stage of training learns to say; the oracle thinks in the same words.
"""

import random
from dataclasses import dataclass

from deepsport.arena.sports import SPORTS
from deepsport.arena.truth import Action, ClipTruth, Event
from deepsport.video.sample import uniform, window


@dataclass(frozen=True, slots=True)
class Sight:
    """The facts that can be read from one frame."""

    index: int
    sport: str
    score: tuple[int, ...]
    is_new: bool
    """A digit of the board is lit: it has just gone up."""
    action: Action | None

    @property
    def event(self) -> Event | None:
        """The action, if it is the one that counts."""
        return self.action if isinstance(self.action, Event) else None


def look(truth: ClipTruth, index: int) -> Sight:
    """The facts of one frame. Raises IndexError outside the clip."""
    state = truth.state_at(index)
    return Sight(index, truth.sport, state.score, state.lit is not None, truth.action_at(index))


def describe(truth: ClipTruth, index: int) -> str:
    """ "soccer, score 0 1, red header, yellow card, top corner", or "soccer, score 1 1 new, play"."""
    sight = look(truth, index)
    shown = say_action(sight.action) if sight.action else "play"
    return f"{say_sport(sight.sport)}, {say_score(sight)}, {shown}"


def glimpses(truth: ClipTruth, n: int, rng: random.Random, *, each: int) -> list[tuple[int, ...]]:
    """`n` times the indices of `each` frames to look at together, as an episode would: by turns anywhere and around the event."""
    return [_near_event(truth, rng, each) if number % 2 else _anywhere(truth, rng, each) for number in range(n)]


def _anywhere(truth: ClipTruth, rng: random.Random, each: int) -> tuple[int, ...]:
    return (rng.randrange(truth.n_frames),) if each == 1 else uniform(truth.n_frames - rng.randrange(8), each)


def _near_event(truth: ClipTruth, rng: random.Random, each: int) -> tuple[int, ...]:
    event = rng.choice((truth.event, truth.event, truth.event, *truth.attempts))
    if each == 1:
        return (rng.randint(event.first_index, event.last_index),)
    start, end = event.first_index - rng.randint(2, 12), event.last_index + rng.randint(2, 12)
    return window(max(0, start), min(truth.n_frames - 1, end), each)


def say_sport(name: str) -> str:
    """A sport's name in words."""
    return name.replace("_", " ")


def say_score(sight: Sight) -> str:
    """What stands on the board, in words: "score 0 1", or "score 0 1 new" with a digit lit."""
    return f"{SPORTS[sight.sport].state_word} {say_digits(sight.score)}{' new' if sight.is_new else ''}"


def say_digits(score: tuple[int, ...]) -> str:
    """The digits of the board alone."""
    return " ".join(map(str, score))


def say_action(action: Action) -> str:
    """What the frames of an event or attempt show: "red header, yellow card, top corner", or "red header attempt"."""
    turns = f" {action.turns} turn{'s' * (action.turns > 1)}" if action.turns else ""
    if isinstance(action, Event):
        return f"{action.actor} {action.kind}{turns}, {action.cue}, {action.form}"
    return f"{action.actor} {action.kind}{turns} attempt"
