"""What a benchmark writes down: one record per system, one per pair, and the whole as `report.json`.

Scores run from 0 to 100, rates from 0 to 1; None stands where there was nothing to measure, never 0. An interval is the 95 %
interval clustered by match, or by video where no match is known, None below two of these.
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


class Numbers(Record):
    """Answers that are numbers of one unit: how far off they are."""

    n: int
    """Scored questions, those without a number in the answer included."""
    n_read: int
    """Of these, with a number in the answer; the figures below are of them."""
    mean_absolute_error: float | None
    mean_relative_error: float | None
    """|answer - reference| / |reference|, over references that are not 0."""
    rank_correlation: float | None
    """Spearman's; None below three answers, or where all are equal."""


class Texts(Record):
    """Free answers beside their references. Word overlap says little of sports facts: for comparison with older work only."""

    n: int
    """Answered."""
    n_judged: int
    """Scored by a judge, not by a rule."""
    n_without_verdict: int
    """The judge abstained, could not be read or could not be reached."""
    points: float | None
    """Mean points of the judge, 0 to 10."""
    bleu: float | None
    """Of the corpus, 0 to 100 (sacrebleu); None, as the next, if it is not installed."""
    chrf: float | None
    """Of the corpus, 0 to 100 (sacrebleu)."""
    rouge_l: float | None
    """Mean F1 x 100 of the longest common subsequence (Lin 2004)."""


class AtTurn(Record):
    """What had come of all questions by the end of one turn."""

    turn: int
    """0 is the opening: the sparse frames."""
    n_open: int
    """Episodes that went on beyond it."""
    answered: float | None
    """Share answered so far."""
    score: float | None
    """Mean accuracy x 100 of all scored questions, those not yet answered counting 0."""
    seen: float | None
    """Of the questions that need a look, share whose event had been shown."""


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
    """Answers without a verdict: faults of server or video, and what only a judge could score."""
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
    macro: float | None = None
    """Mean of the scores of all cells sport x dimension that were measured, each weighing the same."""
    macro_ci95: tuple[float, float] | None = None
    n_runs: int = 1
    score_by_run: tuple[float, ...] = ()
    """Of the runs with a scored answer, in their order."""
    temporal_iou: float | None = None
    """Mean IoU of the best window with the event, over the questions of the hit rate whose event lasts; no call is 0."""
    offset_s: float | None = None
    """Median distance of its centre from the event's, either way, over those with an accepted call."""
    redundant_call_rate: float | None = None
    """Share of all calls that could teach nothing new."""
    prompt_tokens_per_question: float | None = None
    reply_tokens_per_question: float | None = None
    frames_per_right: float | None = None
    """Frames shown on the scored questions, over the sum of their accuracies; so for tokens and cost. What nobody has judged yet
    may be right, so its cost does not count."""
    tokens_per_right: float | None = None
    usd_per_question: float | None = None
    usd_per_right: float | None = None
    judges: tuple[str, ...] = ()
    """Whose verdicts the score rests on, besides rules."""
    by_sport: dict[str, Part]
    by_dimension: dict[str, Part]
    by_answer: dict[str, Part] = Field(default_factory=dict)
    """By the kind of answer: "choice" and "number" are closed, "text" is free."""
    by_ease: dict[str, Part]
    """Under "easy" the questions for which the sparse frames are enough, under "needs_look" the others."""
    by_cell: dict[str, dict[str, Part]] = Field(default_factory=dict)
    """By sport, then by dimension; questions that name neither are in no cell."""
    numbers: dict[str, Numbers] = Field(default_factory=dict)
    """By sport and unit."""
    texts: Texts | None = None
    turns: tuple[AtTurn, ...] = ()
    """How much was known by the end of each turn."""
    reward: RewardMeans | None


class PairedReport(Record):
    """Two systems on the same questions, the first minus the second."""

    difference: float
    """In points of the score."""
    ci95: tuple[float, float] | None
    p: float
    """Two-sided sign test over videos."""
    p_bootstrap: float | None = None
    """Two-sided, by resampling videos as if nothing differed; None below two videos."""
    n: int
    """Questions that both have a verdict on."""
    better: int
    """Questions on which the first scored higher."""
    worse: int


class Timing(Record):
    """What was waited for: `timing.json`. Kept apart, because a clock never says the same twice."""

    seconds_per_question: float | None
    """From the opening of an episode to its end, the mean: many run at once, so this is waiting, not work."""
    seconds_median: float | None
    seconds_p95: float | None
    wall_seconds_per_question: float | None = None
    """Of the stage that asks, all attempts together, over the episodes: the pace of the whole run."""
    wall_seconds_per_right: float | None = None
    """The same over the sum of accuracies."""
    stages: dict[str, float] = Field(default_factory=dict)
    """Wall time of each stage of the run, all attempts together."""


class Report(Record):
    """A whole comparison: `report.json`."""

    systems: dict[str, SystemReport]
    paired: dict[str, PairedReport]
    """Each system against the one before it, as "later_minus_earlier"."""
    seed: int
    """Of the resampling."""
    seconds_per_stage: dict[str, float] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
