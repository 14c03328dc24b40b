"""Truth in, pixels out: a wide shot of play, a cut to the event, a wide shot again.

The wide shots are drawn from the clip's seed alone and the event's frames from the event: two clips that differ only in what
happens differ in no other frame.
"""

import math
import random
from collections.abc import Iterable, Iterator

from PIL import Image

from deepsport.arena.canvas import HEIGHT, WIDTH, Canvas
from deepsport.arena.overlay import BOARD_XY, REPLAY_XY, TURNS_XY, replay, scoreboard, turn_counter
from deepsport.arena.scene import PAN, Extra, draw_extras, pick_kits, sprites
from deepsport.arena.sports import SPORTS
from deepsport.arena.truth import Action, ClipTruth, Difficulty, Event


def frames(truth: ClipTruth, indices: Iterable[int] | None = None) -> Iterator[Image.Image]:
    """The clip's frames in the order asked, all of them by default; [126, 224] RGB."""
    sport = SPORTS[truth.sport]
    rng = random.Random(f"{truth.seed}/ambience")
    backdrop, extras = sport.backdrop(rng), sport.cast(rng, truth.states[0].side)
    drift = (rng.uniform(0.02, 0.06), rng.uniform(0, math.tau))
    for index in range(truth.n_frames) if indices is None else indices:
        action = truth.action_at(index)
        frame = _closeup(truth, action, index) if action else _wide(truth, backdrop, extras, drift, index)
        state = truth.state_at(index)
        frame.paste(scoreboard(state.score, state.lit), BOARD_XY)
        yield frame


def _wide(truth: ClipTruth, backdrop: Image.Image, extras: list[Extra], drift: tuple[float, float], index: int) -> Image.Image:
    reach = 0 if truth.difficulty is Difficulty.EASY else PAN
    turn = drift[1] + drift[0] * (2 if truth.difficulty is Difficulty.HARD else 1) * index
    shift = (round(reach * 0.9 * math.sin(turn)), round(reach / 4 * math.cos(turn)))
    left, top = PAN + shift[0], PAN + shift[1]
    frame = backdrop.crop((left, top, left + WIDTH, top + HEIGHT))
    moved = index >= truth.states[-1].first_index
    draw_extras(frame, extras, index, moved, shift)
    return frame


def _closeup(truth: ClipTruth, action: Action, index: int) -> Image.Image:
    sport, rng = SPORTS[truth.sport], random.Random(f"{truth.seed}/closeup/{action.first_index}")
    length = action.last_index - action.first_index
    progress = (index - action.first_index) / length if length else 0.0
    canvas = Canvas((WIDTH, HEIGHT))
    sport.closeup(canvas, action, rng, progress)
    if isinstance(action, Event):
        sport.signal(canvas, action.cue, rng)
    frame = _through_the_lens(canvas.finish(), truth, rng, progress)
    if isinstance(action, Event):
        frame.paste(replay(sport, action.form), REPLAY_XY)
    if action.turns:
        frame.paste(turn_counter(action.turns), TURNS_XY)
    return frame


def _through_the_lens(picture: Image.Image, truth: ClipTruth, rng: random.Random, progress: float) -> Image.Image:
    """Camera motion and, in some closeups, somebody who walks through the picture in front of the camera."""
    if truth.difficulty is Difficulty.EASY:
        return picture
    hard = truth.difficulty is Difficulty.HARD
    if hard or rng.random() < 0.2:
        passer = sprites(pick_kits(rng, 1)[0], 90)[0]
        x = 112 + rng.choice((1, -1)) * (68 - 90 * progress)
        picture.paste(passer, (round(x - passer.width / 2), HEIGHT - passer.height + 14), passer)
    zoom = (0.05 if hard else 0.03) * (progress if rng.random() < 0.5 else 1 - progress)
    left, top = zoom * WIDTH * rng.random(), zoom * HEIGHT * rng.random()
    box = (left, top, left + WIDTH * (1 - zoom), top + HEIGHT * (1 - zoom))
    return picture.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box=box)
