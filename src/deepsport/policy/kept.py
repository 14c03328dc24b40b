"""What is kept of what was made before, within a number of bytes: that which was used last."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """Values by key. What is added at once stays until more is added, however large it is."""

    def __init__(self, most_bytes: int, size: Callable[[V], int]) -> None:
        """`size` gives the bytes of a value."""
        self._spare = most_bytes
        self._size = size
        self._values: OrderedDict[K, V] = OrderedDict()

    def found(self, keys: Iterable[K]) -> dict[K, V]:
        """Those that are there, which are then the last used."""
        known = {key: self._values[key] for key in keys if key in self._values}
        for key in known:
            self._values.move_to_end(key)
        return known

    def add(self, values: Mapping[K, V]) -> None:
        """Keeps them too, and lets go of others that do not fit beside them."""
        for key, value in values.items():
            if key in self._values:
                self._spare += self._size(self._values.pop(key))
            self._values[key] = value
            self._spare -= self._size(value)
        while self._spare < 0 and len(self._values) > len(values):
            self._spare += self._size(self._values.popitem(last=False)[1])

    def clear(self) -> None:
        """Lets go of everything."""
        self._spare += sum(map(self._size, self._values.values()))
        self._values.clear()
