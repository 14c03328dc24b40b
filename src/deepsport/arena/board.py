"""The scoreboard: one or two seven-segment digits, as large as the corner of a small model's picture allows.

A frame is seen at half size in tiles of 14 pixels; a digit fills a tile and a half.
"""

from functools import lru_cache

from PIL import Image

from deepsport.arena.canvas import Canvas, Color

PANEL: Color = (12, 14, 24)
DIGIT: Color = (255, 255, 255)

_SEGMENTS = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcfgd")
_WIDTH, _HEIGHT, _STROKE = 17.0, 36.0, 5.5


@lru_cache(maxsize=256)
def scoreboard(score: tuple[int, ...]) -> Image.Image:
    """The panel that shows the digits; 54x46 pixels, to be pasted into the top left corner."""
    canvas = Canvas((54, 46), PANEL)
    left = 27 - (len(score) * _WIDTH + (len(score) - 1) * 8) / 2
    for place, digit in enumerate(score):
        _digit(canvas, digit, left + place * (_WIDTH + 8), 5)
    return canvas.finish()


def _digit(canvas: Canvas, digit: int, x: float, y: float) -> None:
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
        canvas.rectangle(*bars[segment], DIGIT)
