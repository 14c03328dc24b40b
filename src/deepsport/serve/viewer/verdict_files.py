"""What a file beside the episodes says of some of them: verdicts and diagnoses, by the id of the episode.

Only the places of the lines are kept; of several about one episode the last counts.
"""

from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from deepsport.bench.diagnosis.record import Diagnosis
from deepsport.bench.result import Judged
from deepsport.serve.viewer.growing_file import GrowingFile, LongLineError, Place

MOST_PROBLEMS = 20


M = TypeVar("M", Judged, Diagnosis)


class VerdictFile(Generic[M]):
    """The lines of one file that may not be there yet."""

    def __init__(self, path: Path, model: type[M]) -> None:
        self._path = path
        self._model = model
        self._file: GrowingFile | None = None
        self._places: dict[str, Place] = {}
        self._problems: list[str] = []
        self._fault = ""

    def poll(self) -> set[str]:
        """Reads what is new; the ids of the episodes that something else is said of now."""
        try:
            found, self._fault = self._poll(), ""
        except OSError as error:
            found, self._fault = set[str](), f"{self._path.name} cannot be read: {error.strerror or error}"
        return found

    @property
    def problems(self) -> list[str]:
        """What could not be read, the first ones."""
        return [self._fault, *self._problems] if self._fault else self._problems

    def _poll(self) -> set[str]:
        changed: set[str] = set()
        if self._file and not self._file.is_current():
            changed |= self._places.keys()
            self._file, self._places, self._problems = None, {}, []
        if self._file is None:
            if not self._path.is_file():
                return changed
            self._file = GrowingFile(self._path)
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
        return said if said.episode_id == episode_id else None

    def _read(self, file: GrowingFile) -> set[str]:
        found: set[str] = set()
        try:
            lines = file.read()
        except LongLineError as error:
            self._tell(str(error))
            return found
        for line in lines:
            try:
                said = self._model.model_validate_json(line.content)
            except ValidationError as error:
                first = error.errors(include_input=False, include_url=False)[0]
                self._tell(f"{self._path.name}:{line.number} is passed over: {first['msg']}")
                continue
            self._places[said.episode_id] = line.place
            found.add(said.episode_id)
        return found

    def _tell(self, problem: str) -> None:
        if len(self._problems) < MOST_PROBLEMS:
            self._problems = [*self._problems, problem]
