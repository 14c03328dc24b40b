"""What is true about a rendered clip, frame by frame: its script, from which the pixels follow.

The truth is written first and drawn second, so everything that is known about a clip can be made and tested without a pixel.
Indices are 0-based and inclusive at both ends, as in `deepsport.records`.
"""

from enum import StrEnum
from typing import Literal

from deepsport.records import Record, Window

FPS = 25

Side = Literal["left", "right"]


class Difficulty(StrEnum):
    """How much stands in the way of seeing."""

    EASY = "easy"
    """One event, a steady camera."""
    NORMAL = "normal"
    """A moving camera, now and then an attempt that nothing comes of or somebody who walks through the picture."""
    HARD = "hard"
    """Many attempts, a camera that sways more, somebody walks through every event."""


class Action(Record):
    """Somebody does something, in a shot of its own."""

    kind: str
    """How it was done: "header"."""
    actor: str
    """The colour the actor wears."""
    turns: int = 0
    """How often the body turns, in sports that count it; else 0."""
    first_index: int
    last_index: int

    @property
    def window(self) -> Window:
        """First to last frame, in seconds."""
        return Window(start_s=self.first_index / FPS, end_s=self.last_index / FPS)

    def shown_at(self, index: int) -> bool:
        """Whether this frame shows it."""
        return self.first_index <= index <= self.last_index


class Event(Action):
    """The action that counts: an official rules on it, a replay shows how well it was done, and the board changes after it."""

    cue: str
    """What can be seen that a rule speaks about: "yellow card"."""
    ruling: str
    """What the rule makes of the cue: "booking"."""
    form: str
    """How well it was done, as the replay shows: "top corner"."""


class State(Record):
    """What stands on the board, and where play is, over a range of frames."""

    first_index: int
    last_index: int
    score: tuple[int, ...]
    lit: int | None = None
    """The digit that has just gone up, shown lit on the board, as broadcasters do."""
    side: Side
    """The half in which play is."""


class ClipTruth(Record):
    """The script of one clip."""

    video: str
    """Path of the clip, relative to the folder of its set."""
    sport: str
    n_frames: int
    fps: int = FPS
    seed: int
    """Seed of everything that carries no meaning: looks, paths, noise."""
    difficulty: Difficulty = Difficulty.NORMAL
    event: Event
    attempts: tuple[Action, ...] = ()
    """Actions that nothing comes of: no ruling, no replay, no change of the board."""
    states: tuple[State, ...]

    def action_at(self, index: int) -> Action | None:
        """The event or attempt that this frame shows, if any."""
        return next((action for action in (self.event, *self.attempts) if action.shown_at(index)), None)

    def state_at(self, index: int) -> State:
        """The state that this frame shows. Raises IndexError outside the clip."""
        for state in self.states:
            if state.first_index <= index <= state.last_index:
                return state
        raise IndexError(f"frame {index} is outside {self.video} (0 to {self.n_frames - 1})")
