"""Which runs lie at the paths that the viewer was given, and which sets of episodes they hold. Only names are looked at here.

A run is a folder that a benchmark, a demo or a training has written into; a folder of runs is searched two folders deep; a file
of records is a run of its own.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from deepsport.bench.reporting.curves import METRICS_FILE
from deepsport.bench.result import EPISODES
from deepsport.errors import BadRecord
from deepsport.serve.viewer.line_to_row import SetKind
from deepsport.train.samples import FOLDER as SAMPLES

PLAYED = "episodes"
"""Folder of a run that plays several sets of episodes."""
STARTED = ("config.toml", "versions.json")
"""What a run writes first."""
DEPTH = 2


class RunKind(StrEnum):
    """What made a run."""

    BENCH = "bench"
    DEMO = "demo"
    TRAINING = "training"
    RECORDS = "records"
    """A file of episodes by itself."""


@dataclass(frozen=True, slots=True)
class SetPlace:
    """A file of episodes."""

    name: str
    path: Path
    kind: SetKind
    annotations: Path
    """What people say of it stands in files that begin so, beside the run; with the name of the set where a run holds several."""


@dataclass(frozen=True, slots=True)
class RunPlace:
    """A run."""

    path: Path
    """A folder, or a file of records."""
    name: str
    """Seen from what the viewer was given."""

    @property
    def metrics(self) -> Path:
        """Where its curves are."""
        return self.path / METRICS_FILE


def runs_at(paths: Sequence[Path]) -> list[RunPlace]:
    """All runs there are now, each once."""
    found = {run.path.resolve(): run for path in paths for run in _runs(path)}
    return list(found.values())


def require_runs(paths: Sequence[Path]) -> None:
    """Refuses a path at which there is nothing to view. Raises BadRecord."""
    for path in paths:
        if not path.exists():
            raise BadRecord(f"{path} does not exist. Give run folders, a folder of runs, or a .jsonl file of episodes.")
        if not any(_runs(path)):
            raise BadRecord(
                f"{path} holds no run: no episodes.jsonl, no episodes/, no samples/ and no metrics.jsonl, here or up to {DEPTH} "
                "folders below. Give a folder that `deepsport bench run`, `demo` or `train` has made, or a file of episodes."
            )


def sets_of(run: RunPlace) -> list[SetPlace]:
    """The sets that a run holds so far."""
    path = run.path
    if path.is_file():
        return [SetPlace(path.stem, path, SetKind.EPISODES, path.with_suffix(""))]
    home = path.resolve()
    own = [SetPlace(home.name, path / EPISODES, SetKind.EPISODES, home)] if (path / EPISODES).is_file() else []
    played = [SetPlace(each.stem, each, SetKind.EPISODES, Path(f"{home}.{each.stem}")) for each in _lines_in(path / PLAYED)]
    sampled = [
        SetPlace(f"{each.stem}, sampled", each, SetKind.SAMPLES, Path(f"{home}.{each.stem}.samples"))
        for each in _lines_in(path / SAMPLES)
    ]
    return [*own, *played, *sampled]


def kind_of(run: RunPlace) -> RunKind:
    """Told from what the run holds."""
    if run.path.is_file():
        return RunKind.RECORDS
    if (run.path / PLAYED).is_dir():
        return RunKind.DEMO
    return RunKind.TRAINING if run.metrics.is_file() or (run.path / SAMPLES).is_dir() else RunKind.BENCH


def _runs(path: Path) -> Iterator[RunPlace]:
    if path.is_file():
        if path.suffix == ".jsonl":
            yield RunPlace(path, path.name)
    elif _is_run(path) or (path.is_dir() and any((path / name).is_file() for name in STARTED)):
        yield RunPlace(path, path.resolve().name)
    else:
        yield from _below(path, "", DEPTH)


def _below(folder: Path, name: str, depth: int) -> Iterator[RunPlace]:
    for inner in _folders(folder):
        inner_name = f"{name}{inner.name}"
        if _is_run(inner):
            yield RunPlace(inner, inner_name)
        elif depth > 1:
            yield from _below(inner, f"{inner_name}/", depth - 1)


def _is_run(folder: Path) -> bool:
    try:
        held = (folder / EPISODES, folder / METRICS_FILE)
        return any(file.is_file() for file in held) or any(_lines_in(folder / PLAYED)) or any(_lines_in(folder / SAMPLES))
    except OSError:
        return False


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(folder / entry.name for entry in entries if not entry.name.startswith(".") and _is_folder(entry))
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _lines_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                folder / each.name for each in entries if each.name.endswith(".jsonl") and (folder / each.name).is_file()
            )
    except OSError:
        return []
