"""From evidence to cause, rule by rule, on episodes made by hand: the event is at frames 30 to 34, between sparse frames."""

import pytest

from deepsport.bench.diagnose import Failure
from deepsport.bench.diagnosis.record import CLASS_OF, Cause, Diagnosis, Evidence, Examined, Finding
from deepsport.bench.diagnosis.rules import Case, Replayed, diagnose, is_unsettled
from deepsport.bench.score import score
from deepsport.records import Episode, FreeText, StopReason, Turn
from deepsport.reward.judge import scored
from made_episodes import episode, frame, look, malformed, question, refused

EVENT_FRAMES = tuple(frame(index) for index in range(28, 36))
BESIDE, ON, ONE_OF_IT = look(42, 56), look(28, 42), look(24, 31)
"""Windows: none of the event, all of it, its frames 30 and 31."""


def replayed(answer: str | None, *, frames: bool = True) -> Replayed:
    """The answer with the frames of the event given; `frames`: with new ones of it."""
    again = episode(answer)
    shown = again.first_frames + (EVENT_FRAMES if frames else ())
    return Replayed(again.model_copy(update={"first_frames": shown}), {"volley": 1.0, "header": 0.0, None: None}[answer])


def examined(finding: Finding | None) -> Examined:
    return Examined(episode_id="q/0", case="", finding=finding, reason="said so", examiner="somebody")


def told(failing: Episode, replay: Replayed | None = None, finding: Finding | None = None) -> Diagnosis:
    return diagnose(Case(failing, score(failing), replay, examined(finding) if finding else None))


def wrong(*turns: Turn) -> Episode:
    return episode("header", turns)


def without_tool(*, frames: bool = True) -> Episode:
    made = wrong().model_copy(update={"with_tool": False})
    return made if frames else made.model_copy(update={"first_frames": ()})


@pytest.mark.parametrize(
    ("failing", "cause"),
    [
        (wrong(BESIDE), Cause.WRONG_WINDOW),
        (wrong(BESIDE, refused(90, 200)), Cause.WRONG_WINDOW),
        (wrong(refused(90, 200)), Cause.WINDOW_REFUSED),
        (wrong(look(0, 99)), Cause.MET_BUT_UNSEEN),
        (wrong(ON), Cause.MISREAD),
        (wrong(), Cause.NO_CALL),
        (without_tool(), Cause.NOT_SHOWN),
        (episode("header", asked=question(easy=True, event=None)), Cause.MISREAD),
        (episode("header", [ON], question(event=None)), Cause.UNKNOWN_WINDOW),
    ],
)
def test_windows_alone_tell_the_cause_where_nothing_else_is_known(failing: Episode, cause: Cause) -> None:
    found = told(failing)
    assert (found.cause, found.failure, found.by) == (cause, CLASS_OF[cause], Evidence.WINDOW)


@pytest.mark.parametrize(
    ("stop", "cause"),
    [
        (StopReason.FORMAT_ERROR, Cause.FORMAT),
        (StopReason.MAX_TURNS, Cause.TURN_LIMIT),
        (StopReason.MAX_TOKENS, Cause.TOKEN_LIMIT),
        (StopReason.CONTEXT_OVERFLOW, Cause.CONTEXT),
    ],
)
def test_an_episode_without_an_answer_failed_by_its_stop_reason_whatever_it_had_seen(stop: StopReason, cause: Cause) -> None:
    found = told(episode(None, [ON, malformed()], stop=stop), replayed("volley"), Finding.MISREAD)
    assert (found.cause, found.failure, found.by) == (cause, Failure.OTHER, Evidence.STOP)


def test_a_replay_that_is_right_with_more_frames_of_the_event_says_that_it_saw_too_little() -> None:
    found = told(wrong(ONE_OF_IT), replayed("volley"), Finding.KNOWLEDGE)
    assert (found.cause, found.by) == (Cause.SAW_TOO_LITTLE, Evidence.COUNTERFACTUAL)
    assert found.failure is Failure.TOOL_GROUNDING


@pytest.mark.parametrize(("window", "frames"), [(ON, False), (look(28, 35), True)], ids=["none of it", "what had been shown"])
def test_a_replay_that_showed_nothing_new_of_the_event_cannot_say_that_it_saw_too_little(window: Turn, frames: bool) -> None:
    found = told(wrong(window), replayed("volley", frames=frames))
    assert (found.cause, found.failure) == (Cause.MISREAD, Failure.HALLUCINATION)
    assert "it wavers" in " ".join(found.evidence)


def test_a_replay_that_is_wrong_again_says_that_it_misread() -> None:
    found = told(wrong(ONE_OF_IT), replayed("header"))
    assert (found.cause, found.by) == (Cause.MISREAD, Evidence.COUNTERFACTUAL)
    assert (found.replayed_answer, found.replayed_accuracy) == ("header", 0.0)


def test_a_wrong_replay_does_not_make_a_misread_of_what_was_never_shown() -> None:
    found = told(wrong(BESIDE), replayed("header"))
    assert (found.cause, found.failure, found.also) == (Cause.WRONG_WINDOW, Failure.TOOL_GROUNDING, Cause.MISREAD)


def test_a_right_replay_of_what_was_never_shown_leaves_one_cause() -> None:
    assert told(wrong(BESIDE), replayed("volley")).also is None


@pytest.mark.parametrize("failing", [wrong(), without_tool()])
def test_not_looking_is_noted_as_misreading_too_if_the_replay_is_wrong(failing: Episode) -> None:
    assert told(failing, replayed("header")).also is Cause.MISREAD


def test_a_replay_that_ended_without_an_answer_tells_nothing() -> None:
    found = told(wrong(ONE_OF_IT), replayed(None))
    assert (found.cause, found.by) == (Cause.MISREAD, Evidence.WINDOW)


def test_who_did_not_call_though_a_sparse_frame_showed_a_bit_of_the_event_failed_by_not_looking() -> None:
    asked = question(event=(27, 34))  # frame 28 is a sparse one
    again = replayed("volley")
    seen = Replayed(again.episode.model_copy(update={"question": asked}), again.accuracy)
    assert told(episode("header", asked=asked), seen).cause is Cause.NO_CALL


@pytest.mark.parametrize(
    ("finding", "cause"),
    [
        (Finding.KNOWLEDGE, Cause.KNOWLEDGE),
        (Finding.MISREAD, Cause.MISREAD),
        (Finding.NOT_SHOWN, Cause.UNKNOWN_WINDOW),
    ],
)
def test_what_windows_and_replay_leave_open_the_examiner_decides(finding: Finding, cause: Cause) -> None:
    found = told(wrong(ON), replayed("header"), finding)
    assert (found.cause, found.by, found.finding) == (cause, Evidence.EXAMINER, finding)


@pytest.mark.parametrize("finding", [Finding.KNOWLEDGE, Finding.MISREAD, Finding.NOT_SHOWN])
def test_no_opinion_overrules_that_the_event_was_never_shown(finding: Finding) -> None:
    assert told(wrong(BESIDE), None, finding).cause is Cause.WRONG_WINDOW


@pytest.mark.parametrize(
    ("failing", "finding", "cause"),
    [
        (wrong(ON), Finding.MISREAD, Cause.MISREAD),
        (wrong(ON), Finding.KNOWLEDGE, Cause.KNOWLEDGE),
        (wrong(ON), Finding.NOT_SHOWN, Cause.WRONG_WINDOW),
        (wrong(), Finding.NOT_SHOWN, Cause.NO_CALL),
        (without_tool(), Finding.NOT_SHOWN, Cause.NOT_SHOWN),
    ],
)
def test_where_nobody_knows_the_time_the_examiner_takes_its_place(failing: Episode, finding: Finding, cause: Cause) -> None:
    timeless = failing.model_copy(update={"question": question(event=None)})
    assert (found := told(timeless, None, finding)).cause is cause
    assert found.by is Evidence.EXAMINER


def judged_wrong() -> Case:
    asked = question(gold=FreeText(answer="a volley from the left"))
    failing = episode("a shot by the left foot out of the air", [ON], asked)
    return Case(failing, score(failing, scored(0, "no volley", "a judge")))


def unshown(*, easy: bool) -> Case:
    """No frame was shown, and nobody knows which ones could be."""
    failing = without_tool(frames=False).model_copy(update={"question": question(easy=easy, event=None)})
    return Case(failing, score(failing), sights_known=False)


def test_an_examiner_may_overrule_a_judge() -> None:
    case = judged_wrong()
    found = diagnose(Case(case.episode, case.score, None, examined(Finding.ANSWER_RIGHT)))
    assert (found.cause, found.failure) == (Cause.JUDGE, Failure.OTHER)


def test_an_examiner_may_not_overrule_a_rule_and_its_doubt_is_noted() -> None:
    found = told(wrong(ON), None, Finding.ANSWER_RIGHT)
    assert found.cause is Cause.MISREAD
    assert "look at the reference" in found.evidence[-1]


@pytest.mark.parametrize("easy", [True, False])
def test_without_a_single_frame_nothing_is_misread_whatever_an_examiner_says(easy: bool) -> None:
    blind = without_tool(frames=False).model_copy(update={"question": question(easy=easy, event=None)})
    assert told(blind, None, Finding.MISREAD).cause is Cause.NOT_SHOWN
    assert score(blind).failure is Failure.OTHER


def test_who_was_shown_nothing_since_every_window_was_refused_failed_by_that() -> None:
    asked = question(easy=True, event=None)
    unseeing = episode("header", [refused(90, 200)], asked).model_copy(update={"first_frames": ()})
    assert told(unseeing).cause is Cause.WINDOW_REFUSED


def test_of_an_imported_answer_nobody_says_that_it_was_misread() -> None:
    failing = without_tool(frames=False)
    case = Case(failing, score(failing), None, examined(Finding.MISREAD), sights_known=False)
    assert diagnose(case).cause is Cause.UNKNOWN_SIGHT


@pytest.mark.parametrize(
    ("case", "open_still"),
    [
        (Case(wrong(ON), score(wrong(ON))), True),
        (Case(wrong(ON), score(wrong(ON)), replayed("header")), True),
        (Case(wrong(ONE_OF_IT), score(wrong(ONE_OF_IT)), replayed("volley")), False),
        (Case(wrong(BESIDE), score(wrong(BESIDE))), False),
        (Case(wrong(), score(wrong())), False),
        (judged_wrong(), True),
        (unshown(easy=False), False),
        (unshown(easy=True), False),
    ],
)
def test_the_examiner_is_asked_about_what_is_open_and_about_nothing_else(case: Case, open_still: bool) -> None:
    assert is_unsettled(case) is open_still


def test_every_cause_has_a_class() -> None:
    assert set(CLASS_OF) == set(Cause)


def test_a_diagnosis_tells_windows_answers_and_offset() -> None:
    found = told(wrong(BESIDE, refused(90, 200)))
    assert (found.answer, found.reference, found.n_refused) == ("header", "volley", 1)
    assert [(window.start_s, window.end_s) for window in found.asked] == [(1.68, 2.24)]
    assert found.offset_s == pytest.approx((42 + 56 - 30 - 34) / 2 / 25)
