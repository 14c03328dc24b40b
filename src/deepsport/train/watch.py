"""What one batch of rollouts looked like: the numbers of a log line. Pure."""

from collections.abc import Sequence
from statistics import fmean

from deepsport.records import Episode, Reward, StopReason


def describe_step(groups: Sequence[tuple[Sequence[Episode], Sequence[Reward]]]) -> dict[str, float]:
    """Means over all episodes of a step: reward parts, tool calls, valid actions, stop reasons, lengths."""
    episodes = [episode for group, _ in groups for episode in group]
    rewards = [reward for _, parts in groups for reward in parts]
    if not episodes:
        return {"reward": 0.0, "accuracy": 0.0, "tool_calls": 0.0, "episodes": 0.0}
    turns = [turn for episode in episodes for turn in episode.turns]
    stops = {f"stop_{reason}": fmean(episode.stop is reason for episode in episodes) for reason in StopReason}
    return {
        "reward": fmean(reward.total for reward in rewards),
        "accuracy": fmean(reward.accuracy or 0.0 for reward in rewards),
        "tool": fmean(reward.tool for reward in rewards),
        "format_penalty": fmean(reward.format_penalty for reward in rewards),
        "valid_action_rate": fmean(turn.answer is not None or bool(turn.frames) for turn in turns) if turns else 0.0,
        "tool_calls": fmean(len(episode.calls) for episode in episodes),
        "hit": fmean(hits for hits in map(_hit, episodes) if hits is not None)
        if any(e.question.window for e in episodes)
        else 0.0,
        "reply_tokens": fmean(episode.usage.reply_tokens for episode in episodes),
        "episodes": float(len(episodes)),
        **stops,
    }


def _hit(episode: Episode) -> bool | None:
    """Whether a requested window touched the gold window; None where there is none."""
    gold = episode.question.window
    if gold is None:
        return None
    return any(call.window is not None and call.window.overlaps(gold) for call in episode.calls)
