"""Things that more than one sport has: stands full of people, nets, an official at the right edge, the actor of an event."""

import random

from deepsport.arena.canvas import INK, WIDTH, Canvas, Color, Point, jitter, mix
from deepsport.arena.figure import Body, Kit, Pose, draw_figure, team_kit
from deepsport.arena.scene import HAIRS, PAN, SKINS

SHIRTS: dict[str, Color] = {"red": (222, 26, 34), "blue": (24, 68, 224), "yellow": (255, 222, 0), "white": (250, 250, 250)}
"""The colours an actor may wear."""

OFFICIAL_X = 196
"""The official stands in the last quarter of the picture."""


def draw_crowd(canvas: Canvas, rng: random.Random, bottom: float) -> None:
    """Stands from the top of the picture down to `bottom`: dim heads in rows."""
    seats = jitter((66, 66, 84), rng, 10)
    canvas.rectangle(-PAN, -PAN, WIDTH + 2 * PAN, bottom + PAN, seats)
    for row in range(int(bottom + PAN) // 6):
        for place in range(-1, 26):
            tone = mix(seats, (150, 140, 140), 0.15 + 0.3 * rng.random())
            canvas.rectangle(place * 9.5 + rng.uniform(0, 4) - PAN / 2, row * 6 - PAN + 2, 4.5, 4, tone)


def draw_net(canvas: Canvas, x: float, y: float, width: float, height: float) -> None:
    """A goal: white posts around a net."""
    canvas.rectangle(x, y, width, height, (120, 150, 128))
    for step in range(1, int(width // 6) + 1):
        canvas.line(((x + 6 * step, y), (x + 6 * step, y + height)), 0.7, (225, 230, 225))
    for step in range(1, int(height // 6) + 1):
        canvas.line(((x, y + 6 * step), (x + width, y + 6 * step)), 0.7, (225, 230, 225))
    canvas.line(((x, y + height), (x, y), (x + width, y), (x + width, y + height)), max(2.0, width / 12), (255, 255, 255))


def draw_shadow(canvas: Canvas, center: Point, radius: float, color: Color) -> None:
    """A shadow on the ground."""
    canvas.ellipse(center, radius, 4, color)


def sway(rng: random.Random, progress: float) -> Point:
    """How far the actor has moved from the middle of the picture: a place of its own in each clip, and a drift over the event."""
    return (rng.uniform(-4, 4) + 3 - 6 * progress, rng.uniform(-2, 2) + 3 * progress - 1.5)


def draw_actor(canvas: Canvas, actor: str, pose: Pose, hip: Point, height: float, rng: random.Random) -> Body:
    """The one who acts, in the colour asked about."""
    kit = team_kit(jitter(SHIRTS[actor], rng, 5), rng.choice(SKINS), rng.choice(HAIRS))
    return draw_figure(canvas, pose, hip, height, kit)


def draw_official(canvas: Canvas, pose: Pose, shirt: Color, rng: random.Random) -> Point:
    """The official at the right edge; returns where the near hand is."""
    kit = Kit(shirt=shirt, shorts=INK, socks=INK, skin=rng.choice(SKINS), hair=rng.choice(HAIRS))
    return draw_figure(canvas, pose, (OFFICIAL_X, 88), 70, kit).near_hand


def draw_bar(canvas: Canvas, a: Point, b: Point, width: float, color: Color) -> None:
    """A thick stroke with an ink outline: a forearm of a signal, a flag pole, a racket's grip."""
    canvas.limb((a, b), width + 3.2, INK)
    canvas.limb((a, b), width, color)
