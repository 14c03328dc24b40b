"""Ice hockey: a shot, and what follows behind the net: the red light, the referee's arm, or the arms that wave it off."""

import math
import random
from functools import lru_cache

from PIL import Image

from deepsport.arena.canvas import HEIGHT, INK, LINE, WIDTH, Canvas, Color, Point, jitter, mix, polar
from deepsport.arena.figure import Kit, Pose, draw_figure, team_kit
from deepsport.arena.props import OFFICIAL_X, SHIRTS, draw_bar, draw_crowd, draw_official, draw_shadow, sway
from deepsport.arena.scene import HAIRS, PAN, SKINS, Extra, pick_kits, wander
from deepsport.arena.sport import Form, Sport
from deepsport.arena.truth import Action, Side

ICE: Color = (186, 214, 232)
"""Tinted, so that a white shirt stands out."""
RED_LINE: Color = (206, 60, 66)
BLUE_LINE: Color = (62, 92, 176)
BOARDS: Color = (216, 222, 228)
STRIPES: Color = (204, 206, 210)
SHAFT: Color = (206, 152, 84)
FAR_END = 36
"""Where the ice begins, below the boards, in pixels from the top."""

# pose, hip (x, y), stick from butt over heel to toe and the puck, from the hip (x, y)
KINDS = {
    "slapshot": (
        Pose(torso=194, near_arm=(100, 150), far_arm=(70, 130), near_leg=(-44, -6), far_leg=(36, 22)),
        (122, 80),
        ((6, -18), (28, -62), (16, -70)),
        (-44, 34),
    ),
    "wrist shot": (
        Pose(torso=228, near_arm=(318, 296), far_arm=(312, 286), near_leg=(-78, -4), far_leg=(54, 70)),
        (134, 86),
        ((-14, -16), (-58, 14), (-70, 14)),
        (-68, -20),
    ),
    "backhand": (
        Pose(torso=166, near_arm=(60, 40), far_arm=(40, 70), near_leg=(20, 0), far_leg=(-66, -50)),
        (112, 80),
        ((4, -20), (38, 34), (50, 36)),
        (47, 30),
    ),
    "deke": (
        Pose(torso=158, head=176, near_arm=(20, -60), far_arm=(-20, 10), near_leg=(72, 18), far_leg=(-58, -20)),
        (114, 88),
        ((4, -16), (2, 24), (-12, 26)),
        (-10, 21),
    ),
    "tip-in": (
        Pose(torso=184, near_arm=(290, 268), far_arm=(260, 284), near_leg=(16, 2), far_leg=(-18, -4)),
        (132, 78),
        ((2, -14), (-50, -22), (-62, -16)),
        (-61, -30),
    ),
}

SKATE = (
    Pose(torso=200, near_arm=(330, 300), far_arm=(310, 290), near_leg=(-44, -4), far_leg=(40, 66)),
    Pose(torso=196, near_arm=(335, 305), far_arm=(315, 290), near_leg=(-14, 4), far_leg=(10, 20)),
    Pose(torso=200, near_arm=(330, 300), far_arm=(310, 290), near_leg=(40, 66), far_leg=(-44, -4)),
    Pose(torso=196, near_arm=(335, 305), far_arm=(315, 290), near_leg=(10, 20), far_leg=(-14, 4)),
)


def backdrop(rng: random.Random) -> Image.Image:
    """A rink with rounded corners, its lines and circles, a goal at each end."""
    canvas = Canvas((WIDTH, HEIGHT), margin=PAN)
    ice = jitter(ICE, rng, 6)
    draw_crowd(canvas, rng, HEIGHT + PAN)
    _rink(canvas, 4, BOARDS)
    _rink(canvas, 0, ice)
    for x, color, width in (
        (112, RED_LINE, 3),
        (82, BLUE_LINE, 3.6),
        (142, BLUE_LINE, 3.6),
        (22, RED_LINE, 1.2),
        (202, RED_LINE, 1.2),
    ):
        top = FAR_END + (6 if x in (22, 202) else 0)
        canvas.line(((x, top), (x, 120 if top > FAR_END else 123)), width, color)
    canvas.arc((112, 80), 20, 12, (0, 360), 1.4, BLUE_LINE)
    for x in (50, 174):
        for y in (58, 102):
            canvas.arc((x, y), 15, 9, (0, 360), 1.2, RED_LINE)
            canvas.disc((x, y), 1.6, RED_LINE)
    for x, span in ((22, (-90, 90)), (202, (90, 270))):
        canvas.ellipse((x, 80), 11, 12, mix(ice, (60, 130, 220), 0.4))
        canvas.rectangle(x - (12 if x < 112 else 0), 66, 12, 24, ice)
        canvas.arc((x, 80), 11, 12, span, 1.2, RED_LINE)
        _goal(canvas, x - (12 if x < 112 else 0), 64, 12, 22)
    return canvas.finish()


def cast(rng: random.Random, side: Side) -> list[Extra]:
    """Two teams of four with sticks, and the puck."""
    begin, end = (68, 158) if side == "left" else (158, 68)
    extras: list[Extra] = []
    for team in pick_kits(rng, 2):
        for number in range(4):
            offset, y = (
                24 * (number * 2 % 4) - 12 * (number // 2) - 24 + rng.uniform(-16, 16),
                64 + 16 * number + rng.uniform(-5, 5),
            )
            path = wander(rng, (begin + offset, y), (end + offset, y), (15, 4))
            extras.append(Extra(_skaters(team, 25), path, pace=4))
    y = rng.uniform(80, 96)
    extras.append(Extra(_small_puck(), wander(rng, (begin, y), (end, y), (24, 14), speed=0.28)))
    return extras


def closeup(canvas: Canvas, action: Action, rng: random.Random, progress: float) -> None:
    """The shot, with the goal on the left."""
    ice = jitter(ICE, rng, 6)
    color, skin, hair = jitter(SHIRTS[action.actor], rng, 5), rng.choice(SKINS), rng.choice(HAIRS)
    _arena(canvas, rng, ice)
    pose, hip, stick, puck = KINDS[action.kind]
    dx, dy = sway(rng, progress)
    x, y = hip[0] + dx, hip[1] + dy
    draw_shadow(canvas, (x, 120), 28, mix(ice, INK, 0.25))
    if action.kind == "deke":
        track = [(x - 48 + 4 * number, 113 + 8 * math.sin(number / 1.6)) for number in range(25)]
        canvas.limb(track, 2.4, mix(ice, INK, 0.85))
    body = draw_figure(canvas, pose, (x, y), 82, team_kit(color, skin, hair))
    for foot in (body.near_foot, body.far_foot):
        canvas.line(((foot[0] - 8, foot[1] + 5.5), (foot[0] + 6, foot[1] + 5.5)), 2.4, (90, 96, 110))
    _helmet(canvas, body.head, 9, color, skin)
    butt, heel, toe = [(x + px, y + py) for px, py in stick]
    _stick(canvas, butt, heel, toe, 1.0)
    for hand in (body.near_hand, body.far_hand):
        canvas.disc(hand, 5, mix(color, INK, 0.3), outline=1.6)
    _puck(canvas, (x + puck[0], y + puck[1]), 8)


def signal(canvas: Canvas, cue: str, rng: random.Random) -> None:
    """The goal judge's light, or the referee in stripes."""
    if cue == "red light":
        _lamp(canvas)
        return
    draw_official(canvas, Pose(near_arm=(0, 180), far_arm=(0, 180)), STRIPES, rng)
    canvas.limb(((OFFICIAL_X, 68), (OFFICIAL_X, 84)), 14, STRIPES)
    for step in (-5, 0, 5):
        canvas.line(((OFFICIAL_X + step, 62), (OFFICIAL_X + step, 90)), 2.2, INK)
    for way in (-1, 1):
        wide = cue == "arms wide"
        elbow, hand = ((15, 0), (24, -1)) if wide else ((10, -18), (9, -46)) if way < 0 else ((10, 12), (10, 26))
        points = [(OFFICIAL_X + way * x, 67 + y) for x, y in ((7, 0), elbow, hand)]
        for color, width in ((INK, 12.2), (STRIPES, 9)):
            canvas.limb(points, width, color)
        canvas.disc(points[2], 6, INK)
    canvas.arc((OFFICIAL_X, 57), 8, 8, (170, 370), 6, INK)


def replay(canvas: Canvas, sight: str) -> None:
    """The goal with its keeper from the front, and where the puck went in."""
    apart = 14 if sight == "between the legs" else 6
    canvas.rectangle(0, 0, 54, 55, ICE)
    _goal(canvas, 4, 6, 46, 42)
    for color, extra in ((INK, 2.5), ((214, 150, 70), 0)):
        for x in (27 - apart, 27 + apart):
            canvas.limb(((27 + (x - 27) * 0.4, 30), (x, 48)), 7 + extra, color)
    for color, extra in ((INK, 2.5), ((60, 140, 130), 0)):
        canvas.limb(((27, 20), (27, 29)), 13 + extra, color)
        canvas.disc((27, 13), 5 + extra / 2, color)
    at = {"top corner": (42, 14), "low corner": (11, 42), "between the legs": (27, 46)}[sight]
    _puck(canvas, at, 9.5)


def _rink(canvas: Canvas, grow: float, color: Color) -> None:
    left, top, right, bottom, round_x, round_y = 2 - grow, FAR_END - 2 * grow, 222 + grow, 124 + grow, 34, 26
    canvas.rectangle(left + round_x, top, right - left - 2 * round_x, bottom - top, color)
    canvas.rectangle(left, top + round_y, right - left, bottom - top - 2 * round_y, color)
    for x in (left + round_x, right - round_x):
        for y in (top + round_y, bottom - round_y):
            canvas.ellipse((x, y), round_x, round_y, color)


def _arena(canvas: Canvas, rng: random.Random, ice: Color) -> None:
    """Crowd behind glass, boards with signs, and the lines on the ice."""
    draw_crowd(canvas, rng, 46)
    for x in range(14, WIDTH, 42):
        canvas.line(((x, 8), (x, 46)), 1.2, (150, 164, 176))
    canvas.rectangle(0, 44, WIDTH, 28, BOARDS)
    for x in range(-12, WIDTH, 58):
        canvas.rectangle(x, 49, 48, 14, jitter((64, 96, 104), rng, 26))
    canvas.rectangle(0, 67, WIDTH, 4, (214, 180, 70))
    canvas.rectangle(0, 71, WIDTH, 55, ice)
    canvas.polygon(((150, 71), (160, 71), (180, HEIGHT), (164, HEIGHT)), BLUE_LINE)
    canvas.arc((104, 116), 66, 22, (0, 360), 2.2, RED_LINE)
    _goal(canvas, -10, 50, 72, 58)


def _goal(canvas: Canvas, x: float, y: float, width: float, height: float) -> None:
    """A net in a red frame, square to the camera."""
    canvas.rectangle(x, y, width, height, (150, 164, 180))
    step = 5 if width > 20 else 3
    for number in range(1, int(width // step) + 1):
        canvas.line(((x + step * number, y), (x + step * number, y + height)), 0.7, LINE)
    for number in range(1, int(height // step) + 1):
        canvas.line(((x, y + step * number), (x + width, y + step * number)), 0.7, LINE)
    post = max(2.0, width / 14)
    canvas.limb(((x, y + height), (x, y), (x + width, y), (x + width, y + height)), post, RED_LINE)


def _helmet(canvas: Canvas, head: Point, radius: float, color: Color, skin: Color) -> None:
    x, y = head
    canvas.disc(head, radius + 1.4, INK)
    canvas.disc(head, radius, color)
    canvas.ellipse((x - 0.35 * radius, y + 0.4 * radius), radius * 0.6, radius * 0.56, skin)
    canvas.line(((x - radius, y + 0.1 * radius), (x + 0.3 * radius, y + 0.1 * radius)), radius * 0.26, (90, 110, 130))


def _stick(canvas: Canvas, butt: Point, heel: Point, toe: Point, size: float) -> None:
    draw_bar(canvas, butt, heel, 2.4 * size, SHAFT)
    draw_bar(canvas, heel, toe, 4.4 * size, (50, 50, 58))


def _puck(canvas: Canvas, center: Point, radius: float) -> None:
    x, y = center
    canvas.ellipse((x, y), radius * 1.12, radius * 0.84, LINE)
    canvas.ellipse((x, y + radius * 0.2), radius, radius * 0.62, INK)
    canvas.ellipse((x, y - radius * 0.14), radius * 0.86, radius * 0.42, (64, 64, 74))


def _lamp(canvas: Canvas) -> None:
    """A red lamp on a pole behind the glass, shining."""
    canvas.rectangle(OFFICIAL_X - 4, 60, 8, 66, (90, 96, 110), outline=1.6)
    for turn in range(110, 260, 20):
        canvas.line((polar((OFFICIAL_X, 44), turn, 24), polar((OFFICIAL_X, 44), turn, 36)), 4, (255, 120, 90))
    canvas.ellipse((OFFICIAL_X, 44), 19, 24, INK)
    canvas.ellipse((OFFICIAL_X, 44), 17, 22, (240, 30, 30))
    canvas.ellipse((OFFICIAL_X - 6, 34), 4, 7, (255, 170, 160))
    canvas.rectangle(OFFICIAL_X - 22, 52, 44, 14, (70, 74, 86), outline=1.8)


@lru_cache(maxsize=32)
def _skaters(kit: Kit, height: int) -> tuple[Image.Image, ...]:
    pictures: list[Image.Image] = []
    for pose in SKATE:
        canvas = Canvas((height + 14, height + 6), (0, 0, 0, 0))
        body = draw_figure(canvas, pose, ((height + 14) / 2 + 3, height * 0.52 + 3), height, kit, outline=0.7)
        canvas.disc(body.head, 2.8, mix(kit.shirt, INK, 0.3), outline=0.6)
        heel = (body.near_hand[0] - 7, height + 1)
        canvas.limb(((body.near_hand[0] + 4, body.near_hand[1] - 5), heel, (heel[0] - 4, heel[1])), 1.6, INK)
        pictures.append(canvas.finish())
    return tuple(pictures)


@lru_cache(maxsize=1)
def _small_puck() -> tuple[Image.Image, ...]:
    canvas = Canvas((10, 8), (0, 0, 0, 0))
    _puck(canvas, (5, 4), 3.6)
    return (canvas.finish(),)


ICE_HOCKEY = Sport(
    name="ice_hockey",
    kinds=tuple(KINDS),
    rulings={"goal": ("red light",), "penalty": ("arm up",), "waved off": ("arms wide",)},
    forms=(
        Form("top corner", 9, "nothing"),
        Form("low corner", 7, "lift the puck"),
        Form("between the legs", 5, "aim wide"),
    ),
    moment="shot",
    kind_question="How is the puck shot?",
    actor_question="Which colour does the player wear?",
    ruling_question="How is the shot ruled?",
    form_question="How well is the shot placed?",
    backdrop=backdrop,
    cast=cast,
    closeup=closeup,
    signal=signal,
    replay=replay,
)
