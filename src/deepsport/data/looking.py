"""Clips looked at on a cluster before anybody here asks for them: hashes and looks, of hours of video, by many hosts at once.

What is found is noted as if it had been looked at here. An import then finds every clip known, and does what it always does; at a
clip that could not be read it looks itself, and says why.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from deepsport.data.clip_shards import read_clips
from deepsport.data.clips import Looked, Note
from deepsport.durable import read_records
from deepsport.errors import BadVideo
from deepsport.executor.cluster import Cluster
from deepsport.executor.shards import Portion
from deepsport.video.source import FrameSource


def look_ahead(files: Sequence[Path], notes: Path, folder: Path, cluster: Cluster, on_clip: Callable[[], None]) -> None:
    """Looks at clips of a folder that `notes` does not know yet. Raises RunError, ExecutorError."""
    with FrameSource() as source:
        looked = Looked(notes, folder, source, on_clip)

        def take(_: Sequence[str], made: Sequence[str]) -> None:
            for line in made:
                looked.take(Note.model_validate_json(line))

        try:
            read_clips(
                cluster, Looking(str(folder)), {str(file): str(file) for file in files}, take, lambda name: _known(looked, name)
            )
        finally:
            looked.close()


def _known(looked: Looked, file: str) -> bool:
    try:
        return looked.knows(Path(file))
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
