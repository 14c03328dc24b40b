"""Two sets of answers to the same questions: which were gained, which lost.

Answers are paired by the question and by which of several runs they were played in. An id that means another question on the
other side is left out and counted. P pairs. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepsport.bench.diagnose import FAILED_BELOW
from deepsport.serve.viewer.episode_table import DIMENSIONS, View
from deepsport.serve.viewer.filters import allowed, counted, holds


class Flip(StrEnum):
    """What became of an answer, from left to right."""

    GAINED = "gained"
    LOST = "lost"
    BOTH_RIGHT = "both_right"
    BOTH_WRONG = "both_wrong"
    UNSCORED = "unscored"
    """Of at least one of the two nobody can say."""


FLIPS = tuple(Flip)


@dataclass(frozen=True, slots=True)
class Pairs:
    """The rows of both sides that answer the same questions, in the order of the left side."""

    left_P: NDArray[np.intp]
    right_P: NDArray[np.intp]
    flips_P: NDArray[np.int8]
    n_only_left: int
    n_only_right: int
    n_differ: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which pairs a list shows."""

    flips: frozenset[str] = frozenset()
    sports: frozenset[str] = frozenset()
    dimensions: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()


def pair_up(left: View, right: View) -> Pairs:
    """All pairs there are."""
    rows_l, rows_r = np.flatnonzero(left.rows_F["shown"]), np.flatnonzero(right.rows_F["shown"])
    keys_l, keys_r = _keys(left.rows_F[rows_l]), _keys(right.rows_F[rows_r])
    shared, at_l, at_r = np.intersect1d(keys_l, keys_r, return_indices=True)
    order = np.argsort(at_l, kind="stable")
    left_P, right_P = rows_l[at_l[order]], rows_r[at_r[order]]
    same = left.rows_F["asked"][left_P] == right.rows_F["asked"][right_P]
    return Pairs(
        left_P=left_P[same],
        right_P=right_P[same],
        flips_P=_flips(left.rows_F["accuracy"][left_P[same]], right.rows_F["accuracy"][right_P[same]]),
        n_only_left=len(keys_l) - len(shared),
        n_only_right=len(keys_r) - len(shared),
        n_differ=int((~same).sum()),
    )


def pick(pairs: Pairs, left: View, right: View, wanted: Wanted) -> NDArray[np.intp]:
    """Places of the pairs that are wanted; words may stand on either side."""
    mask = np.ones(len(pairs.left_P), dtype=np.bool_)
    rows = left.rows_F[pairs.left_P]
    for codes, names, values in (
        (pairs.flips_P, FLIPS, wanted.flips),
        (rows["sport"], left.sports, wanted.sports),
        (rows["dimension"], DIMENSIONS, wanted.dimensions),
    ):
        if values:
            mask &= allowed(codes, names, values)
    for word in wanted.words:
        mask &= _holds(left, pairs.left_P, word) | _holds(right, pairs.right_P, word)
    return np.flatnonzero(mask)


def keys_of(pairs: Pairs, left: View) -> NDArray[np.uint64]:
    """What each pair is called by."""
    return _keys(left.rows_F[pairs.left_P])


def key_of_pair(view: View, row: int) -> int | None:
    """What the pair of a row is called by; None for a row that an earlier answer to its question keeps out of any."""
    rows = view.rows_F
    same = (rows["question"] == rows[row]["question"]) & (rows["run"] == rows[row]["run"]) & rows["shown"]
    return int(_keys(rows[row : row + 1])[0]) if np.flatnonzero(same)[:1].tolist() == [row] else None


def counts_of(pairs: Pairs) -> Mapping[str, int]:
    """How many of each."""
    return {flip: int((pairs.flips_P == number).sum()) for number, flip in enumerate(FLIPS)}


def facets_of(pairs: Pairs, left: View) -> dict[str, list[tuple[str, int]]]:
    """Sports and dimensions that occur, with their numbers."""
    rows = left.rows_F[pairs.left_P]
    return {"sport": counted(rows["sport"], tuple(left.sports)), "dimension": counted(rows["dimension"], DIMENSIONS)}


def mean_of(accuracies: NDArray[Any]) -> float | None:
    """Share of right answers among the scored ones, as a percentage."""
    scored = accuracies[~np.isnan(accuracies)]
    return round(100 * float(scored.mean(dtype=np.float64)), 4) if len(scored) else None


def _keys(rows: NDArray[Any]) -> NDArray[np.uint64]:
    """One number for a question and a run; every further answer to both is left out by `intersect1d`."""
    return rows["question"] + rows["run"].astype(np.uint64)


def _flips(left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.int8]:
    was, now = left >= FAILED_BELOW, right >= FAILED_BELOW
    unscored = np.isnan(left) | np.isnan(right)
    return np.select([unscored, ~was & now, was & ~now, was & now], [4, 0, 1, 2], default=3).astype(np.int8)


def _holds(view: View, rows: NDArray[np.intp], word: str) -> NDArray[np.bool_]:
    places: list[int] = rows.tolist()
    texts = [view.texts[place] for place in places]
    return holds(texts, (word,), np.ones(len(texts), dtype=np.bool_))
