"""A teacher that knows the arena: it reads the frames it is shown without error, and acts as one should.

It is handed truths only to *see* with: from the truth of a clip it takes the facts of the very frames in its messages, and
reasons from those alone. An event between two sparse frames it has not seen, so it asks for the gap in which the board changes,
and zooms on until a frame shows it. Without the tool, or without a frame, it guesses, and says so. Its thoughts use the words of
`perception`.
"""

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path, PurePath

from deepsport.agent.grammar import TOOL_NAME, Answer, write_answer, write_call
from deepsport.arena.generate import load_truths
from deepsport.arena.perception import Sight, look, say_action, say_digits, say_score, say_sport
from deepsport.arena.questions import Topic, topic_of
from deepsport.arena.sport import Sport
from deepsport.arena.sports import SPORTS
from deepsport.arena.truth import ClipTruth, Event
from deepsport.durable import read_records
from deepsport.errors import BadConfig, PolicyError
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
        said = _said(messages)
        asked = [question for question in self._questions.get(clip, ()) if question.text in said]
        if len(asked) != 1:
            raise PolicyError(f"the oracle recognises {len(asked)} questions about {clip!r} in the prompt, not one")
        return asked[0]

    def question_of_any_clip(self, messages: Sequence[Message]) -> Question:
        """One that reads and may be answered as the messages say, about whichever clip. Raises PolicyError if there is none."""
        said = _said(messages)
        asked = [question for question in chain.from_iterable(self._questions.values()) if question.text in said]
        if not asked:
            raise PolicyError("the oracle was shown no frame, and recognises no question in the prompt")
        return max(asked, key=lambda question: len(question.text))


class OracleSession:
    """One conversation with the oracle."""

    def __init__(self, oracle: Oracle, seed: int) -> None:
        """Starts having seen nothing."""
        self._oracle = oracle
        self._seed = seed
        self.question: Question | None = None
        """What is asked, once it is; of an unknown clip, if no frame was shown."""
        self.seen: dict[int, Sight] = {}
        """Every frame shown so far, by index."""
        self.latest: list[Sight] = []
        """The frames that were shown last."""
        self._may_look = False

    async def reply(self, messages: Sequence[Message]) -> Reply:
        """Looks at the new frames and acts. Raises PolicyError for a clip or question that is not of the arena."""
        shown = [part.frame for message in messages for part in message.parts if isinstance(part, Image)]
        if self.question is None and shown:
            self.question = self._oracle.question(PurePath(shown[0].video).stem, messages)
            self._may_look = TOOL_NAME in _said(messages)
        elif self.question is None:
            self.question = self._oracle.question_of_any_clip(messages)
        if shown:
            self.latest = [look(self._oracle.truth(PurePath(frame.video).stem), frame.index) for frame in shown]
            self.seen.update((sight.index, sight) for sight in self.latest)
        return Reply(text=self._act(self.question, news=bool(shown)))

    def tokens(self) -> TokenRecord | None:
        """The oracle speaks in text only."""
        return None

    def _act(self, question: Question, news: bool) -> str:
        seen = read(topic_of(question), self.latest)
        return say(seen) if seen else self._zoom_or_guess(question, news)

    def _zoom_or_guess(self, question: Question, news: bool) -> str:
        chance = random.Random(f"{question.id}/{self._seed}")
        blind = guess(question, chance)
        in_haste = question.dimension is Dimension.RULES and chance.random() < self._oracle.haste
        if self._may_look and not in_haste and news:
            before, after = _change([self.seen[index] for index in sorted(self.seen)])
            if after.index - before.index > 1:
                return say_look(self.latest, before, after)
        return say_unseen(blind)


def open_oracle(folder: Path) -> Oracle:
    """The oracle of the set in a folder. Raises BadConfig if it holds no arena set, BadRecord for a broken line."""
    if lacking := [name for name in ("truth.jsonl", "questions.jsonl") if not (folder / name).is_file()]:
        raise BadConfig(
            f"{folder} holds no arena set ({' and '.join(lacking)} missing), and the oracle knows nothing else. Make one with "
            f"`deepsport arena render {folder}`, or name another model."
        )
    return Oracle(load_truths(folder), read_records(folder / "questions.jsonl", Question))


def answer_at_sight(question: Question, truth: ClipTruth, indices: Sequence[int]) -> str | None:
    """What the oracle replies to these frames alone; None if they do not show the right answer."""
    seen = read(topic_of(question), [look(truth, index) for index in indices])
    right = seen and question.gold and accuracy(question.gold, seen.answer) == 1
    return say(seen) if seen and right else None


def say(seen: Answer) -> str:
    """With a blank before the answer, as words have it everywhere else: to a small model "header" and " header" are two words."""
    return write_answer(seen.thought, f" {seen.answer}")


def say_unseen(answer: str) -> str:
    """A guess, and that it is one."""
    return say(Answer("event not seen.", answer))


def say_look(sights: Sequence[Sight], before: Sight, after: Sight) -> str:
    """A call for the frames from one to another, with what `after` shows as the reason."""
    return write_call(_walk(sights, after, say_score(after)), before.index, after.index)


def guess(question: Question, chance: random.Random) -> str:
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


def read(topic: Topic, sights: Sequence[Sight]) -> Answer | None:
    """What one who saw this, in order, says; None if the event is asked for and not among it, or nothing was seen."""
    if not sights:
        return None
    if topic is Topic.SPORT:
        return Answer(f"frame {sights[0].index} shows {say_sport(sights[0].sport)}.", say_sport(sights[0].sport))
    if topic is Topic.SCORE:
        last = max(sights, key=lambda sight: sight.index)
        return Answer(f"frame {last.index} shows {say_score(last)}.", say_digits(last.score))
    for sight in sights:
        if sight.event:
            return Answer(_walk(sights, sight, say_action(sight.event)), _read_off(topic, sight.event, SPORTS[sight.sport]))
    return None


def _said(messages: Sequence[Message]) -> str:
    return "\n".join(part for message in messages for part in message.parts if isinstance(part, str))


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
