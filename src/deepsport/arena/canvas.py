"""A surface to draw on in frame coordinates, twice supersampled so that edges are smooth.

Frames are 224x126 pixels. Colours are RGB. Everything here is a shape; what shapes mean is said in `figure` and `sports`.
"""

import math
import random
from collections.abc import Sequence

from PIL import Image, ImageDraw

WIDTH, HEIGHT = 224, 126
SCALE = 2
"""Supersampling; 2 is smooth enough at this size and four times cheaper than 4."""

Color = tuple[int, int, int]
Point = tuple[float, float]

INK: Color = (16, 16, 22)
LINE: Color = (240, 244, 240)


class Canvas:
    """A supersampled picture; points are (x, y) in frame pixels from the top left."""

    def __init__(self, size_wh: tuple[int, int], color: Color | tuple[int, int, int, int] = (0, 0, 0), margin: int = 0) -> None:
        """An empty surface, `margin` pixels larger on each side; four colour components make it transparent."""
        mode = "RGBA" if len(color) == 4 else "RGB"
        self.image = Image.new(mode, ((size_wh[0] + 2 * margin) * SCALE, (size_wh[1] + 2 * margin) * SCALE), color)
        self._margin = margin
        self._draw = ImageDraw.Draw(self.image)

    def finish(self) -> Image.Image:
        """The picture at its final size."""
        return self.image.reduce(SCALE)

    def limb(self, points: Sequence[Point], width: float, color: Color) -> None:
        """A line with round joints and ends."""
        scaled = self._scaled(points)
        self._draw.line(scaled, fill=color, width=max(1, round(width * SCALE)))
        radius = width * SCALE / 2
        for x, y in scaled:
            self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)

    def line(self, points: Sequence[Point], width: float, color: Color) -> None:
        """A line with square ends."""
        self._draw.line(self._scaled(points), fill=color, width=max(1, round(width * SCALE)))

    def polygon(self, points: Sequence[Point], color: Color, outline: float = 0.0) -> None:
        """A filled polygon, with an ink outline of `outline` pixels."""
        scaled = self._scaled(points)
        self._draw.polygon(scaled, fill=color)
        if outline:
            self._draw.line([*scaled, scaled[0], scaled[1]], fill=INK, width=round(outline * SCALE), joint="curve")

    def rectangle(self, x: float, y: float, width: float, height: float, color: Color, outline: float = 0.0) -> None:
        """A filled box from its top left corner."""
        (left, top), (right, bottom) = self._scaled(((x, y), (x + width, y + height)))
        box = (left, top, max(left, right - 1), max(top, bottom - 1))
        self._draw.rectangle(box, fill=color, outline=INK if outline else None, width=round(outline * SCALE))

    def disc(self, center: Point, radius: float, color: Color, outline: float = 0.0) -> None:
        """A filled circle."""
        self.ellipse(center, radius, radius, color, outline)

    def ellipse(self, center: Point, radius_x: float, radius_y: float, color: Color, outline: float = 0.0) -> None:
        """A filled ellipse."""
        box = self._box(center, radius_x, radius_y)
        self._draw.ellipse(box, fill=color, outline=INK if outline else None, width=round(outline * SCALE))

    def arc(self, center: Point, radius_x: float, radius_y: float, span: tuple[float, float], width: float, color: Color) -> None:
        """Part of an ellipse's rim, in degrees clockwise from the right."""
        box = self._box(center, radius_x, radius_y)
        self._draw.arc(box, span[0], span[1], fill=color, width=round(width * SCALE))

    def _scaled(self, points: Sequence[Point]) -> list[Point]:
        return [((x + self._margin) * SCALE, (y + self._margin) * SCALE) for x, y in points]

    def _box(self, center: Point, radius_x: float, radius_y: float) -> tuple[float, float, float, float]:
        ((x, y),) = self._scaled((center,))
        return (x - radius_x * SCALE, y - radius_y * SCALE, x + radius_x * SCALE, y + radius_y * SCALE)


def mix(a: Color, b: Color, share: float) -> Color:
    """`share` of b in a."""
    return (_mix(a[0], b[0], share), _mix(a[1], b[1], share), _mix(a[2], b[2], share))


def jitter(color: Color, rng: random.Random, amount: int) -> Color:
    """The colour, a little off in each component."""
    r, g, b = (min(255, max(0, c + rng.randint(-amount, amount))) for c in color)
    return (r, g, b)


def polar(center: Point, angle: float, length: float) -> Point:
    """The point at a distance; 0 degrees is down, 90 right, 180 up, 270 left."""
    turn = math.radians(angle)
    return (center[0] + math.sin(turn) * length, center[1] + math.cos(turn) * length)


def _mix(a: int, b: int, share: float) -> int:
    return round(a + (b - a) * share)
