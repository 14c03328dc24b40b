"""Gated reward of one episode.

    R = g_fmt * (R_acc + R_tool) + P_format

The format gate is hard: an ill-formed turn, a repeated interval or a missing answer earns only the penalty. The tool gate pays
for a call that brought frames, and pays more when the answer was right than when the call merely explored. Faults of the policy's
server or of the video are nobody's answer: accuracy is None, the total 0, and callers leave them out of groups and means.
"""

from dataclasses import dataclass

from deepsport.records import Episode, Reward, StopReason
from deepsport.reward.accuracy import accuracy

FAULTS = frozenset({StopReason.POLICY_ERROR, StopReason.VIDEO_ERROR})
"""Stop reasons that are not the model's doing; such an episode is run again, never scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedReward:
    """The constants of the reward, and `score`. The defaults are the paper's."""

    format_penalty: float = -0.05
    """The whole reward when the format gate is shut."""
    accuracy_floor: float = 0.5
    """Accuracy in [0, 1] from which a tool call counts as successful."""
    tool_share: float = 0.5
    """Share of the accuracy paid again for a successful tool call."""
    exploration: float = 0.03
    """Paid for a tool call whose answer stayed below the accuracy floor."""

    def score(self, episode: Episode) -> Reward:
        """The parts of the reward and their total."""
        if episode.stop in FAULTS:
            return Reward(total=0.0, accuracy=None, tool=0.0, format_penalty=0.0, well_formed=False)
        right = answer_accuracy(episode)
        if episode.stop is not StopReason.ANSWERED or episode.answer is None:
            return Reward(
                total=self.format_penalty, accuracy=right, tool=0.0, format_penalty=self.format_penalty, well_formed=False
            )
        tool = self.tool_part(right, looked=any(turn.call and turn.frames for turn in episode.turns))
        return Reward(total=(right or 0.0) + tool, accuracy=right, tool=tool, format_penalty=0.0, well_formed=True)

    def tool_part(self, right: float | None, *, looked: bool) -> float:
        """What a look earns at an accuracy; nothing where the accuracy is unknown. A refused call is no look."""
        if not looked or right is None:
            return 0.0
        return self.tool_share * right if right >= self.accuracy_floor else self.exploration


def answer_accuracy(episode: Episode) -> float | None:
    """Accuracy of the final answer: 0 if there is none, None if nobody knows the right one or only a judge could say."""
    gold = episode.question.gold
    if gold is None:
        return None
    return accuracy(gold, episode.answer if episode.stop is StopReason.ANSWERED else None)
