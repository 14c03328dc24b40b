"""An episode as verl trains on it: a prompt, a response, and a mask that is 1 where the policy spoke.

The record ends with the policy's last word: what was told after it (the frames of a call, when there was no room left for a
reply) is cut off together with its images, so that images and placeholders agree. An episode that teaches nothing is masked
throughout: one that was lost to a fault is nobody's answer, and one that no rule can score is not wrong. It still counts, with
reward 0, in the mean of its group, because verl's group is as large as it was asked for.
"""

from dataclasses import dataclass

from deepsport.records import Episode, Reward, TokenRecord
from deepsport.reward.gated import FAULTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """R tokens of response."""

    prompt_ids: list[int]
    response_ids: list[int]
    """[R]; never empty, since verl puts the reward on the last one."""
    response_mask: list[int]
    """[R]: 1 the policy's own tokens, 0 results of calls."""
    logprobs: list[float]
    """[R]: of the engine; 0 where the policy did not speak."""
    n_images: int
    """Those that stand in prompt and response: the first of the episode."""


def trajectory(tokens: TokenRecord | None, *, teaches: bool, room: int, end: int) -> Trajectory:
    """`room`: longest prompt of an episode without a reply; `end`: the token that stands for nothing said."""
    ids = tokens.ids if tokens else ()
    spoken = [place for place, sampled in enumerate(tokens.sampled if tokens else ()) if sampled]
    if tokens is None or not spoken:
        return _silent(tokens if len(ids) <= room else None, end)
    first, last = spoken[0], spoken[-1] + 1
    return Trajectory(
        prompt_ids=list(ids[:first]),
        response_ids=list(ids[first:last]),
        response_mask=[int(teaches and sampled) for sampled in tokens.sampled[first:last]],
        logprobs=list(tokens.logprobs[first:last]),
        n_images=sum(slot.offset < last for slot in tokens.images),
    )


def _silent(tokens: TokenRecord | None, end: int) -> Trajectory:
    """An episode in which the policy said nothing: its opening, if there was one, and a single masked token."""
    return Trajectory(
        prompt_ids=list(tokens.ids) if tokens and tokens.ids else [end],
        response_ids=[end],
        response_mask=[0],
        logprobs=[0.0],
        n_images=len(tokens.images) if tokens else 0,
    )


def is_scored(reward: Reward) -> bool:
    """Whether the episode teaches: somebody could say how right it was."""
    return reward.accuracy is not None


def parts(reward: Reward, episode: Episode) -> dict[str, float | str]:
    """The reward in parts, under names and types that are the same for every episode: verl makes columns of them."""
    return {
        "score": reward.total if is_scored(reward) else 0.0,
        "accuracy": reward.accuracy or 0.0,
        "tool": reward.tool if is_scored(reward) else 0.0,
        "format": reward.format_penalty,
        "temporal": reward.temporal,
        "scored": float(is_scored(reward)),
        "lost": float(episode.stop in FAULTS),
        "calls": float(len(episode.calls)),
        "frames": float(len(episode.frames_seen)),
        "stop": str(episode.stop),
    }
