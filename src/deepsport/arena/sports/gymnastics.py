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
BEAM_TOP = 110
"""Upper edge of the beam in a closeup, in pixels from the top."""

# pose, hip (x, y)
KINDS = {
    "handstand": (
        Pose(torso=0, near_arm=(6, 2), far_arm=(-10, -2), near_leg=(182, 181), far_leg=(176, 178)),
        (112, 62),
    ),
    "split leap": (
        Pose(near_arm=(132, 140), far_arm=(228, 220), near_leg=(272, 266), far_leg=(88, 94)),
        (112, 74),
    ),
    "tuck": (
        Pose(torso=148, head=200, near_arm=(300, 350), far_arm=(290, 340), near_leg=(218, 338), far_leg=(210, 332)),
        (108, 68),
    ),
    "straddle": (
        Pose(torso=180, near_arm=(16, 4), far_arm=(-16, -4), near_leg=(118, 124), far_leg=(242, 236)),
        (112, 92),
    ),
    "layout": (Pose(torso=296, head=312, near_arm=(104, 112), far_arm=(128, 120), near_leg=(116, 128), far_leg=(110, 122)), (112, 58)),
}

STRETCH = (
    Pose(near_arm=(150, 176), far_arm=(210, 184)),
    Pose(near_arm=(120, 110), far_arm=(240, 250), near_leg=(30, 20), far_leg=(-30, -20)),
    Pose(torso=150, near_arm=(70, 60), far_arm=(80, 60)),
)

PADDLES: dict[str, Color] = {"green tick": (30, 160, 80), "orange minus": (240, 130, 20), "red cross": (214, 26, 40)}
