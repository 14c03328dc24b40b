"""A teacher that knows the arena: it reads the frames it is shown without error, and acts as one should.

It is handed truths only to *see* with: from the truth of a clip it takes the facts of the very frames in its messages, and
reasons from those alone. An event between two sparse frames it has not seen, so it asks for the gap in which the board changes,
and zooms on until a frame shows it. Without the tool it guesses, and says so. Its thoughts use the words of `perception`.
"""

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import PurePath

from deepsport.agent.grammar import TOOL_NAME, Answer, write_answer, write_call
from deepsport.arena.perception import Sight, look, say_action, say_digits, say_score, say_sport
from deepsport.arena.questions import Topic, topic_of
from deepsport.arena.sport import Sport
from deepsport.arena.sports import SPORTS
from deepsport.arena.truth import ClipTruth, Event
from deepsport.errors import PolicyError
from deepsport.policy.base import Image, Message, Reply, Sampling
from deepsport.records import Choice, Dimension, FreeText, Number, Question, TokenRecord
from deepsport.reward.accuracy import accuracy


class Oracle:
    """The teacher, as a Policy."""

    name = "arena-oracle"

    def __init__(self, truths: Mapping[str, ClipTruth], questions: Iterable[Question], *, haste: float = 0.0) -> None:
        """Knows the clips of `truths` (see `generate.load_truths`) and recognises `questions` by clip and text.

        haste: share of the rule questions that it answers without a look, as one does who believes to know the rules."""
        self.haste = haste
        self._truths = {PurePath(truth.video).stem: truth for truth in truths.values()}
        self._questions: dict[str, list[Question]] = {}
        for question in questions:
            self._questions.setdefault(PurePath(question.video).stem, []).append(question)

    def session(self, sampling: Sampling) -> "OracleSession":
        """Opens a conversation; the seed is that of its guesses."""
        return OracleSession(self, sampling.seed)

    def truth(self, clip: str) -> ClipTruth:
        """The truth of a clip. Raises PolicyError for a clip that is not of the arena."""
        if clip not in self._truths:
            raise PolicyError(f"the oracle does not know the clip {clip!r}: it knows {len(self._truths)} arena clips")
        return self._truths[clip]

    def question(self, clip: str, messages: Sequence[Message]) -> Question:
        """The question that the messages ask about a clip. Raises PolicyError if there is none."""
        said = "\n".join(part for message in messages for part in message.parts if isinstance(part, str))
        asked = [question for question in self._questions.get(clip, ()) if question.text in said]
        if len(asked) != 1:
            raise PolicyError(f"the oracle recognises {len(asked)} questions about {clip!r} in the prompt, not one")
        return asked[0]


class OracleSession:
    """One conversation with the oracle."""

    def __init__(self, oracle: Oracle, seed: int) -> None:
        """Starts having seen nothing."""
        self._oracle = oracle
        self._seed = seed
        self._question: Question | None = None
        self._seen: dict[int, Sight] = {}
        self._latest: list[Sight] = []
        self._may_look = False

    async def reply(self, messages: Sequence[Message]) -> Reply:
        """Looks at the new frames and acts. Raises PolicyError for a clip or question that is not of the arena."""
        shown = [part.frame for message in messages for part in message.parts if isinstance(part, Image)]
        if self._question is None:
            if not shown:
                raise PolicyError("the oracle was shown no frame")
            self._question = self._oracle.question(PurePath(shown[0].video).stem, messages)
            self._may_look = any(TOOL_NAME in part for message in messages for part in message.parts if isinstance(part, str))
        if shown:
            self._latest = [look(self._oracle.truth(PurePath(frame.video).stem), frame.index) for frame in shown]
            self._seen.update((sight.index, sight) for sight in self._latest)
        return Reply(text=self._act(self._question, news=bool(shown)))

    def tokens(self) -> TokenRecord | None:
        """The oracle speaks in text only."""
        return None

    def _act(self, question: Question, news: bool) -> str:
        seen = _read(topic_of(question), self._latest)
        return _say(seen) if seen else self._zoom_or_guess(question, news)

    def _zoom_or_guess(self, question: Question, news: bool) -> str:
        chance = random.Random(f"{question.id}/{self._seed}")
        guess = _guess(question, chance)
        in_haste = question.dimension is Dimension.RULES and chance.random() < self._oracle.haste
        before, after = _change([self._seen[index] for index in sorted(self._seen)])
        if self._may_look and not in_haste and news and after.index - before.index > 1:
            return write_call(_walk(self._latest, after, say_score(after)), before.index, after.index)
        return _say(Answer("event not seen.", guess))


def answer_at_sight(question: Question, truth: ClipTruth, indices: Sequence[int]) -> str | None:
    """What the oracle replies to these frames alone; None if they do not show the right answer."""
    seen = _read(topic_of(question), [look(truth, index) for index in indices])
    right = seen and question.gold and accuracy(question.gold, seen.answer) == 1
    return _say(seen) if seen and right else None


def _say(seen: Answer) -> str:
    """With a blank before the answer, as words have it everywhere else: to a small model "header" and " header" are two words."""
    return write_answer(seen.thought, f" {seen.answer}")


def _guess(question: Question, chance: random.Random) -> str:
    """An answer from the question alone."""
    match question.gold:
        case Choice(options=options):
            return chance.choice(options)
        case Number():
            return chance.choice(re.findall(r"\b\d\b", question.text) or ["1", "2", "3"])
        case FreeText(facts=facts):
            return ", ".join(chance.choice(fact.options) for fact in facts)
        case _:
            raise PolicyError(f"the oracle cannot guess at {question.id}, a question without an answer")


def _read(topic: Topic, sights: Sequence[Sight]) -> Answer | None:
    """What one who saw this, in order, says; None if the event is asked for and not among it."""
    if topic is Topic.SPORT:
        return Answer(f"frame {sights[0].index} shows {say_sport(sights[0].sport)}.", say_sport(sights[0].sport))
    if topic is Topic.SCORE:
        return Answer(f"frame {sights[-1].index} shows {say_score(sights[-1])}.", say_digits(sights[-1].score))
    for sight in sights:
        if sight.event:
            return Answer(_walk(sights, sight, say_action(sight.event)), _read_off(topic, sight.event, SPORTS[sight.sport]))
    return None


def _walk(sights: Sequence[Sight], end: Sight, shows: str) -> str:
    """The frames looked through in order, up to the one that shows what is sought: "frame 0, 14, 28: score 2 4 new."

    Walking from label to label, as a reader's finger does, was learnt far sooner than naming the right frame at once."""
    return f"frame {', '.join(str(sight.index) for sight in sights if sight.index <= end.index)}: {shows}."


def _change(sights: Sequence[Sight]) -> tuple[Sight, Sight]:
    """The two consecutive sights between which the board changes; the first and last if it never does."""
    for before, after in pairwise(sights):
        if before.score != after.score:
            return before, after
    return sights[0], sights[-1]


def _read_off(topic: Topic, event: Event, sport: Sport) -> str:
    match topic:
        case Topic.KIND:
            return event.kind
        case Topic.ACTOR:
            return event.actor
        case Topic.TURNS:
            return str(event.turns)
        case Topic.RULING:
            return event.ruling
        case Topic.SIGN:
            return event.cue
        case Topic.POINTS:
            return str(sport.form(event.form).points)
        case Topic.ADVICE:
            return sport.form(event.form).advice
        case Topic.COMMENT:
            return say_action(event)
        case Topic.SPORT | Topic.SCORE:
            raise ValueError(f"{topic} is not a fact of an event")
