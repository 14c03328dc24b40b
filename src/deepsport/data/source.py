"""A source: a published annotation layout, and the questions that it is turned into.

Sources are entry points of the group `deepsport.sources`, so that a package of somebody else can add one. What cannot become a
question is dropped with a reason, and every reason is counted: nothing vanishes.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from hashlib import blake2b
from importlib.metadata import entry_points
from pathlib import Path

from deepsport.errors import BadConfig
from deepsport.records import Dimension, Question, Record

GROUP = "deepsport.sources"

MOST_EXAMPLES = 5
"""Records named for each reason to drop."""


@dataclass(slots=True)
class Drops:
    """What became no question, and why."""

    counts: Counter[str] = field(default_factory=Counter[str])
    examples: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """The first few records of each reason."""

    def add(self, reason: str, record: str) -> None:
        """Counts one record, or a part of one, that was left out."""
        self.counts[reason] += 1
        if self.counts[reason] <= MOST_EXAMPLES:
            self.examples.setdefault(reason, []).append(record)


class Dropped(Record):
    """A reason why something was left out."""

    reason: str
    n_times: int
    examples: tuple[str, ...]
    """The first few records."""

    @classmethod
    def all_of(cls, drops: Drops) -> "tuple[Dropped, ...]":
        """The commonest first."""
        return tuple(cls(reason=why, n_times=n, examples=tuple(drops.examples[why])) for why, n in drops.counts.most_common())


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A published annotation layout."""

    name: str
    title: str
    sports: tuple[str, ...]
    """None if the annotation names its own."""
    dimensions: tuple[Dimension, ...]
    licence: str
    """Of the annotation; empty if it states none."""
    needs: str
    """What the importer is pointed at."""
    read: Callable[[Path, Drops], Iterator[Question]]
    """Raises BadAnnotation for a file that is not of this layout at all."""

    def questions(self, path: Path, drops: Drops) -> Iterator[Question]:
        """The questions of an annotation file or folder, each id once. Raises BadAnnotation."""
        seen: set[bytes] = set()
        for question in self.read(path, drops):
            key = blake2b(question.id.encode(), digest_size=12).digest()
            if key in seen:
                drops.add("an id that was there before", question.id)
            else:
                seen.add(key)
                yield question


def sources() -> dict[str, Source]:
    """All sources that are installed, by name."""
    return {point.name: point.load() for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}


def find_source(name: str) -> Source:
    """The source of a name. Raises BadConfig, with the nearest name, if there is none."""
    known = sources()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(known)}."
        raise BadConfig(f"there is no source {name!r}. {hint}")
    return known[name]
