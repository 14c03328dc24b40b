"""Where something stands in a list by its key, and what stands before and after it. Pure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepsport.serve.viewer.episode_table import spelt, unspelt


def places_of(keys: NDArray[np.uint64], name: str) -> list[int]:
    """Where the key that is spelt so stands, if it does."""
    key = unspelt(name)
    return [] if key is None else np.flatnonzero(keys == np.uint64(key)).tolist()


def beside(keys: NDArray[np.uint64], name: str) -> dict[str, Any]:
    """Its place in a list and the keys of its neighbours, each None if there is none."""
    place = next(iter(places_of(keys, name)), None)
    previous = spelt(int(keys[place - 1])) if place else None
    following = spelt(int(keys[place + 1])) if place is not None and place + 1 < len(keys) else None
    return {"position": place, "previous": previous, "next": following}
