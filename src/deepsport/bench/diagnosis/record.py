"""What is said of a failed answer: its cause, the class the cause belongs to, and the evidence.

The class follows from the cause alone, so that the three classes of the paper are a coarser view of the same records, and never
a second opinion.
"""

from collections.abc import Mapping
from enum import StrEnum

from deepsport.bench.diagnose import Failure
from deepsport.records import Dimension, Record, Window


class Cause(StrEnum):
    """Why an answer was wrong: a closed set."""

    WRONG_WINDOW = "wrong_window"
    """Every window that was shown lay beside the event."""
    WINDOW_REFUSED = "window_refused"
    """Every window asked for was refused."""
    MET_BUT_UNSEEN = "window_met_but_unseen"
    """A window met the event, and every frame of it fell beside."""
    SAW_TOO_LITTLE = "saw_too_little"
    """Frames of the event were shown, and with more of them the answer was right."""
    MISREAD = "misread"
    """The frames that hold the answer were shown, and something else was read in them."""
    FORMAT = "format"
    """A turn out of form, or a window asked for twice."""
    TURN_LIMIT = "turn_limit"
    TOKEN_LIMIT = "token_limit"
    CONTEXT = "context_overflow"
    NO_CALL = "no_call"
    """The tool was offered, a look was needed, and none was asked for."""
    NOT_SHOWN = "not_shown"
    """No tool was offered, and the frames that were shown do not hold the answer: nobody's choice."""
    KNOWLEDGE = "knowledge"
    """What was seen was said rightly, and the answer does not follow from it."""
    JUDGE = "judge"
    """The answer is right, and the verdict on it is wrong."""
    UNKNOWN_WINDOW = "unknown_window"
    """Nobody knows when the event is, or the frames that should show it do not."""
    UNKNOWN_SIGHT = "unknown_sight"
    """The answer was imported, and nobody knows what its system was shown."""


CLASS_OF: Mapping[Cause, Failure] = {
    Cause.WRONG_WINDOW: Failure.TOOL_GROUNDING,
    Cause.WINDOW_REFUSED: Failure.TOOL_GROUNDING,
    Cause.MET_BUT_UNSEEN: Failure.TOOL_GROUNDING,
    Cause.SAW_TOO_LITTLE: Failure.TOOL_GROUNDING,
    Cause.MISREAD: Failure.HALLUCINATION,
    Cause.FORMAT: Failure.OTHER,
    Cause.TURN_LIMIT: Failure.OTHER,
    Cause.TOKEN_LIMIT: Failure.OTHER,
    Cause.CONTEXT: Failure.OTHER,
    Cause.NO_CALL: Failure.OTHER,
    Cause.NOT_SHOWN: Failure.OTHER,
    Cause.KNOWLEDGE: Failure.OTHER,
    Cause.JUDGE: Failure.OTHER,
    Cause.UNKNOWN_WINDOW: Failure.OTHER,
    Cause.UNKNOWN_SIGHT: Failure.OTHER,
}


class Evidence(StrEnum):
    """What told the cause."""

    STOP = "stop_reason"
    WINDOW = "window"
    """When the event is, against the frames that were shown."""
    COUNTERFACTUAL = "counterfactual"
    """The same question, asked again with the frames of the event given."""
    EXAMINER = "examiner"
    """Somebody who looked at the frames, or knows what they show."""


class Finding(StrEnum):
    """What an examiner says of a wrong answer."""

    MISREAD = "misread"
    """The frames show what is asked about, and something else was read in them."""
    KNOWLEDGE = "knowledge"
    """What they show was said rightly; the conclusion is wrong."""
    ANSWER_RIGHT = "answer_right"
    """The answer means what the reference means."""
    NOT_SHOWN = "not_shown"
    """The frames do not show what is asked about."""


class Examined(Record):
    """A line of `findings.jsonl`."""

    episode_id: str
    case: str
    """Hash of what was examined: another answer is another case."""
    finding: Finding | None
    """None: the examiner could not tell, or could not be read."""
    reason: str
    examiner: str
    """Its name, with the version of its prompt or rules."""


class Diagnosis(Record):
    """A line of `diagnoses.jsonl`: one failed answer."""

    episode_id: str
    question_id: str
    run: int
    video: str
    cluster: str
    """What is resampled as one; see `Score`."""
    sport: str | None
    dimension: Dimension | None
    failure: Failure
    cause: Cause
    also: Cause | None = None
    """What would have made it wrong anyway: of an answer that came without a sight of the event, and is still wrong with it."""
    by: Evidence
    evidence: tuple[str, ...]
    """In plain sentences, what decided first."""
    clip_s: float | None
    window: Window | None
    """When the event is."""
    asked: tuple[Window, ...]
    """Windows that were shown, in their order."""
    n_refused: int
    offset_s: float | None
    """Centre of the best window minus centre of the event."""
    answer: str | None
    reference: str | None
    replayed_answer: str | None = None
    """What was said when the frames of the event were given."""
    replayed_accuracy: float | None = None
    """None: not replayed, or nobody could say."""
    finding: Finding | None = None
    unsettled: bool = False
    """Whether an examiner could change what is said; so too where one has been asked."""
    finding_reason: str = ""
    examiner: str = ""
