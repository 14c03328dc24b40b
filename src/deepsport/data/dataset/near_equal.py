"""Questions that are nearly the same in words: copied with a word changed, or one comment in two sources.

A question is known by its answer and its text. But a text that recurs on FORMULA_CLIPS clips or more, numbers aside, is a formula
("Which jump is this?"), and so is such an answer; formulas say nothing, and are left away. The text or the answer of a closed
question is one as soon as its source has it for TEMPLATE_MATCHES matches: importers phrase those. What is left counts if it has
FEWEST_WORDS different words. Two are near-equal if they share NEAR of their triples of neighbouring words (Jaccard), or HALF of
them and differ in no more than the triples of one changed word. Candidates come from MinHash in BANDS bands of ROWS (of pairs at
0.8 none in a billion is missed, at 0.6 one in 15,000, at 0.5 one in 200), and are compared exactly. Near-equal wordings that
are found on FORMULA_CLIPS clips or more are a formula too.
"""

from array import array
from collections.abc import Iterable, Iterator
from itertools import combinations, pairwise
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from deepsport.data.dataset.groups import Groups
from deepsport.data.dataset.traces import Keys, Traces, column, key, wording
from deepsport.records import Question
from deepsport.reward.wording import plain

FORMULA_CLIPS = 4
TEMPLATE_MATCHES = 2
FEWEST_WORDS = 8
NEAR = 0.8
HALF = 0.5
ONE_WORD = 3
"""Triples that a word is in."""

BANDS = 40
ROWS = 3

MOST_COMPARED = 32
"""Candidates of one band of which all pairs are compared; more are put in the order of another band, and each compared with the
next."""

MOST_WORDS = 500
"""Words of a question that are looked at."""

_BATCH = 128
"""Wordings whose hashes are computed at once."""


def near_equal(questions: Iterable[Question], traces: Traces) -> Keys:
    """For each question the number of its near-equal wordings, 0 if it has none or too few words. The questions are those of the
    traces, in the same order."""
    clips = _clips(traces)
    text_is_formula = recurring(column(traces.texts), clips, FORMULA_CLIPS) | _phrased(traces.templates, traces)
    answer_is_formula = recurring(column(traces.answers), clips, FORMULA_CLIPS) | _phrased(traces.labels, traces)
    wordings = _Wordings()
    for row, question in enumerate(questions):
        text, answer = wording(question)
        telling = ("" if text_is_formula[row] else plain(text), "" if answer_is_formula[row] else plain(answer))
        wordings.add(" ".join(telling).split()[:MOST_WORDS])
    groups = wordings.groups()
    return np.where(recurring(groups, clips, FORMULA_CLIPS), np.uint64(0), groups)


def recurring(keys: Keys, places: Keys, enough: int) -> NDArray[np.bool_]:
    """Whether each key is found in `enough` different places or more."""
    order = np.lexsort((places, keys))
    keys_in_order, places_in_order = keys[order], places[order]
    fresh = np.ones(len(keys), dtype=bool)
    fresh[1:] = (keys_in_order[1:] != keys_in_order[:-1]) | (places_in_order[1:] != places_in_order[:-1])
    found, counts = np.unique(keys_in_order[fresh], return_counts=True)
    return np.isin(keys, found[counts >= enough])


def _phrased(keys: "array[int]", traces: Traces) -> NDArray[np.bool_]:
    """Whether the words of a closed question, with its source, are found in matches enough; 0 are no words."""
    return (column(keys) != 0) & recurring(column(keys), column(traces.matches), TEMPLATE_MATCHES)


def _clips(traces: Traces) -> Keys:
    footage = column(traces.footage)
    return np.where(footage == 0, column(traces.files), footage)


class _Wordings:
    """The triples of words of every different wording: some hundred bytes each."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}
        self._of_rows = array("q")
        """The wording of each row, -1 for none."""
        self._triples = array("I")
        self._starts = array("Q", [0])

    def add(self, words: list[str]) -> None:
        if len(set(words)) < FEWEST_WORDS:
            self._of_rows.append(-1)
            return
        name = key(" ".join(words))
        place = self._places.setdefault(name, len(self._places))
        self._of_rows.append(place)
        if place == len(self._starts) - 1:
            self._triples.extend(sorted({crc32(" ".join(words[at : at + 3]).encode()) for at in range(len(words) - 2)}))
            self._starts.append(len(self._triples))

    def groups(self) -> Keys:
        """The hash of the first wording of its group, for each row."""
        if not self._places:
            return np.zeros(len(self._of_rows), dtype=np.uint64)
        names = np.fromiter(self._places, np.uint64, len(self._places))
        groups = Groups(len(names))
        for one, other in self._candidates(names):
            if groups.find(one) != groups.find(other) and self._alike(one, other):
                groups.join(one, other)
        of_rows = np.asarray(self._of_rows)
        return np.where(of_rows < 0, np.uint64(0), names[groups.names()][of_rows])

    def _candidates(self, names: Keys) -> Iterator[tuple[int, int]]:
        bands = self._bands()
        for band in range(BANDS):
            keys = bands[:, band]
            order = np.lexsort((names, bands[:, band - 1], keys))  # by name: the order of the questions makes no difference
            ends = np.flatnonzero(np.diff(keys[order], append=~keys[order[-1:]])) + 1
            sizes = np.diff(ends, prepend=0)
            for end, size in zip(ends[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
                alike: list[int] = order[end - size : end].tolist()
                if size <= MOST_COMPARED:
                    yield from combinations(alike, 2)
                else:
                    yield from pairwise(alike)

    def _bands(self) -> Keys:
        """[wordings, BANDS]: equal where all ROWS hashes of a band are."""
        draw = np.random.default_rng(0)
        factors = draw.integers(1, 2**63, BANDS * ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        offsets = draw.integers(0, 2**63, BANDS * ROWS, dtype=np.uint64)
        mix = draw.integers(1, 2**63, ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        triples, starts = np.asarray(self._triples), np.asarray(self._starts).astype(np.int64)
        bands = np.empty((len(starts) - 1, BANDS), dtype=np.uint64)
        for first in range(0, len(bands), _BATCH):
            begin = starts[first : first + _BATCH + 1]
            some = triples[begin[0] : begin[-1]].astype(np.uint64)
            hashes = (some[:, None] * factors + offsets) >> np.uint64(32)
            least = np.minimum.reduceat(hashes, begin[:-1] - begin[0], axis=0)
            bands[first : first + _BATCH] = (least.reshape(-1, BANDS, ROWS) * mix).sum(axis=2, dtype=np.uint64)
        return bands

    def _alike(self, one: int, other: int) -> bool:
        first, second = (set(self._triples[self._starts[each] : self._starts[each + 1]]) for each in (one, other))
        shared = len(first & second)
        likeness = shared / (len(first) + len(second) - shared)
        return likeness >= NEAR or (likeness >= HALF and max(len(first), len(second)) - shared <= ONE_WORD)
