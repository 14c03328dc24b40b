"""Writes the script of a clip: what happens, when, and what stands on the board before and after.

Everything a question may ask (kind, actor, turns, ruling, form) and everything that could hint at it (gap, side, the digit that
goes up) is dealt from a shuffled deck of its own: each is balanced and independent of all the others. The event lies strictly
between two consecutive sparse frames, with at least one frame of play between it and either of them; attempts lie anywhere else.
"""

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

from pydantic import Field, model_validator

from deepsport.arena.sport import Sport
from deepsport.arena.truth import Action, ClipTruth, Difficulty, Event, Side, State
from deepsport.records import Record
from deepsport.video.sample import uniform

T = TypeVar("T")

N_STARTS = 4
"""Number of different digits a side may start with."""

ATTEMPTS_PER_100_FRAMES = {Difficulty.EASY: 0.0, Difficulty.NORMAL: 0.5, Difficulty.HARD: 2.0}


class Dials(Record):
    """How hard a set is."""

    shortest: int = Field(default=64, ge=16)
    """Fewest frames of a clip, 25 a second."""
    longest: int = Field(default=112, ge=16, le=15_000)
    """Most frames of a clip; 15,000 are ten minutes."""
    event_shortest: int = Field(default=3, ge=1)
    """Fewest frames of an event."""
    event_longest: int = Field(default=6, ge=1)
    """Most frames of an event."""
    difficulty: Difficulty = Difficulty.NORMAL
    sparse_frames: int = Field(default=8, ge=2)
    """Size of the uniform sample between whose frames the event hides."""
    hidden: bool = True
    """Whether it hides at all; else it lies anywhere, and a sparse frame may show it."""

    @model_validator(mode="after")
    def _event_fits(self) -> "Dials":
        if self.shortest > self.longest or self.event_shortest > self.event_longest:
            raise ValueError("a shortest length is longer than its longest")
        narrowest = (self.shortest - 1) // (self.sparse_frames - 1)
        if self.hidden and narrowest < self.event_longest + 3:
            raise ValueError(
                f"an event of {self.event_longest} frames does not fit between the sparse frames of a clip of {self.shortest}: "
                f"they are {narrowest} apart, and it needs {self.event_longest + 3}"
            )
        if self.event_longest > self.shortest - 3:
            raise ValueError(f"an event of {self.event_longest} frames does not fit into a clip of {self.shortest}")
        return self


def clip_id(sport: str, seed: int, number: int) -> str:
    """Name of the `number`-th clip of a sport under a seed."""
    return f"{sport}-{seed}-{number:05d}"


def write_script(sport: Sport, seed: int, number: int, dials: Dials) -> ClipTruth:
    """The truth of the `number`-th clip of a sport: a pure function of its arguments."""
    key = f"{sport.name}/{seed}"
    clip_seed = int.from_bytes(hashlib.blake2b(f"{key}/{number}".encode(), digest_size=6).digest())
    rng = random.Random(f"{clip_seed}/script")
    n_frames = rng.randint(dials.shortest, dials.longest)
    gap = deal(f"{key}/gap", range(dials.sparse_frames - 1), number)
    first, last = _place(uniform(n_frames, dials.sparse_frames), gap, rng, dials)
    return ClipTruth(
        video=f"clips/{clip_id(sport.name, seed, number)}.mp4",
        sport=sport.name,
        n_frames=n_frames,
        seed=clip_seed,
        difficulty=dials.difficulty,
        event=_event(sport, key, number, rng, first, last),
        attempts=_attempts(sport, random.Random(f"{clip_seed}/attempts"), n_frames, (first, last), dials),
        states=_states(sport, key, number, rng, n_frames, last),
    )


def deal(key: str, values: Sequence[T], number: int) -> T:
    """The `number`-th card of an endless pile of shuffled decks: equal counts in every block, order unforeseeable."""
    block, place = divmod(number, len(values))
    order = list(values)
    random.Random(f"{key}/{block}").shuffle(order)
    return order[place]


def _place(sparse: Sequence[int], gap: int, rng: random.Random, dials: Dials) -> tuple[int, int]:
    length = rng.randint(dials.event_shortest, dials.event_longest)
    earliest, latest = (sparse[gap] + 2, sparse[gap + 1] - 1) if dials.hidden else (1, sparse[-1])
    first = rng.randint(earliest, latest - length)
    return first, first + length - 1


def _event(sport: Sport, key: str, number: int, rng: random.Random, first: int, last: int) -> Event:
    ruling = deal(f"{key}/ruling", tuple(sport.rulings), number)
    return Event(
        kind=deal(f"{key}/kind", sport.kinds, number),
        actor=deal(f"{key}/actor", sport.actors, number),
        turns=deal(f"{key}/turns", range(1, sport.most_turns + 1), number) if sport.most_turns else 0,
        cue=rng.choice(sport.rulings[ruling]),
        ruling=ruling,
        form=deal(f"{key}/form", sport.forms, number).sight,
        first_index=first,
        last_index=last,
    )


def _attempts(sport: Sport, rng: random.Random, n_frames: int, event: tuple[int, int], dials: Dials) -> tuple[Action, ...]:
    """Where they fit: apart from the event and from each other by a frame of play at least, never on the first or last frame."""
    wanted = int(ATTEMPTS_PER_100_FRAMES[dials.difficulty] * n_frames / 100 + rng.random())
    taken, found = [event], list[Action]()
    for _ in range(wanted):
        length = rng.randint(dials.event_shortest, dials.event_longest)
        first = rng.randint(1, n_frames - 1 - length)
        kind, actor = rng.choice(sport.kinds), rng.choice(sport.actors)
        turns = rng.randint(1, sport.most_turns) if sport.most_turns else 0
        if all(first + length < other_first or other_last + 1 < first for other_first, other_last in taken):
            taken.append((first, first + length - 1))
            found.append(Action(kind=kind, actor=actor, turns=turns, first_index=first, last_index=first + length - 1))
    return tuple(sorted(found, key=lambda action: action.first_index))


def _states(sport: Sport, key: str, number: int, rng: random.Random, n_frames: int, last: int) -> tuple[State, State]:
    """Before and after: one digit goes up by one when the event is over, and play moves to the other side."""
    before = [sport.lowest + rng.randrange(N_STARTS) for _ in range(sport.n_digits)]
    after = list(before)
    lit = deal(f"{key}/digit", range(sport.n_digits), number)
    after[lit] += 1
    sides: tuple[Side, Side] = deal(f"{key}/side", (("left", "right"), ("right", "left")), number)
    return (
        State(first_index=0, last_index=last, score=tuple(before), side=sides[0]),
        State(first_index=last + 1, last_index=n_frames - 1, score=tuple(after), lit=lit, side=sides[1]),
    )
