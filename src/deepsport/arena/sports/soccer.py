"""Soccer: a goal, and the referee's card for the foul that came with it."""

import random

from PIL import Image

from deepsport.arena.canvas import HEIGHT, INK, LINE, WIDTH, Canvas, Color, jitter, mix
from deepsport.arena.figure import Pose
from deepsport.arena.props import draw_actor, draw_crowd, draw_net, draw_official, draw_shadow, sway
from deepsport.arena.scene import PAN, Extra, ball, pick_kits, sprites, wander
from deepsport.arena.sport import Form, Sport
from deepsport.arena.truth import Action, Side

GRASS: Color = (62, 148, 62)
FAR_END = 30
"""Where the pitch begins, below the stands, in pixels from the top."""

# pose, hip (x, y), ball (x, y)
KINDS = {
    "header": (Pose(near_arm=(105, 135), far_arm=(255, 225), near_leg=(10, -70), far_leg=(-20, -80)), (114, 70), (104, 13)),
    "volley": (Pose(torso=150, near_arm=(70, 100), far_arm=(235, 215), near_leg=(270, 266), far_leg=(8, 0)), (126, 74), (68, 68)),
    "overhead": (
        Pose(torso=62, near_arm=(20, 5), far_arm=(110, 80), near_leg=(216, 205), far_leg=(262, 310)),
        (112, 62),
        (82, 13),
    ),
    "backheel": (
        Pose(torso=205, near_arm=(70, 40), far_arm=(250, 220), near_leg=(70, 125), far_leg=(-8, 4)),
        (118, 74),
        (168, 92),
    ),
    "slide": (
        Pose(torso=128, near_arm=(40, 20), far_arm=(150, 190), near_leg=(272, 270), far_leg=(225, 330)),
        (124, 106),
        (62, 110),
    ),
}

CARDS: dict[str, Color] = {"yellow card": (255, 222, 0), "red card": (228, 20, 30)}


def backdrop(rng: random.Random) -> Image.Image:
    """A striped pitch between two goals, seen from the main stand."""
    canvas = Canvas((WIDTH, HEIGHT), jitter(GRASS, rng, 8), margin=PAN)
    _grass(canvas, jitter(GRASS, rng, 8), FAR_END, offset=rng.uniform(0, 28))
    draw_crowd(canvas, rng, FAR_END - 4)
    canvas.rectangle(-PAN, FAR_END - 5, WIDTH + 2 * PAN, 5, jitter((40, 60, 130), rng, 30))
    canvas.line(((-PAN, FAR_END + 6), (WIDTH + PAN, FAR_END + 6)), 1.2, LINE)
    canvas.line(((-PAN, 122), (WIDTH + PAN, 122)), 1.6, LINE)
    canvas.line(((112, FAR_END + 6), (112, 122)), 1.4, LINE)
    canvas.arc((112, 78), 30, 15, (0, 360), 1.4, LINE)
    for goal, area in ((4, 40), (220, 184)):
        canvas.line(((goal, 54), (area, 54), (area, 104), (goal, 104)), 1.4, LINE)
        draw_net(canvas, min(goal, goal + (16 if goal < 112 else -16)), 62, 16, 32)
    return canvas.finish()


def cast(rng: random.Random, side: Side) -> list[Extra]:
    """Two teams around the ball, and the ball."""
    begin, end = (68, 158) if side == "left" else (158, 68)
    extras: list[Extra] = []
    for team in pick_kits(rng, 2):
        for _ in range(5):
            offset, y = rng.uniform(-46, 46), rng.uniform(58, 118)
            path = wander(rng, (begin + offset, y), (end + offset, y + rng.uniform(-6, 6)), (14, 5))
            extras.append(Extra(sprites(team, 22), path))
    y = rng.uniform(78, 100)
    extras.append(Extra(ball(3.2, (255, 255, 255)), wander(rng, (begin, y), (end, y), (22, 9), speed=0.2)))
    return extras


def closeup(canvas: Canvas, action: Action, rng: random.Random, progress: float) -> None:
    """The shot, with the goal on the left."""
    _grass(canvas, jitter(GRASS, rng, 8), 0, offset=rng.uniform(0, 28) - 8 * progress)
    draw_crowd(canvas, rng, 40)
    draw_net(canvas, -6, 54, 44, 58)
    pose, hip, ball_xy = KINDS[action.kind]
    dx, dy = sway(rng, progress)
    draw_shadow(canvas, (hip[0] + dx, 119), 30, (44, 92, 44))
    draw_actor(canvas, action.actor, pose, (hip[0] + dx, hip[1] + dy), 86, rng)
    center = (ball_xy[0] + dx, ball_xy[1] + dy)
    canvas.disc(center, 10.5, (255, 255, 255), outline=1.6)
    canvas.disc(center, 3.6, INK)


def signal(canvas: Canvas, cue: str, rng: random.Random) -> None:
    """The referee and the card."""
    card = CARDS.get(cue)
    arms = Pose(near_arm=(158, 180), far_arm=(-20, -10)) if card else Pose(near_arm=(50, 35), far_arm=(-50, -35))
    hand = draw_official(canvas, arms, (30, 30, 36), rng)
    if card:
        canvas.rectangle(hand[0] - 11, hand[1] - 26, 22, 28, card, outline=1.6)


def replay(canvas: Canvas, sight: str) -> None:
    """The goal from the front, and where the ball crossed the line."""
    canvas.rectangle(0, 0, 54, 55, GRASS)
    draw_net(canvas, 4, 8, 46, 36)
    at = {"top corner": (44, 14), "low corner": (11, 37), "middle": (27, 26)}[sight]
    canvas.disc(at, 8.5, (255, 200, 0), outline=1.6)


def _grass(canvas: Canvas, green: Color, top: float, offset: float) -> None:
    canvas.rectangle(-PAN, top, WIDTH + 2 * PAN, HEIGHT + PAN - top, green)
    for stripe in range(-1, 10, 2):
        canvas.rectangle(stripe * 28 + offset, top, 28, HEIGHT + PAN - top, mix(green, (140, 210, 90), 0.28))


SOCCER = Sport(
    name="soccer",
    kinds=tuple(KINDS),
    rulings={"booking": ("yellow card",), "dismissal": ("red card",), "nothing": ("no card",)},
    forms=(
        Form("top corner", 9, "nothing"),
        Form("low corner", 7, "lift the ball"),
        Form("middle", 5, "aim wide"),
    ),
    moment="goal",
    kind_question="How was the goal scored?",
    actor_question="Which colour does the scorer wear?",
    ruling_question="What does the defender get for the foul?",
    form_question="How well is the shot placed?",
    backdrop=backdrop,
    cast=cast,
    closeup=closeup,
    signal=signal,
    replay=replay,
)
