"""Decoded pictures, kept for whoever asks next: a group of episodes begins with the same frames, and often looks at the same ones
again. What is kept can be written on by nobody, so that all who ask may be handed one and the same array. The least recently used
are dropped first. Safe from any thread.
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
            found = {index: self._kept[key] for index in indices if (key := (path, stamp, index)) in self._kept}
            for index in found:
                self._kept.move_to_end((path, stamp, index))
        return found

    def keep(self, path: str, stamp: Stamp, pictures: Mapping[int, Pixels]) -> dict[int, Pixels]:
        """Takes in pictures, and returns them as they are kept; those too large to be kept come back as they are."""
        shared = {index: _read_only(pixels) for index, pixels in pictures.items() if pixels.nbytes <= self._max_bytes}
        with self._lock:
            for index, pixels in shared.items():
                if self._kept.setdefault((path, stamp, index), pixels) is pixels:
                    self._room -= pixels.nbytes
            while self._room < 0:
                self._room += self._kept.popitem(last=False)[1].nbytes
        return {**pictures, **shared}


def _read_only(pixels: Pixels) -> Pixels:
    """A copy with memory of its own: what was handed in may be a view of something larger, or of something that changes."""
    own = pixels.copy()
    own.flags.writeable = False
    return own
