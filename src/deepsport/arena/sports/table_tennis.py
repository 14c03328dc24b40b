"""Table tennis: the stroke that ends a rally, seen across the table, and what the umpire shows: a point, a let, a warning."""

import random
from functools import lru_cache

from PIL import Image

from deepsport.arena.canvas import HEIGHT, INK, LINE, WIDTH, Canvas, Color, Point, jitter, mix, polar
from deepsport.arena.figure import Kit, Pose, draw_figure
from deepsport.arena.props import OFFICIAL_X, draw_actor, draw_bar, draw_crowd, sway
from deepsport.arena.scene import HAIRS, PAN, SKINS, Extra, ball, pick_kits, sprites, wander
from deepsport.arena.sport import Form, Sport
from deepsport.arena.truth import Action, Side

TABLE: Color = (20, 92, 142)
FLOOR: Color = (134, 46, 60)
BOARDS: Color = (96, 116, 126)
BALL: Color = (255, 168, 60)
WOOD: Color = (214, 160, 100)
RUBBER: Color = (32, 32, 38)

# pose, hip (x, y), angle of the paddle, ball (x, y)
KINDS = {
    "smash": (
        Pose(torso=190, near_arm=(212, 216), far_arm=(70, 50), near_leg=(20, 0), far_leg=(-20, 0)),
        (132, 68),
        232,
        (70, 38),
    ),
    "loop": (
        Pose(torso=156, near_arm=(50, 84), far_arm=(240, 215), near_leg=(30, 0), far_leg=(-30, 0)),
        (93, 84),
        104,
        (148, 26),
    ),
    "chop": (
        Pose(torso=168, near_arm=(250, 302), far_arm=(120, 160), near_leg=(10, 0), far_leg=(-30, 0)),
        (134, 82),
        282,
        (71, 82),
    ),
    "serve": (
        Pose(torso=176, near_arm=(80, 10), far_arm=(250, 200), near_leg=(10, 0), far_leg=(-10, 0)),
        (118, 76),
        60,
        (92, 14),
    ),
    "push": (
        Pose(torso=224, near_arm=(316, 284), far_arm=(80, 130), near_leg=(20, 0), far_leg=(-10, 0)),
        (142, 89),
        280,
        (71, 104),
    ),
}

TRAILS = {"loop": ((105, 66), (310, 380)), "chop": ((142, 60), (185, 240))}
"""Middle of the swing and the degrees it runs through, where spin makes the stroke."""

RALLY = (
    (Pose(torso=172, near_arm=(60, 80), far_arm=(-50, -20), near_leg=(30, -6), far_leg=(-30, 6)), 60),
    (Pose(torso=188, near_arm=(250, 220), far_arm=(40, 80), near_leg=(34, -10), far_leg=(-24, 10)), 220),
)
"""Poses of the players in the wide shot, and how they hold the paddle."""

CALM = (Pose(near_arm=(14, 6), far_arm=(-14, -6)), Pose(near_arm=(30, 60), far_arm=(-14, -6)))


def backdrop(rng: random.Random) -> Image.Image:
    """A table in a boarded arena, seen from behind one end."""
    canvas = Canvas((WIDTH, HEIGHT), jitter(FLOOR, rng, 8), margin=PAN)
    draw_crowd(canvas, rng, 26)
    _boards(canvas, jitter(BOARDS, rng, 8), 24, 15)
    canvas.polygon(((58, 110), (166, 110), (174, 120), (50, 120)), mix(FLOOR, INK, 0.45))
    for x in (56, 162):
        canvas.rectangle(x, 100, 6, 18, INK)
    table = jitter(TABLE, rng, 8)
    corners = ((80, 58), (144, 58), (182, 102), (42, 102))
    canvas.polygon(corners, table)
    canvas.rectangle(42, 102, 140, 5, mix(table, INK, 0.5))
    canvas.line((*corners, *corners[:2]), 2, LINE)
    canvas.line(((112, 58), (112, 102)), 1.2, LINE)
    canvas.rectangle(58, 66, 108, 10, mix(table, INK, 0.6))
    canvas.rectangle(58, 65, 108, 2.4, LINE)
    return canvas.finish()


def cast(rng: random.Random, side: Side) -> list[Extra]:
    """Two players at the ends of the table, two umpires at its sides, and the ball."""
    begin, end = (78, 146) if side == "left" else (146, 78)
    near, far, umpire = pick_kits(rng, 3)
    extras = [Extra(sprites(umpire, 26, CALM), wander(rng, (x, 88), (x, 88), (1, 0.5)), pace=9) for x in (16, 208)]
    back = (112 + (begin - 112) * 0.6, 112 + (end - 112) * 0.6)
    return [
        *extras,
        Extra(_players(far, 26), wander(rng, (back[0], 57), (back[1], 57), (8, 2), speed=0.2), pace=6),
        Extra(_players(near, 42), wander(rng, (begin, 128), (end, 128), (10, 2), speed=0.2), pace=6),
        Extra(ball(3, BALL), wander(rng, (back[0], 76), (back[1], 76), (12, 20), speed=0.4)),
    ]


def closeup(canvas: Canvas, action: Action, rng: random.Random, progress: float) -> None:
    """The stroke, behind the far half of the table."""
    floor, boards, table = jitter(FLOOR, rng, 8), jitter(BOARDS, rng, 8), jitter(TABLE, rng, 8)
    canvas.rectangle(0, 0, WIDTH, HEIGHT, floor)
    draw_crowd(canvas, rng, 36)
    _boards(canvas, boards, 34, 34)
    pose, hip, angle, ball_xy = KINDS[action.kind]
    dx, dy = sway(rng, progress)
    if trail := TRAILS.get(action.kind):
        center, span = trail
        canvas.arc((center[0] + dx, center[1] + dy), 42, 42, span, 5, mix(boards, LINE, 0.75))
    body = draw_actor(canvas, action.actor, pose, (hip[0] + dx, hip[1] + dy), 90, rng)
    _closeup_table(canvas, table)
    _paddle(canvas, body.near_hand, angle)
    canvas.disc((ball_xy[0] + dx, ball_xy[1] + dy), 7.5, BALL, outline=1.6)


def signal(canvas: Canvas, cue: str, rng: random.Random) -> None:
    """The umpire behind a desk, and a hand or a card."""
    skin = rng.choice(SKINS)
    kit = Kit(shirt=(30, 92, 84), shorts=INK, socks=INK, skin=skin, hair=rng.choice(HAIRS))
    raised = Pose(near_arm=(158, 180), far_arm=(-20, -10))
    pose = Pose(near_arm=(300, 240), far_arm=(-20, -10)) if cue == "open hand" else raised
    hand = draw_figure(canvas, pose, (OFFICIAL_X, 88), 70, kit).near_hand
    if cue == "yellow card":
        canvas.rectangle(hand[0] - 11, hand[1] - 26, 22, 28, (255, 222, 0), outline=1.6)
    elif cue == "fist up":
        _fist(canvas, (hand[0], hand[1] - 6), skin)
    else:
        _open_hand(canvas, hand, skin)
    canvas.rectangle(170, 98, 60, 30, (58, 50, 58), outline=1.6)
    canvas.rectangle(171, 99, 60, 5, (150, 146, 150))


def replay(canvas: Canvas, sight: str) -> None:
    """The paddle, and where the ball meets it."""
    canvas.rectangle(0, 0, 54, 55, (216, 190, 196))
    canvas.limb(((27, 36), (27, 54)), 10, INK)
    canvas.limb(((27, 36), (27, 54)), 7, WOOD)
    canvas.disc((27, 22), 19, INK)
    canvas.disc((27, 22), 17, (70, 74, 84))
    at = {"middle of paddle": (27, 22), "near the edge": (41, 13), "on the handle": (27, 43)}[sight]
    canvas.disc(at, 10.5, BALL, outline=1.6)


def _boards(canvas: Canvas, color: Color, top: float, height: float) -> None:
    canvas.rectangle(-PAN, top, WIDTH + 2 * PAN, height, color)
    for x in range(-PAN, WIDTH + PAN, round(2 * height)):
        canvas.line(((x, top), (x, top + height)), 1, mix(color, LINE, 0.5))
    canvas.line(((-PAN, top), (WIDTH + PAN, top)), 1.4, mix(color, LINE, 0.6))


def _paddle(canvas: Canvas, hand: Point, angle: float, size: float = 1.0) -> None:
    draw_bar(canvas, polar(hand, angle, -3 * size), polar(hand, angle, 9 * size), 3.8 * size, WOOD)
    canvas.disc(polar(hand, angle, 16 * size), 12 * size, WOOD, outline=1.6 * size)
    canvas.disc(polar(hand, angle, 18 * size), 10.5 * size, RUBBER)


def _open_hand(canvas: Canvas, wrist: Point, skin: Color) -> None:
    palm = (wrist[0] - 1, wrist[1] - 9)
    for width, color in ((8.4, INK), (5.2, skin)):
        for step, length in ((-7.5, 20), (-2.5, 24), (2.5, 24), (7.5, 20)):
            canvas.limb(((palm[0] + step, palm[1]), (palm[0] + step * 1.5, palm[1] - length)), width, color)
        canvas.limb((palm, (palm[0] + 18, palm[1] - 4)), width, color)
        canvas.disc(palm, 7.4 + width / 2, color)


def _fist(canvas: Canvas, wrist: Point, skin: Color) -> None:
    x, y = wrist
    draw_bar(canvas, (x - 4, y - 8), (x + 4, y - 8), 18, skin)
    for step in (-5.5, 0, 5.5):
        canvas.line(((x + step, y - 17), (x + step, y - 8)), 1.4, INK)
    draw_bar(canvas, (x - 8, y - 5), (x + 4, y - 5), 3.6, skin)


def _closeup_table(canvas: Canvas, table: Color) -> None:
    corners = ((44, 94), (186, 94), (204, 116), (26, 116))
    canvas.polygon(corners, table)
    canvas.line((*corners, *corners[:2]), 3.4, LINE)
    canvas.line(((115, 94), (115, 116)), 1.8, LINE)
    canvas.rectangle(0, 112, WIDTH, 14, mix(table, INK, 0.7))
    for x in range(2, WIDTH, 5):
        canvas.line(((x, 112), (x, HEIGHT)), 0.7, mix(table, LINE, 0.4))
    canvas.line(((0, 121), (WIDTH, 121)), 0.7, mix(table, LINE, 0.4))
    canvas.rectangle(0, 111, WIDTH, 4, LINE)


@lru_cache(maxsize=64)
def _players(kit: Kit, height: int) -> tuple[Image.Image, ...]:
    pictures: list[Image.Image] = []
    for pose, angle in RALLY:
        canvas = Canvas((2 * height, round(1.3 * height)), (0, 0, 0, 0))
        body = draw_figure(canvas, pose, (height, 0.79 * height), height, kit, outline=0.7)
        _paddle(canvas, body.near_hand, angle, height / 66)
        pictures.append(canvas.finish())
    return tuple(pictures)


TABLE_TENNIS = Sport(
    name="table_tennis",
    kinds=tuple(KINDS),
    rulings={"point": ("fist up",), "let": ("open hand",), "warning": ("yellow card",)},
    forms=(
        Form("middle of paddle", 9, "nothing"),
        Form("near the edge", 7, "watch the ball"),
        Form("on the handle", 5, "reach further"),
    ),
    moment="rally",
    kind_question="Which stroke ends the rally?",
    actor_question="Which colour does the player wear?",
    ruling_question="What does the umpire call?",
    form_question="How clean is the contact?",
    backdrop=backdrop,
    cast=cast,
    closeup=closeup,
    signal=signal,
    replay=replay,
)
