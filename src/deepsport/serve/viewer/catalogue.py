"""Everything the viewer shows: runs that come and grow, and the sets in them, kept up to date by one thread.

The thread takes turns between the sets in short slices, so that a small one does not wait for a large one. Requests read what is
there by then.
"""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from deepsport.bench.recipe import BenchConfig
from deepsport.bench.result import VERDICTS, run_of
from deepsport.config import load
from deepsport.errors import BadConfig
from deepsport.records import Episode
from deepsport.serve.viewer.annotations import Annotations
from deepsport.serve.viewer.episode_index import Index
from deepsport.serve.viewer.episode_table import key_of, spelt
from deepsport.serve.viewer.filters import Chosen, Coded, Filters, Mask, Recent, choose, code, holds
from deepsport.serve.viewer.footage import Footage
from deepsport.serve.viewer.run_folders import RunKind, RunPlace, SetPlace, kind_of, require_runs, runs_at, sets_of

SLICE_S = 0.05
LOOK_AROUND = 4
"""Rounds between two looks for new runs."""


class EpisodeSet:
    """A set of episodes and what people say of it."""

    def __init__(self, place: SetPlace, *, verdicts: str, labeller: str, config: BenchConfig | None) -> None:
        self.id = _id(place.path)
        self.name = place.name
        self.place = place
        self.config = config
        self.index = Index(place.path, place.kind, verdicts=place.path.parent / verdicts, run_of=self._run_of)
        self.annotations = Annotations(
            Path(f"{place.annotations}.labels.csv"), Path(f"{place.annotations}.windows.csv"), labeller
        )
        self._recent = Recent()

    @property
    def version(self) -> int:
        """Another one whenever a list of this set could look different."""
        return self.index.version + sum(self.annotations.version)

    def advance(self) -> bool:
        """Reads on for a while; whether there may be more at once."""
        self.annotations.look()
        return self.index.advance(SLICE_S)

    def choose(self, filters: Filters) -> Chosen:
        """The rows that a list shows."""
        version = self.version  # before the rows: a result that is newer than its name does no harm

        def coded() -> Coded:
            view = self.index.view()
            return code(view, self.annotations.codes(view))

        def chosen() -> Chosen:
            rows: Coded = self._recent.get(version, coded)

            def with_words() -> Mask:
                return holds(rows.view.texts, filters.words, rows.shown)

            return choose(rows, self._recent.get((version, rows.view.n, filters.words), with_words), filters)

        return self._recent.get((version, filters), chosen)

    @property
    def problems(self) -> list[str]:
        """What could not be read."""
        return self.index.problems + self.annotations.problems

    def _run_of(self, episode: Episode) -> int:
        return run_of(episode, self.config) if self.config and self.config.runs > 1 else 0


class ViewedRun:
    """A run and its sets."""

    def __init__(self, place: RunPlace) -> None:
        self.id = _id(place.path)
        self.place = place
        self.kind = kind_of(place)
        self.sets: dict[str, EpisodeSet] = {}
        self.problems: list[str] = []

    def look_around(self, *, verdicts: str, labeller: str) -> bool:
        """Takes up sets that are new; whether there were any."""
        self.kind = kind_of(self.place)
        new = [place for place in sets_of(self.place) if _id(place.path) not in self.sets]
        if new:
            config = self._config()
            made = [EpisodeSet(place, verdicts=verdicts, labeller=labeller, config=config) for place in new]
            self.sets = {**self.sets, **{each.id: each for each in made}}
        return bool(new)

    def _config(self) -> BenchConfig | None:
        path = self.place.path / "config.toml"
        if self.kind is not RunKind.BENCH or not path.is_file():
            return None
        try:
            return load(BenchConfig, path)
        except BadConfig as error:
            self.problems = [f"config.toml cannot be read: {str(error).replace(str(path), 'config.toml')}"]
            return None


class Catalogue:
    """All runs. `with Catalogue.open(paths) as catalogue:` keeps it up to date."""

    def __init__(self, paths: Sequence[Path], *, videos: Path | None, verdicts: str, labeller: str, every_s: float) -> None:
        self.footage = Footage(videos)
        self.labeller = labeller
        self.runs: Mapping[str, ViewedRun] = {}
        self.rounds = 0
        """Times that everything was looked at."""
        self.runs_version = 0
        """Another one whenever there are other runs, sets or curves."""
        self.is_settled = False
        """Whether the last round found nothing more to read."""
        self._paths, self._verdicts, self._every_s = paths, verdicts, every_s
        self._sizes: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, name="viewer-index", daemon=True)

    @classmethod
    def open(
        cls,
        paths: Sequence[Path],
        *,
        videos: Path | None = None,
        verdicts: str = VERDICTS,
        labeller: str = "",
        every_s: float = 0.5,
    ) -> "Catalogue":
        """Finds the runs and reads nothing of them yet. `videos`: where to look for videos by name; `verdicts`: the file of the
        judge whose verdicts count. Raises BadRecord for a path at which there is nothing to view."""
        require_runs(paths)
        catalogue = cls(paths, videos=videos, verdicts=verdicts, labeller=labeller, every_s=every_s)
        catalogue.look_around()
        return catalogue

    def __enter__(self) -> Self:
        """Starts keeping up."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stops, and ends the process that decodes."""
        self._stop.set()
        self._thread.join()
        self.footage.close()

    @property
    def sets(self) -> dict[str, EpisodeSet]:
        """All sets of all runs."""
        return {each.id: each for run in self.runs.values() for each in run.sets.values()}

    def run_of(self, one: EpisodeSet) -> ViewedRun | None:
        """The run that a set belongs to."""
        return next((run for run in self.runs.values() if one.id in run.sets), None)

    def look_around(self) -> None:
        """Takes up runs and sets that are new, and lets go of runs that are gone."""
        places = {_id(place.path): place for place in runs_at(self._paths)}
        known = {name: run for name, run in self.runs.items() if name in places or run.place.path.exists()}
        runs = known | {name: ViewedRun(place) for name, place in places.items() if name not in known}
        changed = runs.keys() != self.runs.keys()
        for run in runs.values():
            changed |= run.look_around(verdicts=self._verdicts, labeller=self.labeller)
        sizes = {name: _size(run.place.metrics) for name, run in runs.items()}
        if changed or sizes != self._sizes:
            self.runs, self._sizes = runs, sizes
            self.runs_version += 1

    def _keep_up(self) -> None:
        while not self._stop.is_set():
            if self.rounds % LOOK_AROUND == 0:
                self.look_around()
            busy = [one.advance() for one in self.sets.values() if not self._stop.is_set()]
            self.is_settled = not any(busy)
            self.rounds += 1
            if self.is_settled:
                self._stop.wait(self._every_s)


def _id(path: Path) -> str:
    return spelt(key_of(str(path.resolve())))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
