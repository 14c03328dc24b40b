"""Whether shortcuts pay in the arena: what one scores who sees no frame, but knows other clips' questions and their answers.

The baselines learn from 1,200 clips and are measured on 600 clips of another seed, none of them rendered:
    majority  the most frequent answer to this question in this sport
    place     the most frequent place of the right option
    bayes     naive Bayes over what the prompt says: words, which option stands where, length of the clip
Chance is a uniform guess. A baseline pays if the 95 % interval of its score (by clip) lies above chance. A comment is guessed
fact by fact. Exit code 1 if a baseline pays in a whole dimension.

    python benchmarks/arena_shortcuts.py
"""

import json
import platform
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import log
from statistics import fmean

from deepsport.arena.questions import ask, topic_of
from deepsport.arena.script import Dials, write_script
from deepsport.arena.sports import SPORTS, TRAINED
from deepsport.arena.truth import ClipTruth
from deepsport.bench.stats import mean_interval
from deepsport.records import Choice, FreeText, Number, Question
from deepsport.reward.accuracy import accuracy

N_KNOWN, N_FRESH = 1200, 600
"""Clips to learn from and clips to be measured on."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One thing to be guessed: a question has one, a comment has one for each of its facts."""

    topic: str
    sport: str | None
    """As the prompt says it; the question for the sport leaves it open."""
    options: tuple[str, ...]
    answer: str
    words: frozenset[str]
    """What the prompt says."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and what is to be guessed of it."""

    question: Question
    slots: tuple[Slot, ...]


Guess = Callable[[Slot], str]


def asked(seed: int, n_clips: int) -> list[Asked]:
    """The questions of a set; sports take turns."""
    clips = [(number, write_script(SPORTS[sport], seed, number, Dials())) for number, sport in turns(n_clips)]
    return [Asked(question, tuple(slots(question, truth))) for number, truth in clips for question in ask(truth, number)]


def turns(n_clips: int) -> Iterator[tuple[int, str]]:
    """(number of the clip within its sport, sport)."""
    for place in range(n_clips):
        yield place // len(TRAINED), TRAINED[place % len(TRAINED)]


def slots(question: Question, truth: ClipTruth) -> Iterator[Slot]:
    """What is to be guessed: an option, a number that the question allows, or the facts of a comment."""
    topic, words = topic_of(question), {f"{truth.n_frames // 8} frames", *re.findall(r"\w+", question.text)}
    match question.gold:
        case Choice(options=options, answer=answer):
            places = {f"{place}: {option}" for place, option in enumerate(options)}
            yield Slot(topic, question.sport, options, answer, frozenset(words | places))
        case Number(answer=answer):
            scale = tuple(re.findall(r"\b\d\b", question.text)) or ("1", "2", "3")
            yield Slot(topic, question.sport, scale, f"{answer:g}", frozenset(words))
        case FreeText(facts=facts):
            for place, fact in enumerate(facts):
                yield Slot(f"{topic} {place}", question.sport, fact.options, fact.answer, frozenset(words))
        case None:
            raise ValueError(f"{question.id} has no answer")


def majority(known: Sequence[Slot]) -> Guess:
    """The option that was right most often, by topic and sport."""
    right = Counter((slot.topic, slot.sport, slot.answer) for slot in known)
    return lambda slot: max(slot.options, key=lambda option: right[slot.topic, slot.sport, option])


def place(known: Sequence[Slot]) -> Guess:
    """The option that stands where the right one stood most often, by topic."""
    right = Counter((slot.topic, slot.options.index(slot.answer)) for slot in known)
    return lambda slot: max(enumerate(slot.options), key=lambda option: right[slot.topic, option[0]])[1]


def bayes(known: Sequence[Slot]) -> Guess:
    """The option that the words speak for most, by topic and sport; each count begins at one."""
    right: Counter[tuple[str, str | None, str]] = Counter()
    beside: dict[tuple[str, str | None, str], Counter[str]] = defaultdict(Counter)
    for slot in known:
        right[slot.topic, slot.sport, slot.answer] += 1
        beside[slot.topic, slot.sport, slot.answer].update(slot.words)

    def likelihood(slot: Slot, option: str) -> float:
        key = (slot.topic, slot.sport, option)
        words = sum(log((beside[key][word] + 1) / (right[key] + 2)) for word in sorted(slot.words))
        return log(right[key] + 1) + words

    return lambda slot: max(slot.options, key=lambda option: likelihood(slot, option))


BASELINES = {"majority": majority, "place": place, "bayes": bayes}


def part_of(each: Asked) -> str:
    """The dimension; questions that the sparse frames answer are a part of their own."""
    return "easy" if each.question.easy else f"{each.question.dimension}"


def chance(fresh: Sequence[Asked]) -> float:
    """What a uniform guess scores, 0 to 100."""
    return 100 * fmean(fmean(1 / len(slot.options) for slot in each.slots) for each in fresh)


def score(guess: Guess, fresh: Sequence[Asked]) -> tuple[float, float, float]:
    """Mean accuracy, 0 to 100, and the ends of its interval."""
    rights = [accuracy(each.question.gold, ", ".join(map(guess, each.slots))) for each in fresh if each.question.gold]
    values = [right for right in rights if right is not None]
    low, high = mean_interval(values, [each.question.video for each in fresh], seed=0) or (0.0, 1.0)
    return 100 * fmean(values), 100 * low, 100 * high


def row(name: str, fresh: Sequence[Asked], guesses: dict[str, Guess]) -> dict[str, object]:
    """Prints one line of the table; what it says, with the baselines that pay."""
    floor, scores = chance(fresh), {baseline: score(guess, fresh) for baseline, guess in guesses.items()}
    pays = [baseline for baseline, (_, low, _) in scores.items() if low > floor]
    cells = "".join(
        f"{f'{mean:.1f} ({low:.1f} to {high:.1f})' + '*' * (baseline in pays):>23}"
        for baseline, (mean, low, high) in scores.items()
    )
    print(f"{name:<15}{len(fresh):>6}{floor:>8.1f}{cells}")
    return {"chance": floor, "scores": scores, "pays": pays}


def main() -> None:
    """Fits, measures, prints a table by dimension and topic, and one JSON line."""
    known, fresh = asked(1, N_KNOWN), asked(2, N_FRESH)
    guesses = {name: fit([slot for each in known for slot in each.slots]) for name, fit in BASELINES.items()}
    print(f"{'score, 0-100':<15}{'n':>6}{'chance':>8}" + "".join(f"{name:>23}" for name in guesses))
    cases: dict[str, dict[str, object]] = {}
    for part in dict.fromkeys(map(part_of, fresh)):
        inside = [each for each in fresh if part_of(each) == part]
        cases[part] = row(part, inside, guesses)
        for topic in dict.fromkeys(topic_of(each.question) for each in inside):
            row(f"  {topic}", [each for each in inside if topic_of(each.question) is topic], guesses)
    print(f"{N_KNOWN} clips known, {N_FRESH} fresh, {len(TRAINED)} sports; * the interval lies above chance")
    versions = {"python": platform.python_version()}
    print(json.dumps({"name": "arena: scores of those who see no frame", "cases": cases, "versions": versions}))
    if paying := [part for part, case in cases.items() if case["pays"]]:
        sys.exit(f"a shortcut pays in {', '.join(paying)}")


if __name__ == "__main__":
    main()
