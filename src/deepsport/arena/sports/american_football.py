"""American football: a play into the end zone, the referee's arms, and the replay of how far the ball got."""

import random
from functools import lru_cache

from PIL import Image

from deepsport.arena.canvas import HEIGHT, INK, LINE, WIDTH, Canvas, Color, Point, jitter, mix, polar
from deepsport.arena.figure import Kit, Pose, draw_figure, team_kit
from deepsport.arena.props import OFFICIAL_X, SHIRTS, draw_bar, draw_crowd, draw_official, draw_shadow, sway
from deepsport.arena.scene import HAIRS, PAN, RUN, SKINS, Extra, pick_kits, wander
from deepsport.arena.sport import Form, Sport
from deepsport.arena.truth import Action, Side

GRASS: Color = (58, 138, 66)
LEATHER: Color = (140, 74, 36)
GOLD: Color = (226, 176, 40)
FLAG: Color = (255, 222, 0)
STRIPES: Color = (204, 206, 210)
ZONES: tuple[Color, ...] = ((196, 96, 40), (60, 120, 130), (120, 70, 140))
"""Paint of the end zones."""
FAR_END = 34
"""Where the field begins, below the stands, in pixels from the top."""

# pose, hip (x, y), where the ball is from the hip (x, y), tilt of the ball in degrees
KINDS = {
    "catch": (
        Pose(torso=184, near_arm=(148, 196), far_arm=(216, 168), near_leg=(34, -46), far_leg=(-26, -78)),
        (114, 79),
        (-3, -62),
        20,
    ),
    "dive": (
        Pose(torso=266, near_arm=(274, 266), far_arm=(262, 268), near_leg=(96, 118), far_leg=(76, 92)),
        (136, 84),
        (-67, -1),
        90,
    ),
    "run": (
        Pose(torso=200, near_arm=(30, 262), far_arm=(284, 272), near_leg=(296, 346), far_leg=(42, 98)),
        (120, 76),
        (-10, -14),
        55,
    ),
    "kick": (
        Pose(torso=152, near_arm=(84, 110), far_arm=(228, 206), near_leg=(258, 250), far_leg=(10, 4)),
        (124, 78),
        (-43, -50),
        160,
    ),
    "hurdle": (
        Pose(torso=192, near_arm=(30, 262), far_arm=(262, 220), near_leg=(276, 274), far_leg=(62, 20)),
        (122, 60),
        (-8, -14),
        55,
    ),
}

FALLEN = Pose(torso=262, near_arm=(236, 226), far_arm=(285, 262), near_leg=(112, 64), far_leg=(70, 96))

# elbow and hand of the right-hand arm, from the middle of the shoulders (x, y)
ARMS = {"arms up": ((10, -18), (13, -46)), "hands on hips": ((22, 12), (7, 24)), "flag thrown": ((12, 12), (10, 26))}


def backdrop(rng: random.Random) -> Image.Image:
    """A gridiron: a line every few yards, painted end zones, goalposts."""
    canvas = Canvas((WIDTH, HEIGHT), jitter(GRASS, rng, 8), margin=PAN)
    draw_crowd(canvas, rng, FAR_END - 2)
    canvas.rectangle(-PAN, FAR_END - 3, WIDTH + 2 * PAN, 9, LINE)
    zone = jitter(rng.choice(ZONES), rng, 10)
    for x in (-PAN, WIDTH - 30):
        canvas.rectangle(x, FAR_END + 6, 30 + PAN, 86, zone)
    for number in range(9):
        x = 30 + 20.5 * number
        canvas.line(((x, FAR_END + 6), (x, 126)), 2.4 if number in (0, 8) else 1.2, LINE)
        for y in (62, 96) if 0 < number < 8 else ():
            for step in (-2, -1, 0, 1, 2):
                canvas.line(((x + 4.1 * step, y - 2), (x + 4.1 * step, y + 2)), 0.8, LINE)
    canvas.rectangle(-PAN, 124, WIDTH + 2 * PAN, 12, LINE)
    for x, away in ((14, 9), (WIDTH - 14, 9)):
        _posts(canvas, x, 82, away, 26)
    return canvas.finish()


def cast(rng: random.Random, side: Side) -> list[Extra]:
    """Two teams on either side of the ball, and the ball."""
    begin, end = (70, 156) if side == "left" else (156, 70)
    extras: list[Extra] = []
    for team, behind in zip(pick_kits(rng, 2), (-1, 1), strict=True):
        for number in range(5):
            offset, y = behind * rng.uniform(8, 34), 64 + 13 * number + rng.uniform(-3, 3)
            path = wander(rng, (begin + offset, y), (end + offset, y), (9, 3))
            extras.append(Extra(_helmeted(team, 25), path))
    y = rng.uniform(80, 98)
    extras.append(Extra(_small_ball(), wander(rng, (begin, y), (end, y), (20, 14), speed=0.24)))
    return extras


def closeup(canvas: Canvas, action: Action, rng: random.Random, progress: float) -> None:
    """The play at the goal line, goalposts on the left."""
    grass, zone = jitter(GRASS, rng, 8), jitter(rng.choice(ZONES), rng, 10)
    color, skin, hair = jitter(SHIRTS[action.actor], rng, 5), rng.choice(SKINS), rng.choice(HAIRS)
    (rival,) = pick_kits(rng, 1)
    dx, dy = sway(rng, progress)
    draw_crowd(canvas, rng, 62)
    canvas.rectangle(0, 60, WIDTH, 66, grass)
    canvas.rectangle(0, 60, WIDTH, 4, LINE)
    canvas.polygon(((0, 64), (84, 64), (48, HEIGHT), (0, HEIGHT)), zone)
    for x in (84, 126, 168, 210):
        canvas.line(((x, 62), (x + (x - 156) * 0.5, HEIGHT)), 4 if x == 84 else 2, LINE)
    _posts(canvas, 82, 66, 20, 40)
    pose, hip, ball_xy, tilt = KINDS[action.kind]
    hip = (hip[0] + dx, hip[1] + dy)
    if action.kind == "hurdle":
        _tackler(canvas, (hip[0] + 2, 111), rival)
    else:
        draw_shadow(canvas, (hip[0], 120), 26, mix(grass, INK, 0.35))
    body = draw_figure(canvas, pose, hip, 84, team_kit(color, skin, hair))
    _pads(canvas, pose, hip, color)
    _helmet(canvas, body.head, 9.5, color)
    _ball(canvas, (hip[0] + ball_xy[0], hip[1] + ball_xy[1]), 10.5, tilt)


def signal(canvas: Canvas, cue: str, rng: random.Random) -> None:
    """The referee in stripes, and what the arms say."""
    draw_official(canvas, Pose(near_arm=(0, 180), far_arm=(0, 180)), STRIPES, rng)
    canvas.limb(((OFFICIAL_X, 68), (OFFICIAL_X, 84)), 14, STRIPES)
    for step in (-5, 0, 5):
        canvas.line(((OFFICIAL_X + step, 62), (OFFICIAL_X + step, 90)), 2.2, INK)
    for way in (-1, 1):
        thrown = cue == "flag thrown" and way < 0
        elbow, hand = ARMS["arms up" if thrown else cue]
        points = [(OFFICIAL_X + way * x, 67 + y) for x, y in ((7, 0), elbow, hand)]
        for color, width in ((INK, 11.2), (STRIPES, 8)):
            canvas.limb(points, width, color)
        canvas.disc(points[2], 5, LINE, outline=1.6)
    if cue == "flag thrown":
        canvas.polygon(((183, 7), (196, 11), (208, 4), (221, 9), (218, 31), (205, 27), (193, 34), (181, 28)), FLAG, outline=1.8)


def replay(canvas: Canvas, sight: str) -> None:
    """The ball from above, and where the goal line is."""
    line = {"deep in zone": 70, "just over line": 42, "on the line": 27}[sight]
    canvas.rectangle(0, 0, 54, 55, ZONES[0])
    for x in range(-50, 60, 14):
        canvas.line(((x, 55), (x + 55, 0)), 3, mix(ZONES[0], INK, 0.25))
    canvas.rectangle(0, line, 54, 55, GRASS)
    canvas.line(((0, line), (54, line)), 7, LINE)
    _ball(canvas, (27, 25), 15, 60)


def _ball(canvas: Canvas, center: Point, radius: float, tilt: float) -> None:
    """Pointed at both ends, with laces; a tilt of 90 lies flat."""
    steps = [number / 6 - 1 for number in range(13)]
    rim = [polar(polar(center, tilt, 1.2 * radius * t), tilt + 90, 0.72 * radius * (1 - t * t) ** 0.8) for t in steps]
    rim += [polar(polar(center, tilt, 1.2 * radius * t), tilt - 90, 0.72 * radius * (1 - t * t) ** 0.8) for t in reversed(steps)]
    canvas.polygon(rim, LEATHER, outline=1.6)
    canvas.line((polar(center, tilt, radius * 0.5), polar(center, tilt + 180, radius * 0.5)), 0.12 * radius, LINE)
    for share in (-0.3, 0, 0.3):
        middle = polar(center, tilt, radius * share)
        canvas.line((polar(middle, tilt + 90, radius * 0.24), polar(middle, tilt - 90, radius * 0.24)), 0.12 * radius, LINE)


def _helmet(canvas: Canvas, head: Point, radius: float, color: Color) -> None:
    x, y = head
    canvas.disc(head, radius + 1.4, INK)
    canvas.disc(head, radius, color)
    canvas.ellipse((x - radius * 0.62, y + radius * 0.3), radius * 0.5, radius * 0.6, INK)
    for drop in (0.15, 0.6):
        canvas.line(
            ((x - radius * 1.25, y + radius * drop), (x - radius * 0.2, y + radius * drop)),
            max(1, radius * 0.16),
            (214, 216, 220),
        )
    canvas.line(
        ((x - radius * 1.2, y + radius * 0.1), (x - radius * 1.1, y + radius * 0.75)), max(1, radius * 0.16), (214, 216, 220)
    )


def _pads(canvas: Canvas, pose: Pose, hip: Point, color: Color) -> None:
    middle = polar(hip, pose.torso, 20)
    ends = (polar(middle, pose.torso + 90, 7), polar(middle, pose.torso - 90, 7))
    draw_bar(canvas, *ends, 10, mix(color, INK, 0.08))


def _tackler(canvas: Canvas, hip: Point, kit: Kit) -> None:
    body = draw_figure(canvas, FALLEN, hip, 62, kit)
    _helmet(canvas, body.head, 7, kit.shirt)


def _posts(canvas: Canvas, x: float, foot: float, width: float, height: float) -> None:
    bar = foot - height * 0.55
    for color, extra in ((INK, 1.6), (GOLD, 0)):
        canvas.limb(((x, foot), (x, bar)), abs(width) / 7 + 1 + extra, color)
        canvas.limb(
            ((x - width, bar - height), (x - width, bar), (x + width, bar), (x + width, bar - height)),
            abs(width) / 10 + 0.8 + extra,
            color,
        )


@lru_cache(maxsize=32)
def _helmeted(kit: Kit, height: int) -> tuple[Image.Image, ...]:
    pictures: list[Image.Image] = []
    for pose in RUN:
        canvas = Canvas((height + 4, height + 6), (0, 0, 0, 0))
        body = draw_figure(canvas, pose, ((height + 4) / 2, height * 0.52 + 3), height, kit, outline=0.7)
        _helmet(canvas, body.head, 3.2, mix(kit.shirt, LINE, 0.25))
        pictures.append(canvas.finish())
    return tuple(pictures)


@lru_cache(maxsize=1)
def _small_ball() -> tuple[Image.Image, ...]:
    pictures: list[Image.Image] = []
    for tilt in (90, 60, 120):
        canvas = Canvas((14, 12), (0, 0, 0, 0))
        _ball(canvas, (7, 6), 5, tilt)
        pictures.append(canvas.finish())
    return tuple(pictures)


AMERICAN_FOOTBALL = Sport(
    name="american_football",
    kinds=tuple(KINDS),
    rulings={"clean score": ("arms up",), "offside": ("hands on hips",), "penalty": ("flag thrown",)},
    forms=(
        Form("deep in zone", 9, "nothing"),
        Form("just over line", 7, "finish strong"),
        Form("on the line", 5, "reach further"),
    ),
    moment="play",
    kind_question="What does the player do?",
    actor_question="Which colour does the player wear?",
    ruling_question="How is the play ruled?",
    form_question="How far does the ball get?",
    backdrop=backdrop,
    cast=cast,
    closeup=closeup,
    signal=signal,
    replay=replay,
)
