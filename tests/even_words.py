"""A reward that shows whether RL works at all: what it pays for, a policy of random weights does half the time."""

from deepsport.records import Episode, Reward
from deepsport.reward.gated import GatedReward


class EvenWords(GatedReward):
    """Pays the share of sampled tokens whose number is even."""

    def score(self, episode: Episode, judged: float | None = None) -> Reward:
        share = share_even(episode)
        return Reward(total=share, accuracy=share, tool=0.0, format_penalty=0.0, well_formed=True)


def share_even(episode: Episode) -> float:
    """Of the sampled tokens of an episode."""
    assert episode.tokens is not None
    said = [token for token, own in zip(episode.tokens.ids, episode.tokens.sampled, strict=True) if own]
    return sum(token % 2 == 0 for token in said) / len(said)
