"""Shards: how work is cut, and what a task is given and gives back.

Where the cuts fall follows from the inputs and nothing else. What is finished is taken out of a shard after the cut, so that a
run goes on with the cuts that it had.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")


class Executor(StrEnum):
    """Where the shards of a batch run."""

    LOCAL = "local"
    """In this process."""
    RAY = "ray"
    """On the Ray cluster that RAY_ADDRESS names, or on one of this machine alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A piece of work that is run as a whole, wherever there is room."""

    index: int
    items: tuple[str, ...]
    """JSON, one line each."""
    names: tuple[str, ...]
    """What the items are called in errors, one for each."""
    files: tuple[str, ...] = ()
    """What the items read: any host must see the same files as the one that started the work."""

    @property
    def name(self) -> str:
        """As errors call it: `shard 3 (a/1 ... a/16)`."""
        if not self.names:
            return f"shard {self.index}"
        ends = self.names[0] if len(self.names) == 1 else f"{self.names[0]} ... {self.names[-1]}"
        return f"shard {self.index} ({ends})"

    def singles(self) -> Iterator["Shard"]:
        """The same shard, each item alone."""
        for item, name in zip(self.items, self.names, strict=True):
            yield replace(self, items=(item,), names=(name,))


@dataclass(frozen=True, slots=True)
class Portion:
    """What a task is called with."""

    items: tuple[str, ...]
    attempt: str
    """A name for this one try at the shard: whoever keeps accounts for the shard closes those of a try that was lost."""


Task = Callable[[Portion], list[str]]
"""Lines in, lines out. A function of a module, perhaps with arguments bound by `functools.partial`."""


def cut(items: Sequence[T], size: int) -> Iterator[tuple[int, Sequence[T]]]:
    """Neighbours together, `size` at a time, with the index of each shard."""
    return ((index, items[start : start + size]) for index, start in enumerate(range(0, len(items), size)))
