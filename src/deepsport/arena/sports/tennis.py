"""Tennis: the stroke that ends a point, and the replay of where the ball came down. On the line is in."""

import random

from PIL import Image

from deepsport.arena.canvas import HEIGHT, INK, LINE, WIDTH, Canvas, Color, Point, jitter, mix, polar
from deepsport.arena.figure import Pose
from deepsport.arena.props import draw_actor, draw_bar, draw_crowd, draw_shadow, sway
from deepsport.arena.scene import PAN, Extra, ball, pick_kits, sprites, wander
from deepsport.arena.sport import Form, Sport
from deepsport.arena.truth import Action, Side

BALL: Color = (214, 240, 50)
COURTS: tuple[tuple[Color, Color], ...] = (
    ((52, 104, 178), (70, 140, 96)),
    ((48, 110, 150), (44, 66, 120)),
    ((120, 84, 168), (70, 130, 90)),
)
"""Court and surround."""

# pose, hip (x, y), angle of the racket, ball (x, y)
KINDS = {
    "serve": (
        Pose(torso=188, near_arm=(110, 200), far_arm=(184, 176), near_leg=(-14, -8), far_leg=(26, 6)),
        (120, 84),
        150,
        (116, 10),
    ),
    "smash": (
        Pose(torso=172, near_arm=(196, 190), far_arm=(240, 215), near_leg=(20, -60), far_leg=(-12, -60)),
        (126, 88),
        192,
        (96, 10),
    ),
    "forehand": (Pose(near_arm=(86, 92), far_arm=(290, 250), near_leg=(34, 10), far_leg=(-34, -10)), (98, 74), 95, (146, 56)),
    "backhand": (Pose(near_arm=(272, 268), far_arm=(280, 262), near_leg=(34, 10), far_leg=(-34, -10)), (132, 74), 265, (79, 54)),
    "lob": (
        Pose(torso=222, near_arm=(318, 300), far_arm=(120, 150), near_leg=(290, 350), far_leg=(60, 100)),
        (128, 96),
        292,
        (70, 112),
    ),
}


def backdrop(rng: random.Random) -> Image.Image:
    """A court seen from behind one end."""
    canvas = Canvas((WIDTH, HEIGHT), margin=PAN)
    court, surround = (jitter(color, rng, 8) for color in rng.choice(COURTS))
    canvas.rectangle(-PAN, 26, WIDTH + 2 * PAN, HEIGHT, surround)
    draw_crowd(canvas, rng, 28)
    canvas.polygon(((74, 46), (150, 46), (200, 121), (24, 121)), court)
    for a, b in (((74, 46), (150, 46)), ((24, 121), (200, 121)), ((74, 46), (24, 121)), ((150, 46), (200, 121))):
        canvas.line((a, b), 1.6, LINE)
    for a, b in (
        ((82, 46), (44, 121)),
        ((142, 46), (180, 121)),
        ((72, 56), (152, 56)),
        ((54, 98), (170, 98)),
        ((112, 56), (112, 98)),
    ):
        canvas.line((a, b), 1.2, LINE)
    canvas.rectangle(44, 62, 136, 11, mix(surround, INK, 0.45))
    canvas.rectangle(44, 61, 136, 2.4, LINE)
    canvas.rectangle(190, 44, 12, 5, (230, 230, 230), outline=0.8)
    canvas.line(((192, 49), (188, 74)), 1.6, (60, 60, 66))
    canvas.line(((200, 49), (204, 74)), 1.6, (60, 60, 66))
    return canvas.finish()


def cast(rng: random.Random, side: Side) -> list[Extra]:
    """Two players who have changed sides after the event, and the ball."""
    begin, end = (78, 150) if side == "left" else (150, 78)
    near, far = pick_kits(rng, 2)
    y = rng.uniform(118, 122)
    return [
        Extra(sprites(far, 20), wander(rng, (112 + (begin - 112) / 2, 54), (112 + (end - 112) / 2, 54), (14, 3))),
        Extra(sprites(near, 34), wander(rng, (begin, y), (end, y), (18, 3))),
        Extra(ball(3, BALL), wander(rng, (begin, 80), (end, 80), (18, 32), speed=0.3)),
    ]


def closeup(canvas: Canvas, action: Action, rng: random.Random, progress: float) -> None:
    """The stroke, with the net on the left."""
    court, surround = (jitter(color, rng, 8) for color in rng.choice(COURTS))
    canvas.rectangle(0, 0, WIDTH, HEIGHT, court)
    canvas.rectangle(0, 40, WIDTH, 30, surround)
    draw_crowd(canvas, rng, 40)
    canvas.line(((0, 106), (WIDTH, 106)), 3, LINE)
    canvas.rectangle(0, 74, 34, 52, mix(surround, INK, 0.5))
    canvas.rectangle(0, 70, 34, 5, LINE)
    pose, hip, angle, ball_xy = KINDS[action.kind]
    dx, dy = sway(rng, progress)
    draw_shadow(canvas, (hip[0] + dx, 121), 26, mix(court, INK, 0.4))
    body = draw_actor(canvas, action.actor, pose, (hip[0] + dx, hip[1] + dy), 82, rng)
    _racket(canvas, body.near_hand, angle)
    canvas.disc((ball_xy[0] + dx, ball_xy[1] + dy), 8, BALL, outline=1.6)


def _racket(canvas: Canvas, hand: Point, angle: float) -> None:
    draw_bar(canvas, hand, polar(hand, angle, 9), 2.6, (60, 40, 30))
    center = polar(hand, angle, 20)
    canvas.disc(center, 13, INK)
    canvas.disc(center, 11, (206, 208, 216))
    for step in (-6, -2, 2, 6):
        canvas.line(((center[0] + step, center[1] - 9), (center[0] + step, center[1] + 9)), 0.6, (120, 124, 134))
        canvas.line(((center[0] - 9, center[1] + step), (center[0] + 9, center[1] + step)), 0.6, (120, 124, 134))


def replay(canvas: Canvas, sight: str) -> None:
    """The racket, and where the ball meets it."""
    canvas.rectangle(0, 0, 54, 55, (40, 90, 80))
    canvas.line(((27, 40), (27, 56)), 5, (60, 40, 30))
    canvas.ellipse((27, 22), 17, 20, INK)
    canvas.ellipse((27, 22), 14, 17, (206, 208, 216))
    for step in (-8, -3, 3, 8):
        canvas.line(((27 + step, 6), (27 + step, 38)), 0.7, (120, 124, 134))
        canvas.line(((14, 22 + step), (40, 22 + step)), 0.7, (120, 124, 134))
    x, y = {"centre of strings": (27, 22), "low on strings": (27, 42), "on the frame": (44, 10)}[sight]
    canvas.disc((x, y), 8, BALL, outline=1.6)


def signal(canvas: Canvas, cue: str, rng: random.Random) -> None:
    """The line from above, the ball in, on or beyond it; or the net with the ball in it."""
    canvas.rectangle(170, 4, 52, 118, (52, 104, 178), outline=3)
    if cue == "ball in net":
        canvas.rectangle(173, 7, 46, 112, (40, 44, 52))
        for step in range(1, 8):
            canvas.line(((173 + 6 * step, 7), (173 + 6 * step, 119)), 1.4, (200, 204, 208))
        for step in range(1, 16):
            canvas.line(((173, 7 + 7 * step), (219, 7 + 7 * step)), 1.4, (200, 204, 208))
    else:
        canvas.rectangle(173, 7, 46, 50, (206, 110, 70))
        canvas.rectangle(173, 56, 46, 12, LINE)
    y = {"ball in": 96, "ball on line": 62, "ball out": 30, "ball in net": 62}[cue]
    canvas.disc((196, y), 12, BALL, outline=2)


TENNIS = Sport(
    name="tennis",
    kinds=tuple(KINDS),
    rulings={"winner": ("ball in", "ball on line"), "out": ("ball out",), "net": ("ball in net",)},
    forms=(
        Form("centre of strings", 9, "nothing"),
        Form("low on strings", 7, "bend the knees"),
        Form("on the frame", 5, "watch the ball"),
    ),
    moment="point",
    kind_question="Which stroke ends the point?",
    actor_question="Which colour does the player wear?",
    ruling_question="How is the point decided?",
    form_question="How clean is the contact?",
    backdrop=backdrop,
    cast=cast,
    closeup=closeup,
    signal=signal,
    replay=replay,
)
