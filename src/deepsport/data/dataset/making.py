"""Files of questions made into a split dataset: read, group, assign, write, check what was written, and only then put in place.

The questions are read three times and what is written twice, so that memory holds numbers about them and never all of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from deepsport.data.dataset.folder import DatasetWriter, real, require_apart, taking_the_place_of
from deepsport.data.dataset.gathering import Gathered, QuestionFile, Watch
from deepsport.data.dataset.leak import Leak, LeakingRow, Looks, leaking_rows, looks_of, named, report
from deepsport.data.dataset.manifest import SPLITS, LeakReport, Manifest, Part, Split, Splitting
from deepsport.data.dataset.near_equal import near_equal
from deepsport.data.dataset.shards import read_shards
from deepsport.data.dataset.split import Sides, assigned, held_together
from deepsport.data.dataset.traces import Traces
from deepsport.durable import write_atomic
from deepsport.errors import BadConfig, LeakError
from deepsport.progress import Tick, track
from deepsport.records import Question

DEFAULT_SHARES: Mapping[Split, float] = {"train": 80.0, "val": 10.0, "test": 10.0}

MOST_EXAMPLES = 3


def unwatched(step: str, n: int | None) -> AbstractContextManager[Tick]:
    """Shows nothing."""
    return track(step, total=n, shown=False)


def watched(step: str, n: int | None) -> AbstractContextManager[Tick]:
    """Shows every step."""
    return track(step, total=n, unit="questions")


def make_dataset(
    files: Sequence[QuestionFile],
    out: Path,
    *,
    shares: Mapping[Split, float] = DEFAULT_SHARES,
    seed: int = 0,
    watch: Watch = unwatched,
) -> Manifest:
    """Splits the questions of files by match and writes them to `out`, which holds a dataset or nothing.

    Raises LeakError, with every leak in `leaks_file(out)`, if splits that were given share something; nothing is then written."""
    shares = _free_shares(shares, files)
    out = real(out)
    require_apart(out, (file.path for file in files))
    gathered = Gathered(sorted(files, key=lambda file: file.path.absolute()), out, watch)
    traces = gathered.traces()
    looks = looks_of(sorted({file.path.parent for file in files}), traces)
    sides, splitting = _divided(gathered, traces, looks, shares, seed)
    with taking_the_place_of(out) as folder:
        writer = DatasetWriter(folder)
        for row, question in enumerate(gathered.again("writing", traces)):
            writer.add(question, SPLITS[int(sides[row])])
        parts = writer.parts()
        leaks = _checked(_Written(folder, out, parts, watch), looks, splitting.fixed)
        leaks_file(out).unlink(missing_ok=True)  # of an earlier attempt
        return writer.finish(parts, gathered.left_out, splitting, leaks)


def leaks_file(out: Path) -> Path:
    """Where the leaks are listed that a dataset was not written for."""
    out = real(out)
    return out.with_name(f"{out.name}.leaks.jsonl")


def _divided(
    gathered: Gathered, traces: Traces, looks: Looks, shares: Mapping[Split, float], seed: int
) -> tuple[Sides, Splitting]:
    """The split of every question, and how that was found."""
    wordings = near_equal(gathered.again("comparing", traces), traces)
    groups = held_together(traces, wordings, looks.footage())
    _, sizes = np.unique(groups, return_counts=True)
    given: tuple[Split, ...] = tuple(split for split in SPLITS if any(file.split == split for file in gathered.files))
    splitting = Splitting(seed=seed, shares=shares, fixed=given, n_groups=len(sizes), n_largest=int(sizes.max()))
    return assigned(traces, groups, gathered.fixed(), shares, seed), splitting


def _free_shares(shares: Mapping[Split, float], files: Sequence[QuestionFile]) -> dict[Split, float]:
    """The shares of the splits that are not given, which add up to 1. Raises BadConfig if they cannot be met."""
    given = {file.split for file in files}
    free = {split: share for split, share in shares.items() if split not in given}
    if any(share < 0 for share in shares.values()) or (None in given and not sum(free.values()) > 0):
        raise BadConfig(f"shares {shares} leave nothing for the questions that are not given. Use three like 80,10,10.")
    whole = sum(free.values()) or 1.0
    return {split: free[split] / whole for split in SPLITS if split in free}


class _Written:
    """The questions of a dataset that is not in its place yet, read back from its shards."""

    def __init__(self, folder: Path, out: Path, parts: Mapping[Split, Part], watch: Watch) -> None:
        self.out = out
        self._folder = folder
        self._parts = parts
        self._watch = watch

    def sides(self) -> Sides:
        """The split of each question, in the order of reading."""
        counts = [part.n_questions for part in self._parts.values()]
        return np.repeat(np.array([SPLITS.index(split) for split in self._parts], dtype=np.int8), counts)

    def questions(self, step: str) -> Iterator[Question]:
        """All splits, one after the other."""
        shards = [shard for part in self._parts.values() for shard in part.shards]
        with self._watch(step, sum(shard.n_questions for shard in shards)) as tick:
            for question in read_shards(self._folder, shards):
                yield question
                tick()


def _checked(written: _Written, looks: Looks, given: Sequence[Split]) -> LeakReport:
    """What was compared. Raises LeakError."""
    traces = Traces(str(written.out))
    for question in written.questions("checking"):
        traces.add(question)
    sides = written.sides()
    wordings = near_equal(written.questions("checking words"), traces)
    leaks = list(leaking_rows(traces, wordings, sides, given))
    if leaks:
        raise LeakError(_refusal(written, leaks, sides))
    return report(traces, wordings, sides, looks, leaks)


def _refusal(written: _Written, rows: Sequence[LeakingRow], sides: Sides) -> str:
    """Lists the leaks in a file, and says what they are."""
    leaks = named(rows, written.questions("naming leaks"), sides)
    path = leaks_file(written.out)
    write_atomic(path, "".join(f"{leak.model_dump_json()}\n" for leak in leaks))
    n_questions = len({leak.id for leak in leaks})
    return (
        f"{n_questions} questions share a match, a video or a wording with another split, so {written.out} is not written: "
        f"{'; '.join(map(_said, leaks[:MOST_EXAMPLES]))}. All are listed in {path}: remove them from the files they are in."
    )


def _said(leak: Leak) -> str:
    return f"{leak.id} ({leak.split}) has the same {leak.sharing} as {leak.other_id} ({leak.other_split})"
