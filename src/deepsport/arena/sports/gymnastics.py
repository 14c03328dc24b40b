"""Gymnastics: an element on the beam, and the paddle of the judge. The board counts the rounds."""

import random
from functools import lru_cache

from PIL import Image

from deepsport.arena.canvas import HEIGHT, INK, LINE, WIDTH, Canvas, Color, jitter, mix
from deepsport.arena.figure import Kit, Pose, draw_figure
from deepsport.arena.props import SHIRTS, draw_bar, draw_crowd, draw_official, sway
from deepsport.arena.scene import HAIRS, PAN, SKINS, Extra, pick_kits, sprites, wander
from deepsport.arena.sport import Form, Sport
from deepsport.arena.truth import Action, Side

FLOOR: Color = (176, 138, 190)
CARPET: Color = (232, 190, 168)
MAT: Color = (60, 132, 140)
BEAM: Color = (224, 184, 130)
STEEL: Color = (150, 152, 162)
FAR_END = 34
BEAM_TOP = 113
"""Upper edge of the beam in a closeup, in pixels from the top."""

# pose, hip (x, y)
KINDS = {
    "handstand": (
        Pose(torso=0, near_arm=(6, 2), far_arm=(-10, -2), near_leg=(182, 181), far_leg=(176, 178)),
        (112, 67),
    ),
    "split leap": (
        Pose(near_arm=(132, 140), far_arm=(228, 220), near_leg=(272, 266), far_leg=(88, 94)),
        (112, 74),
    ),
    "tuck": (
        Pose(torso=148, head=200, near_arm=(300, 350), far_arm=(290, 340), near_leg=(218, 338), far_leg=(210, 332)),
        (108, 72),
    ),
    "straddle": (
        Pose(torso=180, near_arm=(30, 8), far_arm=(-30, -8), near_leg=(122, 128), far_leg=(238, 232)),
        (112, 103),
    ),
    "layout": (
        Pose(torso=296, head=312, near_arm=(60, 96), far_arm=(170, 136), near_leg=(116, 128), far_leg=(110, 122)),
        (112, 58),
    ),
}

STRETCH = (
    Pose(near_arm=(150, 176), far_arm=(210, 184)),
    Pose(near_arm=(120, 110), far_arm=(240, 250), near_leg=(30, 20), far_leg=(-30, -20)),
    Pose(torso=150, near_arm=(70, 60), far_arm=(80, 60)),
)

LANDINGS = {
    "stuck": (Pose(near_arm=(142, 150), far_arm=(218, 210), near_leg=(10, 4), far_leg=(-10, -4)), (27, 28)),
    "one step": (Pose(torso=170, near_arm=(100, 80), far_arm=(250, 280), near_leg=(285, 345), far_leg=(42, 48)), (29, 29)),
    "hands down": (Pose(torso=284, near_arm=(-4, 0), far_arm=(-30, -12), near_leg=(280, 30), far_leg=(285, 40)), (40, 34)),
}

PADDLES: dict[str, Color] = {"green tick": (30, 160, 80), "orange minus": (240, 130, 20), "red cross": (214, 26, 40)}


def backdrop(rng: random.Random) -> Image.Image:
    """A hall with the uneven bars, the beam and the rings around the floor."""
    canvas = Canvas((WIDTH, HEIGHT), jitter(FLOOR, rng, 8), margin=PAN)
    draw_crowd(canvas, rng, FAR_END - 6)
    canvas.rectangle(-PAN, FAR_END - 6, WIDTH + 2 * PAN, 7, jitter((70, 60, 120), rng, 20))
    carpet = jitter(CARPET, rng, 8)
    canvas.polygon(((46, 70), (178, 70), (216, 124), (8, 124)), mix(carpet, LINE, 0.7))
    canvas.polygon(((49, 73), (175, 73), (209, 121), (15, 121)), carpet)
    canvas.rectangle(2, 74, 64, 8, MAT)
    canvas.rectangle(80, 64, 64, 7, MAT)
    canvas.rectangle(164, 66, 52, 8, MAT)
    _posts(canvas, (8, 52), 76, 38)
    _posts(canvas, (22, 64), 80, 40)
    _posts(canvas, (172, 10), 72, 36)
    for x in (184, 196):
        canvas.line(((x, 10), (x, 40)), 0.8, INK)
        canvas.arc((x, 43), 3.6, 3.6, (0, 360), 1.6, (196, 120, 40))
    for x in (88, 136):
        canvas.line(((x, 54), (x - 4, 69)), 1.8, STEEL)
        canvas.line(((x, 54), (x + 4, 69)), 1.8, STEEL)
    canvas.rectangle(78, 50, 68, 5, BEAM, outline=1)
    return canvas.finish()


def cast(rng: random.Random, side: Side) -> list[Extra]:
    """Gymnasts in the leotards of their clubs: some turn cartwheels over the floor, some stretch beside it."""
    begin, end = (62, 162) if side == "left" else (162, 62)
    extras: list[Extra] = []
    for number, club in enumerate(pick_kits(rng, 4)):
        leotard = Kit(shirt=club.shirt, shorts=club.shirt, socks=club.skin, skin=club.skin, hair=club.hair, bare=True)
        offset, y = rng.uniform(-6, 6) + (-22, 14, -34, 38)[number], (92, 119, 114, 102)[number] + rng.uniform(-3, 3)
        rolling = number < 2
        path = wander(rng, (begin + offset, y), (end + offset, y), (24, 2) if rolling else (5, 2), speed=0.12)
        extras.append(Extra(_cartwheel(leotard) if rolling else sprites(leotard, 32, STRETCH), path, pace=3 if rolling else 6))
    return extras


def closeup(canvas: Canvas, action: Action, rng: random.Random, progress: float) -> None:
    """The gymnast on or over the beam."""
    canvas.rectangle(0, 0, WIDTH, HEIGHT, jitter(FLOOR, rng, 8))
    draw_crowd(canvas, rng, 38)
    canvas.rectangle(0, 38, WIDTH, 12, jitter((70, 60, 120), rng, 20))
    for x, top in ((60, 62), (84, 78)):
        canvas.line(((x, 106), (x, top), (x + 60, top), (x + 60, 106)), 2, mix(FLOOR, INK, 0.2))
        canvas.line(((x, top), (x + 60, top)), 3, mix(FLOOR, BEAM, 0.7))
    canvas.rectangle(0, 107, WIDTH, 22, MAT)
    canvas.rectangle(0, 106, WIDTH, 2, mix(MAT, INK, 0.4))
    for x in (72, 152):
        draw_bar(canvas, (x, BEAM_TOP + 6), (x - 8, HEIGHT), 3, STEEL)
        draw_bar(canvas, (x, BEAM_TOP + 6), (x + 8, HEIGHT), 3, STEEL)
    canvas.rectangle(-4, BEAM_TOP, 172, 10, BEAM, outline=1.6)
    canvas.line(((-4, BEAM_TOP + 3), (166, BEAM_TOP + 3)), 1.6, mix(BEAM, LINE, 0.5))
    pose, hip = KINDS[action.kind]
    color, skin = jitter(SHIRTS[action.actor], rng, 5), rng.choice(SKINS)
    leotard = Kit(shirt=color, shorts=color, socks=color, skin=skin, hair=rng.choice(HAIRS), bare=True)
    dx, _ = sway(rng, progress)
    draw_figure(canvas, pose, (hip[0] + dx, hip[1]), 77, leotard)


def signal(canvas: Canvas, cue: str, rng: random.Random) -> None:
    """The judge at the desk, and the paddle."""
    draw_official(canvas, Pose(near_arm=(30, -10), far_arm=(218, 172)), (46, 50, 70), rng)
    canvas.rectangle(170, 102, 60, 30, (236, 232, 226), outline=1.6)
    draw_bar(canvas, (190, 50), (192, 40), 4, (120, 84, 50))
    x, y = 196, 25
    canvas.disc((x, y), 21, PADDLES[cue], outline=1.8)
    if cue == "green tick":
        canvas.limb(((x - 11, y), (x - 3, y + 9), (x + 11, y - 9)), 5.5, LINE)
    elif cue == "orange minus":
        canvas.limb(((x - 12, y), (x + 12, y)), 6.5, LINE)
    else:
        canvas.limb(((x - 9, y - 9), (x + 9, y + 9)), 5.5, LINE)
        canvas.limb(((x - 9, y + 9), (x + 9, y - 9)), 5.5, LINE)


def replay(canvas: Canvas, sight: str) -> None:
    """The gymnast on the mat: up, a foot astray, or down."""
    canvas.rectangle(0, 0, 54, 55, (246, 226, 236))
    canvas.rectangle(0, 46, 54, 9, MAT)
    pose, hip = LANDINGS[sight]
    grey = (92, 92, 104)
    draw_figure(canvas, pose, hip, 45, Kit(shirt=grey, shorts=grey, socks=grey, skin=SKINS[1], hair=INK, bare=True))


@lru_cache(maxsize=64)
def _cartwheel(kit: Kit) -> tuple[Image.Image, ...]:
    pictures: list[Image.Image] = []
    for turn in range(0, 360, 45):
        canvas = Canvas((42, 38), (0, 0, 0, 0))
        near, far = (145 + turn, 145 + turn), (215 + turn, 215 + turn)
        pose = Pose(torso=180 + turn, near_arm=near, far_arm=far, near_leg=(30 + turn, 30 + turn), far_leg=(turn - 30, turn - 30))
        draw_figure(canvas, pose, (21, 20), 32, kit, outline=0.7)
        pictures.append(canvas.finish())
    return tuple(pictures)


def _posts(canvas: Canvas, corner: tuple[float, float], foot: float, width: float) -> None:
    (left, top), right = corner, corner[0] + width
    canvas.line(((left, foot), (left, top), (right, top), (right, foot)), 2.2, mix(STEEL, INK, 0.4))
    canvas.line(((left, top), (right, top)), 3, BEAM)


GYMNASTICS = Sport(
    name="gymnastics",
    kinds=tuple(KINDS),
    rulings={"valid": ("green tick",), "deduction": ("orange minus",), "failed": ("red cross",)},
    forms=(
        Form("stuck", 9, "nothing"),
        Form("one step", 7, "bend the knees"),
        Form("hands down", 5, "lift the chest"),
    ),
    most_turns=3,
    moment="element",
    kind_question="Which element does the gymnast show?",
    actor_question="Which colour does the gymnast wear?",
    ruling_question="How does the judge rule the element?",
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
