"""The leak check: what two splits of a dataset share. It looks at the questions as they were written, not at the assignment.

A match, a video file, the content of a video or a wording in two splits is a leak, and such a dataset is not written. Clips that
merely look alike may be another encoding of one another or only the same camera: that is reported, and for a person to judge.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepsport.data.dataset.manifest import SPLITS, LeakReport, Lookalike, Sharing, Split
from deepsport.data.dataset.split import Sides
from deepsport.data.dataset.traces import Keys, Traces, column, key
from deepsport.data.fingerprint import Clip, alike_pairs, load_clips
from deepsport.records import Question, Record

MOST_LOOKALIKES = 20
"""Named in the report."""


class Leak(Record):
    """A question of one split, and one of another that shares something with it."""

    sharing: Sharing
    split: Split
    id: str
    other_split: Split
    other_id: str


@dataclass(frozen=True, slots=True)
class LeakingRow:
    """The same by rows of the traces; `other` is of the split that is kept."""

    sharing: Sharing
    row: int
    other: int


@dataclass(frozen=True, slots=True)
class Looks:
    """Clips whose looks are known, and the pairs of them that are alike."""

    clips: Sequence[Clip]
    pairs: Sequence[tuple[int, int, int]]
    """Two indices into the clips, and the bits that differ."""

    def footage(self) -> Iterator[tuple[int, int]]:
        """The pairs as keys of footage."""
        return ((key(self.clips[one].sha256), key(self.clips[other].sha256)) for one, other, _ in self.pairs)


def looks_of(folders: Iterable[Path], traces: Traces) -> Looks:
    """What the folders of imports know of the clips that are asked about."""
    asked = set(traces.footage)
    known: dict[str, Clip] = {}
    for folder in folders:
        known.update({sha256: clip for sha256, clip in load_clips(folder).items() if key(sha256) in asked})
    clips = [known[sha256] for sha256 in sorted(known)]
    return Looks(clips, alike_pairs(clips))


def leaking_rows(traces: Traces, wordings: Keys, sides: Sides, given: Collection[Split] = ()) -> Iterator[LeakingRow]:
    """Every row that shares something with a split that is kept before its own, once for each thing shared. A split that was
    given is kept before one that was chosen, and of those a later one first (train, val, test, in this order)."""
    kept_last_S = sorted(range(len(SPLITS)), key=lambda side: (SPLITS[side] in given, side))
    standing = np.argsort(kept_last_S)[sides]
    for sharing, keys in _columns(traces, wordings).items():
        order = np.lexsort((np.arange(len(keys)), -standing, keys))
        ends = np.nonzero(np.diff(keys[order]))[0] + 1
        mixed = [rows for rows in np.split(order, ends) if len(rows) > 1 and sides[rows[0]] != sides[rows[-1]] and keys[rows[0]]]
        for rows in mixed:
            yield from (LeakingRow(sharing, int(row), int(rows[0])) for row in rows if sides[row] != sides[rows[0]])


def named(leaks: Sequence[LeakingRow], questions: Iterable[Question], sides: Sides) -> list[Leak]:
    """The leaks with the ids of their questions, which come in the order of the traces."""
    wanted = {row for leak in leaks for row in (leak.row, leak.other)}
    ids = {row: question.id for row, question in enumerate(questions) if row in wanted}
    return [
        Leak(
            sharing=leak.sharing,
            split=SPLITS[int(sides[leak.row])],
            id=ids[leak.row],
            other_split=SPLITS[int(sides[leak.other])],
            other_id=ids[leak.other],
        )
        for leak in leaks
    ]


def report(traces: Traces, wordings: Keys, sides: Sides, looks: Looks, leaks: Iterable[LeakingRow]) -> LeakReport:
    """What was compared and what was found."""
    n_leaks = dict.fromkeys(Sharing, 0)
    for leak in leaks:
        n_leaks[leak.sharing] += 1
    across = list(_lookalikes(traces, sides, looks))
    return LeakReport(
        n_questions=len(traces),
        n_compared={sharing: n_different(keys) for sharing, keys in _columns(traces, wordings).items()},
        n_fingerprints=len(looks.clips),
        n_leaks=n_leaks,
        n_lookalikes=len(across),
        lookalikes=tuple(across[:MOST_LOOKALIKES]),
    )


def n_different(keys: Keys) -> int:
    """How many different keys there are; 0 is none."""
    return int(np.count_nonzero(np.unique(keys)))


def _lookalikes(traces: Traces, sides: Sides, looks: Looks) -> Iterator[Lookalike]:
    side_of: dict[int, int] = dict(zip(traces.footage, sides.tolist(), strict=True))
    for one, other, bits in looks.pairs:
        first, second = looks.clips[one], looks.clips[other]
        side, other_side = side_of[key(first.sha256)], side_of[key(second.sha256)]
        if side != other_side:
            yield Lookalike(
                split=SPLITS[side],
                clip=Path(first.video).name,
                other_split=SPLITS[other_side],
                other_clip=Path(second.video).name,
                bits=bits,
            )


def _columns(traces: Traces, wordings: Keys) -> Mapping[Sharing, Keys]:
    return {
        Sharing.MATCH: column(traces.matches),
        Sharing.FILE: column(traces.files),
        Sharing.FOOTAGE: column(traces.footage),
        Sharing.WORDING: wordings,
    }
