"""Items that several processes hold together: each has its own share, and a batch is put together when it is drawn."""

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from deepsport.train.distributed import World

T = TypeVar("T")


class Dealt(Generic[T]):
    """All items of all processes, by number from 0. Their order does not depend on how many processes hold them."""

    def __init__(self, mine: Mapping[int, T], world: World) -> None:
        """`mine`: this process's items by their places, which tell the order of all of them; all processes come here at once."""
        self._world = world
        places = sorted(place for held in world.gather([list(mine)]) for place in held)
        self._mine = {number: mine[place] for number, place in enumerate(places) if place in mine}
        self._n = len(places)

    def __len__(self) -> int:
        """Of all processes."""
        return self._n

    def of(self, numbers: Sequence[int]) -> list[T]:
        """The items of some numbers, which all processes ask for at once."""
        held = {number: self._mine[number] for number in numbers if number in self._mine}
        known = {number: item for share in self._world.gather([held]) for number, item in share.items()}
        return [known[number] for number in numbers]


def dealt(items: Sequence[T], world: World) -> Dealt[T]:
    """Items that all processes know, of which each now keeps a share."""
    return Dealt(dict(world.share(list(enumerate(items)))), world)
