"""Open decoders, kept by file and by state of the file, the least recently used closed first.

Opening reads the index and decodes the first frames, which costs more than most requests. A file that changed since has another
stamp and so another decoder. Safe from any thread: calls for the same file wait for each other, others do not.
"""

import threading
from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from deepsport.errors import BadVideo
from deepsport.video.container import Stamp, stamp_of
from deepsport.video.decode import Decoder
from deepsport.video.pictures import Pictures
from deepsport.video.pixels import Pixels
from deepsport.video.probe import VideoInfo

Key = tuple[str, Stamp]


class Slot:
    """A decoder and the lock of whoever uses it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.decoder: Decoder | None = None
        self.retired = False

    def retire(self) -> None:
        """Closes the decoder once nobody uses it."""
        with self.lock:
            self.retired = True
            if self.decoder is not None:
                self.decoder.close()
                self.decoder = None


class DecoderCache:
    """At most `max_open` decoders in this process, and at most `picture_bytes` of what they decoded."""

    def __init__(self, max_open: int, picture_bytes: int = 0) -> None:
        self._max_open = max_open
        self._pictures = Pictures(picture_bytes)
        self._lock = threading.Lock()
        self._slots: OrderedDict[Key, Slot] = OrderedDict()

    def info(self, path: str, stamp: Stamp) -> VideoInfo:
        """The facts about the file. Raises BadVideo."""
        with self._decoder((path, stamp)) as decoder:
            return decoder.info

    def frames(self, path: str, stamp: Stamp, indices: Sequence[int]) -> list[Pixels]:
        """Pictures in the order asked; on those that are kept nobody can write. Raises BadVideo."""
        found = self._pictures.known(path, stamp, indices)
        if len(found) < len(set(indices)):
            with self._decoder((path, stamp)) as decoder:  # whoever held it may have decoded the same
                found = self._pictures.known(path, stamp, indices)
                if missing := [index for index in dict.fromkeys(indices) if index not in found]:
                    decoded = dict(zip(missing, decoder.frames(missing), strict=True))
                    found |= self._pictures.keep(path, stamp, decoded)
        return [found[index] for index in indices]

    def times(self, path: str, stamp: Stamp, indices: Sequence[int]) -> list[float]:
        """Seconds from the first frame, in the order asked. Raises BadVideo."""
        with self._decoder((path, stamp)) as decoder:
            return [decoder.time_s(index) for index in indices]

    def close(self) -> None:
        """Closes every decoder."""
        with self._lock:
            slots = [self._slots.popitem()[1] for _ in range(len(self._slots))]
        for slot in slots:
            slot.retire()

    @contextmanager
    def _decoder(self, key: Key) -> Generator[Decoder]:
        """The decoder of a file, for the caller alone."""
        while True:
            slot = self._slot(key)
            with slot.lock:
                if slot.retired:
                    continue
                if slot.decoder is None:
                    slot.decoder = self._open(key, slot)
                yield slot.decoder
                return

    def _slot(self, key: Key) -> Slot:
        """The slot of a file, made the most recent one; whatever is one too many is retired."""
        with self._lock:
            slot = self._slots.setdefault(key, Slot())
            self._slots.move_to_end(key)
            surplus = [self._slots.popitem(last=False)[1] for _ in range(len(self._slots) - self._max_open)]
        for old in surplus:
            old.retire()
        return slot

    def _open(self, key: Key, slot: Slot) -> Decoder:
        """Opens the file; the slot of a file that cannot be opened, or that is another one by now, is given up."""
        path, stamp = key
        try:
            decoder = Decoder(path)
            if stamp_of(path) != stamp:
                decoder.close()
                raise BadVideo(f"{path} changed while it was being opened. Ask again.")
            return decoder
        except BaseException:
            slot.retired = True
            with self._lock:
                self._slots.pop(key, None)
            raise
