"""Asks about a clip: what can be asked of it, and the right answers, in all four dimensions.

Most questions need the event (kind, actor, turns, ruling, sign, points, advice, commentary); an easy one per clip is answered by
the sparse frames. Options are shuffled, and the wrong ones are drawn as the right one was: nothing but looking tells them apart.
"""

import random
from collections.abc import Iterable
from enum import StrEnum
from pathlib import PurePosixPath

from deepsport.agent.prompt import with_options
from deepsport.arena.perception import say_action, say_digits, say_sport
from deepsport.arena.script import N_STARTS
from deepsport.arena.sport import Sport
from deepsport.arena.sports import SPORTS, TRAINED
from deepsport.arena.truth import ClipTruth
from deepsport.records import Choice, Dimension, Fact, FreeText, Gold, Number, Provenance, Question

N_OPTIONS = 4


class Topic(StrEnum):
    """What a question asks; the last part of its id."""

    KIND = "kind"
    ACTOR = "actor"
    TURNS = "turns"
    RULING = "ruling"
    SIGN = "sign"
    """Why it was ruled so: what the official shows."""
    POINTS = "points"
    ADVICE = "advice"
    COMMENT = "comment"
    SPORT = "sport"
    SCORE = "score"


DIMENSIONS = {
    Topic.RULING: Dimension.RULES,
    Topic.SIGN: Dimension.RULES,
    Topic.POINTS: Dimension.ASSESSMENT,
    Topic.ADVICE: Dimension.ASSESSMENT,
    Topic.COMMENT: Dimension.COMMENTARY,
}
"""Recognition where a topic is not named."""

EASY = (Topic.SPORT, Topic.SCORE)


def ask(truth: ClipTruth, number: int) -> list[Question]:
    """The questions of the `number`-th clip of its sport: two of recognition, one of each other dimension, one easy."""
    sport, event = SPORTS[truth.sport], truth.event
    who = _closed(truth, Topic.ACTOR, sport.actor_question, sport.actors, event.actor)
    return [
        _closed(truth, Topic.KIND, sport.kind_question, sport.kinds, event.kind),
        _turns(truth, sport) if sport.most_turns and number % 2 else who,
        _rules(truth, sport, number),
        _assessment(truth, sport, number),
        _comment(truth, sport),
        _which_sport(truth) if number % 3 == 0 else _final_score(truth, sport),
    ]


def topic_of(question: Question) -> Topic:
    """What a question of the arena asks. Raises ValueError for any other question.

    A closed question in somebody's own words, about clips of the arena, asks what its options are kinds of."""
    try:
        return Topic(question.id.rpartition("-")[2])
    except ValueError:
        if topic := _topic_of_options(question):
            return topic
        raise


def _topic_of_options(question: Question) -> Topic | None:
    if not isinstance(question.gold, Choice) or question.sport not in SPORTS:
        return None
    options = set(question.gold.options)
    return next((topic for topic, values in _values_of(SPORTS[question.sport]).items() if options <= set(values)), None)


def _values_of(sport: Sport) -> dict[Topic, Iterable[str]]:
    """What there is of each fact of an event. No two facts have two values in common."""
    return {
        Topic.KIND: sport.kinds,
        Topic.ACTOR: sport.actors,
        Topic.RULING: sport.rulings,
        Topic.SIGN: sport.cues,
        Topic.ADVICE: [form.advice for form in sport.forms],
    }


def _rules(truth: ClipTruth, sport: Sport, number: int) -> Question:
    if number % 2:
        return _closed(truth, Topic.RULING, sport.ruling_question, sport.rulings, truth.event.ruling)
    return _closed(truth, Topic.SIGN, f"{sport.ruling_question} Which sign shows it?", _signs(truth, sport), truth.event.cue)


def _signs(truth: ClipTruth, sport: Sport) -> list[str]:
    """One sign of each ruling: if both signs of one ruling were offered, each would be right less often than the others."""
    rng, event = random.Random(f"{truth.seed}/other signs"), truth.event
    return [event.cue if ruling == event.ruling else rng.choice(cues) for ruling, cues in sport.rulings.items()]


def _assessment(truth: ClipTruth, sport: Sport, number: int) -> Question:
    form = sport.form(truth.event.form)
    if number // 2 % 2:
        advice = [each.advice for each in sport.forms]
        return _closed(truth, Topic.ADVICE, f"{sport.form_question} What should be better?", advice, form.advice)
    scale = " or ".join(str(each.points) for each in sport.forms)
    return _question(
        truth, Topic.POINTS, f"{sport.form_question} Give {scale} points.", Number(answer=form.points, unit="points")
    )


def _turns(truth: ClipTruth, sport: Sport) -> Question:
    text = f"How many turns does the {sport.moment} have?"
    return _question(truth, Topic.TURNS, text, Number(answer=truth.event.turns, unit="turns"))


def _comment(truth: ClipTruth, sport: Sport) -> Question:
    event = truth.event
    facts = (
        Fact(options=sport.actors, answer=event.actor),
        Fact(options=sport.kinds, answer=event.kind),
        Fact(options=sport.cues, answer=event.cue),
        Fact(options=tuple(form.sight for form in sport.forms), answer=event.form),
    )
    text = f"Comment on the {sport.moment}: who, how, which sign, how well?"
    return _question(truth, Topic.COMMENT, text, FreeText(answer=say_action(event), facts=facts))


def _which_sport(truth: ClipTruth) -> Question:
    others = [name for name in sorted(TRAINED) if name != truth.sport]  # an unseen sport would be an option that is never right
    wrong = random.Random(f"{truth.seed}/other sports").sample(others, N_OPTIONS - 1)
    options = [say_sport(name) for name in (truth.sport, *wrong)]
    # the prompt names the sport of a question that has one, which would be the answer
    return _closed(truth, Topic.SPORT, "Which sport is this?", options, options[0]).model_copy(update={"sport": None})


def _final_score(truth: ClipTruth, sport: Sport) -> Question:
    rng = random.Random(f"{truth.seed}/other scores")
    right = truth.states[-1].score
    scores = {right}
    while len(scores) < N_OPTIONS:
        other = [sport.lowest + rng.randrange(N_STARTS) for _ in right]
        other[rng.randrange(len(other))] += 1
        scores.add(tuple(other))
    text = f"What is the {sport.state_word} at the end?"
    return _closed(truth, Topic.SCORE, text, sorted(map(say_digits, scores)), say_digits(right))


def _closed(truth: ClipTruth, topic: Topic, text: str, options: Iterable[str], answer: str) -> Question:
    shuffled = sorted(options)
    random.Random(f"{truth.seed}/{topic}").shuffle(shuffled)
    gold = Choice(options=tuple(shuffled), answer=answer)
    return _question(truth, topic, with_options(text, shuffled), gold)


def _question(truth: ClipTruth, topic: Topic, text: str, gold: Gold) -> Question:
    clip = PurePosixPath(truth.video).stem
    return Question(
        id=f"{clip}-{topic}",
        video=truth.video,
        text=text,
        gold=gold,
        window=None if topic in EASY else truth.event.window,
        sport=truth.sport,
        dimension=DIMENSIONS.get(topic, Dimension.RECOGNITION),
        easy=topic in EASY,
        provenance=Provenance(source="arena", file="truth.jsonl", record=clip, match=clip, licence="Apache-2.0"),
    )
