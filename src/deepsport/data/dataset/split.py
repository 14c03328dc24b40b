"""Which split each question goes to: whole groups of questions that must stay together, in the shares that were asked for.

Groups share a match, a file, a video, a wording or the looks of a clip. The largest is placed first, each where it brings the
numbers of every sport and dimension nearest to their shares (squared deviations, each in proportion to what is wanted there),
and that of all questions, which weighs as much as those together: where every sport has a few matches, no split of theirs is
near its share, but the whole is. The seed decides between equals; the order of the questions decides nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from deepsport.data.dataset.groups import Groups
from deepsport.data.dataset.manifest import SPLITS, Split
from deepsport.data.dataset.traces import Keys, Traces, column

UNDECIDED = -1
"""In an array of splits, which holds indices into SPLITS."""

Sides = NDArray[np.int8]


def held_together(traces: Traces, wordings: Keys, lookalikes: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """The number of each question's group. `lookalikes` are pairs of keys of footage."""
    groups = Groups(len(traces))
    footage = column(traces.footage)
    for keys in (column(traces.matches), column(traces.files), footage, wordings):
        groups.join_equal(keys)
    rows = dict(zip(footage.tolist(), range(len(footage)), strict=True))
    for one, other in lookalikes:
        groups.join(rows[one], rows[other])
    return groups.names()


def assigned(traces: Traces, groups: NDArray[np.int64], fixed: Sides, shares: Mapping[Split, float], seed: int) -> Sides:
    """The split of each question; those that are fixed stay where they are."""
    sides = fixed.copy()
    free = np.nonzero(fixed == UNDECIDED)[0]
    wanted_S = np.array([shares.get(split, 0.0) for split in SPLITS], dtype=np.float64)
    strata, total = _strata(traces), len(traces.names)  # the last column counts all strata together
    free_K = np.append(np.bincount(strata[free], minlength=total), len(free)).astype(np.float64)
    wanted_SK: NDArray[np.float64] = wanted_S[:, None] * free_K
    weights_K = np.append(np.ones(total), total)
    placed_SK = np.zeros(wanted_SK.shape)
    for rows in _largest_first(traces, groups, free, seed):
        present, counts = np.unique(strata[rows], return_counts=True)
        present, counts = np.append(present, total), np.append(counts, len(rows))
        side = _nearest(placed_SK[:, present], wanted_SK[:, present], counts, wanted_S, weights_K[present])
        placed_SK[side, present] += counts
        sides[rows] = side
    return sides


def _nearest(
    placed_SK: NDArray[np.float64],
    wanted_SK: NDArray[np.float64],
    counts_K: NDArray[np.int64],
    wanted_S: NDArray[np.float64],
    weights_K: NDArray[np.float64],
) -> int:
    """The split that a group costs the least in; one that nothing is wanted in takes nothing."""
    grown_SK = placed_SK + counts_K - wanted_SK
    cost_S = (weights_K * (grown_SK**2 - (placed_SK - wanted_SK) ** 2) / np.maximum(wanted_SK, 1)).sum(axis=1)
    return int(np.argmin(np.where(wanted_S > 0, cost_S, np.inf)))


def _largest_first(traces: Traces, groups: NDArray[np.int64], free: NDArray[np.int64], seed: int) -> Sequence[NDArray[np.int64]]:
    """The rows of each group that are still free."""
    members: defaultdict[int, list[int]] = defaultdict(list)
    for row in free.tolist():
        members[int(groups[row])].append(row)

    def place(rows: list[int]) -> tuple[int, bytes]:
        first = min(traces.ids[row] for row in rows)
        return -len(rows), blake2b(f"{seed}/{first}".encode(), digest_size=8).digest()

    return [np.array(rows) for rows in sorted(members.values(), key=place)]


def _strata(traces: Traces) -> NDArray[np.int64]:
    """Numbered by name, and not as they came, since sums of fractions depend on their order."""
    names = sorted(traces.names)
    by_name = np.array([names.index(name) for name in traces.names], dtype=np.int64)
    return by_name[np.asarray(traces.strata)] if names else np.zeros(0, dtype=np.int64)
