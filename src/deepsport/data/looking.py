"""Clips looked at on a cluster before anybody here asks for them: hashes and looks, of hours of video, by many hosts at once.

What is found is noted as if it had been looked at here. An import then finds every clip known, and does what it always does; at a
clip that could not be read it looks itself, and says why.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from deepsport.bench.workers import work_through
from deepsport.data.clips import Looked, Note
from deepsport.durable import read_records
from deepsport.errors import BadVideo
from deepsport.executor.cluster import AHEAD, Cluster
from deepsport.executor.shards import Portion, Shard, cut
from deepsport.policy.openai.allowance import Allowance
from deepsport.video.source import FrameSource

SHARD = 8
"""Clips: so many are read again when a worker is lost."""


def look_ahead(files: Sequence[Path], notes: Path, folder: Path, cluster: Cluster, on_clip: Callable[[], None]) -> None:
    """Looks at clips of a folder that `notes` does not know yet. Raises RunError, ExecutorError."""
    with FrameSource() as source:
        looked = Looked(notes, folder, source, on_clip)
        try:
            asyncio.run(_looked_at(files, looked, folder, cluster))
        finally:
            looked.close()


async def _looked_at(files: Sequence[Path], looked: Looked, folder: Path, cluster: Cluster) -> None:
    async def look(piece: tuple[int, Sequence[Path]]) -> None:
        index, some = piece
        todo = [str(file) for file in some if not _known(looked, file)]
        if todo:
            shard = Shard(index=index, items=tuple(map(json.dumps, todo)), names=tuple(todo), files=tuple(todo))
            for line in await cluster.run(Looking(str(folder)), shard):
                looked.take(Note.model_validate_json(line))

    await work_through(cut(files, SHARD), look, n_workers=AHEAD, allowance=Allowance())


def _known(looked: Looked, file: Path) -> bool:
    try:
        return looked.knows(file)
    except BadVideo:
        return True  # that it cannot be read is found out here


@dataclass(frozen=True, slots=True)
class Looking:
    """The task."""

    folder: str

    def __call__(self, portion: Portion) -> list[str]:
        """The notes of the clips that can be read, in a file of their own first."""
        with TemporaryDirectory() as made:
            notes = Path(made) / "notes.jsonl"
            self._look((Path(json.loads(item)) for item in portion.items), notes)
            return [note.model_dump_json() for note in read_records(notes, Note)] if notes.exists() else []

    def _look(self, files: Iterable[Path], notes: Path) -> None:
        with FrameSource() as source:
            looked = Looked(notes, Path(self.folder), source)
            for file in files:
                try:
                    looked.clip(file)
                except BadVideo:
                    continue
            looked.close()
