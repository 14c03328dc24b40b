"""A jointed person: a pose in angles, a kit in colours, drawn with an ink outline so that it reads on any field.

Angles are those of `canvas.polar`: 0 is down, 90 right, 180 up, 270 left. Lengths are shares of the standing height.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from deepsport.arena.canvas import INK, Canvas, Color, Point, mix, polar

HEAD, NECK, TORSO, ARM, THIGH, SHIN = 0.095, 0.125, 0.31, 0.17, 0.23, 0.25

Bend = tuple[float, float]
"""Angles of the upper and the lower half of a limb."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """How a body is held; near limbs are drawn over the torso, far ones under it."""

    torso: float = 180
    near_arm: Bend = (30, 30)
    far_arm: Bend = (-30, -30)
    near_leg: Bend = (12, 4)
    far_leg: Bend = (-12, -4)
    head: float | None = None
    """Direction from the neck to the head; None follows the torso."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """What a person wears and looks like."""

    shirt: Color
    shorts: Color
    socks: Color
    skin: Color
    hair: Color
    bare: bool = False
    """Bare arms and feet."""


@dataclass(frozen=True, slots=True)
class Body:
    """Where the ends of a drawn person are, for props to be put there."""

    head: Point
    near_hand: Point
    far_hand: Point
    near_foot: Point
    far_foot: Point


def team_kit(color: Color, skin: Color, hair: Color) -> Kit:
    """All in one colour, shorts a shade darker."""
    return Kit(shirt=color, shorts=mix(color, INK, 0.18), socks=color, skin=skin, hair=hair)


def draw_figure(canvas: Canvas, pose: Pose, hip: Point, height: float, kit: Kit, outline: float = 1.6) -> Body:
    """Draws a person whose hip is at `hip`; `height` is the standing height in pixels."""
    neck = polar(hip, pose.torso, TORSO * height)
    head = polar(neck, pose.torso if pose.head is None else pose.head, NECK * height)
    legs = [_limb(hip, bend, THIGH * height, SHIN * height) for bend in (pose.far_leg, pose.near_leg)]
    shoulder = polar(neck, pose.torso + 180, 0.04 * height)
    arms = [_limb(shoulder, bend, ARM * height, ARM * height) for bend in (pose.far_arm, pose.near_arm)]
    if outline:
        _silhouette(canvas, height, (hip, neck), (*legs, *arms), head, outline)
    _leg(canvas, legs[0], height, kit)
    _arm(canvas, arms[0], height, kit)
    canvas.limb((hip, neck), 0.2 * height, kit.shirt)
    _leg(canvas, legs[1], height, kit)
    _face(canvas, head, neck, height, kit)
    _arm(canvas, arms[1], height, kit)
    return Body(head, near_hand=arms[1][2], far_hand=arms[0][2], near_foot=legs[1][2], far_foot=legs[0][2])


def _limb(root: Point, bend: Bend, upper: float, lower: float) -> tuple[Point, Point, Point]:
    joint = polar(root, bend[0], upper)
    return root, joint, polar(joint, bend[1], lower)


def _silhouette(
    canvas: Canvas, height: float, torso: Sequence[Point], limbs: Sequence[Sequence[Point]], head: Point, outline: float
) -> None:
    canvas.limb(torso, 0.2 * height + 2 * outline, INK)
    for limb in limbs:
        canvas.limb(limb, 0.1 * height + 2 * outline, INK)
    canvas.disc(head, HEAD * height + outline, INK)


def _leg(canvas: Canvas, leg: tuple[Point, Point, Point], height: float, kit: Kit) -> None:
    hip, knee, foot = leg
    canvas.limb((knee, foot), 0.1 * height, kit.socks)
    canvas.limb((hip, knee), 0.12 * height, kit.shorts)
    canvas.disc(foot, 0.06 * height, kit.skin if kit.bare else INK)


def _arm(canvas: Canvas, arm: tuple[Point, Point, Point], height: float, kit: Kit) -> None:
    shoulder, elbow, hand = arm
    canvas.limb((elbow, hand), 0.08 * height, kit.skin)
    canvas.limb((shoulder, elbow), 0.09 * height, kit.skin if kit.bare else kit.shirt)


def _face(canvas: Canvas, head: Point, neck: Point, height: float, kit: Kit) -> None:
    canvas.disc(head, HEAD * height, kit.hair)
    chin = (head[0] + (neck[0] - head[0]) * 0.25, head[1] + (neck[1] - head[1]) * 0.25)
    canvas.disc(chin, 0.075 * height, kit.skin)
