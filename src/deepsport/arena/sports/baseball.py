"""Baseball: what a player does at the bat, on the bases or in the field, and the arms of the umpire."""

import random
from functools import lru_cache

from PIL import Image

from deepsport.arena.canvas import HEIGHT, INK, LINE, WIDTH, Canvas, Color, Point, jitter, mix, polar
from deepsport.arena.figure import Body, Kit, Pose, draw_figure, team_kit
from deepsport.arena.props import OFFICIAL_X, SHIRTS, draw_bar, draw_crowd, draw_shadow, sway
from deepsport.arena.scene import CROWD, HAIRS, PAN, RUN, SKINS, Extra, ball, pick_kits, wander
from deepsport.arena.sport import Form, Sport
from deepsport.arena.truth import Action, Side

GRASS: Color = (66, 142, 62)
DIRT: Color = (192, 130, 78)
FENCE: Color = (24, 72, 60)
BAT: Color = (222, 172, 104)
MITT: Color = (140, 78, 36)
BROWN: Color = CROWD[-1]
"""Not to be told from dirt."""
UMPIRE: Color = (164, 184, 200)

# pose, hip (x, y), ball (x, y)
KINDS = {
    "swing": (
        Pose(torso=172, near_arm=(292, 272), far_arm=(272, 264), near_leg=(38, 6), far_leg=(-42, -10)),
        (138, 76),
        (70, 56),
    ),
    "bunt": (
        Pose(torso=206, near_arm=(310, 270), far_arm=(320, 300), near_leg=(-64, 24), far_leg=(48, -40)),
        (128, 92),
        (82, 64),
    ),
    "slide": (
        Pose(torso=124, near_arm=(60, 80), far_arm=(160, 200), near_leg=(274, 268), far_leg=(232, 330)),
        (122, 106),
        (84, 70),
    ),
    "leap catch": (
        Pose(torso=174, near_arm=(84, 50), far_arm=(190, 182), near_leg=(40, 96), far_leg=(-10, 40)),
        (118, 75),
        (114, 16),
    ),
    "pitch": (
        Pose(torso=160, near_arm=(96, 160), far_arm=(268, 250), near_leg=(14, 2), far_leg=(248, 340)),
        (124, 78),
        (162, 36),
    ),
}

ARMS = {"arms wide": ((14, 0), (24, -1)), "fist up": ((16, -14), (10, -42)), "arms up": ((10, -18), (16, -46))}
"""Elbow and hand of the umpire's right-hand arm, from the middle of the shoulders (x, y)."""

AT_BAT = (
    Pose(near_arm=(-40, -140), far_arm=(-60, -130), near_leg=(24, 4), far_leg=(-24, -4)),
    Pose(near_arm=(-46, -150), far_arm=(-66, -140), near_leg=(30, 0), far_leg=(-26, -2)),
)


def backdrop(rng: random.Random) -> Image.Image:
    """The diamond from behind home plate, its far corner at second base."""
    grass, dirt = jitter(GRASS, rng, 8), jitter(DIRT, rng, 8)
    canvas = Canvas((WIDTH, HEIGHT), grass, margin=PAN)
    for stripe in range(-1, 12, 2):
        canvas.rectangle(stripe * 20, 30, 20, 110, mix(grass, (150, 214, 96), 0.22))
    canvas.ellipse((112, 128), 116, 82, dirt)
    canvas.polygon(((112, 60), (166, 86), (112, 116), (58, 86)), grass)
    canvas.polygon(((104, 134), (-PAN, 82), (-PAN, 134)), grass)
    canvas.polygon(((120, 134), (WIDTH + PAN, 82), (WIDTH + PAN, 134)), grass)
    canvas.ellipse((112, 122), 26, 14, dirt)
    canvas.ellipse((112, 88), 13, 6, dirt)
    draw_crowd(canvas, rng, 24)
    canvas.rectangle(-PAN, 22, WIDTH + 2 * PAN, 13, jitter(FENCE, rng, 8))
    canvas.rectangle(-PAN, 21, WIDTH + 2 * PAN, 2, (214, 180, 60))
    for x in (-PAN, WIDTH + PAN):
        canvas.line(((112, 120), (x, 58)), 1.6, LINE)
    for x, y in ((166, 86), (112, 60), (58, 86)):
        canvas.polygon(((x, y - 3.5), (x + 6, y), (x, y + 3.5), (x - 6, y)), LINE, outline=0.7)
    _plate(canvas, (112, 120), 6)
    canvas.rectangle(109, 87, 6, 2, LINE)
    return canvas.finish()


def cast(rng: random.Random, side: Side) -> list[Extra]:
    """Fielders who shift with the batter's side, batter and ball."""
    begin, end = (68, 156) if side == "left" else (156, 68)
    field, bat = [kit for kit in pick_kits(rng, 3) if kit.shirt != BROWN][:2]
    extras: list[Extra] = []
    for offset, y in ((-38, 56), (0, 50), (38, 56), (-30, 78), (-6, 72), (32, 80), (4, 96)):
        x = rng.uniform(-5, 5)
        extras.append(Extra(_sprites(field, 22, RUN, None), wander(rng, (begin + offset + x, y), (end + offset + x, y), (9, 3))))
    foot = (112 + (begin - 112) * 0.45, 112 + (end - 112) * 0.45)
    batter = _sprites(bat, 34, AT_BAT, 200)
    extras.append(Extra(batter, wander(rng, (foot[0], 123), (foot[1], 123), (4, 1)), pace=6))
    extras.append(Extra(ball(2.6, LINE), wander(rng, (begin, 82), (end, 82), (22, 26), speed=0.3)))
    return extras


def closeup(canvas: Canvas, action: Action, rng: random.Random, progress: float) -> None:
    """The player, with the fence behind and the foul line on the left."""
    dirt = jitter(DIRT, rng, 8)
    color, skin, hair = jitter(SHIRTS[action.actor], rng, 5), rng.choice(SKINS), rng.choice(HAIRS)
    _park(canvas, rng, dirt)
    pose, hip, ball_xy = KINDS[action.kind]
    dx, dy = sway(rng, progress)
    hip, ball_xy = (hip[0] + dx, hip[1] + dy), (ball_xy[0] + dx, ball_xy[1] + dy)
    _ground(canvas, action.kind, hip[0], dirt)
    body = draw_figure(canvas, pose, hip, 84, team_kit(color, skin, hair))
    _cap(canvas, body.head, 8.4, color, skin)
    _gear(canvas, action.kind, body)
    if action.kind == "slide":
        for x, y, radius in ((-44, 12, 7), (-34, 15, 9), (-18, 16, 8), (6, 16, 9), (24, 14, 7)):
            canvas.disc((hip[0] + x, hip[1] + y), radius, mix(dirt, LINE, 0.5))
    _ball(canvas, ball_xy, 7.5)


def signal(canvas: Canvas, cue: str, rng: random.Random) -> None:
    """The umpire and the arms."""
    skin = rng.choice(SKINS)
    kit = Kit(shirt=UMPIRE, shorts=INK, socks=INK, skin=skin, hair=INK)
    draw_figure(canvas, Pose(near_arm=(0, 180), far_arm=(0, 180)), (OFFICIAL_X, 88), 70, kit)
    canvas.limb(((OFFICIAL_X, 68), (OFFICIAL_X, 84)), 14, UMPIRE)
    canvas.rectangle(OFFICIAL_X - 4, 68, 8, 16, (60, 70, 84))
    canvas.arc((OFFICIAL_X, 56), 8, 8, (180, 360), 6, INK)
    canvas.limb(((OFFICIAL_X - 4, 55), (OFFICIAL_X - 12, 56)), 3, INK)
    for way in (-1, 1):
        elbow, hand = ARMS[cue] if way < 0 or cue != "fist up" else ((10, 12), (10, 26))
        points = [(OFFICIAL_X + way * x, 67 + y) for x, y in ((7, 0), elbow, hand)]
        for color, width in ((INK, 13.2), (UMPIRE, 10)):
            canvas.limb(points, width, color)
        canvas.disc(points[2], 9 if cue == "fist up" and way < 0 else 7, skin, outline=1.6)


def replay(canvas: Canvas, sight: str) -> None:
    """Home plate from above, and where the ball is as the play is made."""
    canvas.rectangle(0, 0, 54, 55, DIRT)
    _plate(canvas, (27, 27), 14)
    x = {"ball over plate": 27, "ball before plate": 9, "ball past plate": 45}[sight]
    canvas.line(((-4, 27), (x, 27)), 3, mix(DIRT, INK, 0.6))
    _ball(canvas, (x, 27), 11)


def _park(canvas: Canvas, rng: random.Random, dirt: Color) -> None:
    fence = jitter(FENCE, rng, 8)
    draw_crowd(canvas, rng, 34)
    canvas.rectangle(0, 32, WIDTH, 34, fence)
    for x in range(0, WIDTH, 32):
        canvas.line(((x, 34), (x, 66)), 1, mix(fence, LINE, 0.2))
    canvas.rectangle(0, 31, WIDTH, 3, (214, 180, 60))
    canvas.rectangle(0, 66, WIDTH, 60, jitter(GRASS, rng, 8))
    canvas.ellipse((118, 134), 176, 44, dirt)


def _ground(canvas: Canvas, kind: str, x: float, dirt: Color) -> None:
    """What the player stands on: the batter's box, a base, the mound, or plain ground."""
    if kind in ("swing", "bunt"):
        canvas.line(((x + 44, 108), (x - 26, 108), (x - 36, 124), (x + 50, 124)), 2, LINE)
        _plate(canvas, (x - 52, 115), 9)
    elif kind == "pitch":
        canvas.ellipse((x, 122), 54, 13, mix(dirt, INK, 0.18))
        canvas.rectangle(x - 8, 117, 24, 4, LINE, outline=1)
    elif kind == "slide":
        canvas.polygon(((x - 58, 108), (x - 38, 108), (x - 34, 119), (x - 62, 119)), LINE, outline=1.6)
    if kind != "pitch":
        draw_shadow(canvas, (x, 119), 26, mix(dirt, INK, 0.3))


def _gear(canvas: Canvas, kind: str, body: Body) -> None:
    if kind == "swing":
        _bat(canvas, body.near_hand, 268, 36)
    elif kind == "bunt":
        _bat(canvas, body.near_hand, 212, 36)
    elif kind in ("leap catch", "pitch"):
        x, y = body.far_hand
        canvas.ellipse((x, y - 4), 12, 12, MITT, outline=1.6)
        for turn in (140, 165, 190, 215):
            canvas.line((polar((x, y - 4), turn, 11), polar((x, y - 4), turn, 5)), 1.2, mix(MITT, INK, 0.6))


def _bat(canvas: Canvas, hand: Point, angle: float, length: float) -> None:
    knob, neck, tip = polar(hand, angle, -4), polar(hand, angle, length * 0.45), polar(hand, angle, length)
    for color, extra in ((INK, 3.2), (BAT, 0)):
        canvas.limb((knob, neck), length * 0.09 + extra, color)
        canvas.limb((neck, tip), length * 0.2 + extra, color)


def _ball(canvas: Canvas, center: Point, radius: float) -> None:
    canvas.disc(center, radius, (250, 248, 240), outline=1.6)
    for way in (-1, 1):
        span = (-50, 50) if way < 0 else (130, 230)
        canvas.arc((center[0] + way * radius * 0.95, center[1]), radius * 0.6, radius * 0.8, span, 1.2, (200, 40, 40))


def _cap(canvas: Canvas, head: Point, radius: float, color: Color, skin: Color) -> None:
    x, y = head
    canvas.disc(head, radius + 1.4, INK)
    canvas.disc(head, radius, color)
    canvas.ellipse((x - 0.1 * radius, y + 0.5 * radius), radius * 0.8, radius * 0.52, skin)
    draw_bar(canvas, (x, y - 0.02 * radius), (x - 1.5 * radius, y + 0.06 * radius), radius * 0.22, color)


def _plate(canvas: Canvas, center: Point, size: float) -> None:
    x, y = center
    low = y + size * 0.2
    canvas.polygon(
        ((x - size, y - size), (x + size, y - size), (x + size, low), (x, y + size), (x - size, low)), LINE, outline=1.2
    )


@lru_cache(maxsize=64)
def _sprites(kit: Kit, height: int, poses: tuple[Pose, ...], bat: float | None) -> tuple[Image.Image, ...]:
    """Players in caps, with a bat at the near hand's angle or without one."""
    pictures: list[Image.Image] = []
    for pose in poses:
        canvas = Canvas((height + 10, height + 6), (0, 0, 0, 0))
        body = draw_figure(canvas, pose, ((height + 10) / 2, height * 0.52 + 3), height, kit, outline=0.7)
        canvas.arc(body.head, 0.11 * height, 0.11 * height, (170, 370), 0.09 * height, mix(kit.shirt, INK, 0.35))
        if bat is not None:
            _bat(canvas, body.near_hand, bat, 13)
        pictures.append(canvas.finish())
    return tuple(pictures)


BASEBALL = Sport(
    name="baseball",
    kinds=tuple(KINDS),
    rulings={"safe": ("arms wide",), "out": ("fist up",), "foul ball": ("arms up",)},
    forms=(
        Form("ball over plate", 9, "nothing"),
        Form("ball before plate", 7, "wait longer"),
        Form("ball past plate", 5, "start earlier"),
    ),
    moment="play",
    kind_question="What does the player do?",
    actor_question="Which colour does the player wear?",
    ruling_question="How is the play ruled?",
    form_question="How good is the timing?",
    backdrop=backdrop,
    cast=cast,
    closeup=closeup,
    signal=signal,
    replay=replay,
)
