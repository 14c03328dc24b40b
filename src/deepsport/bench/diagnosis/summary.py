"""From diagnoses to figures: classes, what decided, offsets by clip length, labels confused, the worst kinds of question.

Pure. Shares are of the failures, rates of the questions asked; 95 % intervals resample matches or videos, as everywhere.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median
from typing import TypeVar

from pydantic import Field

from deepsport.bench.diagnose import FAILED_BELOW, Failure
from deepsport.bench.diagnosis.confusion import Confused, confused_labels
from deepsport.bench.diagnosis.people import Agreement
from deepsport.bench.diagnosis.record import Cause, Diagnosis, Evidence
from deepsport.bench.result import Result
from deepsport.bench.score import Score
from deepsport.bench.stats import mean_interval
from deepsport.records import Dimension, Record
from deepsport.reward.gated import FAULTS

PAPER_SHARES: Mapping[Failure, float] = {Failure.TOOL_GROUNDING: 0.429, Failure.HALLUCINATION: 0.371, Failure.OTHER: 0.200}
"""DeepSport, arXiv 2511.12908: of its own failures, on its own benchmark. Not comparable with any other; for reference only."""

FEW = 20
"""Questions below which a rate is marked as resting on few."""
S = TypeVar("S")
K = TypeVar("K")
Diagnoses = Sequence[Diagnosis]


class Share(Record):
    """A class of failures."""

    n: int
    share: float
    """Of all failures."""
    ci95: tuple[float, float] | None


class ByLength(Record):
    """Clips of similar length: failures to find the event in them."""

    from_s: float
    to_s: float
    n: int
    """Questions about such clips that need a look, and whose event is known."""
    hit: float
    """Share of them with a window on the event."""
    n_failed: int
    """Failures among them."""
    n_offsets: int
    """Failures with a window."""
    offset_s: float | None
    """Median distance of the best window's centre from the event's, of these failures."""
    offset_share: float | None
    """The same as a share of the clip."""


class Kind(Record):
    """Questions of one sport and dimension, and how often they failed by one class."""

    sport: str
    dimension: Dimension
    failure: Failure
    n: int
    """Asked and scored."""
    n_failed: int
    """By this class."""
    rate: float
    ci95: tuple[float, float] | None
    few: bool
    """Too few questions to say much."""
    examples: tuple[str, ...]
    """Ids of the first failed episodes."""


class Replays(Record):
    """What came of asking again with the frames of the event given."""

    n: int
    """Replays that tell something."""
    n_right: int
    n_unseen: int
    """Of them, those whose first answer came without a sight of the event."""
    n_unseen_right: int
    """Looking better would have been enough."""
    by_chance: float | None
    """Share of replays that guessing among the options would make right."""


class DiagnosisReport(Record):
    """`diagnosis.json`."""

    system: str
    protocol: str
    n_answers: int
    n_unscored: int
    """Nothing is said about these."""
    n_failed: int
    classes: dict[Failure, Share]
    causes: dict[Cause, int]
    decided_by: dict[Evidence, int]
    replays: Replays | None
    """None if nothing was asked again."""
    n_unexamined: int
    """Failures taken to be misread because nobody told whether knowledge was what lacked."""
    n_unreached: int
    """Failures that an examiner was to look at and has not: it was not reached, or there were no frames to show."""
    examiners: tuple[str, ...]
    by_length: tuple[ByLength, ...]
    """Empty for a system that was not offered the tool."""
    confused: tuple[Confused, ...]
    worst: tuple[Kind, ...]
    """The likeliest to fail first."""
    seed: int
    people: tuple[Agreement, ...] = ()
    """Each person who labelled failures, against these classes."""
    paper: dict[Failure, float] = Field(default_factory=lambda: dict(PAPER_SHARES))


def summed_up(
    result: Result, diagnoses: Diagnoses, people: Sequence[Agreement] = (), *, examined: bool = False
) -> DiagnosisReport:
    """All figures of one run; `examined`: whether an examiner was asked."""
    scores, seed = result.scores, result.config.seed
    return DiagnosisReport(
        system=result.name,
        protocol=result.config.protocol,
        n_answers=len(scores),
        n_unscored=sum(score.accuracy is None for score in scores),
        n_failed=len(diagnoses),
        classes={failure: _share(diagnoses, failure, seed) for failure in Failure},
        causes=dict(Counter(each.cause for each in diagnoses).most_common()),
        decided_by=dict(Counter(each.by for each in diagnoses).most_common()),
        replays=_replays(scores, diagnoses),
        n_unexamined=sum(each.cause is Cause.MISREAD and each.finding is None for each in diagnoses),
        n_unreached=sum(each.unsettled and not each.examiner for each in diagnoses) if examined else 0,
        examiners=tuple(sorted({each.examiner for each in diagnoses if each.examiner})),
        by_length=tuple(_by_length(scores, diagnoses)) if result.config.with_tool else (),
        confused=tuple(confused_labels(result.episodes, scores)),
        worst=tuple(_worst(scores, diagnoses, seed)),
        seed=seed,
        people=tuple(people),
    )


def _share(diagnoses: Diagnoses, failure: Failure, seed: int) -> Share:
    of_it = [float(each.failure is failure) for each in diagnoses]
    if not of_it:
        return Share(n=0, share=0.0, ci95=None)
    ci95 = mean_interval(of_it, [each.cluster for each in diagnoses], seed=seed)
    return Share(n=round(sum(of_it)), share=fmean(of_it), ci95=ci95)


def _replays(scores: Sequence[Score], diagnoses: Diagnoses) -> Replays | None:
    told = [each for each in diagnoses if each.replayed_accuracy is not None]
    if not told:
        return None
    unseen = [each for each in told if each.cause in (Cause.WRONG_WINDOW, Cause.WINDOW_REFUSED, Cause.MET_BUT_UNSEEN)]
    chance = {(score.question_id, score.run): score.chance for score in scores}
    return Replays(
        n=len(told),
        n_right=sum(map(replayed_right, told)),
        n_unseen=len(unseen),
        n_unseen_right=sum(map(replayed_right, unseen)),
        by_chance=fmean(chance[each.question_id, each.run] for each in told),
    )


def replayed_right(diagnosis: Diagnosis) -> bool:
    """Whether the answer was right once the frames of the event were given."""
    return diagnosis.replayed_accuracy is not None and diagnosis.replayed_accuracy >= FAILED_BELOW


def _by_length(scores: Sequence[Score], diagnoses: Diagnoses) -> list[ByLength]:
    """By doubling lengths, in seconds: 2 to 4, 4 to 8, ..."""
    sought = [score for score in scores if score.hit is not None and score.clip_s and score.stop not in FAULTS]
    asked = _grouped(sought, lambda score: _octave(score.clip_s or 0.0))
    known = {(score.question_id, score.run) for score in sought}
    failed = [each for each in diagnoses if (each.question_id, each.run) in known]
    failures = _grouped(failed, lambda each: _octave(each.clip_s or 0.0))
    return [_of_length(octave, asked[octave], failures.get(octave, [])) for octave in sorted(asked)]


def _octave(seconds: float) -> int:
    octave = 0
    while 2.0 ** (octave + 1) <= seconds:
        octave += 1
    return octave


def _of_length(octave: int, asked: Sequence[Score], failures: Diagnoses) -> ByLength:
    known = [(abs(each.offset_s), each.clip_s or 1.0) for each in failures if each.offset_s is not None]
    return ByLength(
        from_s=2.0**octave if octave else 0.0,
        to_s=2.0 ** (octave + 1),
        n=len(asked),
        hit=fmean(bool(score.hit) for score in asked),
        n_failed=len(failures),
        n_offsets=len(known),
        offset_s=median(offset for offset, _ in known) if known else None,
        offset_share=median(offset / clip_s for offset, clip_s in known) if known else None,
    )


def _worst(scores: Sequence[Score], diagnoses: Diagnoses, seed: int) -> list[Kind]:
    """By the lower end of the interval, so that few questions come to the front only if they fail without exception."""
    named = [score for score in scores if score.sport and score.dimension and score.accuracy is not None]
    asked = _grouped(named, lambda score: (score.sport or "", score.dimension or Dimension.RECOGNITION))
    told = {(each.question_id, each.run): each for each in diagnoses}
    kinds = [
        _kind(sport, dimension, failure, of_it, told, seed) for (sport, dimension), of_it in asked.items() for failure in Failure
    ]
    return sorted(
        (kind for kind in kinds if kind.n_failed), key=lambda kind: (-(kind.ci95 or (0.0, 0.0))[0], -kind.rate, kind.sport)
    )


def _kind(
    sport: str,
    dimension: Dimension,
    failure: Failure,
    asked: Sequence[Score],
    told: Mapping[tuple[str, int], Diagnosis],
    seed: int,
) -> Kind:
    found = [told.get((score.question_id, score.run)) for score in asked]
    failed = [each is not None and each.failure is failure for each in found]
    return Kind(
        sport=sport,
        dimension=dimension,
        failure=failure,
        n=len(asked),
        n_failed=sum(failed),
        rate=fmean(failed),
        ci95=mean_interval(failed, [score.cluster for score in asked], seed=seed) if any(failed) else None,
        few=len(asked) < FEW,
        examples=tuple(each.episode_id for each in found if each is not None and each.failure is failure)[:3],
    )


def _grouped(values: Sequence[S], name: Callable[[S], K]) -> dict[K, list[S]]:
    groups: defaultdict[K, list[S]] = defaultdict(list)
    for value in values:
        groups[name(value)].append(value)
    return dict(groups)
