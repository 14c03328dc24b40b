"""Volleyball: the touch that decides a rally, and the line judge's flag. Down is in, up is out, a hand on it is a touch."""

import random
from functools import lru_cache

from PIL import Image

from deepsport.arena.canvas import HEIGHT, INK, LINE, WIDTH, Canvas, Color, Point, jitter, mix, polar
from deepsport.arena.figure import Kit, Pose, draw_figure
from deepsport.arena.props import OFFICIAL_X, draw_actor, draw_bar, draw_crowd, draw_shadow, sway
from deepsport.arena.scene import HAIRS, PAN, SKINS, Extra, Path, pick_kits, sprites, wander
from deepsport.arena.sport import Form, Sport
from deepsport.arena.truth import Action, Side

COURT: Color = (232, 128, 66)
SURROUND: Color = (38, 136, 132)
FLAG: Color = (250, 150, 20)

# pose, hip (x, y), ball (x, y)
KINDS = {
    "spike": (
        Pose(torso=200, near_arm=(228, 222), far_arm=(100, 70), near_leg=(40, 100), far_leg=(76, 150)),
        (127, 70),
        (77, 24),
    ),
    "block": (Pose(near_arm=(148, 182), far_arm=(212, 178), near_leg=(14, -24), far_leg=(-14, -50)), (116, 80), (116, 15)),
    "dig": (Pose(torso=228, near_arm=(304, 288), far_arm=(296, 280), near_leg=(300, 350), far_leg=(58, 92)), (132, 94), (75, 80)),
    "serve": (Pose(torso=176, near_arm=(104, 168), far_arm=(272, 262), near_leg=(22, 4), far_leg=(-30, -8)), (118, 76), (83, 40)),
    "tip": (
        Pose(torso=164, near_arm=(146, 152), far_arm=(300, 320), near_leg=(-40, -70), far_leg=(8, -40)),
        (106, 70),
        (146, 16),
    ),
}

FLAGS = {
    "flag up": (Pose(near_arm=(166, 174), far_arm=(-20, -10)), (200, 46), (200, 5), -32, 28),
    "flag down": (Pose(near_arm=(322, 318), far_arm=(20, 10)), (181, 87), (175, 122), 36, -24),
    "hand on flag": (Pose(near_arm=(60, 200), far_arm=(310, 290)), (176, 108), (176, 62), 28, 28),
}
"""Pose of the line judge, both ends of the pole, width and height of the flag from the pole's tip."""

READY = (
    Pose(near_arm=(60, 120), far_arm=(-60, -120), near_leg=(34, -10), far_leg=(-34, 10)),
    Pose(near_arm=(138, 186), far_arm=(222, 174), near_leg=(12, 0), far_leg=(-12, 0)),
)


def backdrop(rng: random.Random) -> Image.Image:
    """An indoor court seen from behind one end; the net is an extra, for some play behind it."""
    canvas = Canvas((WIDTH, HEIGHT), jitter(SURROUND, rng, 8), margin=PAN)
    draw_crowd(canvas, rng, 28)
    canvas.rectangle(-PAN, 28, WIDTH + 2 * PAN, 6, (30, 44, 74))
    canvas.polygon(((66, 46), (158, 46), (214, 124), (10, 124)), jitter(COURT, rng, 8))
    for a, b in (((66, 46), (158, 46)), ((10, 124), (214, 124)), ((66, 46), (10, 124)), ((158, 46), (214, 124))):
        canvas.line((a, b), 1.6, LINE)
    for y, inset in ((60, 56), (74, 46), (94, 31.5)):
        canvas.line(((inset, y), (WIDTH - inset, y)), 1.4, LINE)
    canvas.rectangle(196, 44, 10, 4, (210, 212, 216), outline=0.8)
    canvas.line(((198, 48), (196, 76)), 1.6, (60, 60, 66))
    canvas.line(((204, 48), (206, 76)), 1.6, (60, 60, 66))
    return canvas.finish()


def cast(rng: random.Random, side: Side) -> list[Extra]:
    """Two teams with the net between them, and the ball over it."""
    begin, end = (78, 146) if side == "left" else (146, 78)
    near, far = pick_kits(rng, 2)
    extras = [Extra(_net(), Path((112, 78), (112, 78), reach=(0, 0), speed=(0, 0), phase=(0, 0)))]
    for kit, height, depth, reach in ((far, 22, (54, 72), 34), (near, 30, (86, 122), 46)):
        for _ in range(5):
            offset, y = rng.uniform(-reach, reach), rng.uniform(*depth)
            path = wander(rng, (begin + offset, y), (end + offset, y), (9, 4), speed=0.16)
            extras.append(Extra(sprites(kit, height, READY), path, pace=rng.randint(5, 9)))
    extras.append(Extra(_wide_ball(), wander(rng, (begin, 84), (end, 84), (26, 3), speed=0.2)))
    return extras


def closeup(canvas: Canvas, action: Action, rng: random.Random, progress: float) -> None:
    """The touch, before the net."""
    court = jitter(COURT, rng, 8)
    canvas.rectangle(0, 0, WIDTH, HEIGHT, jitter(SURROUND, rng, 8))
    draw_crowd(canvas, rng, 30)
    canvas.polygon(((0, 92), (160, 92), (176, HEIGHT), (0, HEIGHT)), court)
    canvas.line(((0, 92), (160, 92), (176, HEIGHT)), 3, LINE)
    _closeup_net(canvas)
    pose, hip, ball_xy = KINDS[action.kind]
    dx, dy = sway(rng, progress)
    draw_shadow(canvas, (hip[0] + dx, 120), 28, mix(court, INK, 0.4))
    draw_actor(canvas, action.actor, pose, (hip[0] + dx, hip[1] + dy), 84, rng)
    _ball(canvas, (ball_xy[0] + dx, ball_xy[1] + dy), 11, 30 * progress)


def signal(canvas: Canvas, cue: str, rng: random.Random) -> None:
    """The line judge and the flag."""
    pose, grip, tip, along, down = FLAGS[cue]
    skin = rng.choice(SKINS)
    kit = Kit(shirt=(104, 88, 168), shorts=INK, socks=INK, skin=skin, hair=rng.choice(HAIRS))
    draw_figure(canvas, pose, (OFFICIAL_X, 88), 70, kit)
    draw_bar(canvas, grip, tip, 2.4, (226, 206, 170))
    x, y = tip
    canvas.polygon(((x, y), (x + along, y), (x + along, y + down), (x, y + down)), FLAG, outline=1.6)
    if cue == "hand on flag":
        draw_bar(canvas, (209, 73), (196, 63), 6, kit.shirt)
        draw_bar(canvas, (194, 62), (172, 57), 6, skin)


def replay(canvas: Canvas, sight: str) -> None:
    """The other half of the court from above, the net below, and where the ball came down."""
    canvas.rectangle(0, 0, 54, 55, SURROUND)
    canvas.rectangle(7, 6, 40, 42, COURT)
    canvas.line(((7, 46), (7, 6), (47, 6), (47, 46)), 2.4, LINE)
    canvas.line(((7, 33), (47, 33)), 1.6, LINE)
    canvas.rectangle(3, 45, 48, 5, (30, 34, 44))
    canvas.rectangle(3, 45, 48, 2, LINE)
    at = {"back corner": (40, 13), "middle": (27, 26), "near the net": (15, 40)}[sight]
    _ball(canvas, at, 8.5, 0)


def _ball(canvas: Canvas, center: Point, radius: float, turn: float) -> None:
    canvas.disc(center, radius + 1.6, INK)
    canvas.disc(center, radius, (252, 240, 190))
    for blade in range(3):
        steps = [step / 6 for step in range(7)]
        rim = [polar(center, turn + 120 * blade + 80 * t, radius * t) for t in steps]
        back = [polar(center, turn + 120 * blade + 58 + 80 * t, radius * t) for t in reversed(steps)]
        canvas.polygon((*rim, *back), (56, 82, 140))


def _closeup_net(canvas: Canvas) -> None:
    for x in range(2, 164, 8):
        canvas.line(((x, 34), (x, 76)), 0.8, (30, 40, 50))
    for y in range(40, 76, 7):
        canvas.line(((0, y), (164, y)), 0.8, (30, 40, 50))
    canvas.rectangle(0, 30, 164, 6, LINE)
    canvas.rectangle(0, 74, 164, 3, LINE)
    canvas.rectangle(162, 26, 5, 92, (70, 74, 88), outline=1.2)


@lru_cache(maxsize=1)
def _net() -> tuple[Image.Image, ...]:
    canvas = Canvas((156, 50), (0, 0, 0, 0))
    for x in range(6, 152, 5):
        canvas.line(((x, 9), (x, 27)), 0.6, (30, 40, 50))
    for y in range(13, 27, 4):
        canvas.line(((4, y), (152, y)), 0.6, (30, 40, 50))
    canvas.rectangle(4, 8, 148, 3, LINE)
    canvas.rectangle(4, 26, 148, 1.5, LINE)
    for x in (2, 151):
        canvas.rectangle(x, 6, 3, 42, (70, 74, 88), outline=0.6)
    for x in (13, 142):
        for step in range(4):
            canvas.rectangle(x, 3 * step, 1.6, 3, (226, 50, 40) if step % 2 else LINE)
    return (canvas.finish(),)


@lru_cache(maxsize=1)
def _wide_ball() -> tuple[Image.Image, ...]:
    """The ball high over its shadow."""
    pictures: list[Image.Image] = []
    for height in (40, 46, 50, 46, 40, 32):
        canvas = Canvas((14, 60), (0, 0, 0, 0))
        canvas.ellipse((7, 57), 4.5, 1.6, (150, 80, 40))
        _ball(canvas, (7, 56 - height), 4.2, height * 8)
        pictures.append(canvas.finish())
    return tuple(pictures)


VOLLEYBALL = Sport(
    name="volleyball",
    kinds=tuple(KINDS),
    rulings={"in": ("flag down",), "out": ("flag up",), "touch": ("hand on flag",)},
    forms=(Form("back corner", 9, "nothing"), Form("middle", 7, "aim wide"), Form("near the net", 5, "hit deeper")),
    moment="rally",
    kind_question="Which touch decides the rally?",
    actor_question="Which colour does the player wear?",
    ruling_question="What does the line judge call?",
    form_question="How well is the ball placed?",
    backdrop=backdrop,
    cast=cast,
    closeup=closeup,
    signal=signal,
    replay=replay,
)
