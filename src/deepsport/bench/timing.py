"""What was waited for, from the seconds recorded with the episodes."""

from collections.abc import Mapping, Sequence
from math import ceil
from statistics import fmean, median

from deepsport.bench.report import Timing
from deepsport.bench.score import Score
from deepsport.records import Episode


def timing_of(episodes: Sequence[Episode], scores: Sequence[Score], stages: Mapping[str, float]) -> Timing:
    """Of all episodes, the lost ones too; the 95th percentile is a time that was measured (nearest rank)."""
    asking_s = stages.get("ask")
    seconds = sorted(episode.usage.seconds for episode in episodes)
    right = sum(score.accuracy or 0.0 for score in scores)
    return Timing(
        seconds_per_question=fmean(seconds) if seconds else None,
        seconds_median=median(seconds) if seconds else None,
        seconds_p95=seconds[ceil(0.95 * len(seconds)) - 1] if seconds else None,
        wall_seconds_per_question=asking_s / len(seconds) if asking_s and seconds else None,
        wall_seconds_per_right=asking_s / right if asking_s and right else None,
        stages=dict(stages),
    )
