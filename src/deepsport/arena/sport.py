"""What a sport of the arena is: its words, its rule, and how it is drawn.

A new sport is one file that fills in a `Sport`. The words are what questions, perception and oracle speak; the three
drawing functions are handed a generator of random numbers that knows nothing of the event, except `closeup`, which is called
for the event's own frames only: that is why nothing outside those frames can tell what happened.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import Image

from deepsport.arena.canvas import Canvas
from deepsport.arena.scene import Extra
from deepsport.arena.truth import Event, Side

ACTORS = ("red", "blue", "yellow", "white")
"""Colours worn by the actor of an event, and by nobody else on the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sport:
    """One sport of the arena."""

    name: str
    kinds: tuple[str, ...]
    """How the event can be done; each has a pose of its own."""
    rulings: Mapping[str, tuple[str, ...]]
    """Ruling -> the cues that lead to it."""
    kind_question: str
    actor_question: str
    ruling_question: str
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
    closeup: Callable[[Canvas, Event, random.Random, float], None]
    """Draws the event; the last argument runs from 0 to 1 over its frames."""
