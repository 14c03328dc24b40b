"""Broadcast graphics laid over the picture: the scoreboard, the replay panel, the count of turns.

As large as the corners of a small model's picture allow: a frame is seen at half size in tiles of 28 pixels, and each of these
graphics keeps to tiles of its own.
"""

from functools import lru_cache

from PIL import Image

from deepsport.arena.canvas import INK, Canvas, Color
from deepsport.arena.sport import Sport

PANEL: Color = (12, 14, 24)
DIGIT: Color = (255, 255, 255)
LIT: Color = (255, 214, 0)
LIT_PANEL: Color = (150, 20, 20)

BOARD_XY = (1, 1)
REPLAY_XY, REPLAY_WH = (1, 70), (54, 55)
"""The replay panel, bottom left."""
TURNS_XY = (64, 2)

_SEGMENTS = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcfgd")
_WIDTH, _HEIGHT, _STROKE = 17.0, 36.0, 5.5


@lru_cache(maxsize=256)
def scoreboard(score: tuple[int, ...], lit: int | None) -> Image.Image:
    """The panel that shows the digits, the one that has just gone up lit; 54x46 pixels, to be pasted into the top left corner."""
    canvas = Canvas((54, 46), PANEL if lit is None else LIT_PANEL)
    left = 27 - (len(score) * _WIDTH + (len(score) - 1) * 8) / 2
    for place, digit in enumerate(score):
        _digit(canvas, digit, left + place * (_WIDTH + 8), 5, LIT if place == lit else DIGIT)
    return canvas.finish()


@lru_cache(maxsize=256)
def replay(sport: Sport, sight: str) -> Image.Image:
    """The panel that shows again how well it was done, 54x55 pixels."""
    canvas = Canvas(REPLAY_WH, INK)
    sport.replay(canvas, sight)
    width, height = REPLAY_WH
    canvas.line(((0, 0), (width, 0), (width, height), (0, height), (0, 0)), 4, (236, 238, 240))
    return canvas.finish()


@lru_cache(maxsize=16)
def turn_counter(n: int) -> Image.Image:
    """One thick curved stroke per turn, on a dark panel whose length says the same."""
    canvas = Canvas((8 + 22 * n, 24), PANEL)
    for place in range(n):
        center = (15 + 22 * place, 13)
        canvas.arc(center, 9, 8, (20, 290), 4.5, LIT)
        canvas.polygon(((center[0] + 4, 0.5), (center[0] + 11.5, 4.5), (center[0] + 3.5, 9.5)), LIT)
    return canvas.finish()


def _digit(canvas: Canvas, digit: int, x: float, y: float, color: Color) -> None:
    right, middle, bottom = x + _WIDTH - _STROKE, y + (_HEIGHT - _STROKE) / 2, y + _HEIGHT - _STROKE
    bars = {
        "a": (x, y, _WIDTH, _STROKE),
        "g": (x, middle, _WIDTH, _STROKE),
        "d": (x, bottom, _WIDTH, _STROKE),
        "f": (x, y, _STROKE, _HEIGHT / 2),
        "b": (right, y, _STROKE, _HEIGHT / 2),
        "e": (x, y + _HEIGHT / 2, _STROKE, _HEIGHT / 2),
        "c": (right, y + _HEIGHT / 2, _STROKE, _HEIGHT / 2),
    }
    for segment in _SEGMENTS[digit]:
        canvas.rectangle(*bars[segment], color)
