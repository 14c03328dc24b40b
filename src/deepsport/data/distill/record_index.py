"""Where each record of a file stands, so that a file of any length can be read in any order while only places are in memory.

Of several records with one id the last one counts: it was made after the others failed.
"""

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from deepsport.durable import disk_errors
from deepsport.errors import BadRecord
from deepsport.records import Episode, StopReason
from deepsport.reward.gated import FAULTS


class _Head(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str
    stop: StopReason


class EpisodeIndex:
    """The episodes of a file that grows only while nobody reads it."""

    def __init__(self, path: Path) -> None:
        """Reads the file once. Raises BadRecord for a broken line that is not a torn last one."""
        self._path = path
        self._places: dict[str, tuple[int, str]] = {}
        self.lost: set[str] = set()
        """Ids of episodes that were lost to a fault of the endpoint or the video."""
        if not path.exists():
            return
        place = 0
        with disk_errors(path), path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if head := self._head(number, line):
                    self._places[head.id] = place, hashlib.blake2b(line, digest_size=12).hexdigest()
                    (self.lost.add if head.stop in FAULTS else self.lost.discard)(head.id)
                place += len(line)

    def __contains__(self, episode_id: str) -> bool:
        return episode_id in self._places

    @property
    def ids(self) -> list[str]:
        """Of all episodes, in the order in which their questions and samples were first recorded."""
        return list(self._places)

    def digest(self, episode_id: str) -> str:
        """Hash of an episode's record: what was concluded from another record under the same id does not hold for this one."""
        return self._places[episode_id][1]

    def read(self, episode_id: str) -> Episode:
        """One episode. Raises BadRecord if the line is none."""
        with disk_errors(self._path), self._path.open("rb") as file:
            file.seek(self._places[episode_id][0])
            line = file.readline()
        try:
            return Episode.model_validate_json(line)
        except ValidationError as error:
            raise BadRecord(f"{self._path}: episode {episode_id} is not a valid record: {error.errors()[0]['msg']}") from None

    def _head(self, number: int, line: bytes) -> _Head | None:
        """None for a blank line and for a torn last one."""
        if not line.strip():
            return None
        try:
            return _Head.model_validate_json(line)
        except ValidationError as error:
            if not line.endswith(b"\n"):
                return None
            raise BadRecord(
                f"{self._path}:{number} is not an episode: {error.errors()[0]['msg']}. Mend or remove the line."
            ) from None
