"""Asks about a clip: what can be asked of it, and the right answers.

Three questions need the event (kind, actor, ruling); three clips of four get an easy one as well, which the sparse frames
answer, so a fifth of all questions is easy. Options are shuffled, and the wrong ones are drawn as the right one was: nothing but
looking tells them apart.
"""

import random
from collections.abc import Iterable
from enum import StrEnum
from pathlib import PurePosixPath

from deepsport.arena.perception import say_digits, say_sport
from deepsport.arena.script import N_STARTS
from deepsport.arena.sport import Sport
from deepsport.arena.sports import SPORTS
from deepsport.arena.truth import ClipTruth
from deepsport.records import Choice, Dimension, Question

N_OPTIONS = 4


class Topic(StrEnum):
    """What a question asks; the last part of its id."""

    KIND = "kind"
    ACTOR = "actor"
    RULING = "ruling"
    SPORT = "sport"
    SCORE = "score"


def ask(truth: ClipTruth, number: int) -> list[Question]:
    """The questions of the `number`-th clip of its sport."""
    sport, event = SPORTS[truth.sport], truth.events[0]
    questions = [
        _question(truth, Topic.KIND, sport.kind_question, sport.kinds, event.kind),
        _question(truth, Topic.ACTOR, sport.actor_question, sport.actors, event.actor),
        _question(truth, Topic.RULING, sport.ruling_question, tuple(sport.rulings), event.ruling),
    ]
    if number % 4 == 0:
        questions.append(_which_sport(truth))
    elif number % 4 < 3:
        questions.append(_final_score(truth, sport))
    return questions


def topic_of(question: Question) -> Topic:
    """What a question of the arena asks. Raises ValueError for any other question."""
    return Topic(question.id.rpartition("-")[2])


def _which_sport(truth: ClipTruth) -> Question:
    others = [name for name in sorted(SPORTS) if name != truth.sport]
    wrong = random.Random(f"{truth.seed}/other sports").sample(others, min(N_OPTIONS - 1, len(others)))
    options = [say_sport(name) for name in (truth.sport, *wrong)]
    # the prompt names the sport of a question that has one, which would be the answer
    return _question(truth, Topic.SPORT, "Which sport is this?", options, options[0]).model_copy(update={"sport": None})


def _final_score(truth: ClipTruth, sport: Sport) -> Question:
    rng = random.Random(f"{truth.seed}/other scores")
    right = truth.states[-1].score
    scores = {right}
    while len(scores) < N_OPTIONS:
        other = [sport.lowest + rng.randrange(N_STARTS) for _ in right]
        other[rng.randrange(len(other))] += 1
        scores.add(tuple(other))
    text = f"What is the {sport.state_word} at the end?"
    return _question(truth, Topic.SCORE, text, sorted(map(say_digits, scores)), say_digits(right))


def _question(truth: ClipTruth, topic: Topic, text: str, options: Iterable[str], answer: str) -> Question:
    shuffled = sorted(options)
    random.Random(f"{truth.seed}/{topic}").shuffle(shuffled)
    easy = topic in (Topic.SPORT, Topic.SCORE)
    return Question(
        id=f"{PurePosixPath(truth.video).stem}-{topic}",
        video=truth.video,
        text=f"{text} Options: {', '.join(shuffled)}.",
        gold=Choice(options=tuple(shuffled), answer=answer),
        window=None if easy else truth.events[0].window,
        sport=truth.sport,
        dimension=Dimension.RULES if topic is Topic.RULING else Dimension.RECOGNITION,
        easy=easy,
    )
