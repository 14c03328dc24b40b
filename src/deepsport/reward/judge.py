"""What a judge is: a case in, a verdict out. Shared by distillation, reward and benchmark.

A case holds what is judged (an answer against its reference, or the thoughts of an episode against its calls) as named texts,
raw: whoever puts them into a prompt makes them harmless first. A verdict is 0 to 10 points, or none with the reason why: a judge
that abstains, cannot be read or cannot be reached has not said that the answer is wrong. Names, ids and paths are not judged.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pydantic import Field, model_validator

from deepsport.records import Choice, Dimension, Episode, Frame, FreeText, Gold, Number, Question, Record, Turn
from deepsport.reward.gated import FAULTS, answer_accuracy

FULL_POINTS = 10


class Matter(StrEnum):
    """What is judged."""

    ANSWER = "answer"
    """Whether the answer says what the reference says."""
    THOUGHTS = "thoughts"
    """Whether each thought follows from what had been shown, and its call or answer from the thought."""


class Unscored(StrEnum):
    """Why a verdict has no points."""

    ABSTAINED = "abstained"
    """The judge says that it cannot tell."""
    UNREADABLE = "unreadable"
    """The judge's reply is no verdict, asked twice."""
    UNJUDGED = "unjudged"
    """The judge could not be reached: judge again later."""


class Verdict(Record):
    """What a judge says of one case."""

    points: int | None = Field(default=None, ge=0, le=FULL_POINTS)
    """None if unscored: never to be counted as 0."""
    why: Unscored | None = None
    """Why there are no points; None if there are."""
    reason: str
    """In the judge's words, or ours where it had none."""
    judge: str
    """Its name, with the version of its prompt or rules."""

    @model_validator(mode="after")
    def _points_or_why(self) -> "Verdict":
        if (self.points is None) == (self.why is None):
            raise ValueError("a verdict has either points or a reason why it has none")
        return self

    @property
    def accuracy(self) -> float | None:
        """Points as a share in [0, 1]; None if unscored."""
        return None if self.points is None else self.points / FULL_POINTS


@dataclass(frozen=True, slots=True)
class Section:
    """A named text of a case, as it was written: not yet fit for a prompt."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing to judge."""

    matter: Matter
    question: Question
    answer: str | None
    """None if there is none."""
    first_frames: tuple[Frame, ...] = ()
    """Of thoughts: the frames shown at the start."""
    turns: tuple[Turn, ...] = ()
    """Of thoughts: all turns, in order."""
    facts: str = ""
    """Of thoughts: what is known for certain, if anything is."""

    @property
    def dimension(self) -> Dimension:
        """Decides the rubric; a question without a dimension is judged as one of recognition."""
        return self.question.dimension or Dimension.RECOGNITION

    @property
    def sections(self) -> tuple[Section, ...]:
        """All that a judge is told, in a fixed order."""
        return tuple(_answer_sections(self) if self.matter is Matter.ANSWER else _thought_sections(self))

    @property
    def content_key(self) -> str:
        """Hash of everything that the verdict may depend on; equal questions under other ids share it."""
        texts = [[section.name, section.text] for section in self.sections]
        return hashlib.sha256(json.dumps([self.matter, self.dimension, texts]).encode()).hexdigest()


class Judge(Protocol):
    """Something that gives verdicts."""

    @property
    def name(self) -> str:
        """Name written into every verdict; another model, prompt or rule has another name."""
        ...

    async def judge(self, case: Case) -> Verdict:
        """Judges one case. What is judged, and a judge that is down, end in an unscored verdict, never in an error.

        Raises only cancellation and what must end the run, such as a limit of cost."""
        ...


def case_of_answer(question: Question, answer: str | None) -> Case:
    """Is the answer right?"""
    return Case(matter=Matter.ANSWER, question=question, answer=answer)


def case_of_thoughts(episode: Episode, facts: str = "") -> Case:
    """Do the thoughts of an episode agree with its calls, with what it was shown, and with what is known for certain?"""
    return Case(
        matter=Matter.THOUGHTS,
        question=episode.question,
        answer=episode.answer,
        first_frames=episode.first_frames,
        turns=episode.turns,
        facts=facts,
    )


def scored(points: int, reason: str, judge: str) -> Verdict:
    """A verdict with points."""
    return Verdict(points=points, reason=reason, judge=judge)


def unscored(why: Unscored, reason: str, judge: str) -> Verdict:
    """A verdict without."""
    return Verdict(why=why, reason=reason, judge=judge)


async def judged_accuracy(episode: Episode, judge: Judge) -> float | None:
    """Accuracy of the final answer in [0, 1]: by rule where that is possible, else the judge's; None if nobody could say.

    None too for an episode that fell to a fault of the server or the video, which is nobody's answer."""
    accuracy, _ = await accuracy_and_verdict(episode, judge)
    return accuracy


async def accuracy_and_verdict(episode: Episode, judge: Judge) -> tuple[float | None, Verdict | None]:
    """`judged_accuracy`, and what the judge said, if it was asked."""
    by_rule = answer_accuracy(episode)
    if by_rule is not None or episode.question.gold is None or episode.stop in FAULTS:
        return by_rule, None
    verdict = await judge.judge(case_of_answer(episode.question, episode.answer))
    return verdict.accuracy, verdict


def _answer_sections(case: Case) -> Iterator[Section]:
    yield from _question_sections(case.question)
    if case.question.gold is not None:
        yield from _gold_sections(case.question.gold)
    yield Section("candidate", case.answer or "")


def _question_sections(question: Question) -> Iterator[Section]:
    if question.sport:
        yield Section("sport", question.sport)
    yield Section("question", question.text)


def _gold_sections(gold: Gold) -> Iterator[Section]:
    match gold:
        case Choice():
            labelled = (f"{chr(ord('A') + place)}) {option}" for place, option in enumerate(gold.options))
            yield Section("options", "; ".join(labelled))
            yield Section("reference", gold.answer)
        case Number():
            slack = f", right within {gold.tolerance:g}" if gold.tolerance else ""
            yield Section("reference", f"{gold.answer:g} {gold.unit}".strip() + slack)
        case FreeText():
            yield Section("reference", gold.answer)
            if gold.facts:
                yield Section("facts", "; ".join(f"{fact.answer} (of: {', '.join(fact.options)})" for fact in gold.facts))


def _thought_sections(case: Case) -> Iterator[Section]:
    yield from _question_sections(case.question)
    if (event := case.question.window) is not None:
        yield Section("event", f"what is asked about happens from {event.start_s:.2f} s to {event.end_s:.2f} s")
    if case.facts:
        yield Section("known facts", case.facts)
    yield Section("first frames", _listed(case.first_frames))
    for number, turn in enumerate(case.turns, start=1):
        yield from _turn_sections(f"turn {number}", turn)


def _turn_sections(head: str, turn: Turn) -> Iterator[Section]:
    if turn.call is None and turn.answer is None:
        yield Section(f"{head} ill-formed reply", turn.text)
        return
    yield Section(f"{head} thought", turn.thought)
    if turn.call is not None:
        span = turn.call.window
        seconds = f" ({span.start_s:.2f} s to {span.end_s:.2f} s)" if span else " (refused)"
        yield Section(f"{head} call", f"frames {turn.call.start_index} to {turn.call.end_index}{seconds}")
        yield Section(f"{head} shown", _listed(turn.frames))
    if turn.answer is not None:
        yield Section(f"{head} answer", turn.answer)


def _listed(frames: Sequence[Frame]) -> str:
    return ", ".join(f"{frame.index} ({frame.time_s:.2f} s)" for frame in frames) or "none"
