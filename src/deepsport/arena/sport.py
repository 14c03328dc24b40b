"""What a sport of the arena is: its words, its rule, what is good form, and how it is drawn.

A new sport is one file that fills in a `Sport`. The words are what questions, perception and oracle speak; the drawing functions
are handed a generator of random numbers that knows nothing of the event. Only `closeup`, `signal` and `replay` are told what
happens, and they are called for the event's own frames only: that is why nothing outside those frames can tell what happened.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import Image

from deepsport.arena.canvas import Canvas
from deepsport.arena.scene import Extra
from deepsport.arena.truth import Action, Side

ACTORS = ("red", "blue", "yellow", "white")
"""Colours worn by the actor of an event, and by nobody else on the field."""


@dataclass(frozen=True, slots=True)
class Form:
    """How well an event can be done."""

    sight: str
    """What the replay shows: "top corner"."""
    points: int
    """What that is worth: 9, 7 or 5."""
    advice: str
    """What the actor should do better."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sport:
    """One sport of the arena."""

    name: str
    kinds: tuple[str, ...]
    """How the event can be done; each has a pose of its own."""
    rulings: Mapping[str, tuple[str, ...]]
    """Ruling -> the cues that lead to it."""
    forms: tuple[Form, Form, Form]
    """The best first."""
    most_turns: int = 0
    """How often a body may turn in an event; 0 where nobody counts."""
    moment: str
    """What the event is called: "goal"."""
    kind_question: str
    actor_question: str
    ruling_question: str
    form_question: str
    state_word: str = "score"
    """What the digits of the board count."""
    n_digits: int = 2
    lowest: int = 0
    """Smallest digit a clip starts with."""
    actors: tuple[str, ...] = ACTORS
    backdrop: Callable[[random.Random], Image.Image]
    """The empty field of a clip, larger than a frame by `scene.PAN` on each side."""
    cast: Callable[[random.Random, Side], list[Extra]]
    """Everybody and everything that moves in the wide shots; the side is where play begins."""
    closeup: Callable[[Canvas, Action, random.Random, float], None]
    """Draws scene and actor of an event or attempt; the last argument runs from 0 to 1 over its frames."""
    signal: Callable[[Canvas, str, random.Random], None]
    """Draws the cue in the right quarter of an event's closeup: an official, mostly."""
    replay: Callable[[Canvas, str], None]
    """Draws the sight of a form into the replay panel, `props.REPLAY`, at the bottom left."""

    @property
    def cues(self) -> tuple[str, ...]:
        """Every cue of every ruling."""
        return tuple(cue for cues in self.rulings.values() for cue in cues)

    def form(self, sight: str) -> Form:
        """The form that shows in this way."""
        return next(form for form in self.forms if form.sight == sight)
