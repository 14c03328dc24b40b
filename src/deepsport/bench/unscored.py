"""Why answers have no score, and which of them may still get one."""

from collections import Counter
from collections.abc import Sequence
from typing import assert_never

from deepsport.bench.score import Score
from deepsport.records import StopReason
from deepsport.reward.judge import Unscored


def unscored_because(scores: Sequence[Score]) -> dict[str, int]:
    """Answers without a score by the reason, the most frequent first."""
    reasons = Counter(_reason(score) for score in scores if score.accuracy is None)
    return dict(reasons.most_common())


def is_open(score: Score) -> bool:
    """Whether there may be a score when the run goes on: the answer was lost to a fault, or the judge could not be asked."""
    if score.accuracy is not None or score.kind is None:
        return False
    return score.answer is None or score.verdict is None or score.verdict.why is Unscored.UNJUDGED


def _reason(score: Score) -> str:
    match score.stop:
        case StopReason.POLICY_ERROR:
            return "lost to a fault of the endpoint or the model; run the same command again to ask once more"
        case StopReason.VIDEO_ERROR:
            return "the video cannot be read; mend it and run the same command again"
        case _:
            return _without_verdict(score)


def _without_verdict(score: Score) -> str:
    if score.kind is None:
        return "nobody knows the right answer"
    match score.verdict.why if score.verdict else Unscored.UNJUDGED:
        case Unscored.ABSTAINED | None:
            return f"the judge abstained ({score.verdict.judge if score.verdict else 'none'})"
        case Unscored.UNREADABLE:
            return "the judge's reply could not be read"
        case Unscored.UNJUDGED:
            return "the judge could not be reached; run the same command again, or `deepsport bench rejudge`"
        case never:  # pyright: ignore[reportUnnecessaryComparison]
            assert_never(never)
