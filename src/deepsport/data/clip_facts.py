"""What clips say of themselves: are they there, how long, with what content? Looked up here, or ahead on a cluster."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepsport.data.clip_shards import read_clips
from deepsport.data.clips import clip_at
from deepsport.data.fingerprint import content_hash
from deepsport.errors import BadVideo
from deepsport.executor.cluster import Cluster
from deepsport.executor.shards import Portion
from deepsport.records import Record
from deepsport.video.source import FrameSource


class ClipFacts(Record):
    """What is known of one clip."""

    is_there: bool = True
    is_readable: bool = True
    duration_s: float | None = None
    """If it was opened."""
    sha256: str = ""
    """If it was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """How closely clips are looked at; on a cluster, the task."""

    home: Path
    """The folder that relative paths count from."""
    open_clips: bool
    hash_clips: bool

    def __call__(self, portion: Portion) -> list[str]:
        """The facts of some clips."""
        with FrameSource() as source:
            return [self.facts(json.loads(item), source).model_dump_json() for item in portion.items]

    def facts(self, video: str, source: FrameSource) -> ClipFacts:
        """Those of one."""
        file = clip_at(video, self.home)
        if file is None:
            return ClipFacts(is_there=False)
        try:
            return ClipFacts(
                duration_s=source.info(str(file)).duration_s if self.open_clips else None,
                sha256=content_hash(file) if self.hash_clips else "",
            )
        except BadVideo:
            return ClipFacts(is_readable=False)

    def ahead(self, videos: Sequence[str], cluster: Cluster, on_clip: Callable[[], None]) -> dict[str, ClipFacts]:
        """Those of all clips that are there, looked up on a cluster. Raises ExecutorError."""
        files = {video: str(file) for video in videos if (file := clip_at(video, self.home))}
        facts: dict[str, ClipFacts] = {}

        def take(names: Sequence[str], made: Sequence[str]) -> None:
            for name, line in zip(names, made, strict=True):
                facts[name] = ClipFacts.model_validate_json(line)
                on_clip()

        read_clips(cluster, self, files, take)
        return facts
