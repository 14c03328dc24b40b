"""What a benchmark writes down: one record per system, one per pair, and the whole as `report.json`.

Scores run from 0 to 100, rates from 0 to 1; None stands where there was nothing to measure, never 0. An interval is the 95 %
interval clustered by video, None below two videos.
"""

from pydantic import Field

from deepsport.bench.diagnose import Failure
from deepsport.records import Record, StopReason


class Part(Record):
    """A part of the questions: one sport, one dimension, easy or not."""

    score: float | None
    """Mean accuracy x 100 over the scored questions."""
    ci95: tuple[float, float] | None
    n: int
    """Scored questions."""


class RewardMeans(Record):
    """Mean parts of the gated reward over the scored questions."""

    total: float
    accuracy: float
    tool: float
    format_penalty: float
    well_formed: float
    """Share of episodes whose format gate is open."""


class SystemReport(Record):
    """How one system did on a set of questions."""

    score: float | None
    """Mean accuracy x 100; no answer and a format error count 0, unscored questions do not count."""
    ci95: tuple[float, float] | None
    chance: float | None
    """What guessing among the options would score on the scored questions; numbers and free text cannot be guessed."""
    n_questions: int
    n_videos: int
    unscored: int
    """Questions without a verdict: faults of server or video, and answers that only a judge could score."""
    stop_reasons: dict[StopReason, int]
    failures: dict[Failure, int]
    valid_action_rate: float | None
    """Turns that answered, or whose call brought frames, of all turns."""
    tool_calls_per_question: float | None
    """Refused calls included."""
    grounding_hit_rate: float | None
    """Share of the questions that need a look, and whose event time is known, with a window on the event; no call is a miss."""
    event_seen_rate: float | None
    """Share of the same questions where a frame of the event was shown."""
    over_call_rate: float | None
    """Share of the easy questions on which the tool was called."""
    frames_per_question: float | None
    """Frames shown, the sparse ones included."""
    by_sport: dict[str, Part]
    by_dimension: dict[str, Part]
    by_answer: dict[str, Part] = Field(default_factory=dict)
    """By the kind of answer: "choice" and "number" are closed, "text" is free."""
    by_ease: dict[str, Part]
    """Under "easy" the questions for which the sparse frames are enough, under "needs_look" the others."""
    reward: RewardMeans | None


class PairedReport(Record):
    """Two systems on the same questions, the first minus the second."""

    difference: float
    """In points of the score."""
    ci95: tuple[float, float] | None
    p: float
    """Two-sided sign test over videos."""
    n: int
    """Questions that both have a verdict on."""
    better: int
    """Questions on which the first scored higher."""
    worse: int


class Report(Record):
    """A whole comparison: `report.json`."""

    systems: dict[str, SystemReport]
    paired: dict[str, PairedReport]
    """Each system against the one before it, as "later_minus_earlier"."""
    seed: int
    """Of the resampling."""
    seconds_per_stage: dict[str, float] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
