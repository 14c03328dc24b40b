"""Diving: the shape of a body in the air, and the flag of the referee. The board counts the rounds."""

import random

from PIL import Image

from deepsport.arena.canvas import HEIGHT, LINE, WIDTH, Canvas, Color, jitter, mix
from deepsport.arena.figure import Kit, Pose, draw_figure
from deepsport.arena.props import SHIRTS, draw_bar, draw_crowd, draw_official, sway
from deepsport.arena.scene import HAIRS, PAN, SKINS, Extra, Path, pick_kits, sprites, wander
from deepsport.arena.sport import Form, Sport
from deepsport.arena.truth import Action, Side

WATER: Color = (38, 140, 190)
WALL: Color = (120, 180, 184)
SURFACE = 94
"""Where the water begins, in pixels from the top."""

# pose, hip (x, y)
KINDS = {
    "armstand": (
        Pose(torso=0, head=0, near_arm=(8, 2), far_arm=(-8, -2), near_leg=(160, 110), far_leg=(180, 200)),
        (112, 50),
    ),
    "tuck": (
        Pose(torso=150, head=190, near_arm=(300, 350), far_arm=(290, 340), near_leg=(222, 338), far_leg=(214, 332)),
        (110, 74),
    ),
    "pike": (Pose(torso=318, near_arm=(20, 40), far_arm=(10, 30), near_leg=(34, 34), far_leg=(28, 28)), (112, 34)),
    "straight": (Pose(torso=0, near_arm=(22, 4), far_arm=(-22, -4), near_leg=(182, 181), far_leg=(178, 179)), (112, 56)),
    "twist": (Pose(torso=272, near_arm=(30, 250), far_arm=(150, 290), near_leg=(92, 90), far_leg=(88, 90)), (118, 62)),
}

WARM_UP = (
    Pose(near_arm=(10, 6), far_arm=(-10, -6)),
    Pose(near_arm=(40, 60), far_arm=(-40, -60)),
    Pose(near_arm=(80, 150), far_arm=(-80, -150)),
)

FLAGS: dict[str, Color] = {"white flag": (250, 250, 250), "yellow flag": (255, 222, 0), "red flag": (228, 20, 30)}


def backdrop(rng: random.Random) -> Image.Image:
    """A pool between two towers."""
    canvas = Canvas((WIDTH, HEIGHT), jitter(WALL, rng, 8), margin=PAN)
    draw_crowd(canvas, rng, 22)
    for x in range(-8, WIDTH + 8, 14):
        canvas.line(((x, 22), (x, SURFACE)), 0.6, mix(WALL, LINE, 0.4))
    water = jitter(WATER, rng, 8)
    canvas.rectangle(-PAN, SURFACE, WIDTH + 2 * PAN, HEIGHT, water)
    canvas.rectangle(-PAN, SURFACE - 4, WIDTH + 2 * PAN, 4, (226, 230, 226))
    for y in range(SURFACE + 9, HEIGHT + PAN, 11):
        for x in range(-PAN, WIDTH + PAN, 12):
            canvas.rectangle(x, y, 6, 2, (220, 120, 60) if (x + PAN) // 12 % 2 else LINE)
    tower = jitter((150, 146, 150), rng, 10)
    for foot, tip, platform in ((-6, 62, 80), (WIDTH - 14, WIDTH - 62, 80)):
        canvas.rectangle(foot, platform - 16, 20, SURFACE - platform + 16, tower, outline=1)
        canvas.rectangle(min(foot, tip), platform, abs(tip - foot) + 4, 5, mix(tower, LINE, 0.6), outline=1)
    return canvas.finish()


def cast(rng: random.Random, side: Side) -> list[Extra]:
    """The next diver waits on a tower; swimmers cool down in the pool."""
    begin, end = (54, WIDTH - 54) if side == "left" else (WIDTH - 54, 54)
    (robe,) = pick_kits(rng, 1)
    extras = [Extra(sprites(robe, 34, WARM_UP), wander(rng, (begin, 83), (end, 83), (4, 0.4)), pace=7)]
    for _ in range(5):
        x, y = rng.uniform(20, 204), rng.uniform(SURFACE + 14, 124)
        extras.append(Extra(_swimmer(rng.choice(SKINS)), wander(rng, (x, y), (x, y), (24, 2), speed=0.08), pace=5))
    foam = Path((begin, 112), (begin + (30 if begin < 112 else -30), 112), (0, 1), (0, 0.2), (0, 0))
    extras.append(Extra(_rings(), foam, pace=4, shown="after"))
    return extras


def closeup(canvas: Canvas, action: Action, rng: random.Random, progress: float) -> None:
    """The diver in the air."""
    wall = jitter(WALL, rng, 8)
    canvas.rectangle(0, 0, WIDTH, HEIGHT, wall)
    for x in range(0, WIDTH, 20):
        canvas.line(((x, 0), (x, 112)), 1, mix(wall, LINE, 0.4))
    for y in range(-10, 112, 20):
        canvas.line(((0, y + 8 * progress), (WIDTH, y + 8 * progress)), 1, mix(wall, LINE, 0.4))
    canvas.rectangle(0, 112, WIDTH, 14, jitter(WATER, rng, 8))
    canvas.rectangle(0, 110, WIDTH, 3, LINE)
    canvas.rectangle(0, 62, 48, 8, (226, 230, 226), outline=1.6)
    pose, hip = KINDS[action.kind]
    color, skin = jitter(SHIRTS[action.actor], rng, 5), rng.choice(SKINS)
    suit = Kit(shirt=color, shorts=color, socks=skin, skin=skin, hair=color, bare=True)
    dx, dy = sway(rng, progress)
    at = (hip[0] + dx, hip[1] + dy)
    draw_figure(canvas, pose, at, 84, suit)


def replay(canvas: Canvas, sight: str) -> None:
    """The water just after the dive."""
    canvas.rectangle(0, 0, 54, 55, (96, 120, 130))
    canvas.rectangle(0, 38, 54, 17, (30, 110, 170))
    height = {"no splash": 0, "small splash": 18, "big splash": 34}[sight]
    canvas.ellipse((27, 40), 12, 3, LINE)
    for x, share in ((27, 1.0), (17, 0.8), (37, 0.8), (8, 0.5), (46, 0.5)):
        if height:
            canvas.polygon(((x - 5, 40), (x + (x - 27) * 0.2, 40 - height * share), (x + 5, 40)), LINE)


def signal(canvas: Canvas, cue: str, rng: random.Random) -> None:
    """The referee and the flag."""
    flag = FLAGS[cue]
    hand = draw_official(canvas, Pose(near_arm=(160, 178), far_arm=(-20, -10)), (60, 66, 120), rng)
    draw_bar(canvas, (hand[0], hand[1] + 4), (hand[0], 10), 3, (90, 60, 40))
    canvas.polygon(((hand[0], 7), (hand[0] - 36, 9), (hand[0] - 36, 33), (hand[0], 35)), flag, outline=1.6)


def _swimmer(skin: Color) -> tuple[Image.Image, ...]:
    pictures: list[Image.Image] = []
    for reach in (0, 3):
        canvas = Canvas((18, 12), (0, 0, 0, 0))
        canvas.ellipse((9, 10), 8, 2, LINE)
        canvas.limb(((5, 9), (2 + reach, 4)), 2, skin)
        canvas.disc((9, 7), 3.4, HAIRS[0], outline=0.6)
        pictures.append(canvas.finish())
    return tuple(pictures)


def _rings() -> tuple[Image.Image, ...]:
    pictures: list[Image.Image] = []
    for grown in range(4):
        canvas = Canvas((48, 16), (0, 0, 0, 0))
        for radius in (5 + 4 * grown, 1 + 2 * grown):
            canvas.arc((24, 8), radius + 3, (radius + 3) / 3, (0, 360), 1.4, LINE)
        pictures.append(canvas.finish())
    return tuple(pictures)


DIVING = Sport(
    name="diving",
    kinds=tuple(KINDS),
    rulings={"valid": ("white flag",), "deduction": ("yellow flag",), "failed": ("red flag",)},
    forms=(
        Form("no splash", 9, "nothing"),
        Form("small splash", 7, "point the toes"),
        Form("big splash", 5, "enter upright"),
    ),
    most_turns=3,
    moment="dive",
    kind_question="Which position does the diver show?",
    actor_question="Which colour does the diver wear?",
    ruling_question="How does the referee rule the dive?",
    form_question="How clean is the entry?",
    state_word="round",
    n_digits=1,
    lowest=1,
    backdrop=backdrop,
    cast=cast,
    closeup=closeup,
    signal=signal,
    replay=replay,
)
