"""Policies that fail in a known way: a diagnosis of failures is tested on them, since their classes are true by construction.

Each does what the oracle does, but for its one fault; so whatever it gets wrong it gets wrong for that reason, and where the
fault cannot act it is right. Shown frames of the event at the start and no tool (a counterfactual replay), one that looked astray
or not at all reads them and answers rightly; one that misreads, or does not know the rules, is as wrong as before.
The construction holds where the tool is offered and there are turns for two looks and an answer.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import StrEnum
from itertools import pairwise
from pathlib import PurePath
from typing import TypeVar, assert_never

from deepsport.agent.grammar import Answer, ChooseFrames, parse, write_call
from deepsport.arena.oracle import Oracle, OracleSession, guess, read, say, say_unseen
from deepsport.arena.perception import Sight, say_score
from deepsport.arena.questions import Topic, topic_of
from deepsport.arena.sport import Sport
from deepsport.arena.sports import SPORTS
from deepsport.arena.truth import Event
from deepsport.errors import PolicyError
from deepsport.policy.base import Message, Reply, Sampling
from deepsport.records import Choice, Question, TokenRecord

T = TypeVar("T")


class Fault(StrEnum):
    """What a planted policy does wrong."""

    ASTRAY = "astray"
    """It looks where the event is not, once or twice, and guesses. Its failures are of grounding: no frame of the event was
    shown."""
    MISREADER = "misreader"
    """It looks where the oracle looks, and sees something else than is there: its thought says so. Its failures are of
    perception: frames of the event were shown and misread, or those that show the board or the sport."""
    BREAKER = "breaker"
    """It leaves the grammar, in some `Way`, at once or after its looks. Its failures are of format."""
    UNLOOKING = "unlooking"
    """It never calls the tool, and guesses. Its failures are of not looking."""
    UNVERSED = "unversed"
    """It looks and sees rightly, says so, and draws the wrong conclusion: it has the rules and the points mixed up, always in the
    same way. Its failures are of knowledge; what asks for none it gets right."""


class Way(StrEnum):
    """How a reply leaves the grammar."""

    NO_THOUGHT = "no_thought"
    OPEN_THOUGHT = "open_thought"
    """Its tag is never closed."""
    OPEN_ACTION = "open_action"
    PROSE = "prose"
    EMPTY = "empty"
    TWO_ACTIONS = "two_actions"
    BAD_JSON = "bad_json"
    SAME_WINDOW = "same_window"
    """A sound call, for the second time; where no call was made yet, as `BAD_JSON`."""


class Planted:
    """A policy with one fault, as a Policy."""

    def __init__(self, fault: Fault, oracle: Oracle, *, rate: float = 1.0) -> None:
        """rate: share of the questions on which the fault acts; elsewhere it is the oracle."""
        self.fault = fault
        self.rate = rate
        self._oracle = oracle

    @property
    def name(self) -> str:
        """`planted-astray`."""
        return f"planted-{self.fault}"

    def session(self, sampling: Sampling) -> "PlantedSession":
        """Opens a conversation; the seed is that of guesses, and decides with the question whether and how the fault acts."""
        return PlantedSession(self, self._oracle, sampling.seed)


class PlantedSession:
    """One conversation: the oracle within, and what the fault makes of its replies."""

    def __init__(self, planted: Planted, oracle: Oracle, seed: int) -> None:
        """Starts having seen nothing."""
        self._planted = planted
        self._oracle = oracle
        self._inner: OracleSession = oracle.session(Sampling(seed=seed))
        self._seed = seed
        self._looks: list[tuple[int, int]] = []

    async def reply(self, messages: Sequence[Message]) -> Reply:
        """Looks at the new frames and acts. Raises PolicyError as the oracle does."""
        rightly = (await self._inner.reply(messages)).text
        question = self._inner.question
        if question is None:
            raise PolicyError("the oracle replied without a question")
        chance = random.Random(f"{question.id}/{self._seed}/{self._planted.fault}")
        if chance.random() >= self._planted.rate:
            return Reply(text=rightly)
        return Reply(text=self._wrongly(question, rightly, chance))

    def tokens(self) -> TokenRecord | None:
        """It speaks in text only."""
        return None

    def _wrongly(self, question: Question, rightly: str, chance: random.Random) -> str:
        """The reply as the fault has it; `chance` is in the same state at every turn of a conversation."""
        match self._planted.fault:
            case Fault.ASTRAY:
                return self._astray(question, chance) if _is_look(rightly) else rightly
            case Fault.MISREADER:
                return _misread(question, self._inner.latest, chance) or rightly
            case Fault.BREAKER:
                return self._broken(rightly, chance)
            case Fault.UNLOOKING:
                return say_unseen(guess(question, chance)) if _is_look(rightly) else rightly
            case Fault.UNVERSED:
                return _concluded(question, self._inner.latest) or rightly
        assert_never(self._planted.fault)

    def _astray(self, question: Question, chance: random.Random) -> str:
        """A look at a gap in which nothing happens, another one perhaps, then a guess."""
        n_looks = chance.choice((1, 1, 2))
        event = self._oracle.truth(PurePath(question.video).stem).event
        windows = _windows_beside(sorted(self._inner.seen), event)
        if len(self._looks) == n_looks or not windows:
            return say_unseen(guess(question, chance))
        start, end = chance.choice(windows)
        self._looks.append((start, end))
        return write_call(f"frame {start} shows {say_score(self._inner.seen[start])}.", start, end)

    def _broken(self, rightly: str, chance: random.Random) -> str:
        way, at_once = chance.choice(tuple(Way)), chance.random() < 0.5
        if way is Way.SAME_WINDOW and self._looks:
            return write_call("once more.", *self._looks[-1])
        action = parse(rightly)
        if isinstance(action, ChooseFrames):
            self._looks.append((action.start_index, action.end_index))
            if way is Way.SAME_WINDOW or not at_once:
                return rightly
        return break_grammar(rightly, way)


def break_grammar(text: str, way: Way) -> str:
    """A sound reply, put out of the grammar."""
    thought, _, action = text.partition("</think>")
    match way:
        case Way.NO_THOUGHT:
            return action
        case Way.OPEN_THOUGHT:
            return thought + action
        case Way.OPEN_ACTION:
            return text[: text.rindex("</")]
        case Way.PROSE:
            return f"From the frames I would say this: {thought.removeprefix('<think>')}"
        case Way.EMPTY:
            return ""
        case Way.TWO_ACTIONS:
            return text + action
        case Way.BAD_JSON | Way.SAME_WINDOW:
            return f'{thought}</think><tool_call>{{"action":"choose_frames","frame_range":[0,</tool_call>'
    assert_never(way)


def _is_look(reply: str) -> bool:
    return isinstance(parse(reply), ChooseFrames)


def _windows_beside(seen: Sequence[int], event: Event) -> list[tuple[int, int]]:
    """The widest gaps between frames seen that have nothing of the event; if every gap has, what lies before it in one."""
    gaps = [(start, end) for start, end in pairwise(seen) if end - start > 1]
    beside = [(start, end) for start, end in gaps if end < event.first_index or event.last_index < start]
    widest = max((end - start for start, end in beside), default=0)
    before = [(start, event.first_index - 1) for start, end in gaps if start < event.first_index <= end]
    return [(start, end) for start, end in beside if end - start >= widest / 2] or before


def _misread(question: Question, sights: Sequence[Sight], chance: random.Random) -> str | None:
    """What one says who took what it asks about for something else; None where these frames do not show it."""
    topic = topic_of(question)
    if read(topic, sights) is None:
        return None
    said = read(topic, _distorted(question, topic, sights, chance))
    return say(said) if said else None


def _distorted(question: Question, topic: Topic, sights: Sequence[Sight], chance: random.Random) -> list[Sight]:
    """The frames as they were taken to be."""
    if topic in (Topic.SPORT, Topic.SCORE):
        taken = _another(_options(question), _answer(question), chance)
        if topic is Topic.SPORT:
            return [replace(sight, sport=taken.replace(" ", "_")) for sight in sights]
        return [replace(sight, score=tuple(map(int, taken.split()))) for sight in sights]
    event = next(sight.event for sight in sights if sight.event)
    taken_for = _misseen(question, topic, event, SPORTS[sights[0].sport], chance)
    return [replace(sight, action=taken_for) if sight.event else sight for sight in sights]


def _misseen(question: Question, topic: Topic, event: Event, sport: Sport, chance: random.Random) -> Event:
    """The event, with another value of what is asked about; for a comment, of three facts of the four or of all."""
    facts = {
        "kind": _another(sport.kinds, event.kind, chance),
        "actor": _another(sport.actors, event.actor, chance),
        "cue": _another_cue(question, topic, event, sport, chance),
        "form": _another([form.sight for form in sport.forms], event.form, chance),
    }
    match topic:
        case Topic.TURNS:
            return event.model_copy(update={"turns": _another(range(1, sport.most_turns + 1), event.turns, chance)})
        case Topic.KIND | Topic.ACTOR:
            wrong = [str(topic)]
        case Topic.RULING | Topic.SIGN:
            wrong = ["cue"]
        case Topic.POINTS | Topic.ADVICE:
            wrong = ["form"]
        case _:
            wrong = chance.sample(sorted(facts), chance.choice((3, 4)))
    taken = event.model_copy(update={fact: facts[fact] for fact in wrong})
    return taken.model_copy(update={"ruling": _ruling_of(taken.cue, sport)})


def _another_cue(question: Question, topic: Topic, event: Event, sport: Sport, chance: random.Random) -> str:
    """A sign of another ruling; one that is offered, where signs are."""
    offered = _options(question) if topic is Topic.SIGN else sport.cues
    return _another([cue for cue in offered if _ruling_of(cue, sport) != event.ruling], event.cue, chance)


def _concluded(question: Question, sights: Sequence[Sight]) -> str | None:
    """What one says who takes every ruling or form for the next; None where nothing is to be concluded, or nothing was seen."""
    topic = topic_of(question)
    seen = read(topic, sights)
    if seen is None or topic not in (Topic.RULING, Topic.POINTS, Topic.ADVICE):
        return None
    sport = SPORTS[sights[0].sport]
    if topic is Topic.RULING:
        conclusions = list(sport.rulings)
    else:
        conclusions = [str(form.points) if topic is Topic.POINTS else form.advice for form in sport.forms]
    wrong = conclusions[(conclusions.index(seen.answer) + 1) % len(conclusions)]
    return say(Answer(seen.thought, wrong))


def _ruling_of(cue: str, sport: Sport) -> str:
    return next(ruling for ruling, cues in sport.rulings.items() if cue in cues)


def _options(question: Question) -> tuple[str, ...]:
    return question.gold.options if isinstance(question.gold, Choice) else ()


def _answer(question: Question) -> str:
    return question.gold.answer if isinstance(question.gold, Choice) else ""


def _another(values: Iterable[T], but: T, chance: random.Random) -> T:
    return chance.choice([value for value in values if value != but])
