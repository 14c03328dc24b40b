"""A diagnosis in words: what page, Markdown and terminal all say."""

from collections.abc import Mapping

from deepsport.bench.diagnose import Failure
from deepsport.bench.diagnosis.record import Cause, Evidence
from deepsport.bench.diagnosis.summary import DiagnosisReport

CLASS_NAMES: Mapping[Failure, str] = {
    Failure.TOOL_GROUNDING: "Tool grounding: it looked, and did not see the event, or too little of it",
    Failure.HALLUCINATION: "Visual hallucination: it was shown what holds the answer, and misread it",
    Failure.OTHER: "Other: form, knowledge, no look, a wrong verdict, nobody knows",
}
CAUSE_NAMES: Mapping[Cause, str] = {
    Cause.WRONG_WINDOW: "looked in the wrong place",
    Cause.WINDOW_REFUSED: "asked only for windows that were refused",
    Cause.MET_BUT_UNSEEN: "its window met the event, its frames did not",
    Cause.SAW_TOO_LITTLE: "saw too little of the event",
    Cause.MISREAD: "misread what it saw",
    Cause.FORMAT: "a turn out of form",
    Cause.TURN_LIMIT: "out of turns",
    Cause.TOKEN_LIMIT: "a reply too long",
    Cause.CONTEXT: "context too small",
    Cause.NO_CALL: "never looked, though a look was needed",
    Cause.NOT_SHOWN: "no tool, and the frames did not hold the answer",
    Cause.KNOWLEDGE: "saw rightly, concluded wrongly",
    Cause.JUDGE: "right, and judged wrong",
    Cause.UNKNOWN_WINDOW: "nobody knows when the event is",
    Cause.UNKNOWN_SIGHT: "imported: nobody knows what was shown",
}
BY_NAMES: Mapping[Evidence, str] = {
    Evidence.STOP: "how the episode ended",
    Evidence.WINDOW: "the event's time against the frames shown",
    Evidence.COUNTERFACTUAL: "a replay with the event's frames given",
    Evidence.EXAMINER: "somebody who saw the frames",
}


def lead(report: DiagnosisReport) -> str:
    """The outcome in one sentence."""
    if not report.n_failed:
        return f"None of {report.n_answers - report.n_unscored} scored answers is wrong."
    shares = ", ".join(f"{failure.replace('_', ' ')} {percent(share.share)}" for failure, share in report.classes.items())
    return f"{report.n_failed} of {report.n_answers - report.n_unscored} scored answers are wrong: {shares}."


def percent(share: float | None) -> str:
    """`42.9 %`, a dash for nothing."""
    return "–" if share is None else f"{100 * share:.1f} %"


def span(interval: tuple[float, float] | None) -> str:
    """`37 to 49 %`, nothing where there is no interval."""
    return f"{100 * interval[0]:.0f} to {100 * interval[1]:.0f} %" if interval else ""


def notes(report: DiagnosisReport) -> list[str]:
    """What a reader has to know to believe the figures, and not to believe too much."""
    said: list[str] = []
    if report.replays:
        told = report.replays
        said.append(
            f"{told.n} failures were asked again with the frames of the event given: {told.n_right} came out right. "
            f"Guessing among the options would make {percent(told.by_chance)} of them right."
        )
        if told.n_unseen:
            said.append(
                f"Of {told.n_unseen} that had looked without a sight of the event, {told.n_unseen_right} came out right: for the "
                "others, looking better would not have been enough."
            )
    else:
        said.append("Nothing was asked again, so whether more frames would have helped, and how often, is not known.")
    if report.n_unexamined:
        said.append(
            f"{report.n_unexamined} failures count as misread because frames that hold the answer were shown; nobody has told "
            "whether some of them were seen rightly and failed by knowledge."
        )
    if report.n_unreached:
        said.append(
            f"{report.n_unreached} failures were to be examined and were not: the examiner was not reached, or their frames "
            "cannot be had. The same command asks again."
        )
    if report.n_unscored:
        said.append(f"{report.n_unscored} answers have no score, and nothing is said about them.")
    return said
