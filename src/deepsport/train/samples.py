"""What RL sampled, step by step, for people to look at: one whole group of episodes of every step.

Of the groups that taught something the first, else the first of all; without its tokens, which only training reads. A run that
was killed between checkpoints samples some steps anew: of a step, what was written last counts.
"""

from collections.abc import Sequence
from statistics import fmean

from deepsport.records import Episode, Record, Reward
from deepsport.run import Run
from deepsport.train.watch import Group

FOLDER = "samples"


class Sample(Record):
    """A line of `samples/STAGE.jsonl`: one episode of a step."""

    step: int
    """From 0."""
    episode: Episode
    reward: Reward
    advantage: float | None
    """Its reward minus the mean of its group; None if the group taught nothing and was dropped."""


def samples_of(groups: Sequence[Group], kept: Sequence[Group], step: int) -> list[Sample]:
    """The group of a step that is shown; none if no episode could be scored. Pure."""
    shown = next((group for group in (*kept, *groups) if group.episodes), None)
    if shown is None:
        return []
    mean = fmean(reward.total for reward in shown.rewards) if shown in kept else None
    return [
        Sample(
            step=step,
            episode=episode.model_copy(update={"tokens": None}),
            reward=reward,
            advantage=None if mean is None else reward.total - mean,
        )
        for episode, reward in zip(shown.episodes, shown.rewards, strict=True)
    ]


def keep_samples(run: Run, stage: str, samples: Sequence[Sample]) -> None:
    """Adds the samples of a step to those of the run. Raises RunError if the disk does not take them."""
    for sample in samples:
        run.append(f"{FOLDER}/{stage}.jsonl", sample)
