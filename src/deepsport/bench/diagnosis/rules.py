"""From the evidence on a failed answer to its cause. Pure. The first rule that applies decides (reasons: docs/diagnosis.md):

1. No answer: the stop reason. 2. An examiner finds right what a judge found wrong: the verdict; a rule it cannot overrule.
3. No frame of the event was shown: the windows asked for, or that there was none. A replay that is wrong too is a second cause.
4. One was shown, the replay brought more, and was right: it had seen too little. An experiment overrules an opinion.
5. Otherwise misread, unless the examiner finds that it saw rightly (knowledge), or nothing to see (the known time is doubtful).
6. The time of the event is not known: what the examiner says; without one, unknown. So for imported answers.

Without the tool, where to look was nobody's choice: what the frames did not hold is `not_shown`, and not tool grounding.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from deepsport.bench.diagnose import FAILED_BELOW, event_seen, sight_of, window_met
from deepsport.bench.diagnosis.record import CLASS_OF, Cause, Diagnosis, Evidence, Examined, Finding
from deepsport.bench.score import Score
from deepsport.records import Episode, StopReason

STOPPED: Mapping[StopReason, Cause] = {
    StopReason.FORMAT_ERROR: Cause.FORMAT,
    StopReason.MAX_TURNS: Cause.TURN_LIMIT,
    StopReason.MAX_TOKENS: Cause.TOKEN_LIMIT,
    StopReason.CONTEXT_OVERFLOW: Cause.CONTEXT,
}


@dataclass(frozen=True, slots=True)
class Replayed:
    """The same question, asked with the frames of the event given."""

    episode: Episode
    accuracy: float | None
    """None: it ended without an answer, or nobody could say."""


@dataclass(frozen=True, slots=True)
class Case:
    """A failed answer and everything that is known about it."""

    episode: Episode
    score: Score
    replayed: Replayed | None = None
    examined: Examined | None = None
    sights_known: bool = True
    """False for imported answers: what their system was shown is not on record."""

    @property
    def finding(self) -> Finding | None:
        """What the examiner says, if it says anything."""
        return self.examined and self.examined.finding

    @property
    def replay_right(self) -> bool | None:
        """None where there was no replay, or it tells nothing."""
        accuracy = self.replayed and self.replayed.accuracy
        return None if accuracy is None else accuracy >= FAILED_BELOW

    @property
    def replay_showed_more(self) -> bool:
        """Whether the replay showed a frame of the event that had not been shown."""
        event = sight_of(self.episode.question.window)
        if event is None or self.replayed is None:
            return False
        shown = {frame.index for frame in self.episode.frames_seen}
        return any(event.contains(frame.time_s) and frame.index not in shown for frame in self.replayed.episode.frames_seen)


@dataclass(frozen=True, slots=True)
class Told:
    """A cause, and why."""

    cause: Cause
    by: Evidence
    why: tuple[str, ...]
    also: Cause | None = None


def failed(score: Score) -> bool:
    """Whether there is something to explain: an answer that is known to be wrong."""
    return score.failure is not None


def is_unsettled(case: Case) -> bool:
    """Whether an examiner could change what is said: neither the stop reason nor the windows nor the replay decide."""
    question = case.episode.question
    to_be_looked_at = question.window is not None or bool(case.episode.frames_seen)
    if case.episode.stop is not StopReason.ANSWERED or not to_be_looked_at:
        return False
    if case.score.verdict is not None or not case.sights_known:
        return True
    if question.easy or question.window is None:
        return bool(case.episode.frames_seen)
    return event_seen(case.episode) and not (case.replay_right and case.replay_showed_more)


def diagnose(case: Case) -> Diagnosis:
    """What one failed answer failed by."""
    told, episode, score, examined = _told(case), case.episode, case.score, case.examined
    return Diagnosis(
        episode_id=episode.id,
        question_id=score.question_id,
        run=score.run,
        video=score.video,
        cluster=score.cluster,
        sport=score.sport,
        dimension=score.dimension,
        failure=CLASS_OF[told.cause],
        cause=told.cause,
        also=told.also,
        by=told.by,
        evidence=(*told.why, *_remarks(case, told)),
        clip_s=score.clip_s,
        window=episode.question.window,
        asked=tuple(call.window for call in episode.calls if call.window),
        n_refused=sum(call.window is None for call in episode.calls),
        offset_s=score.offset_s,
        answer=score.answer,
        reference=score.reference,
        replayed_answer=case.replayed.episode.answer if case.replayed else None,
        replayed_accuracy=case.replayed.accuracy if case.replayed else None,
        finding=case.finding,
        unsettled=is_unsettled(case),
        finding_reason=examined.reason if examined else "",
        examiner=examined.examiner if examined else "",
    )


def _told(case: Case) -> Told:
    episode, question = case.episode, case.episode.question
    if episode.stop is not StopReason.ANSWERED:
        return Told(STOPPED[episode.stop], Evidence.STOP, (f"It ended without an answer: {episode.detail or episode.stop}.",))
    if case.finding is Finding.ANSWER_RIGHT and case.score.verdict is not None:
        return Told(Cause.JUDGE, Evidence.EXAMINER, ("A judge found the answer wrong; who saw the frames finds it right.",))
    if not case.sights_known:
        return _of_unknown_sight(case)
    if not episode.frames_seen:
        return _of_no_sight(case)
    if question.easy:
        return _read(case, "The sparse frames hold the answer, and were shown.", Evidence.WINDOW)
    if question.window is None:
        return _of_unknown_time(case)
    return _of_sight(case) if event_seen(episode) else _of_no_sight(case)


def _of_unknown_sight(case: Case) -> Told:
    why = "The answer was imported: nobody knows which frames its system was shown."
    if case.finding is Finding.KNOWLEDGE:
        return _read(case, why, Evidence.EXAMINER)
    return Told(Cause.UNKNOWN_SIGHT, Evidence.WINDOW, (why,))


def _of_unknown_time(case: Case) -> Told:
    match case.finding:
        case Finding.MISREAD | Finding.KNOWLEDGE:
            return _read(case, "Nobody has noted when the event is.", Evidence.EXAMINER)
        case Finding.NOT_SHOWN:
            cause = _unseen_cause(case.episode, Cause.WRONG_WINDOW)
            return Told(cause, Evidence.EXAMINER, ("None of the frames that were shown holds the answer.",))
        case Finding.ANSWER_RIGHT | None:
            why = "Nobody has noted when the event is, so that nobody can say whether it was seen."
            return Told(Cause.UNKNOWN_WINDOW, Evidence.WINDOW, (why,))


def _of_no_sight(case: Case) -> Told:
    """No frame was shown at all, or none of the event, whose time is known."""
    episode = case.episode
    met = Cause.MET_BUT_UNSEEN if window_met(episode) else Cause.WRONG_WINDOW
    told = Told(_unseen_cause(episode, met), Evidence.WINDOW, (_how_unseen(episode),))
    if case.replay_right is None:
        return told
    if case.replay_right:
        return replace(told, why=(*told.why, "With the frames of the event given, it answered rightly."))
    failed_too = "With the frames of the event given, it was wrong all the same: it would not have read it either."
    return replace(told, why=(*told.why, failed_too), also=Cause.MISREAD)


def _of_sight(case: Case) -> Told:
    """The time of the event is known, and a frame of it was shown."""
    if not (case.replay_right and case.replay_showed_more):
        return _read(case, "A frame of the event was shown.", Evidence.WINDOW)
    why = ("A frame of the event was shown, but with more of them given, it answered rightly.",)
    return Told(_unseen_cause(case.episode, Cause.SAW_TOO_LITTLE), Evidence.COUNTERFACTUAL, why)


def _read(case: Case, shown: str, by: Evidence) -> Told:
    """What holds the answer was shown: it was misread, unless the examiner says otherwise."""
    why, by = (shown, *_replay_in_words(case)), Evidence.COUNTERFACTUAL if case.replay_right is False else by
    match case.finding:
        case Finding.KNOWLEDGE:
            return Told(Cause.KNOWLEDGE, Evidence.EXAMINER, (*why, "What it saw it said rightly; the answer does not follow."))
        case Finding.NOT_SHOWN:
            doubt = "Who looked at the frames does not find in them what is asked: what is noted of the question may be wrong."
            return Told(Cause.UNKNOWN_WINDOW, Evidence.EXAMINER, (*why, doubt))
        case Finding.MISREAD:
            return Told(Cause.MISREAD, Evidence.EXAMINER, (*why, "It says something else than the frames show."))
        case Finding.ANSWER_RIGHT | None:
            return Told(Cause.MISREAD, by, (*why, "Whether it saw rightly and did not know better, nobody has told."))


def _replay_in_words(case: Case) -> Iterator[str]:
    if case.replayed is None:
        return
    if case.replay_right is None:
        yield f"A replay with the frames given tells nothing: {case.replayed.episode.detail or 'nobody could score it'}."
    elif not case.replay_right:
        yield "With the frames of the event given, it was wrong again."
    else:
        yield "With the frames given it answered rightly, but they held no further frame of the event: it wavers."


def _unseen_cause(episode: Episode, if_called: Cause) -> Cause:
    """What it is called that the frames shown did not hold enough: by whose choice that was."""
    if not episode.with_tool:
        return Cause.NOT_SHOWN
    if not episode.calls:
        return Cause.NO_CALL
    return if_called if any(call.window for call in episode.calls) else Cause.WINDOW_REFUSED


def _how_unseen(episode: Episode) -> str:
    if not episode.frames_seen:
        return "No frame was shown at all."
    if not episode.with_tool:
        return f"None of the {len(episode.frames_seen)} frames that were shown is of the event, and no tool was offered."
    if not episode.calls:
        return "No frame of the event was shown, and none was asked for."
    if not any(call.window for call in episode.calls):
        return "Every window that it asked for was refused."
    beside = "met the event, but its frames fell beside it" if window_met(episode) else "lay beside the event"
    return f"No frame of the event was shown: what it asked for {beside}."


def _remarks(case: Case, told: Told) -> Iterator[str]:
    if case.finding is Finding.ANSWER_RIGHT and told.cause is not Cause.JUDGE:
        yield "Who saw the frames holds the answer to be right, against the rule that scored it: look at the reference."
