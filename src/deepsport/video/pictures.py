"""Decoded pictures, kept for whoever asks next: a group of episodes begins with the same frames, and often looks at the same ones
again. Copies go in and copies come out, so nobody writes on another's. The least recently used are dropped first. Safe from any
thread.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from deepsport.video.container import Stamp
from deepsport.video.pixels import Pixels


class Pictures:
    """At most `max_bytes` of pictures, by file, state of the file, and index."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = self._room = max_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, Stamp, int], Pixels] = OrderedDict()

    def known(self, path: str, stamp: Stamp, indices: Sequence[int]) -> dict[int, Pixels]:
        """Those of the pictures that are here."""
        with self._lock:
            found = {index: self._kept[key].copy() for index in indices if (key := (path, stamp, index)) in self._kept}
            for index in found:
                self._kept.move_to_end((path, stamp, index))
        return found

    def keep(self, path: str, stamp: Stamp, pictures: Mapping[int, Pixels]) -> None:
        """Takes in pictures that were not known and are not too large."""
        with self._lock:
            for index, pixels in pictures.items():
                if (path, stamp, index) not in self._kept and pixels.nbytes <= self._max_bytes:
                    self._kept[path, stamp, index] = pixels.copy()
                    self._room -= pixels.nbytes
            while self._room < 0:
                self._room += self._kept.popitem(last=False)[1].nbytes
