"""What is true about a rendered clip, frame by frame: its script, from which the pixels follow.

The truth is written first and drawn second, so everything that is known about a clip can be made and tested without a pixel.
Indices are 0-based and inclusive at both ends, as in `deepsport.records`.
"""

from typing import Literal

from deepsport.records import Record, Window

FPS = 25

Side = Literal["left", "right"]


class Event(Record):
    """The one thing that happens, seen on its own frames and nowhere else."""

    kind: str
    """How it was done: "header"."""
    actor: str
    """The colour the actor wears."""
    cue: str
    """What can be seen that a rule speaks about: "yellow card"."""
    ruling: str
    """What the rule makes of the cue: "booking"."""
    first_index: int
    last_index: int

    @property
    def window(self) -> Window:
        """First to last frame of the event, in seconds."""
        return Window(start_s=self.first_index / FPS, end_s=self.last_index / FPS)


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
    events: tuple[Event, ...]
    states: tuple[State, ...]

    def event_at(self, index: int) -> Event | None:
        """The event that this frame shows, if any."""
        return next((event for event in self.events if event.first_index <= index <= event.last_index), None)

    def state_at(self, index: int) -> State:
        """The state that this frame shows. Raises IndexError outside the clip."""
        for state in self.states:
            if state.first_index <= index <= state.last_index:
                return state
        raise IndexError(f"frame {index} is outside {self.video} (0 to {self.n_frames - 1})")
