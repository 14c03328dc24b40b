"""The majority protocol: no model, only what is most often right elsewhere.

    choice, and each fact of a text   the option with the highest right / offered
    number                            the most frequent value of the unit
    text without facts                the most frequent reference

counted over questions of the same sport; over all sports where those tell nothing. What is about the same match, or the same
video file where no match is known, never counts: the counts of a match are taken off the whole, so that any number of questions
is counted once. Among equals the first in the order of the alphabet wins, never the first in the order offered.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from os.path import realpath

from deepsport.agent.grammar import write_answer
from deepsport.bench.evaluate import on_record, seed_of
from deepsport.records import Choice, Episode, FreeText, Number, Question, StopReason, Turn
from deepsport.run import Run

NAME = "majority"
UNKNOWN = "unknown"
"""Said where nothing was learnt that could be said."""

Key = tuple[str, str | None, str]
"""What is counted (see `Counts`), the sport or None for all of them, and the option or the unit."""


@dataclass(slots=True)
class Counts:
    """How often something was offered and right, and which values and references there were."""

    offered: Counter[Key] = field(default_factory=Counter[Key])
    right: Counter[Key] = field(default_factory=Counter[Key])
    said: defaultdict[Key, Counter[str]] = field(default_factory=lambda: defaultdict[Key, Counter[str]](Counter))
    """Values of a unit, references."""

    def add(self, question: Question) -> None:
        """Counts one question, under its sport and under all."""
        for scope in {question.sport, None}:
            for kind, options, answer in _closed(question):
                self.offered.update((kind, scope, option) for option in options)
                self.right[kind, scope, answer] += 1
            if spoken := _spoken(question, scope):
                key, value = spoken
                self.said[key][value] += 1


class Majority:
    """What was learnt from some questions."""

    def __init__(self, questions: Iterable[Question]) -> None:
        """Counts each question once."""
        self._whole = Counts()
        self._own: defaultdict[str, Counts] = defaultdict(Counts)
        """By match or video: what is taken off the whole for questions about it."""
        for question in questions:
            self._whole.add(question)
            self._own[_about(question)].add(question)
        self._ranked = {
            key: sorted(counts.items(), key=lambda item: (-item[1], item[0])) for key, counts in self._whole.said.items()
        }

    def answer(self, question: Question) -> str:
        """What is most often right elsewhere."""
        own = self._own.get(_about(question)) or Counts()
        match question.gold:
            case Choice() | FreeText(facts=(_, *_)):
                return ", ".join(self._option(question, own, kind, options) for kind, options, _ in _closed(question))
            case Number() | FreeText():
                return self._most_said(question, own)
            case None:
                return UNKNOWN

    def _option(self, question: Question, own: Counts, kind: str, options: Sequence[str]) -> str:
        """Of some options the one with the highest rate."""
        for scope in (question.sport, None):
            keys = {option: (kind, scope, option) for option in sorted(options)}
            rates = {
                option: (self._whole.right[key] - own.right[key]) / offered
                for option, key in keys.items()
                if (offered := self._whole.offered[key] - own.offered[key]) > 0
            }
            if rates:
                return max(rates, key=lambda option: rates[option])
        return min(options)

    def _most_said(self, question: Question, own: Counts) -> str:
        """The most frequent value or reference. Only what the match itself has said is worth less than its rank shows, so the
        search ends as soon as the rest cannot be more."""
        for scope in (question.sport, None):
            spoken = _spoken(question, scope)
            if spoken is None:
                break
            best, n_best = "", 0
            for value, n in self._ranked.get(spoken[0], ()):
                if n <= n_best:
                    break
                if (elsewhere := n - own.said[spoken[0]][value]) > n_best:
                    best, n_best = value, elsewhere
            if n_best:
                return best
        return "0" if isinstance(question.gold, Number) else UNKNOWN


def guess_all(questions: Sequence[Question], learnt: Majority, run: Run, name: str, *, seed: int) -> list[Episode]:
    """An episode for each question, in their order, recorded like those of any system."""
    finished, _ = on_record(questions, run, name, seed, 1)
    for question in questions:
        if (question.id, 0) not in finished:
            finished[question.id, 0] = _episode(question, learnt.answer(question), seed_of(seed, question.id))
            run.append(name, finished[question.id, 0])
    return [finished[question.id, 0] for question in questions]


def _about(question: Question) -> str:
    """The match, else the video file, however its path is written: two sets may lie in different folders."""
    return (question.provenance and question.provenance.match) or realpath(question.video)


def _episode(question: Question, answer: str, seed: int) -> Episode:
    return Episode(
        id=f"{question.id}/{seed}",
        question=question,
        policy=NAME,
        seed=seed,
        with_tool=False,
        turns=(Turn(text=write_answer("", answer), answer=answer),),
        answer=answer,
        stop=StopReason.ANSWERED,
    )


def _closed(question: Question) -> Iterator[tuple[str, Sequence[str], str]]:
    """Everything in a question that is one of several options: its kind, the options, the right one."""
    match question.gold:
        case Choice(options=options, answer=answer):
            yield "choice", options, answer
        case FreeText(facts=facts):
            yield from (("fact", fact.options, fact.answer) for fact in facts)
        case _:
            return


def _spoken(question: Question, scope: str | None) -> tuple[Key, str] | None:
    """What is said freely: under which key it is counted, and the right value."""
    match question.gold:
        case Number(answer=answer, unit=unit):
            return ("number", scope, unit), f"{answer:.12g}"
        case FreeText(answer=answer, facts=()):
            return ("text", scope, ""), answer
        case _:
            return None
