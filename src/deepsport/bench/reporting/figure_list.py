"""Every figure of a report that has no interval: what it is called, what it counts by, how many digits it has.

Tokens that nobody counted, and a price that nobody named, are no figures.
"""

from deepsport.bench.report import AtTurn, Numbers, SystemReport, Texts, Timing
from deepsport.bench.reporting.figures import Figure, dollars, one_digit, percent, two_digits, whole

COUNTS: tuple[Figure[SystemReport], ...] = (
    Figure("Guessing", "what guessing among the options would score", one_digit, lambda s: s.chance),
    Figure("Questions", "", whole, lambda s: s.n_questions),
    Figure("Videos", "", whole, lambda s: s.n_videos),
    Figure("Not scored", "answers without a verdict", whole, lambda s: s.unscored),
)
LOOKING: tuple[Figure[SystemReport], ...] = (
    Figure("Valid actions", "of all turns: an answer, or a call that brought frames", percent, lambda s: s.valid_action_rate),
    Figure("Tool calls", "per question", two_digits, lambda s: s.tool_calls_per_question),
    Figure("Window on the event", "of the questions that need a look", percent, lambda s: s.grounding_hit_rate),
    Figure("Event seen", "of the same: a frame of it was shown", percent, lambda s: s.event_seen_rate),
    Figure("Temporal IoU", "best window with the event; no call is 0", two_digits, lambda s: s.temporal_iou),
    Figure("Seconds beside the event", "median distance of the centres", two_digits, lambda s: s.offset_s),
    Figure("Looked without need", "of the questions that the sparse frames answer", percent, lambda s: s.over_call_rate),
    Figure("Calls that taught nothing", "of all calls", percent, lambda s: s.redundant_call_rate),
    Figure("Reward", "mean, all gates applied", two_digits, lambda s: s.reward and s.reward.total),
)
COST: tuple[Figure[SystemReport], ...] = (
    Figure("Frames shown", "per question, the sparse ones included", one_digit, lambda s: s.frames_per_question),
    Figure("Prompt tokens", "per question", whole, lambda s: s.prompt_tokens_per_question or None),
    Figure("Reply tokens", "per question", whole, lambda s: s.reply_tokens_per_question or None),
    Figure("Cost", "per question", dollars, lambda s: s.usd_per_question or None),
    Figure("Frames per right answer", "", one_digit, lambda s: s.frames_per_right),
    Figure("Tokens per right answer", "prompts and replies", whole, lambda s: s.tokens_per_right or None),
    Figure("Cost per right answer", "", dollars, lambda s: s.usd_per_right or None),
)
WAITING: tuple[Figure[Timing], ...] = (
    Figure("Pace", "seconds of the run per question", two_digits, lambda t: t.wall_seconds_per_question),
    Figure("Pace per right answer", "seconds of the run", two_digits, lambda t: t.wall_seconds_per_right),
    Figure("Seconds", "until a question is answered, many at once", two_digits, lambda t: t.seconds_per_question),
    Figure("Seconds, median", "", two_digits, lambda t: t.seconds_median),
    Figure("Seconds, 95th percentile", "", two_digits, lambda t: t.seconds_p95),
)
NUMBERS: tuple[Figure[Numbers], ...] = (
    Figure("relative error", "mean", percent, lambda n: n.mean_relative_error),
    Figure("absolute error", "mean", two_digits, lambda n: n.mean_absolute_error),
    Figure("rank correlation", "Spearman", two_digits, lambda n: n.rank_correlation),
    Figure("answers with a number", "", whole, lambda n: n.n_read),
)
TEXTS: tuple[Figure[Texts], ...] = (
    Figure("Free answers", "", whole, lambda t: t.n),
    Figure("Scored by a judge", "", whole, lambda t: t.n_judged),
    Figure("Without a verdict", "the judge abstained or was not reached", whole, lambda t: t.n_without_verdict),
    Figure("Points of the judge", "mean, 0 to 10", one_digit, lambda t: t.points),
    Figure("BLEU", "0 to 100; says little of sports facts, as the next two", one_digit, lambda t: t.bleu),
    Figure("chrF", "0 to 100", one_digit, lambda t: t.chrf),
    Figure("ROUGE-L", "0 to 100", one_digit, lambda t: t.rouge_l),
)
TURNS: tuple[tuple[str, Figure[AtTurn]], ...] = (
    ("Score so far", Figure("", "of 100; what is not yet answered counts 0", one_digit, lambda t: t.score)),
    ("Answered so far", Figure("", "of all questions", percent, lambda t: t.answered)),
    ("Event seen so far", Figure("", "of the questions that need a look", percent, lambda t: t.seen)),
)
