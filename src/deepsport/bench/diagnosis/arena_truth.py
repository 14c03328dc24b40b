"""An examiner that knows the arena: it holds what a thought says of the event against what the frames truly show.

It looks for the facts that the question turns on: the sign for a ruling, the form for points or advice, all four for a comment.
A thought that names them rightly saw rightly, so the answer failed by its conclusion; one that names others, or says that the
event was not seen, misread. One that says nothing of them tells nothing.
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePath

from deepsport.arena.checker import NOT_SEEN
from deepsport.arena.generate import load_truths
from deepsport.arena.perception import say_sport
from deepsport.arena.questions import Topic, topic_of
from deepsport.arena.sports import SPORTS
from deepsport.arena.truth import ClipTruth
from deepsport.bench.diagnose import FAILED_BELOW
from deepsport.bench.diagnosis.examiner import case_key
from deepsport.bench.diagnosis.record import Examined, Finding
from deepsport.records import Choice, Episode, Fact, Question
from deepsport.reward.choice import phrases_in
from deepsport.reward.wording import plain

_LABELS = re.compile(r"frames? \d[\d, ]*(?::| shows?)")
"""Numbers of frames, which are no digits of a board."""
_TURNS_ON = {
    Topic.KIND: ("kind",),
    Topic.ACTOR: ("actor",),
    Topic.TURNS: ("turns",),
    Topic.RULING: ("cue",),
    Topic.SIGN: ("cue",),
    Topic.POINTS: ("form",),
    Topic.ADVICE: ("form",),
    Topic.COMMENT: ("actor", "kind", "cue", "form"),
    Topic.SPORT: ("sport",),
    Topic.SCORE: ("score",),
}


class TruthExaminer:
    """The examiner of arena episodes."""

    name: str = "arena-truth/1"

    def __init__(self, truths: Mapping[str, ClipTruth]) -> None:
        """Knows the clips of `truths` (see `generate.load_truths`)."""
        self._truths = {PurePath(truth.video).stem: truth for truth in truths.values()}

    async def examine(self, episode: Episode) -> Examined:
        """See `Examiner`."""
        truth = self._truths.get(PurePath(episode.question.video).stem)
        finding, reason = _compared(episode, truth) if truth else (None, "not a clip whose truth is known")
        return Examined(episode_id=episode.id, case=case_key(episode), finding=finding, reason=reason, examiner=self.name)


def examiner_of_set(questions: Path) -> TruthExaminer | None:
    """The examiner of the arena set that a file of questions is of; None if it is of none."""
    folder = questions.parent
    return TruthExaminer(load_truths(folder)) if (folder / "truth.jsonl").is_file() else None


def _compared(episode: Episode, truth: ClipTruth) -> tuple[Finding | None, str]:
    thought = plain(_LABELS.sub(" ", episode.turns[-1].thought)) if episode.turns else ""
    facts = _facts(truth, episode.question)
    try:
        decisive = [facts[name] for name in _TURNS_ON[topic_of(episode.question)] if name in facts]
    except ValueError:
        return None, "not a question of the arena"
    if plain(NOT_SEEN) in thought:
        return Finding.MISREAD, "its thought says that the event was not seen"
    said = _named([*facts.values()], thought)
    named = [said & {plain(option) for option in fact.options} for fact in decisive]
    n_right = sum(each == {plain(fact.answer)} for each, fact in zip(named, decisive, strict=True))
    shows = ", ".join(fact.answer for fact in decisive)
    if n_right and n_right / len(decisive) >= FAILED_BELOW:
        return Finding.KNOWLEDGE, f"its thought says what the frames show: {shows}"
    if any(named):
        return Finding.MISREAD, f"the frames show: {shows}; its thought says {', '.join(sorted(set[str]().union(*named)))}"
    return None, "its thought says nothing of what the question turns on"


def _named(facts: list[Fact], thought: str) -> set[str]:
    """All that the thought names of what could be so, the longest first: "yellow card" says nothing of who wears yellow."""
    phrases = list(dict.fromkeys(plain(option) for fact in facts for option in fact.options))
    return {phrases[index] for index in phrases_in(phrases, thought)}


def _facts(truth: ClipTruth, question: Question) -> dict[str, Fact]:
    """What could be so in a clip, and what is."""
    sport, event = SPORTS[truth.sport], truth.event
    facts = {
        "kind": Fact(options=sport.kinds, answer=event.kind),
        "actor": Fact(options=sport.actors, answer=event.actor),
        "cue": Fact(options=sport.cues, answer=event.cue),
        "form": Fact(options=tuple(form.sight for form in sport.forms), answer=event.form),
        "sport": Fact(options=tuple(map(say_sport, SPORTS)), answer=say_sport(truth.sport)),
    }
    if sport.most_turns:
        turns = tuple(f"{n} turn{'s' * (n > 1)}" for n in range(1, sport.most_turns + 1))
        facts["turns"] = Fact(options=turns, answer=turns[event.turns - 1])
    if question.id.endswith(f"-{Topic.SCORE}") and isinstance(question.gold, Choice):
        facts["score"] = Fact(options=question.gold.options, answer=question.gold.answer)
    return facts
