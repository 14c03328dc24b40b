"""Basketball, three against three on one board: every basket counts one, and the referee signals what comes with it."""

import random

from PIL import Image

from deepsport.arena.canvas import HEIGHT, LINE, WIDTH, Canvas, Color, jitter, mix
from deepsport.arena.figure import Pose
from deepsport.arena.props import draw_actor, draw_bar, draw_crowd, draw_official, draw_shadow, sway
from deepsport.arena.scene import PAN, Extra, ball, pick_kits, sprites, wander
from deepsport.arena.sport import Form, Sport
from deepsport.arena.truth import Action, Side

WOOD: Color = (206, 150, 92)
ORANGE: Color = (238, 112, 28)
FAR_END = 40

# pose, hip (x, y), ball (x, y)
KINDS = {
    "fadeaway": (
        Pose(torso=150, near_arm=(206, 190), far_arm=(196, 206), near_leg=(290, 300), far_leg=(330, 300)),
        (128, 78),
        (146, 14),
    ),
    "dunk": (Pose(near_arm=(248, 240), far_arm=(256, 250), near_leg=(40, -40), far_leg=(10, -60)), (116, 64), (82, 28)),
    "layup": (Pose(torso=196, near_arm=(262, 246), far_arm=(40, 70), near_leg=(-75, 0), far_leg=(32, 40)), (140, 74), (90, 62)),
    "jumper": (Pose(near_arm=(188, 172), far_arm=(172, 188), near_leg=(6, 2), far_leg=(-6, -2)), (134, 72), (134, 12)),
    "hook": (Pose(torso=194, near_arm=(128, 150), far_arm=(270, 262), near_leg=(14, 8), far_leg=(-50, 20)), (128, 76), (157, 24)),
}


def backdrop(rng: random.Random) -> Image.Image:
    """A wooden court with a basket at each end."""
    canvas = Canvas((WIDTH, HEIGHT), margin=PAN)
    wood, paint = jitter(WOOD, rng, 10), rng.choice(((150, 60, 40), (60, 80, 140), (50, 110, 90), (110, 70, 130)))
    _floor(canvas, wood, FAR_END)
    draw_crowd(canvas, rng, FAR_END - 2)
    canvas.line(((-PAN, FAR_END + 8), (WIDTH + PAN, FAR_END + 8)), 1.4, LINE)
    canvas.line(((112, FAR_END + 8), (112, 124)), 1.6, LINE)
    canvas.ellipse((112, 84), 22, 13, paint)
    canvas.arc((112, 84), 22, 13, (0, 360), 1.6, LINE)
    for x, span, away in ((10, (-90, 90), 44), (WIDTH - 10, (90, 270), -44)):
        canvas.rectangle(min(x, x + away), 66, 44, 34, paint)
        canvas.arc((x, 83), 70, 38, span, 1.6, LINE)
        _hoop(canvas, x, away)
    return canvas.finish()


def cast(rng: random.Random, side: Side) -> list[Extra]:
    """Two teams of three and the ball."""
    begin, end = (62, 162) if side == "left" else (162, 62)
    extras: list[Extra] = []
    for team in pick_kits(rng, 2):
        for _ in range(3):
            offset, y = rng.uniform(-38, 38), rng.uniform(76, 118)
            path = wander(rng, (begin + offset, y), (end + offset, y + rng.uniform(-6, 6)), (13, 5))
            extras.append(Extra(sprites(team, 28), path))
    y = rng.uniform(78, 96)
    extras.append(Extra(ball(4, ORANGE), wander(rng, (begin, y), (end, y), (20, 16), speed=0.24)))
    return extras


def closeup(canvas: Canvas, action: Action, rng: random.Random, progress: float) -> None:
    """The shot at the basket on the left."""
    _floor(canvas, jitter(WOOD, rng, 10), 78)
    draw_crowd(canvas, rng, 78)
    canvas.rectangle(58, 8, 6, 40, (245, 245, 245), outline=1.4)
    pose, hip, ball_xy = KINDS[action.kind]
    dx, dy = sway(rng, progress)
    draw_shadow(canvas, (hip[0] + dx, 120), 24, (140, 96, 56))
    draw_actor(canvas, action.actor, pose, (hip[0] + dx, hip[1] + dy), 86, rng)
    _ball(canvas, (ball_xy[0] + dx, ball_xy[1] + dy))
    _basket(canvas)


def signal(canvas: Canvas, cue: str, rng: random.Random) -> None:
    """The referee and what the hands say."""
    grey = (196, 198, 204)
    if cue == "fist up":
        hand = draw_official(canvas, Pose(near_arm=(158, 180), far_arm=(-20, -10)), grey, rng)
        canvas.disc((hand[0], hand[1] - 3), 8, LINE, outline=1.6)
    elif cue == "hands in a t":
        draw_official(canvas, Pose(near_arm=(150, 190), far_arm=(210, 170)), grey, rng)
        draw_bar(canvas, (196, 50), (196, 28), 8, LINE)
        draw_bar(canvas, (178, 26), (214, 26), 8, LINE)
    else:
        draw_official(canvas, Pose(near_arm=(24, 8), far_arm=(-24, -8)), grey, rng)


def replay(canvas: Canvas, sight: str) -> None:
    """The ring from the front, and where the ball goes."""
    canvas.rectangle(0, 0, 54, 55, (70, 76, 96))
    canvas.rectangle(8, 3, 38, 24, (245, 245, 245), outline=1.4)
    canvas.line(((14, 30), (20, 50)), 1.4, LINE)
    canvas.line(((40, 30), (34, 50)), 1.4, LINE)
    canvas.limb(((12, 29), (42, 29)), 3.4, (226, 60, 20))
    x, y = {"clean swish": (27, 42), "off the board": (27, 14), "on the rim": (44, 24)}[sight]
    canvas.disc((x, y), 9, ORANGE, outline=1.6)


def _ball(canvas: Canvas, center: tuple[float, float]) -> None:
    canvas.disc(center, 10.5, ORANGE, outline=1.6)
    canvas.line(((center[0] - 9, center[1]), (center[0] + 9, center[1])), 1.2, (90, 40, 10))
    canvas.line(((center[0], center[1] - 9), (center[0], center[1] + 9)), 1.2, (90, 40, 10))


def _basket(canvas: Canvas) -> None:
    for step in range(5):
        canvas.line(((67 + 6.5 * step, 44), (71 + 4.5 * step, 64)), 1.0, (250, 250, 250))
    canvas.limb(((64, 43), (96, 43)), 3.6, (226, 60, 20))


def _hoop(canvas: Canvas, x: float, away: float) -> None:
    toward = 1 if away > 0 else -1
    canvas.rectangle(x + 8 * toward - 2, 30, 4, 24, (245, 245, 245), outline=0.8)
    canvas.line(((x + 8 * toward, 50), (x + 20 * toward, 50)), 2, (226, 60, 20))
    canvas.line(((x + 4 * toward, 54), (x + 4 * toward, 83)), 2.4, (60, 60, 70))


def _floor(canvas: Canvas, wood: Color, top: float) -> None:
    canvas.rectangle(-PAN, top, WIDTH + 2 * PAN, HEIGHT + PAN - top, wood)
    for board in range(0, HEIGHT + PAN - int(top), 6):
        canvas.line(((-PAN, top + board), (WIDTH + PAN, top + board)), 0.7, mix(wood, (120, 70, 30), 0.35))


BASKETBALL = Sport(
    name="basketball",
    kinds=tuple(KINDS),
    rulings={"free throw": ("fist up",), "technical": ("hands in a t",), "nothing": ("hands down",)},
    forms=(
        Form("clean swish", 9, "nothing"),
        Form("off the board", 7, "soften the shot"),
        Form("on the rim", 5, "raise the arc"),
    ),
    moment="basket",
    kind_question="How was the basket made?",
    actor_question="Which colour does the scorer wear?",
    ruling_question="What comes on top of the basket?",
    form_question="How clean is the shot?",
    backdrop=backdrop,
    cast=cast,
    closeup=closeup,
    signal=signal,
    replay=replay,
)
