"""Which rows of a table a list shows, in which order, and how many each filter would leave.

A facet may be given several values: any of them will do. Of several facets all must hold. The counts of a facet are made under
all other filters, so that they say what a click would bring. F rows. Pure.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepsport.serve.viewer.episode_table import CAUSES, DIMENSIONS, FAILURES, NONE, OUTCOMES, STOPS, View

LABELS = (NONE, "right", "wrong", "classed")
"""What a person said: nothing, right, wrong, or only why it is wrong."""
ANSWERS = ("no", "yes")
FACETS = ("sport", "dimension", "outcome", "stop", "failure", "cause", "label", "step", "easy")
CLOSED: Mapping[str, Sequence[str]] = {
    "dimension": DIMENSIONS,
    "outcome": OUTCOMES,
    "stop": STOPS,
    "failure": FAILURES,
    "cause": CAUSES,
    "label": LABELS,
    "easy": ANSWERS,
}
"""The values that there can be, by number."""
KEPT = 8
"""Results that are kept for the next page of the same list."""

Mask = NDArray[np.bool_]
Codes = NDArray[Any]


class Sort(StrEnum):
    """An order of a list; equal rows stay in the order of the file."""

    ORDER = "order"
    WORST = "worst"
    BEST = "best"
    CALLS = "calls"
    FRAMES = "frames"
    REWARD = "reward"
    QUESTION = "question"
    STEP = "step"


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list is narrowed down to."""

    facets: tuple[tuple[str, frozenset[str]], ...] = ()
    """Name and wanted values."""
    words: tuple[str, ...] = ()
    """Casefolded; all must occur."""
    sort: Sort = Sort.ORDER


@dataclass(frozen=True, slots=True)
class Chosen:
    """The rows that a list shows."""

    view: View
    rows: NDArray[np.intp]
    n_total: int
    facets: dict[str, list[tuple[str, int]]]


@dataclass(frozen=True, slots=True)
class Coded:
    """Rows with their facets as numbers, each column in one piece."""

    view: View
    shown: Mask
    codes: Mapping[str, tuple[Codes, Sequence[str]]]


@dataclass(slots=True)
class Recent:
    """Results by what they depend on, the last ones only."""

    _kept: OrderedDict[object, Any] = field(default_factory=OrderedDict[object, Any])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: object, make: Callable[[], Any]) -> Any:
        """The result of before, or a new one. Safe between threads, which at worst make it twice."""
        with self._lock:
            found = self._kept.get(key)
        found = make() if found is None else found
        with self._lock:
            self._kept[key] = found
            self._kept.move_to_end(key)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found


def words_of(text: str) -> tuple[str, ...]:
    """`red "free kick"` is two words, the second with a blank."""
    words: list[str] = []
    for place, part in enumerate(text.casefold().split('"')):
        words += [part.strip()] if place % 2 else part.split()
    return tuple(sorted({word for word in words if word}))


def choose(coded: Coded, text: Mask, filters: Filters) -> Chosen:
    """The rows, in order, and the counts of every facet. `text`: where all words of the filters stand."""
    view, codes = coded.view, coded.codes
    wanted = dict(filters.facets)
    masks = {name: allowed(*codes[name], values) for name, values in filters.facets}
    counts = {
        name: counted(column[_all(text, masks, but=name)], names, wanted.get(name, frozenset()))
        for name, (column, names) in codes.items()
    }
    found = np.flatnonzero(_all(text, masks))
    return Chosen(view, found[_order(view, found, filters.sort)], int(coded.shown.sum()), counts)


def code(view: View, labels_F: Codes) -> Coded:
    """What all lists of the same rows have in common."""
    codes = {name: _codes(view, labels_F, name) for name in FACETS}
    lying_together = {
        name: (np.ascontiguousarray(column, dtype=np.intp), tuple(names)) for name, (column, names) in codes.items()
    }
    return Coded(view, view.rows_F["shown"].copy(), lying_together)


def allowed(codes: Codes, names: Sequence[str], values: frozenset[str]) -> Mask:
    """Which of the numbers stand for one of the values."""
    return np.array([name in values for name in names] or [False])[codes]


def counted(codes: Codes, names: Sequence[str], wanted: frozenset[str] = frozenset()) -> list[tuple[str, int]]:
    """The values that occur, or are asked for, the most frequent first; steps in their order."""
    n_each = np.bincount(codes, minlength=len(names)).tolist()
    there = {name: n for name, n in zip(names, n_each, strict=True) if n or name in wanted}
    there |= dict.fromkeys(wanted - there.keys(), 0)
    in_order = all(name == NONE or name.isdecimal() for name in there)
    return list(there.items()) if in_order else sorted(there.items(), key=lambda each: (-each[1], each[0]))


def holds(texts: Sequence[str], words: Sequence[str], among: Mask) -> Mask:
    """Whether all words stand in a text; of rows that are not `among` nothing is said."""
    left = np.flatnonzero(among)
    for word in words:
        left = left[np.array([word in texts[row] for row in left.tolist()], dtype=np.bool_)]
    mask = np.zeros(len(among), dtype=np.bool_)
    mask[left] = True
    return mask


def _codes(view: View, labels_F: Codes, name: str) -> tuple[Codes, Sequence[str]]:
    """A number for each row, and what the numbers mean."""
    if name == "label":
        return labels_F, LABELS
    if name == "sport":
        return view.rows_F["sport"], view.sports
    if name == "step":
        if bool((view.rows_F["step"] < 0).all()):
            return np.zeros(view.n, dtype=np.intp), (NONE,)
        steps, codes = np.unique(view.rows_F["step"], return_inverse=True)
        return codes, [NONE if step < 0 else str(step) for step in steps.tolist()]
    return view.rows_F[name], CLOSED[name]


def _all(text: Mask, masks: Mapping[str, Mask], but: str = "") -> Mask:
    mask = text
    for name, one in masks.items():
        if name != but:
            mask = mask & one
    return mask


def _order(view: View, found: NDArray[np.intp], sort: Sort) -> NDArray[np.intp]:
    """Places within `found`."""
    rows = view.rows_F[found]
    match sort:
        case Sort.ORDER:
            return np.arange(len(found))
        case Sort.QUESTION:
            places: list[int] = found.tolist()
            texts = [view.texts[place] for place in places]
            return np.array(sorted(range(len(texts)), key=texts.__getitem__), dtype=np.intp)
        case Sort.WORST:
            return np.argsort(rows["accuracy"], kind="stable")  # NaN sorts last
        case Sort.BEST:
            return np.argsort(-rows["accuracy"], kind="stable")
        case Sort.STEP:
            return np.argsort(rows["step"], kind="stable")
        case Sort.REWARD:
            return np.argsort(-rows["reward"], kind="stable")
        case Sort.CALLS | Sort.FRAMES:
            return np.argsort(-rows[f"n_{sort}"].astype(np.int64), kind="stable")
