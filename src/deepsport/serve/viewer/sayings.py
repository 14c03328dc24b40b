"""What a file beside the episodes says of some of them: verdicts and diagnoses, by the id of the episode.

Only the places of the lines are kept; of several about one episode the last counts.
"""

from pathlib import Path
from typing import Generic, Protocol, TypeVar

from pydantic import ValidationError

from deepsport.serve.viewer.lines import Followed, LongLineError, Place


class About(Protocol):
    """A record about an episode."""

    @property
    def episode_id(self) -> str:
        """Which one."""
        ...

    @classmethod
    def model_validate_json(cls, json_data: bytes) -> "About":
        """Reads one."""
        ...


M = TypeVar("M", bound=About)


class Sayings(Generic[M]):
    """The lines of one file that may not be there yet."""

    def __init__(self, path: Path, model: type[M]) -> None:
        self._path = path
        self._model = model
        self._file: Followed | None = None
        self._places: dict[str, Place] = {}
        self.problems: list[str] = []

    def poll(self) -> set[str]:
        """Reads what is new; the ids of the episodes that something else is said of now. Raises OSError."""
        changed: set[str] = set()
        if self._file and not self._file.is_current():
            changed |= self._places.keys()
            self._file, self._places, self.problems = None, {}, []
        if self._file is None:
            if not self._path.is_file():
                return changed
            self._file = Followed(self._path)
        while new := self._read(self._file):
            changed |= new
        return changed

    def of(self, episode_id: str) -> M | None:
        """What is said of an episode; None for nothing, and where the line cannot be read any more."""
        place, file = self._places.get(episode_id), self._file
        if place is None or file is None:
            return None
        try:
            said = self._model.model_validate_json(file.at(place))
        except (ValidationError, OSError):
            return None
        return said if said.episode_id == episode_id else None  # pyright: ignore[reportReturnType]

    def _read(self, file: Followed) -> set[str]:
        found: set[str] = set()
        try:
            lines = file.read()
        except LongLineError as error:
            self.problems = [*self.problems, str(error)]
            return found
        for line in lines:
            try:
                said = self._model.model_validate_json(line.content)
            except ValidationError as error:
                first = error.errors(include_input=False, include_url=False)[0]
                self.problems = [*self.problems, f"{self._path.name}:{line.number} is passed over: {first['msg']}"]
                continue
            self._places[said.episode_id] = line.place
            found.add(said.episode_id)
        return found
