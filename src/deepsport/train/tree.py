"""Episodes as a prefix tree: what several of them have in common is there once. Pure layout, no tensors.

The episodes of a GRPO group begin with the same prompt, and many go on alike: the same first thought, the same window, the same
frames. Tokens are the same if their ids, all that stands before them, and the frames in it are. A node is a run of tokens; a
record is the path from a root to where it ends. One more branching is one more pass through the model, so a common stretch that
saves fewer than `least_saving` tokens is left doubled. N packed tokens, in the order of the nodes; S sampled tokens, record by
record.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from deepsport.errors import TrainingError
from deepsport.records import Frame, ImageSlot, TokenRecord

LEAST_SAVING = 64
"""Tokens; fewer are computed again sooner than a pass of their own pays."""

MOST_PADDING = 1.25
"""Columns of a row of nodes over tokens in it."""


@dataclass(frozen=True, slots=True)
class Node:
    """A run of tokens, those of `record` from `start` up to `stop`, that follow on the tokens of `parent`."""

    record: int
    start: int
    stop: int
    parent: "Node | None"

    @property
    def n_tokens(self) -> int:
        """Length of the run."""
        return self.stop - self.start

    @property
    def depth(self) -> int:
        """Nodes above it."""
        return 0 if self.parent is None else self.parent.depth + 1

    def lineage(self) -> list["Node"]:
        """Itself and the nodes above it, the root first."""
        return [*(self.parent.lineage() if self.parent else ()), self]


@dataclass(frozen=True)
class Tree:
    """Records laid out so that every shared stretch is there once; parents stand before their children."""

    records: Sequence[TokenRecord]
    nodes: Sequence[Node]
    leaves: Sequence[Node]
    """[records] the node that each record ends in."""

    @property
    def n_tokens(self) -> int:
        """N."""
        return sum(node.n_tokens for node in self.nodes)

    @cached_property
    def firsts(self) -> dict[int, int]:
        """Where each node, by its `id`, begins among the packed tokens."""
        ends = np.cumsum([node.n_tokens for node in self.nodes]).tolist()
        return {id(node): end - node.n_tokens for node, end in zip(self.nodes, ends, strict=True)}

    @cached_property
    def places(self) -> list[NDArray[np.int64]]:
        """For each record, [its tokens] where its tokens stand among the packed ones."""
        return [np.concatenate([self._span(node) for node in leaf.lineage()]) for leaf in self.leaves]

    @cached_property
    def before(self) -> NDArray[np.int64]:
        """[S] the packed token that each sampled token is predicted from."""
        return np.concatenate([place[np.flatnonzero(r.sampled) - 1] for place, r in zip(self.places, self.records, strict=True)])

    @cached_property
    def record_of(self) -> NDArray[np.int64]:
        """[S] which record each sampled token belongs to."""
        return np.repeat(np.arange(len(self.records)), [sum(record.sampled) for record in self.records])

    def slots(self, node: Node) -> list[ImageSlot]:
        """The images within a node."""
        return [slot for slot in self.records[node.record].images if node.start <= slot.offset < node.stop]

    @property
    def frames(self) -> list[Frame]:
        """The frames of all nodes, in packed order."""
        return [slot.frame for node in self.nodes for slot in self.slots(node)]

    def rows(self) -> list[list[Node]]:
        """The nodes in order, cut into sets of one depth and of like length: each is one padded batch."""
        rows: list[list[Node]] = []
        for _, level in groupby(self.nodes, key=lambda node: node.depth):
            n_tokens = 0
            for n_in_row, node in enumerate(level):
                if n_in_row == 0 or (len(rows[-1]) + 1) * node.n_tokens > MOST_PADDING * (n_tokens + node.n_tokens):
                    rows.append([])
                    n_tokens = 0
                rows[-1].append(node)
                n_tokens += node.n_tokens
        return rows

    def _span(self, node: Node) -> NDArray[np.int64]:
        first = self.firsts[id(node)]
        return np.arange(first, first + node.n_tokens)


def grow(records: Sequence[TokenRecord], *, least_saving: int = LEAST_SAVING) -> Tree:
    """The tree of some records. Raises TrainingError for a record without a reply, or one that does not begin with a prompt."""
    for record in records:
        if not any(record.sampled) or record.sampled[0]:
            raise TrainingError("a record without a prompt or without a reply cannot be trained on")
    keys = _keys(records)
    nodes: list[Node] = []
    leaves: dict[int, Node | None] = {}

    def branch(members: Sequence[int], start: int, parent: Node | None) -> None:
        """Places what the members, alike up to `start`, hold from there on."""
        stop = _common_end(keys, members, start)
        parts = _parts(keys, members, stop)
        n_apart = sum(len(part) if len(keys[part[0]]) == stop else 1 for part in parts)
        if stop > start and (len(members) == 1 or (n_apart - 1) * (stop - start) >= least_saving):
            parent = Node(members[0], start, stop, parent)
            start = stop
            nodes.append(parent)
        for part in parts:
            ended = len(keys[part[0]]) == stop
            if ended and start == stop:
                leaves.update(dict.fromkeys(part, parent))
            elif ended:  # alike to the end, but not worth a node of their own
                for member in part:
                    branch([member], start, parent)
            else:
                branch(part, start, parent)

    branch(range(len(records)), 0, None)
    nodes.sort(key=lambda node: (node.depth, node.n_tokens))
    return Tree(records, nodes, [leaf for index in range(len(records)) if (leaf := leaves[index])])


def portions(records: Sequence[TokenRecord], most_tokens: int) -> list[list[int]]:
    """Indices of the records, those that begin alike together, cut so that each portion has at most so many unique tokens (or is
    one record)."""
    keys = [key.tobytes() for key in _keys(records)]
    order = sorted(range(len(records)), key=keys.__getitem__)
    cuts: list[list[int]] = []
    n_tokens = 0
    for before, index in zip([None, *order], order, strict=False):
        fresh = len(records[index].ids)
        new = fresh - (_alike(keys[before], keys[index]) if before is not None else 0)
        if before is None or n_tokens + new > most_tokens:
            cuts.append([])
            n_tokens, new = 0, fresh
        cuts[-1].append(index)
        n_tokens += new
    return cuts


def _alike(one: bytes, other: bytes) -> int:
    """Tokens that two keys have in common at their beginning."""
    n = min(len(one), len(other)) // 8
    differ = np.flatnonzero(np.frombuffer(one, np.int64, n) != np.frombuffer(other, np.int64, n))
    return int(differ[0]) if len(differ) else n


def _keys(records: Sequence[TokenRecord]) -> list[NDArray[np.int64]]:
    """One number per token, equal where id and frame are."""
    numbers: dict[tuple[str, int], int] = {}
    keys: list[NDArray[np.int64]] = []
    for record in records:
        key = np.array(record.ids, np.int64)
        for slot in record.images:
            number = numbers.setdefault((slot.frame.video, slot.frame.index), len(numbers) + 1)
            key[slot.offset : slot.offset + slot.n_tokens] = -number
        keys.append(key)
    return keys


def _common_end(keys: Sequence[NDArray[np.int64]], members: Sequence[int], start: int) -> int:
    """Where the members stop being alike, or the shortest ends."""
    end = min(len(keys[member]) for member in members)
    first = keys[members[0]][start:end]
    for member in members[1:]:
        differs = np.flatnonzero(keys[member][start:end] != first)
        if len(differs):
            end = start + int(differs[0])
            first = first[: end - start]
    return end


def _parts(keys: Sequence[NDArray[np.int64]], members: Sequence[int], column: int) -> list[list[int]]:
    """The members by what stands in a column; those that have ended are a part as well."""
    parts: dict[int | None, list[int]] = {}
    for member in members:
        parts.setdefault(int(keys[member][column]) if column < len(keys[member]) else None, []).append(member)
    return list(parts.values())
