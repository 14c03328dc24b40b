"""Which video file was played: its hash, taken once for each state of a file."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from deepsport.data.fingerprint import content_hash
from deepsport.video.container import Stamp, stamp_of


@dataclass(slots=True)
class Footage:
    """Hashes of video files. To be used on one event loop."""

    _known: dict[tuple[str, Stamp], "asyncio.Task[str]"] = field(default_factory=dict[tuple[str, Stamp], "asyncio.Task[str]"])

    async def sha256(self, video: str) -> str:
        """Of the file as it is now. Whoever asks while it is being read waits for that. Raises BadVideo."""
        key = (video, await asyncio.to_thread(stamp_of, video))
        if key not in self._known:
            self._known[key] = asyncio.create_task(asyncio.to_thread(content_hash, Path(video)))
        return await asyncio.shield(self._known[key])
