"""Things that belong together because a chain of bonds joins them: union-find over the numbers 0 to n-1.

The smallest number of a group is its name, so that the groups do not depend on the order of the bonds.
"""

from array import array

import numpy as np
from numpy.typing import NDArray


class Groups:
    """At first everything is a group of its own. Eight bytes each."""

    def __init__(self, n: int) -> None:
        self._parents = array("q", range(n))

    def find(self, member: int) -> int:
        """The name of a member's group."""
        parents = self._parents
        while parents[member] != member:
            parents[member] = parents[parents[member]]
            member = parents[member]
        return member

    def join(self, one: int, other: int) -> None:
        """Makes two groups one."""
        first, second = sorted((self.find(one), self.find(other)))
        self._parents[second] = first

    def join_equal(self, keys: NDArray[np.uint64]) -> None:
        """Joins all members whose keys are equal; the key 0 says nothing."""
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        for place in np.nonzero((ordered[1:] == ordered[:-1]) & (ordered[1:] != 0))[0]:
            self.join(int(order[place]), int(order[place + 1]))

    def names(self) -> NDArray[np.int64]:
        """The name of the group of every member."""
        return np.fromiter((self.find(member) for member in range(len(self._parents))), np.int64, len(self._parents))
