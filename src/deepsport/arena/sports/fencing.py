"""Fencing with the foil: an action on the piste, and the lamps of the box. White or both lamps give nobody the touch.

Fencers wear white; here the one who acts wears the colour that is asked about.
"""

import random
from functools import lru_cache

from PIL import Image

from deepsport.arena.canvas import HEIGHT, INK, LINE, WIDTH, Canvas, Color, Point, jitter, mix, polar
from deepsport.arena.figure import HEAD, Body, Kit, Pose, draw_figure
from deepsport.arena.props import SHIRTS, draw_bar, draw_crowd, draw_shadow, sway
from deepsport.arena.scene import PAN, Extra, pick_kits, sprites, wander
from deepsport.arena.sport import Form, Sport
from deepsport.arena.truth import Action, Side

HALL: Color = (186, 190, 200)
FLOOR: Color = (92, 112, 128)
METAL: Color = (150, 160, 172)
STEEL: Color = (226, 232, 238)
MESH: Color = (52, 56, 66)
GAUZE: Color = (120, 126, 138)
FAR_END = 30

# pose, hip (x, y), angle and length of the foil, blade of the opponent
KINDS: dict[str, tuple[Pose, Point, float, float, tuple[Point, Point] | None]] = {
    "lunge": (
        Pose(torso=204, near_arm=(272, 270), far_arm=(66, 110), near_leg=(286, 0), far_leg=(64, 66)),
        (124, 90),
        270,
        34,
        None,
    ),
    "fleche": (
        Pose(torso=240, head=250, near_arm=(262, 266), far_arm=(100, 84), near_leg=(52, 74), far_leg=(300, 20)),
        (128, 74),
        262,
        32,
        None,
    ),
    "parry": (
        Pose(torso=176, near_arm=(320, 235), far_arm=(110, 190), near_leg=(308, 348), far_leg=(52, 12)),
        (126, 80),
        190,
        46,
        ((0, 60), (116, 50)),
    ),
    "duck": (
        Pose(torso=246, head=268, near_arm=(228, 226), far_arm=(-16, 4), near_leg=(256, 12), far_leg=(64, 70)),
        (128, 100),
        228,
        28,
        ((0, 56), (132, 62)),
    ),
    "counter": (
        Pose(torso=146, near_arm=(214, 262), far_arm=(60, 110), near_leg=(276, 318), far_leg=(30, -8)),
        (120, 80),
        306,
        40,
        None,
    ),
}

GUARD = (
    Pose(torso=190, near_arm=(300, 262), far_arm=(110, 190), near_leg=(310, 345), far_leg=(50, 12)),
    Pose(torso=194, near_arm=(284, 266), far_arm=(110, 170), near_leg=(300, 350), far_leg=(56, 30)),
    Pose(torso=204, near_arm=(272, 270), far_arm=(70, 110), near_leg=(286, 0), far_leg=(62, 62)),
    Pose(torso=194, near_arm=(284, 266), far_arm=(110, 170), near_leg=(300, 350), far_leg=(56, 30)),
)
REFEREE = (
    Pose(near_arm=(14, 6), far_arm=(-14, -6)),
    Pose(near_arm=(60, 150), far_arm=(-14, -6)),
    Pose(near_arm=(14, 6), far_arm=(-60, -150)),
)

RED, GREEN = (240, 20, 30), (20, 220, 80)
LAMPS = {"red lamp": (True, False, False), "green lamp": (False, True, False), "white lamp": (False, False, True)}
"""Whether red, green and white are lit."""

# feet (x) and knees (x), left and right
STANCES = {"feet apart": (10, 44, 18, 36), "feet together": (22, 34, 22, 33), "feet crossed": (43, 13, 12, 42)}


def backdrop(rng: random.Random) -> Image.Image:
    """A hall with one lit piste, and the box of lamps behind it."""
    canvas = Canvas((WIDTH, HEIGHT), jitter(HALL, rng, 8), margin=PAN)
    draw_crowd(canvas, rng, FAR_END)
    _hall(canvas, FAR_END, 68, jitter(FLOOR, rng, 8))
    canvas.polygon(((10, 82), (214, 82), (234, 114), (-10, 114)), METAL)
    canvas.polygon(((-10, 114), (234, 114), (234, 119), (-10, 119)), mix(METAL, INK, 0.5))
    for near, far in ((112, 112), (80, 86), (144, 138), (24, 38), (200, 186)):
        canvas.line(((near, 114), (far, 82)), 1.6, LINE)
    _emblem(canvas, (178, 50))
    canvas.rectangle(98, 58, 28, 16, (236, 236, 232), outline=1)
    canvas.rectangle(102, 46, 20, 12, INK)
    for x, lamp in ((104, RED), (113, GREEN)):
        canvas.rectangle(x, 48, 7, 5, mix(lamp, INK, 0.6))
    return canvas.finish()


def cast(rng: random.Random, side: Side) -> list[Extra]:
    """Two fencers foot to foot, and the referee beside the piste."""
    begin, end = (56, 164) if side == "left" else (164, 56)
    left, right = pick_kits(rng, 2)
    black = Kit(shirt=(44, 46, 60), shorts=INK, socks=INK, skin=left.skin, hair=left.hair)
    extras = [Extra(sprites(black, 32, REFEREE), wander(rng, (begin + 8, 80), (end + 8, 80), (6, 1)), pace=7)]
    for kit, gap, mirrored in ((left, -27, True), (right, 27, False)):
        path = wander(rng, (begin + gap, 110), (end + gap, 110), (9, 1), speed=0.24)
        extras.append(Extra(_fencers(kit, mirrored), path, pace=rng.randint(2, 4)))
    return extras


def closeup(canvas: Canvas, action: Action, rng: random.Random, progress: float) -> None:
    """The fencer on the piste; the opponent is out of the picture, but for the blade."""
    canvas.rectangle(0, 0, WIDTH, HEIGHT, jitter(HALL, rng, 6))
    draw_crowd(canvas, rng, 24)
    _hall(canvas, 24, 88, jitter(FLOOR, rng, 8))
    canvas.polygon(((-4, 100), (228, 100), (228, 122), (-4, 122)), METAL)
    canvas.rectangle(0, 122, WIDTH, 4, mix(METAL, INK, 0.5))
    for x in (66, 150):
        canvas.line(((x - 6 * progress, 100), (x - 5 - 6 * progress, 122)), 2.4, LINE)
    pose, hip, angle, length, blade = KINDS[action.kind]
    dx, _ = sway(rng, progress)
    draw_shadow(canvas, (hip[0] + dx, 118), 34, mix(METAL, INK, 0.4))
    if blade:
        _foil(canvas, blade[0], (blade[1][0] + dx, blade[1][1]))
    color = jitter(SHIRTS[action.actor], rng, 5)
    kit = Kit(shirt=color, shorts=mix(color, INK, 0.12), socks=color, skin=color, hair=MESH)
    body = _fencer(canvas, pose, (hip[0] + dx, hip[1]), 82, kit)
    _foil(canvas, body.near_hand, polar(body.near_hand, angle, length))
    canvas.disc(body.near_hand, 6.5, STEEL, outline=1.6)
    if action.kind == "parry":
        _spark(canvas, (96 + dx, 52))


def signal(canvas: Canvas, cue: str, rng: random.Random) -> None:
    """The box and its lamps."""
    red, green, white = LAMPS.get(cue, (True, True, False))
    dark = jitter((40, 42, 50), rng, 3)
    canvas.rectangle(192, 84, 10, 42, INK)
    canvas.rectangle(171, 10, 51, 78, (22, 24, 30), outline=1.6)
    canvas.rectangle(174, 14, 21, 42, RED if red else mix(RED, dark, 0.8), outline=1.6)
    canvas.rectangle(198, 14, 21, 42, GREEN if green else mix(GREEN, dark, 0.8), outline=1.6)
    canvas.rectangle(174, 60, 45, 24, (255, 255, 255) if white else mix(LINE, dark, 0.8), outline=1.6)


def replay(canvas: Canvas, sight: str) -> None:
    """The feet on the piste after the action."""
    canvas.rectangle(0, 0, 54, 55, (70, 96, 120))
    canvas.rectangle(0, 40, 54, 15, METAL)
    left, right, left_knee, right_knee = STANCES[sight]
    for knee, foot in ((right_knee, right), (left_knee, left)):
        draw_bar(canvas, (knee, -2), (foot, 38), 8, (236, 236, 232))
        draw_bar(canvas, (foot, 43), (foot - 7, 43), 7, (60, 64, 80))


def _fencer(canvas: Canvas, pose: Pose, hip: Point, height: float, kit: Kit, outline: float = 1.6) -> Body:
    """A person behind a mask."""
    body = draw_figure(canvas, pose, hip, height, kit, outline)
    radius = (HEAD + 0.012) * height
    canvas.disc(body.head, radius, MESH, outline)
    x, y, reach = *body.head, 0.75 * radius
    for step in (-0.5 * radius, 0.0, 0.5 * radius):
        canvas.line(((x + step, y - reach), (x + step, y + reach)), 0.6, GAUZE)
        canvas.line(((x - reach, y + step), (x + reach, y + step)), 0.6, GAUZE)
    return body


def _foil(canvas: Canvas, hand: Point, tip: Point) -> None:
    draw_bar(canvas, hand, tip, 1.8, STEEL)
    canvas.disc(tip, 2.8, INK)


def _spark(canvas: Canvas, center: Point) -> None:
    canvas.polygon([polar(center, 22.5 * ray, 4 if ray % 2 else 11) for ray in range(16)], (250, 150, 40), outline=1)


@lru_cache(maxsize=64)
def _fencers(kit: Kit, mirrored: bool) -> tuple[Image.Image, ...]:
    pictures: list[Image.Image] = []
    for pose in GUARD:
        canvas = Canvas((80, 46), (0, 0, 0, 0))
        whole = Kit(shirt=kit.shirt, shorts=kit.shirt, socks=kit.shirt, skin=kit.shirt, hair=MESH)
        body = _fencer(canvas, pose, (42, 24), 44, whole, outline=0.8)
        canvas.line((body.near_hand, polar(body.near_hand, 264, 20)), 1.6, INK)
        canvas.disc(body.near_hand, 2.8, STEEL, outline=0.7)
        picture = canvas.finish()
        pictures.append(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else picture)
    return tuple(pictures)


def _emblem(canvas: Canvas, center: Point) -> None:
    """Two crossed foils on a shield."""
    x, y = center
    canvas.polygon(((x - 13, y - 14), (x + 13, y - 14), (x + 13, y + 3), (x, y + 15), (x - 13, y + 3)), (40, 52, 84), outline=1)
    for side in (-1, 1):
        canvas.line(((x + 7 * side, y + 5), (x - 8 * side, y - 11)), 1.6, STEEL)
        canvas.disc((x + 5 * side, y + 2.5), 2.4, (206, 168, 80))


def _hall(canvas: Canvas, top: float, bottom: float, floor: Color) -> None:
    canvas.rectangle(-PAN, top, WIDTH + 2 * PAN, 4, (120, 124, 134))
    for x in range(-PAN, WIDTH + PAN, 34):
        canvas.line(((x, top + 4), (x, bottom)), 1.2, mix(HALL, INK, 0.2))
    canvas.rectangle(-PAN, bottom, WIDTH + 2 * PAN, HEIGHT + PAN - bottom, floor)
    canvas.rectangle(-PAN, bottom - 3, WIDTH + 2 * PAN, 3, mix(floor, INK, 0.3))


FENCING = Sport(
    name="fencing",
    kinds=tuple(KINDS),
    rulings={"touch left": ("red lamp",), "touch right": ("green lamp",), "no touch": ("white lamp", "both lamps")},
    forms=(
        Form("feet apart", 9, "nothing"),
        Form("feet together", 7, "widen the stance"),
        Form("feet crossed", 5, "take small steps"),
    ),
    moment="exchange",
    kind_question="Which action does the fencer use?",
    actor_question="Which colour does the fencer wear?",
    ruling_question="How is the exchange decided?",
    form_question="How good is the footwork?",
    backdrop=backdrop,
    cast=cast,
    closeup=closeup,
    signal=signal,
    replay=replay,
)
