"""A judge that knows the arena: it checks every statement of a thought against the truth of the frames that had been shown.

It reads the sentences that the arena teaches: "frame 0, 14, 28: score 2 4 new.", "frame 14 shows score 2 4.", "red header, yellow
card.", "event not seen.". Each lists what a frame shows, in the words of `perception`; what is said in other words it cannot
check, and abstains. A false statement is 0 wherever it stands; an admitted guess, or a look where nothing points, is 3.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePath

from deepsport.arena.perception import Sight, look, say_action, say_digits, say_score, say_sport
from deepsport.arena.questions import EASY, Topic, topic_of
from deepsport.arena.sports import SPORTS
from deepsport.arena.truth import ClipTruth
from deepsport.records import Gold, Question, ToolCall, Turn
from deepsport.reward.accuracy import accuracy
from deepsport.reward.judge import FULL_POINTS, Case, Matter, Unscored, Verdict, scored, unscored
from deepsport.reward.unread import verdict_unread
from deepsport.reward.wording import plain

NOT_SEEN = "event not seen"
_GUESS, _UNSAID = 3, 7
_CLAIM = re.compile(r"(?:frames? (?P<frames>\d{1,9}(?:, \d{1,9})*)(?::| shows?) )?(?P<shows>[^:]+?)\.?")
_WORDS = frozenset({"turn", "turns", "attempt", "play", "new", "event", "not", "seen", "frame", "shows"})


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found in one turn; points are None where the checker cannot tell."""

    points: int | None
    reason: str


class ArenaChecker:
    """The judge of arena episodes."""

    name: str = "arena-checker/1"

    def __init__(self, truths: Mapping[str, ClipTruth]) -> None:
        """Knows the clips of `truths` (see `generate.load_truths`)."""
        self._truths = {PurePath(truth.video).stem: truth for truth in truths.values()}

    async def judge(self, case: Case) -> Verdict:
        """Judges one case; see `Judge`. Abstains from clips that it does not know."""
        settled = verdict_unread(case, self.name)
        truth = self._truths.get(PurePath(case.question.video).stem)
        if settled is not None:
            return settled
        if case.matter is Matter.ANSWER:
            return self._verdict(_check_answer(case))
        if truth is None or not _shows_this_clip(case, truth):
            return self._verdict(Finding(None, "not a clip whose truth is known"))
        return self._verdict(_worst(list(_findings(case, truth))))

    def _verdict(self, finding: Finding) -> Verdict:
        if finding.points is None:
            return unscored(Unscored.ABSTAINED, finding.reason, self.name)
        return scored(finding.points, finding.reason, self.name)


def _check_answer(case: Case) -> Finding:
    right = accuracy(case.question.gold, case.answer) if case.question.gold else None
    if right is None:
        return Finding(None, "only a reader can compare this answer with its reference")
    return Finding(round(FULL_POINTS * right), "by rule, from what the answer names")


def _shows_this_clip(case: Case, truth: ClipTruth) -> bool:
    frames = (*case.first_frames, *(frame for turn in case.turns for frame in turn.frames))
    return all(PurePath(frame.video).stem == PurePath(truth.video).stem and frame.index < truth.n_frames for frame in frames)


def _worst(findings: Sequence[Finding]) -> Finding:
    """A proved fault first, then what could not be checked, then the least points."""

    def rank(finding: Finding) -> float:
        return 0.5 if finding.points is None else finding.points

    return min(findings, key=rank)


def _findings(case: Case, truth: ClipTruth) -> Iterator[Finding]:
    seen = {frame.index: look(truth, frame.index) for frame in case.first_frames}
    for number, turn in enumerate(case.turns, start=1):
        for finding in _check_turn(case, turn, seen, truth):
            yield Finding(finding.points, f"turn {number}: {finding.reason}")
        seen |= {frame.index: look(truth, frame.index) for frame in turn.frames}


def _check_turn(case: Case, turn: Turn, seen: Mapping[int, Sight], truth: ClipTruth) -> Iterator[Finding]:
    if turn.call is None and turn.answer is None:
        yield Finding(0, "the reply is ill-formed")
        return
    yield _check_thought(turn.thought, seen, truth)
    if turn.call is not None:
        yield _check_call(turn.call, [seen[index] for index in sorted(seen)])
    if turn.answer is not None:
        yield _check_conclusion(case, turn, list(seen.values()))


def _check_thought(thought: str, seen: Mapping[int, Sight], truth: ClipTruth) -> Finding:
    claim = _CLAIM.fullmatch(" ".join(thought.split()))
    if claim is None:
        return (
            Finding(None, "a thought in words that cannot be checked") if thought.strip() else Finding(0, "there is no thought")
        )
    if claim["shows"] == NOT_SEEN:
        was_seen = any(sight.event for sight in seen.values())
        return Finding(0, "it had seen the event") if was_seen else Finding(FULL_POINTS, "it had not seen the event")
    walked = [int(index) for index in (claim["frames"] or "").split(", ") if index]
    unseen = [index for index in walked if index not in seen]
    if unseen:
        return Finding(0, f"frame {unseen[0]} had not been shown")
    sights = [seen[walked[-1]]] if walked else list(seen.values())
    if any(_is_shown(claim["shows"], sight) for sight in sights):
        return Finding(FULL_POINTS, "it is as the frames show")
    if set(plain(claim["shows"]).split()) <= _vocabulary(truth):
        return Finding(0, f"frame {walked[-1]} shows no such thing" if walked else "no frame shown by then shows it")
    return Finding(None, "a thought in words that cannot be checked")


def _is_shown(claim: str, sight: Sight) -> bool:
    """Whether a frame shows all of a list such as "red header, yellow card"."""
    true = {say_sport(sight.sport), say_score(sight), say_score(sight).removesuffix(" new")}
    true |= set(say_action(sight.action).split(", ")) if sight.action else {"play"}
    return all(part in true for part in claim.split(", "))


def _vocabulary(truth: ClipTruth) -> frozenset[str]:
    """All words in which a frame of this sport can be described, digits included: made of these, a statement is true or false."""
    sport = SPORTS[truth.sport]
    phrases = (*sport.kinds, *sport.actors, *sport.cues, *(form.sight for form in sport.forms), sport.state_word, *SPORTS)
    words = {word for phrase in phrases for word in plain(phrase.replace("_", " ")).split()}
    return frozenset({*words, *_WORDS, *map(str, range(100))})


def _check_call(call: ToolCall, sights: Sequence[Sight]) -> Finding:
    """A call looks where the board changes between two frames shown, or at an action shown; anywhere if nothing changes."""
    gaps = [(before.index, after.index) for before, after in pairwise(sights) if before.score != after.score]
    pointed = gaps + [(sight.index, sight.index) for sight in sights if sight.action] if gaps else []
    if pointed and not any(call.start_index <= end and start <= call.end_index for start, end in pointed):
        return Finding(_GUESS, f"nothing points to frames {call.start_index} to {call.end_index}")
    return Finding(FULL_POINTS, "it looks where something changes")


def _check_conclusion(case: Case, turn: Turn, seen: Sequence[Sight]) -> Finding:
    """An answer follows from frames that show it, and the thought says so."""
    gold, topic = case.question.gold, _topic(case.question)
    if gold is None or topic is None:
        return Finding(None, "not a question of the arena")
    right = accuracy(gold, turn.answer)
    if not _could_know(topic, seen, gold):
        return Finding(_GUESS, "the answer is a guess")
    if right != 1:
        return Finding(0, "the answer is not what the frames showed")
    told = [say_action(sight.event) for sight in seen if sight.event]
    if topic in EASY or any(part in turn.thought for action in told for part in action.split(", ")):
        return Finding(FULL_POINTS, "the answer is what was seen")
    return Finding(_UNSAID, "what the answer rests on was shown but not said")


def _topic(question: Question) -> Topic | None:
    try:
        return topic_of(question)
    except ValueError:
        return None


def _could_know(topic: Topic, seen: Sequence[Sight], gold: Gold) -> bool:
    """Whether a frame shown tells the right answer: any the sport, one with the final score that, else one of the event."""
    if topic is Topic.SPORT:
        return bool(seen)
    if topic is Topic.SCORE:
        return any(accuracy(gold, say_digits(sight.score)) == 1 for sight in seen)
    return any(sight.event for sight in seen)
