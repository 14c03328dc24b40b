"""The wide shots: who and what moves over the empty field, and how.

An `Extra` is a small picture in a few phases (a run cycle, a ball) on a smooth path. Paths wander around a home that lies in one
half before the event and in the other after it. All numbers come from a generator that does not know the event.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from PIL import Image

from deepsport.arena.canvas import Canvas, Color, Point
from deepsport.arena.figure import Kit, Pose, draw_figure

PAN = 8
"""How far the camera may drift, in pixels each way; backdrops are larger by this much."""

CROWD: tuple[Color, ...] = ((24, 24, 30), (150, 152, 158), (236, 138, 40), (226, 120, 176), (40, 150, 140), (120, 84, 60))
"""Kit colours of those who do not act: none of them is an actor's colour."""

SKINS: tuple[Color, ...] = ((244, 205, 170), (222, 170, 128), (164, 112, 76), (110, 72, 50))
HAIRS: tuple[Color, ...] = ((36, 26, 20), (84, 54, 30), (20, 20, 24), (150, 110, 50))


@dataclass(frozen=True, slots=True)
class Path:
    """A smooth wandering around a home."""

    home: Point
    """While play is where it begins."""
    away: Point
    """After the event."""
    reach: Point
    speed: Point
    """Radians per frame."""
    phase: Point

    def at(self, index: int, moved: bool) -> Point:
        """Where it is on a frame."""
        x, y = self.away if moved else self.home
        return (
            x + self.reach[0] * math.sin(self.phase[0] + self.speed[0] * index),
            y + self.reach[1] * math.sin(self.phase[1] + self.speed[1] * index),
        )


@dataclass(frozen=True, slots=True)
class Extra:
    """Something that moves in the wide shots; its path leads its bottom centre."""

    phases: tuple[Image.Image, ...]
    path: Path
    pace: int = 3
    """Frames a phase is shown."""
    shown: Literal["always", "before", "after"] = "always"
    """In which part of the clip it is there."""


def wander(rng: random.Random, home: Point, away: Point, reach: Point, speed: float = 0.1) -> Path:
    """A path with its own rhythm."""
    speeds = (speed * rng.uniform(0.7, 1.3), speed * rng.uniform(0.7, 1.3))
    return Path(home, away, reach, speeds, (rng.uniform(0, math.tau), rng.uniform(0, math.tau)))


RUN = (
    Pose(near_arm=(50, 100), far_arm=(-50, 0), near_leg=(-30, -60), far_leg=(40, 5)),
    Pose(near_arm=(10, 60), far_arm=(-10, 30), near_leg=(5, -40), far_leg=(8, -5)),
    Pose(near_arm=(-50, 0), far_arm=(50, 100), near_leg=(40, 5), far_leg=(-30, -60)),
    Pose(near_arm=(-10, 30), far_arm=(10, 60), near_leg=(8, -5), far_leg=(5, -40)),
)


@lru_cache(maxsize=512)
def sprites(kit: Kit, height: int, poses: tuple[Pose, ...] = RUN) -> tuple[Image.Image, ...]:
    """A person in a few poses, on transparent ground."""
    pictures: list[Image.Image] = []
    for pose in poses:
        canvas = Canvas((height + 4, height + 6), (0, 0, 0, 0))
        draw_figure(canvas, pose, ((height + 4) / 2, height * 0.52 + 3), height, kit, outline=0.7)
        pictures.append(canvas.finish())
    return tuple(pictures)


@lru_cache(maxsize=64)
def ball(radius: float, color: Color) -> tuple[Image.Image, ...]:
    """A ball, on transparent ground."""
    size = math.ceil(2 * radius) + 2
    canvas = Canvas((size, size), (0, 0, 0, 0))
    canvas.disc((size / 2, size / 2), radius, color, outline=0.7)
    return (canvas.finish(),)


def pick_kits(rng: random.Random, n_teams: int) -> list[Kit]:
    """Kits of teams that cannot be mistaken for each other or for an actor."""
    colors = rng.sample(CROWD, n_teams)
    return [Kit(shirt=c, shorts=c, socks=c, skin=rng.choice(SKINS), hair=rng.choice(HAIRS)) for c in colors]


def draw_extras(frame: Image.Image, extras: Sequence[Extra], index: int, moved: bool, shift: tuple[int, int]) -> None:
    """Pastes everybody into a frame, the far ones first."""
    hidden = "before" if moved else "after"
    placed = [(extra, *extra.path.at(index, moved)) for extra in extras if extra.shown != hidden]
    for extra, x, y in sorted(placed, key=lambda item: item[2]):
        picture = extra.phases[index // extra.pace % len(extra.phases)]
        corner = (round(x - picture.width / 2) - shift[0], round(y - picture.height) - shift[1])
        frame.paste(picture, corner, picture)
