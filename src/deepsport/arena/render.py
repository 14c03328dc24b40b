"""Truth in, pixels out: a wide shot of play, a cut to the event, a wide shot again.

The wide shots are drawn from the clip's seed alone and the event's frames from the event: two clips that differ only in what
happens differ in no other frame.
"""

import math
import random
from collections.abc import Iterable, Iterator

from PIL import Image

from deepsport.arena.board import scoreboard
from deepsport.arena.canvas import HEIGHT, WIDTH, Canvas
from deepsport.arena.scene import PAN, Extra, draw_extras
from deepsport.arena.sports import SPORTS
from deepsport.arena.truth import ClipTruth, Event

BOARD_XY = (1, 1)


def frames(truth: ClipTruth, indices: Iterable[int] | None = None) -> Iterator[Image.Image]:
    """The clip's frames in the order asked, all of them by default; [126, 224] RGB."""
    sport = SPORTS[truth.sport]
    rng = random.Random(f"{truth.seed}/ambience")
    backdrop, extras = sport.backdrop(rng), sport.cast(rng, truth.states[0].side)
    drift = (rng.uniform(0.02, 0.06), rng.uniform(0, math.tau))
    for index in range(truth.n_frames) if indices is None else indices:
        event = truth.event_at(index)
        frame = _wide(truth, backdrop, extras, drift, index) if event is None else _closeup(truth, event, index)
        state = truth.state_at(index)
        frame.paste(scoreboard(state.score, state.lit), BOARD_XY)
        yield frame


def _wide(truth: ClipTruth, backdrop: Image.Image, extras: list[Extra], drift: tuple[float, float], index: int) -> Image.Image:
    shift = (round(PAN * 0.9 * math.sin(drift[1] + drift[0] * index)), round(2 * math.cos(drift[1] + drift[0] * index)))
    left, top = PAN + shift[0], PAN + shift[1]
    frame = backdrop.crop((left, top, left + WIDTH, top + HEIGHT))
    moved = index >= truth.states[-1].first_index
    draw_extras(frame, extras, index, moved, shift)
    return frame


def _closeup(truth: ClipTruth, event: Event, index: int) -> Image.Image:
    canvas = Canvas((WIDTH, HEIGHT))
    length = event.last_index - event.first_index
    progress = (index - event.first_index) / length if length else 0.5
    SPORTS[truth.sport].closeup(canvas, event, random.Random(f"{truth.seed}/closeup"), progress)
    return canvas.finish()
