"""The episodes of a set as columns: what lists are filtered and sorted by, and where each record stands in its file.

One row is some 90 bytes and a text of at most MOST_TEXT characters to be searched; everything else of an episode is read from the
file when a page shows it. One thread writes, any thread reads: a `View` has a length of its own, and rows below it are whole. A
row that is put again is overwritten in place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepsport.bench.diagnose import Failure
from deepsport.bench.diagnosis.record import Cause
from deepsport.records import Dimension, StopReason
from deepsport.serve.viewer.growing_file import GrowingFile, Place

NONE = "none"
"""What a filter calls a value that is not there."""
NO_STEP = -1
MOST_TEXT = 2000


class Outcome(StrEnum):
    """How an answer came out."""

    UNSCORED = "unscored"
    WRONG = "wrong"
    PARTLY = "partly"
    RIGHT = "right"


OUTCOMES, STOPS = tuple(Outcome), tuple(StopReason)
DIMENSIONS, FAILURES, CAUSES = (NONE, *Dimension), (NONE, *Failure), (NONE, *Cause)

ROW = np.dtype(
    [
        ("key", "u8"),
        ("question", "u8"),
        ("asked", "u8"),
        ("offset", "i8"),
        ("length", "i4"),
        ("step", "i4"),
        ("run", "i4"),
        ("sport", "i4"),
        ("n_calls", "i4"),
        ("n_turns", "i4"),
        ("n_frames", "i4"),
        ("accuracy", "f4"),
        ("reward", "f4"),
        ("advantage", "f4"),
        ("dimension", "i1"),
        ("outcome", "i1"),
        ("stop", "i1"),
        ("failure", "i1"),
        ("cause", "i1"),
        ("easy", "?"),
        ("shown", "?"),
    ]
)


class Facts(NamedTuple):
    """One row, in the order of ROW. Accuracy and advantage are NaN where there is none."""

    key: int
    """`key_of` the episode's id."""
    question: int
    """`key_of` the question's id."""
    asked: int
    """`key_of` its text and right answer: whether two runs mean the same by one id."""
    offset: int
    length: int
    step: int
    run: int
    sport: int
    n_calls: int
    n_turns: int
    n_frames: int
    accuracy: float
    reward: float
    advantage: float
    dimension: int
    outcome: int
    stop: int
    failure: int
    cause: int
    easy: bool
    shown: bool = True


@dataclass(frozen=True, slots=True)
class View:
    """A table as it was at one moment: F rows."""

    rows_F: NDArray[Any]
    texts: Sequence[str]
    """At least F of them."""
    sports: Sequence[str]
    """By number; grows while it is looked at."""
    file: GrowingFile | None = None
    """Where the records of the rows stand."""

    @property
    def n(self) -> int:
        """Rows, those that are no longer shown included."""
        return len(self.rows_F)

    def place(self, row: int) -> Place:
        """Where the record of a row stands."""
        one = self.rows_F[row]
        return Place(int(one["offset"]), int(one["length"]))


class Table:
    """The rows so far."""

    def __init__(self) -> None:
        self._rows: NDArray[Any] = np.zeros(1024, dtype=ROW)
        self._n = 0
        self._texts: list[str] = []
        self._by_key: dict[int, int] = {}
        self._sports = [NONE]
        self._sport_numbers: dict[str, int] = {NONE: 0}

    def view(self, file: GrowingFile | None = None) -> View:
        """The rows as they are now."""
        return View(self._rows[: self._n], self._texts, self._sports, file)

    def row_of(self, key: int) -> int | None:
        """The row of an episode."""
        return self._by_key.get(key)

    def sport(self, name: str | None) -> int:
        """The number of a sport in this table."""
        name = name or NONE
        if name not in self._sport_numbers:
            self._sports.append(name)
            self._sport_numbers[name] = len(self._sports) - 1
        return self._sport_numbers[name]

    def put(self, facts: Facts, text: str) -> None:
        """Adds a row, or replaces the one of this key."""
        row = self._by_key.get(facts.key)
        if row is not None:
            self._rows[row], self._texts[row] = facts, text
            return
        if self._n == len(self._rows):
            self._rows = np.concatenate((self._rows, np.zeros_like(self._rows)))
        self._rows[self._n] = facts
        self._texts.append(text)
        self._by_key[facts.key] = self._n
        self._n += 1

    def hide_step(self, step: int) -> None:
        """A step that was sampled anew: what was sampled first does not count."""
        rows = self._rows[: self._n]
        rows["shown"][rows["step"] == step] = False


def key_of(text: str) -> int:
    """64 bits that stand for a text."""
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def spelt(key: int) -> str:
    """A key as it stands in an address."""
    return f"{key:016x}"


def unspelt(name: str) -> int | None:
    """The key that is spelt so; None if that is none."""
    return int(name, 16) if len(name) == 16 and set(name) <= set("0123456789abcdef") else None


def searchable(parts: Sequence[str | None]) -> str:
    """Texts as they are searched: case and all that is too long left out, sooner where a letter takes several bytes."""
    text = "\n".join(part for part in parts if part)[:MOST_TEXT].casefold()
    return text if text.isascii() else text[: MOST_TEXT // 2]
