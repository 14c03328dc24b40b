"""What one step of RL looked like: the numbers of a log line."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from deepsport.records import Episode, Reward, StopReason


@dataclass(frozen=True, slots=True)
class Group:
    """The scored episodes of one question."""

    episodes: list[Episode]
    rewards: list[Reward]

    @property
    def teaches(self) -> bool:
        """Whether some answers were better than others."""
        return _differ([reward.accuracy or 0.0 for reward in self.rewards])

    @property
    def differs(self) -> bool:
        """Whether total rewards differ."""
        return _differ([reward.total for reward in self.rewards])


class Clock:
    """The seconds of a step, phase by phase."""

    def __init__(self) -> None:
        """Starts."""
        self.seconds: dict[str, float] = {"seconds": 0.0}
        self._since = time.monotonic()

    def lap(self, phase: str) -> None:
        """A phase has ended."""
        now = time.monotonic()
        self.seconds[f"seconds_{phase}"] = now - self._since
        self.seconds["seconds"] += now - self._since
        self._since = now


def describe_groups(groups: Sequence[Group]) -> dict[str, float]:
    """Means over all episodes of a step: reward parts, tool calls, valid actions, stop reasons, lengths; kinds of groups."""
    episodes = [episode for group in groups for episode in group.episodes]
    rewards = [reward for group in groups for reward in group.rewards]
    if not episodes:
        return {"reward": 0.0, "accuracy": 0.0, "tool_calls": 0.0, "episodes": 0.0, "groups_flat": 1.0, "groups_phantom": 0.0}
    turns = [turn for episode in episodes for turn in episode.turns]
    hits = [hit for hit in map(_hit, episodes) if hit is not None]
    return {
        "reward": fmean(reward.total for reward in rewards),
        "accuracy": fmean(reward.accuracy or 0.0 for reward in rewards),
        "tool": fmean(reward.tool for reward in rewards),
        "format_penalty": fmean(reward.format_penalty for reward in rewards),
        "valid_action_rate": fmean(turn.answer is not None or bool(turn.frames) for turn in turns) if turns else 0.0,
        "tool_calls": fmean(len(episode.calls) for episode in episodes),
        **({"hit": fmean(hits)} if hits else {}),
        "tokens": float(sum(len(episode.tokens.ids) for episode in episodes if episode.tokens)),
        "reply_tokens": fmean(episode.usage.reply_tokens for episode in episodes),
        "episodes": float(len(episodes)),
        **{f"stop_{reason}": fmean(episode.stop is reason for episode in episodes) for reason in StopReason},
        "groups_flat": fmean(not group.teaches for group in groups),
        "groups_phantom": fmean(not group.teaches and group.differs for group in groups),
    }


def _hit(episode: Episode) -> bool | None:
    """Whether a requested window touched the gold window; None where there is none."""
    gold = episode.question.window
    if gold is None:
        return None
    return any(call.window is not None and call.window.overlaps(gold) for call in episode.calls)


def _differ(values: Sequence[float]) -> bool:
    """Whether the episodes of a group differ; where none could be scored, none does."""
    return bool(values) and max(values) - min(values) > 1e-6
