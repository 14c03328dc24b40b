"""Gated reward of one episode.

    R = g_fmt * (R_acc + R_tool) + P_format        (+ w * R_iou, off by default)

The format gate is hard: an ill-formed turn, a repeated interval or a missing answer earns only the penalty. The tool gate pays
for a call that brought frames; the accuracy gate pays more when the answer was right than when the call merely explored. Each can
be left open, to measure what it is good for. R_iou is the second reward of the VideoLLM-RL kind: how well a window met the event.
Faults of the policy's server or of the video are nobody's answer: accuracy is None, the total 0, and callers leave them out of
groups and means.
"""

from deepsport.config import Config
from deepsport.records import Episode, Reward, StopReason
from deepsport.reward.accuracy import accuracy
from deepsport.reward.temporal import temporal_iou

FAULTS = frozenset({StopReason.POLICY_ERROR, StopReason.VIDEO_ERROR})
"""Stop reasons that are not the model's doing; such an episode is run again, never scored."""


class GatedReward(Config):
    """The constants of the reward, and `score`. The defaults are the paper's."""

    format_penalty: float = -0.05
    """The whole reward when the format gate is shut."""
    accuracy_floor: float = 0.5
    """Accuracy in [0, 1] from which a tool call counts as successful."""
    tool_share: float = 0.5
    """Share of the accuracy paid again for a successful tool call."""
    exploration: float = 0.03
    """Paid for a tool call whose answer stayed below the accuracy floor."""
    format_gate: bool = True
    """Shut, an ill-formed episode earns the penalty; left open, nothing is lost by ill form but the answer."""
    tool_gate: bool = True
    """Only an episode that looked is paid the tool's share; left open, every right answer is."""
    accuracy_gate: bool = True
    """The tool's share follows the accuracy; left open, every look is paid in full."""
    temporal_weight: float = 0.0
    """Weight of the temporal IoU of the best window with the event, where the event is known."""

    def score(self, episode: Episode, judged: float | None = None) -> Reward:
        """The parts of the reward and their total; `judged` is what a judge gave an answer that no rule can score."""
        if episode.stop in FAULTS:
            return Reward(total=0.0, accuracy=None, tool=0.0, format_penalty=0.0, well_formed=False)
        by_rule = answer_accuracy(episode)
        right = judged if by_rule is None else by_rule
        well_formed = episode.stop is StopReason.ANSWERED and episode.answer is not None
        if not well_formed and self.format_gate:
            return Reward(
                total=self.format_penalty, accuracy=right, tool=0.0, format_penalty=self.format_penalty, well_formed=False
            )
        tool = self.tool_part(right, looked=any(turn.call and turn.frames for turn in episode.turns))
        temporal = self.temporal_weight * (temporal_iou(episode) or 0.0) if self.temporal_weight else 0.0
        total = (right or 0.0) + tool + temporal
        return Reward(total=total, accuracy=right, tool=tool, temporal=temporal, format_penalty=0.0, well_formed=well_formed)

    def tool_part(self, right: float | None, *, looked: bool) -> float:
        """What a look earns at an accuracy; nothing where the accuracy is unknown. A refused call is no look."""
        if right is None or (self.tool_gate and not looked):
            return 0.0
        if not self.accuracy_gate:
            return self.tool_share
        if right >= self.accuracy_floor:
            return self.tool_share * right
        return self.exploration if looked else 0.0


def answer_accuracy(episode: Episode) -> float | None:
    """Accuracy of the final answer: 0 if there is none; None if nobody knows the right one, if only a judge could say, and for an
    episode that was lost to a fault, which is nobody's answer."""
    gold = episode.question.gold
    if gold is None or episode.stop in FAULTS:
        return None
    return accuracy(gold, episode.answer if episode.stop is StopReason.ANSWERED else None)
