"""Badminton: the stroke that ends a rally, and the line judge's arms: down is in, wide is out, hands on the eyes saw nothing."""

import random
from functools import lru_cache

from PIL import Image

from deepsport.arena.canvas import HEIGHT, INK, LINE, WIDTH, Canvas, Color, Point, jitter, mix, polar
from deepsport.arena.figure import Bend, Kit, Pose, draw_figure
from deepsport.arena.props import draw_actor, draw_bar, draw_crowd, draw_official, draw_shadow, sway
from deepsport.arena.scene import PAN, Extra, pick_kits, wander
from deepsport.arena.sport import Form, Sport
from deepsport.arena.truth import Action, Side

MAT: Color = (30, 158, 96)
HALL: Color = (50, 46, 62)
BOARDS: Color = (112, 52, 98)
FEATHER: Color = (248, 248, 244)
CORK: Color = (226, 170, 110)
SHIRT: Color = (236, 150, 60)
"""Of the line judge."""

# pose, hip (x, y), angle of the racket, shuttle (x, y) and the way its cork points
KINDS = {
    "smash": (
        Pose(torso=196, near_arm=(206, 226), far_arm=(80, 50), near_leg=(50, 130), far_leg=(-20, 40)),
        (136, 68),
        250,
        (77, 70),
        310,
    ),
    "clear": (
        Pose(torso=166, near_arm=(112, 176), far_arm=(206, 196), near_leg=(30, 10), far_leg=(-20, -6)),
        (108, 80),
        130,
        (92, 15),
        0,
    ),
    "drop": (
        Pose(torso=184, near_arm=(250, 262), far_arm=(110, 130), near_leg=(6, 0), far_leg=(-10, -4)),
        (132, 78),
        262,
        (75, 76),
        0,
    ),
    "net shot": (
        Pose(torso=216, near_arm=(258, 250), far_arm=(100, 80), near_leg=(290, 350), far_leg=(54, 92)),
        (134, 94),
        258,
        (71, 36),
        0,
    ),
    "lift": (
        Pose(torso=150, near_arm=(40, 60), far_arm=(250, 220), near_leg=(60, 0), far_leg=(-66, -80)),
        (94, 96),
        84,
        (150, 64),
        180,
    ),
}

ARMS: dict[str, tuple[Bend, Bend, tuple[Point, ...], tuple[Point, ...]]] = {
    "arm down": ((322, 322), (40, 10), ((196, 70), (176, 98), (172, 114)), ((176, 98),)),
    "arms wide": ((88, 88), (272, 272), ((175, 67), (217, 67)), ((175, 67), (217, 67))),
    "eyes covered": ((74, 216), (286, 144), (), ((190, 56), (203, 56))),
}
"""Near arm and far arm of the line judge, how far the sleeve and a finger reach, and the white gloves."""

RALLY = (
    (Pose(torso=172, near_arm=(80, 150), far_arm=(-60, -100), near_leg=(34, -6), far_leg=(-30, 6)), 170),
    (Pose(torso=190, near_arm=(230, 225), far_arm=(60, 80), near_leg=(44, -10), far_leg=(-34, 10)), 225),
)
"""Poses of the players in the wide shot, and how they hold the racket."""


def backdrop(rng: random.Random) -> Image.Image:
    """A mat in a dark hall, seen from behind one end."""
    canvas = Canvas((WIDTH, HEIGHT), jitter(HALL, rng, 6), margin=PAN)
    draw_crowd(canvas, rng, 24)
    canvas.rectangle(-PAN, 24, WIDTH + 2 * PAN, 8, jitter(BOARDS, rng, 8))
    canvas.polygon(((62, 40), (162, 40), (222, 130), (2, 130)), jitter(MAT, rng, 8))
    for inset in (0, 7):
        a, b = 72 + inset, 28 + inset * 2
        canvas.line(((a, 46), (b, 121)), 1.4, LINE)
        canvas.line(((WIDTH - a, 46), (WIDTH - b, 121)), 1.4, LINE)
    for y, inset in ((46, 72), (50, 69.6), (63, 62), (88, 47.4), (114, 32), (121, 28)):
        canvas.line(((inset, y), (WIDTH - inset, y)), 1.4, LINE)
    canvas.line(((112, 46), (112, 63)), 1.2, LINE)
    canvas.line(((112, 88), (112, 121)), 1.2, LINE)
    for x in range(56, 170, 4):
        canvas.line(((x, 58), (x, 72)), 0.7, (84, 50, 34))
    for y in range(60, 72, 3):
        canvas.line(((54, y), (170, y)), 0.7, (84, 50, 34))
    canvas.rectangle(54, 56, 116, 2.6, LINE)
    for x in (52, 169):
        canvas.rectangle(x, 55, 3, 22, (196, 60, 130), outline=0.6)
    canvas.rectangle(186, 42, 12, 5, (150, 152, 158), outline=0.8)
    for top, foot in ((188, 185), (196, 199)):
        canvas.line(((top, 47), (foot, 76)), 1.6, (150, 152, 158))
    return canvas.finish()


def cast(rng: random.Random, side: Side) -> list[Extra]:
    """Two pairs who have changed sides after the event, and the shuttle."""
    begin, end = (80, 144) if side == "left" else (144, 80)
    near, far = pick_kits(rng, 2)
    extras: list[Extra] = []
    for kit, height, depth, reach in ((far, 24, (54, 60), 16), (near, 40, (106, 124), 26)):
        for offset in (-reach, reach):
            y = rng.uniform(*depth)
            path = wander(rng, (begin + offset, y), (end + offset, y), (8, 4), speed=0.15)
            extras.append(Extra(_players(kit, height), path, pace=rng.randint(5, 8)))
    extras.append(Extra(_wide_shuttle(), wander(rng, (begin, 66), (end, 66), (18, 22), speed=0.3), pace=2))
    return extras


def closeup(canvas: Canvas, action: Action, rng: random.Random, progress: float) -> None:
    """The stroke, before the net."""
    mat = jitter(MAT, rng, 8)
    canvas.rectangle(0, 0, WIDTH, HEIGHT, jitter(HALL, rng, 6))
    draw_crowd(canvas, rng, 28)
    canvas.rectangle(0, 28, WIDTH, 10, jitter(BOARDS, rng, 8))
    canvas.rectangle(0, 88, WIDTH, HEIGHT - 88, mat)
    canvas.line(((0, 112), (WIDTH, 112)), 3, LINE)
    _closeup_net(canvas)
    pose, hip, angle, shuttle_xy, points = KINDS[action.kind]
    dx, dy = sway(rng, progress)
    draw_shadow(canvas, (hip[0] + dx, 121), 26, mix(mat, INK, 0.4))
    body = draw_actor(canvas, action.actor, pose, (hip[0] + dx, hip[1] + dy), 82, rng)
    _racket(canvas, body.near_hand, angle)
    center = (shuttle_xy[0] + dx, shuttle_xy[1] + dy)
    if action.kind == "smash":
        for across in (-6, 0, 6):
            canvas.line((_along(center, points, -14, across), _along(center, points, -34, across)), 2, LINE)
    _shuttle(canvas, center, points)


def signal(canvas: Canvas, cue: str, rng: random.Random) -> None:
    """The line judge on a chair, and the arms."""
    canvas.rectangle(186, 60, 30, 34, (150, 152, 158), outline=1.6)
    canvas.rectangle(182, 92, 36, 7, (110, 112, 120), outline=1.6)
    for x in (184, 213):
        canvas.rectangle(x, 98, 3.5, 24, INK)
    near, far, reach, gloves = ARMS[cue]
    pose = Pose(near_arm=near, far_arm=far, near_leg=(300, 0), far_leg=(320, 10))
    draw_official(canvas, pose, SHIRT, rng)
    if reach:
        draw_bar(canvas, reach[1], reach[-1], 5, LINE)
        draw_bar(canvas, reach[0], reach[1], 11, SHIRT)
    for glove in gloves:
        canvas.disc(glove, 8.5 if reach else 7, LINE, outline=1.6)


def replay(canvas: Canvas, sight: str) -> None:
    """The player from above, and where the shuttle is met."""
    canvas.rectangle(0, 0, 54, 55, MAT)
    for x in (9, 27):
        draw_bar(canvas, (x, 30), (x + (18 - x) * 0.3, 21), 3, (222, 170, 128))
    canvas.ellipse((18, 29), 13, 6.5, (84, 80, 104), outline=1.6)
    canvas.disc((18, 28), 6.5, (84, 54, 30), outline=1.6)
    at, angle = {"in front": ((18, 13), 270), "beside body": ((43, 29), 0), "behind body": ((18, 43), 270)}[sight]
    _shuttle(canvas, at, angle)


def _along(center: Point, angle: float, along: float, across: float) -> Point:
    return polar(polar(center, angle, along), angle + 90, across)


def _racket(canvas: Canvas, hand: Point, angle: float, size: float = 1.0) -> None:
    draw_bar(canvas, hand, polar(hand, angle, 9 * size), 2.8 * size, (150, 40, 110))
    canvas.line((polar(hand, angle, 9 * size), polar(hand, angle, 22 * size)), 2.4 * size, LINE)
    for long, wide, color in ((13.0, 10.0, INK), (11.6, 8.6, (240, 90, 170)), (9.8, 6.8, (200, 206, 214))):
        _oval(canvas, polar(hand, angle, 32 * size), angle, long * size, wide * size, color)


def _oval(canvas: Canvas, center: Point, angle: float, long: float, wide: float, color: Color) -> None:
    """An ellipse whose long axis points along the angle."""
    rim = [polar((0, 0), turn, 1) for turn in range(0, 360, 15)]
    canvas.polygon([_along(center, angle, y * long, x * wide) for x, y in rim], color)


def _shuttle(canvas: Canvas, center: Point, angle: float, size: float = 1.0) -> None:
    """A shuttle whose cork points along the angle."""
    skirt = [_along(center, angle, along * size, across * size) for along, across in ((5, -3.5), (-11, -9), (-11, 9), (5, 3.5))]
    canvas.polygon(skirt, FEATHER)
    canvas.line((*skirt, skirt[0]), 1.6 * size, INK)
    for across in (-4, 0, 4):
        a, b = _along(center, angle, 4 * size, across * 0.5 * size), _along(center, angle, -11 * size, across * size)
        canvas.line((a, b), 0.8 * size, (130, 134, 140))
    canvas.disc(polar(center, angle, 7 * size), 4.8 * size, CORK, outline=1.6 * size)


def _closeup_net(canvas: Canvas) -> None:
    for x in range(2, WIDTH, 6):
        canvas.line(((x, 58), (x, 84)), 0.8, (110, 70, 48))
    for y in range(62, 86, 5):
        canvas.line(((0, y), (WIDTH, y)), 0.8, (110, 70, 48))
    canvas.rectangle(0, 54, WIDTH, 5, LINE)


@lru_cache(maxsize=64)
def _players(kit: Kit, height: int) -> tuple[Image.Image, ...]:
    pictures: list[Image.Image] = []
    for pose, angle in RALLY:
        canvas = Canvas((2 * height, round(1.5 * height)), (0, 0, 0, 0))
        body = draw_figure(canvas, pose, (height, 0.99 * height), height, kit, outline=0.7)
        _racket(canvas, body.near_hand, angle, height / 76)
        pictures.append(canvas.finish())
    return tuple(pictures)


@lru_cache(maxsize=1)
def _wide_shuttle() -> tuple[Image.Image, ...]:
    pictures: list[Image.Image] = []
    for angle in (300, 320, 40, 60):
        canvas = Canvas((16, 16), (0, 0, 0, 0))
        _shuttle(canvas, (8, 8), angle, 0.6)
        pictures.append(canvas.finish())
    return tuple(pictures)


BADMINTON = Sport(
    name="badminton",
    kinds=tuple(KINDS),
    rulings={"in": ("arm down",), "out": ("arms wide",), "let": ("eyes covered",)},
    forms=(Form("in front", 9, "nothing"), Form("beside body", 7, "reach further"), Form("behind body", 5, "start earlier")),
    moment="rally",
    kind_question="Which stroke ends the rally?",
    actor_question="Which colour does the player wear?",
    ruling_question="How is the rally decided?",
    form_question="How early is the shuttle met?",
    backdrop=backdrop,
    cast=cast,
    closeup=closeup,
    signal=signal,
    replay=replay,
)
