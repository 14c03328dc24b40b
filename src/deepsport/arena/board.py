"""The scoreboard: one or two seven-segment digits, as large as the corner of a small model's picture allows.

A frame is seen at half size in tiles of 14 pixels; a digit fills a tile and a half.
"""

from functools import lru_cache

from PIL import Image

from deepsport.arena.canvas import Canvas, Color

PANEL: Color = (12, 14, 24)
DIGIT: Color = (255, 255, 255)
LIT: Color = (255, 214, 0)
LIT_PANEL: Color = (150, 20, 20)

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
