"""The frame tool: which frames a requested window brings, or why it is refused.

Pure. A refusal is an observation that names the valid range, so that the policy can mend its call; a window partly outside the
video is refused, not clamped, because a clamped window would teach that wrong indices work.
"""

from dataclasses import dataclass

from deepsport.video.sample import window


@dataclass(frozen=True, slots=True)
class Refused:
    """A call that brings no frames, and what the policy is told."""

    reason: str


def choose_frames(start_index: int, end_index: int, *, n_frames: int, k: int) -> tuple[int, ...] | Refused:
    """At most `k` frame indices spread evenly over [start_index, end_index], both ends included, each once."""
    valid = f"Valid frames are 0 to {n_frames - 1}."
    if start_index > end_index:
        return Refused(f"Refused: the window starts at {start_index}, after its end {end_index}. {valid}")
    if start_index < 0 or end_index >= n_frames:
        return Refused(f"Refused: frames {start_index} to {end_index} are not all in the video. {valid}")
    return window(start_index, end_index, k)
