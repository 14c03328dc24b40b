"""Figure skating: an element on the ice, and the sign of the judge for its value. The board counts the rounds."""

import math
import random
from functools import lru_cache

from PIL import Image

from deepsport.arena.canvas import HEIGHT, INK, LINE, WIDTH, Canvas, Color, Point, jitter, mix, polar
from deepsport.arena.figure import HEAD, Kit, Pose, draw_figure
from deepsport.arena.props import SHIRTS, draw_bar, draw_crowd, draw_official, draw_shadow, sway
from deepsport.arena.scene import HAIRS, PAN, SKINS, Extra, pick_kits, wander
from deepsport.arena.sport import Form, Sport
from deepsport.arena.truth import Action, Side

ICE: Color = (168, 178, 228)
BOARDS: Color = (228, 170, 206)
BOOT: Color = (244, 238, 228)
BLADE: Color = (214, 220, 228)
TIGHTS: Color = (232, 190, 158)
PETALS: tuple[Color, ...] = ((232, 84, 150), (246, 214, 226), (250, 160, 90))
FAR_END = 34

# pose, hip (x, y), height, the side the toes point to: -90 left, 90 right
KINDS = {
    "camel spin": (
        Pose(torso=266, near_arm=(-16, -26), far_arm=(196, 206), near_leg=(0, 0), far_leg=(95, 92)),
        (114, 70),
        78,
        -90,
    ),
    "sit spin": (
        Pose(torso=196, near_arm=(292, 282), far_arm=(284, 276), near_leg=(278, 15), far_leg=(276, 280)),
        (126, 91),
        78,
        -90,
    ),
    "axel": (
        Pose(torso=172, near_arm=(330, 135), far_arm=(30, 225), near_leg=(10, -16), far_leg=(-10, 12)),
        (112, 67),
        72,
        -90,
    ),
    "spiral": (
        Pose(torso=72, head=105, near_arm=(96, 92), far_arm=(200, 214), near_leg=(-4, 2), far_leg=(226, 224)),
        (108, 70),
        78,
        90,
    ),
    "biellmann": (
        Pose(torso=192, head=200, near_arm=(164, 108), far_arm=(170, 112), near_leg=(0, 0), far_leg=(128, 176)),
        (110, 70),
        78,
        -90,
    ),
}

PIROUETTE = (
    Pose(near_arm=(150, 170), far_arm=(210, 190), near_leg=(0, 0), far_leg=(-30, 40)),
    Pose(near_arm=(100, 100), far_arm=(260, 260), near_leg=(0, 0), far_leg=(10, 30)),
    Pose(near_arm=(60, 120), far_arm=(300, 240), near_leg=(0, 0), far_leg=(30, -40)),
)
GLIDE = (
    Pose(torso=240, near_arm=(270, 262), far_arm=(110, 96), near_leg=(-6, 4), far_leg=(84, 90)),
    Pose(torso=215, near_arm=(290, 270), far_arm=(80, 90), near_leg=(-20, 10), far_leg=(50, 66)),
    Pose(torso=200, near_arm=(310, 280), far_arm=(60, 80), near_leg=(-30, 0), far_leg=(30, 20)),
    Pose(torso=215, near_arm=(290, 270), far_arm=(80, 90), near_leg=(-20, 10), far_leg=(50, 66)),
)

SIGNS: dict[str, Color] = {"plus sign": (20, 136, 120), "arrow sign": (236, 96, 150), "zero sign": (24, 24, 34)}


def backdrop(rng: random.Random) -> Image.Image:
    """A rink with flowers along the boards, and the judges with their backs to us."""
    canvas = Canvas((WIDTH, HEIGHT), (60, 56, 86), margin=PAN)
    draw_crowd(canvas, rng, FAR_END)
    ice, boards = jitter(ICE, rng, 8), jitter(BOARDS, rng, 8)
    canvas.polygon(_rounded((112, 76), 116, 42), mix(boards, INK, 0.35))
    canvas.polygon(_rounded((112, 71), 116, 40), boards)
    canvas.polygon(_rounded((112, 76), 110, 37), ice)
    for x, y, radius in ((66, 74, 34), (160, 84, 38)):
        canvas.ellipse((x, y), radius, radius * 0.45, mix(ice, LINE, 0.3))
    for _ in range(7):
        x, y, start = rng.uniform(40, 184), rng.uniform(60, 100), rng.uniform(0, 360)
        canvas.arc((x, y), rng.uniform(12, 30), rng.uniform(5, 12), (start, start + 200), 0.8, mix(ice, LINE, 0.75))
    for x in range(20, 206, 8):
        canvas.disc((x, 37.5 + rng.uniform(-1, 1)), 2.4, rng.choice(PETALS))
    _judges(canvas, rng)
    return canvas.finish()


def cast(rng: random.Random, side: Side) -> list[Extra]:
    """Skaters warm up, some gliding and some spinning on the spot."""
    begin, end = (62, 162) if side == "left" else (162, 62)
    extras: list[Extra] = []
    for number, kit in enumerate(pick_kits(rng, 4)):
        offset, y = (-26, 6, 30, -4)[number] + rng.uniform(-6, 6), (86, 101, 94, 79)[number] + rng.uniform(-3, 3)
        poses, reach = (GLIDE, (20, 5)) if number % 2 else (PIROUETTE, (4, 2))
        dress = Kit(shirt=kit.shirt, shorts=kit.shirt, socks=kit.skin, skin=kit.skin, hair=kit.hair)
        path = wander(rng, (begin + offset, y), (end + offset, y), reach)
        extras.append(Extra(_skaters(dress, poses), path, pace=6 if number % 2 else 2))
    return extras


def closeup(canvas: Canvas, action: Action, rng: random.Random, progress: float) -> None:
    """The skater, and the trace on the ice."""
    ice, boards = jitter(ICE, rng, 8), jitter(BOARDS, rng, 8)
    canvas.rectangle(0, 0, WIDTH, HEIGHT, ice)
    draw_crowd(canvas, rng, 46)
    canvas.rectangle(0, 50, WIDTH, 26, boards)
    canvas.rectangle(0, 73, WIDTH, 4, mix(boards, INK, 0.4))
    for x in range(0, WIDTH + 8, 8):
        canvas.disc((x - 4 * progress, 48 + rng.uniform(-2, 2)), 5, (70, 130, 90))
        canvas.disc((x - 4 * progress, 46 + rng.uniform(-2, 2)), 3.4, rng.choice(PETALS))
    canvas.ellipse((112, 110), 92, 22, mix(ice, LINE, 0.3))
    pose, hip, height, toes = KINDS[action.kind]
    dx, _ = sway(rng, progress)
    at = (hip[0] + dx, hip[1])
    color, skin = jitter(SHIRTS[action.actor], rng, 5), rng.choice(SKINS)
    dress = Kit(shirt=color, shorts=color, socks=TIGHTS, skin=skin, hair=rng.choice(HAIRS))
    _trace(canvas, action.kind, at, mix(ice, LINE, 0.9), mix(ice, INK, 0.35))
    _skater(canvas, pose, at, height, dress, toes)


def signal(canvas: Canvas, cue: str, rng: random.Random) -> None:
    """The judge behind the flowers of the table, and the sign."""
    draw_official(canvas, Pose(near_arm=(30, -10), far_arm=(218, 172)), (74, 52, 96), rng)
    canvas.rectangle(170, 100, 60, 30, (110, 84, 140), outline=1.6)
    for x in range(174, 226, 8):
        canvas.disc((x, 101), 4.4, PETALS[x // 8 % 3], outline=0.8)
    canvas.rectangle(174, 3, 46, 44, SIGNS[cue], outline=1.8)
    x, y = 197, 25
    if cue == "plus sign":
        canvas.limb(((x - 13, y), (x + 13, y)), 7, LINE)
        canvas.limb(((x, y - 13), (x, y + 13)), 7, LINE)
    elif cue == "arrow sign":
        canvas.limb(((x + 9, y - 13), (x - 9, y), (x + 9, y + 13)), 7, LINE)
    else:
        canvas.arc((x, y), 13, 17, (0, 360), 7, LINE)


def replay(canvas: Canvas, sight: str) -> None:
    """What comes down on the ice: a boot, two boots, or a hand."""
    canvas.rectangle(0, 0, 54, 55, (70, 66, 140))
    canvas.rectangle(0, 42, 54, 13, (190, 202, 240))
    if sight == "one foot":
        _boot(canvas, 28, 1.5)
    elif sight == "two feet":
        _boot(canvas, 17, 1)
        _boot(canvas, 41, 1)
    else:
        draw_bar(canvas, (40, -4), (27, 26), 9, SKINS[1])
        for finger, tip in ((22, 12), (26, 22), (29, 32), (32, 42)):
            draw_bar(canvas, (finger, 30), (tip, 44), 4, SKINS[1])
        canvas.disc((27, 29), 8, SKINS[1])


def _skater(canvas: Canvas, pose: Pose, hip: Point, height: float, kit: Kit, toes: float, outline: float = 1.6) -> None:
    """A person in a dress, on skates."""
    body = draw_figure(canvas, pose, hip, height, kit, outline)
    for foot, bend in ((body.far_foot, pose.far_leg), (body.near_foot, pose.near_leg)):
        toe, sole = bend[1] + toes, polar(foot, bend[1], 0.1 * height)
        boot = (foot, polar(foot, toe, 0.07 * height))
        blade = (polar(sole, toe, 0.13 * height), polar(sole, toe + 180, 0.05 * height))
        for line, width, color in ((boot, 0.09 * height, BOOT), (blade, 0.02 * height, BLADE)):
            canvas.limb(line, width + outline, INK)
            canvas.limb(line, width, color)
    waist, hem = polar(hip, pose.torso, 0.04 * height), polar(hip, pose.torso + 180, 0.11 * height)
    across = pose.torso + 90
    corners = [polar(waist, across, 0.1 * height), polar(hem, across, 0.21 * height)]
    corners += [polar(hem, across + 180, 0.21 * height), polar(waist, across + 180, 0.1 * height)]
    canvas.polygon(corners, mix(kit.shirt, INK, 0.1), outline)
    canvas.disc(polar(body.head, pose.torso, 0.085 * height), HEAD * height * 0.5, kit.hair)


def _trace(canvas: Canvas, kind: str, hip: Point, light: Color, dark: Color) -> None:
    """Rings under a spin, a shadow under a jump, a long curve behind a glide."""
    x = hip[0]
    if kind == "axel":
        draw_shadow(canvas, (x, 121), 22, dark)
        for y, span in ((52, (20, 160)), (74, (20, 160)), (92, (20, 160))):
            canvas.arc((x, y), 30, 9, span, 2, LINE)
    elif kind == "spiral":
        canvas.arc((x - 30, 60), 90, 57, (40, 120), 2, light)
        canvas.arc((x - 30, 63), 90, 57, (60, 130), 1.2, light)
    else:
        for radius in (14, 26, 38):
            canvas.arc((x if kind != "sit spin" else x - 14, 116), radius, radius * 0.2, (0, 360), 1.8, light)


def _boot(canvas: Canvas, x: float, size: float) -> None:
    ice = 46
    corners = ((-4, -34), (7, -34), (7, -6), (-11, -6), (-11, -12), (-4, -16))
    canvas.polygon([(x + a * size, ice + b * size) for a, b in corners], BOOT, outline=1.6)
    draw_bar(canvas, (x - 13 * size, ice), (x + 9 * size, ice), 2, BLADE)
    for a in (-6, 4):
        canvas.line(((x + a * size, ice - 6 * size), (x + a * size, ice)), 2, INK)


@lru_cache(maxsize=64)
def _skaters(kit: Kit, poses: tuple[Pose, ...]) -> tuple[Image.Image, ...]:
    pictures: list[Image.Image] = []
    for pose in poses:
        canvas = Canvas((40, 36), (0, 0, 0, 0))
        canvas.ellipse((20, 33), 9, 1.6, mix(ICE, INK, 0.25))
        _skater(canvas, pose, (20, 17), 29, kit, -90, outline=0.7)
        pictures.append(canvas.finish())
    return tuple(pictures)


def _rounded(center: Point, width: float, height: float) -> list[Point]:
    """A rink seen at a slant: a box whose corners are arcs."""
    points: list[Point] = []
    for step in range(48):
        turn = step * math.tau / 48
        x, y = math.cos(turn), math.sin(turn)
        points.append((center[0] + width * math.copysign(abs(x) ** 0.5, x), center[1] + height * math.copysign(abs(y) ** 0.7, y)))
    return points


def _judges(canvas: Canvas, rng: random.Random) -> None:
    for x in range(50, 184, 22):
        canvas.rectangle(x - 6, 108, 12, 8, (40, 44, 60), outline=0.8)
        canvas.disc((x, 114 + rng.uniform(-1, 1)), 4.6, rng.choice(HAIRS), outline=0.8)
        canvas.limb(((x - 4, 123), (x + 4, 123)), 9, (74, 52, 96))
    canvas.rectangle(30, 119, 168, 20, (110, 84, 140), outline=1)
    for x in range(34, 198, 6):
        canvas.disc((x, 120), 2.2, rng.choice(PETALS))


FIGURE_SKATING = Sport(
    name="figure_skating",
    kinds=tuple(KINDS),
    rulings={"full value": ("plus sign",), "less value": ("arrow sign",), "no value": ("zero sign",)},
    forms=(
        Form("one foot", 9, "nothing"),
        Form("two feet", 7, "lift the leg"),
        Form("hand on ice", 5, "stay upright"),
    ),
    most_turns=3,
    moment="element",
    kind_question="Which element does the skater show?",
    actor_question="Which colour does the skater wear?",
    ruling_question="What value does the judge give?",
    form_question="How safe is the landing?",
    state_word="round",
    n_digits=1,
    lowest=1,
    backdrop=backdrop,
    cast=cast,
    closeup=closeup,
    signal=signal,
    replay=replay,
)
