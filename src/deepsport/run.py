"""The run directory: what a command leaves behind, and from where it goes on.

One process at a time holds a run, by flock on `.lock`; the kernel lets go of it with the process. Records survive kill -9 as soon
as `append` returns; `mark_done`, `write` and `close` also wait for the disk, so a power cut costs at most the records since the
last of them. A run belongs to one configuration. Nothing absolute is stored, so it may be moved.
"""

import difflib
import json
import shutil
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from pydantic import BaseModel, Field, JsonValue, TypeAdapter, ValidationError

from deepsport import lock as lock_file
from deepsport.config import Config, dump, flatten, free_keys, load
from deepsport.durable import RecordFile, disk_errors, read_records, replacing, write_atomic
from deepsport.errors import BadConfig, BadRecord, RunError
from deepsport.lock import LOCK_NAME
from deepsport.records import Record
from deepsport.versions import versions

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

BEAT_S = 5.0
"""While records are appended, the seconds of a stage are saved this often: so much of a killed attempt may go uncounted."""


class Stage(Record):
    """What a run knows about one of its stages."""

    done: bool = False
    seconds: float = 0.0
    """Wall time, all attempts together."""
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    """What the stage wants to remember: counts, scores, file names."""


_STAGES = TypeAdapter(dict[str, Stage])
_VERSIONS = TypeAdapter(list[dict[str, str]])


class Run:
    """A locked run directory. `with Run.open(folder, config) as run:`"""

    def __init__(self, folder: Path, lock: int | None, clock: Callable[[], float]) -> None:
        """Takes a folder whose lock is held already, or is not wanted; use `Run.open` or `Run.follow`."""
        self.folder = folder
        self._writes = lock is not None
        self.versions = versions()
        self._lock: int | None = lock
        self._clock = clock
        self._files: dict[str, RecordFile] = {}
        self._stages = _stored(self.path("stages.json"), _STAGES) or {}
        self._counting = threading.Lock()
        self._open_stages: list[str] = []
        """Each within the one before it."""
        self._counted = clock()

    @classmethod
    def open(
        cls,
        folder: Path,
        config: Config | None,
        *,
        fresh: bool = False,
        patience_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> "Run":
        """Creates or re-opens a run, waiting `patience_s` for its present holder; `fresh` deletes what an earlier one left.

        Raises RunError if another process holds it, if it belongs to another configuration, if the folder holds files that are no
        run's, or if it cannot be written."""
        _require_run(folder, ("versions.json",) if fresh else ("versions.json", "config.toml"))
        lock = lock_file.take(folder, patience_s=patience_s)
        try:
            if fresh:
                _empty(folder)
            if config is not None:
                _settle_config(folder, config)
            run = cls(folder, lock, clock)
            run._note_versions()
        except BaseException:
            lock_file.release(lock)
            raise
        return run

    @classmethod
    def follow(cls, folder: Path) -> "Run":
        """A run that another process holds: it can be read, and what is written to it here is left out. For the further processes
        of a distributed run, which do the same work as the one that holds it."""
        return cls(folder, None, time.monotonic)

    def __enter__(self) -> Self:
        """The run itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Closes the run, whatever happened."""
        self.close()

    def close(self) -> None:
        """Waits for the disk and lets go of the lock. Closing twice does nothing."""
        try:
            for file in self._files.values():
                file.close()
        finally:
            if self._lock is not None:
                lock_file.release(self._lock)
            self._lock = None

    def path(self, name: str) -> Path:
        """Where a file of this run stands; `name` may hold folders. Raises ValueError if it leads out of the run."""
        path = self.folder / name
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise ValueError(f"{name!r} leads out of the run {self.folder}")
        return path

    def append(self, name: str, record: BaseModel | Mapping[str, JsonValue]) -> None:
        """Adds one record to a `.jsonl` file of the run; on return it survives kill -9. Safe from several threads.

        Raises RunError if the disk does not take it."""
        if not self._writes:
            return
        file = self._files.get(name) or self._files.setdefault(name, RecordFile(self.path(name)))
        file.append(record)
        if self._clock() - self._counted > BEAT_S:
            self._count_seconds()

    def read(self, name: str, model: type[M]) -> list[M]:
        """The records appended so far, none if there is no such file.

        Raises BadRecord with file and line for a broken line that is not a torn last one."""
        path = self.path(name)
        return list(read_records(path, model)) if path.exists() else []

    def write(self, name: str, content: str | bytes) -> Path:
        """Replaces a file of the run atomically and says where it is. Raises RunError if the disk does not take it."""
        path = self.path(name)
        if self._writes:
            write_atomic(path, content)
        return path

    def rewrite(self, name: str, records: Iterable[BaseModel]) -> Path:
        """Replaces a `.jsonl` file of the run atomically by these records, one line each. Raises RunError as `write`."""
        path = self.path(name)
        if self._writes:
            if name in self._files:
                self._files.pop(name).close()
            with disk_errors(path), replacing(path) as file:
                file.writelines(record.model_dump_json().encode() + b"\n" for record in records)
        return path

    def done(self, stage: str) -> bool:
        """Whether the stage came to its end, in this attempt or an earlier one."""
        return self.stage_record(stage).done

    def stage_record(self, stage: str) -> Stage:
        """Seconds and facts of a stage, empty if it never began."""
        return self._stages.get(stage, Stage())

    def seconds_per_stage(self) -> dict[str, float]:
        """Wall time of each stage over all attempts, in the order they first ran."""
        return {name: stage.seconds for name, stage in self._stages.items()}

    @contextmanager
    def stage(self, name: str) -> Generator[dict[str, JsonValue]]:
        """Times a stage and marks it done at a clean end, with the facts put into the dict it yields. A stage within a stage has
        its own time, so that the seconds of all stages add up.

        The seconds of an attempt that failed or was killed count too, a killed one up to its last saved beat."""
        facts: dict[str, JsonValue] = {}
        self._count_seconds()
        self._open_stages.append(name)
        try:
            yield facts
        finally:
            self._count_seconds()
            self._open_stages.pop()
        self.mark_done(name, **facts)

    def mark_done(self, stage: str, **facts: JsonValue) -> None:
        """Notes that a stage is finished, after every record has reached the disk."""
        for file in self._files.values():
            file.sync()
        before = self.stage_record(stage)
        self._save_stage(stage, before.model_copy(update={"done": True, "facts": {**before.facts, **facts}}))

    def _count_seconds(self) -> None:
        """Adds the time since the last count to the innermost stage that is open. Raises RunError if the run is another's now."""
        self._require_held()
        with self._counting:
            now = self._clock()
            seconds, self._counted = now - self._counted, now
            if self._open_stages:
                before = self.stage_record(self._open_stages[-1])
                self._save_stage(self._open_stages[-1], before.model_copy(update={"seconds": before.seconds + seconds}))

    def _require_held(self) -> None:
        if self._lock is not None and (other := lock_file.ousted(self._lock, self.folder)):
            raise RunError(
                f"{self.folder} was taken over by process {other}, and this one stops. Locks of its file system do not reach "
                f"that far, or {LOCK_NAME} was removed: end one of the two, and start the other again."
            )

    def _save_stage(self, name: str, stage: Stage) -> None:
        self._stages[name] = stage
        self.write("stages.json", _STAGES.dump_json(self._stages, indent=1) + b"\n")

    def _note_versions(self) -> None:
        """Keeps every environment the run has seen, the present one last."""
        seen = _stored(self.path("versions.json"), _VERSIONS) or []
        if self.versions not in seen[-1:]:
            self.write("versions.json", json.dumps([*seen, self.versions], indent=1) + "\n")


def _stored(path: Path, shape: TypeAdapter[T]) -> T | None:
    """A small JSON file of the run, None if it was never written. Raises BadRecord if it is not what it should be."""
    with disk_errors(path):
        if not path.exists():
            return None
        raw = path.read_bytes()
    try:
        return shape.validate_json(raw)
    except ValidationError as error:
        raise BadRecord(f"{path} was changed by hand or by another program: {error.errors()[0]['msg']}") from None


def _require_run(folder: Path, marks: Sequence[str]) -> None:
    """Refuses a folder with somebody's own files in it: a run may be emptied later, and they would go with it."""
    if (
        folder.is_dir()
        and any(entry.is_file() and not entry.name.startswith(".") for entry in folder.iterdir())
        and not any((folder / mark).exists() for mark in (LOCK_NAME, *marks))
    ):
        raise RunError(f"{folder} holds files and is not a run directory. Use another folder, or remove them yourself.")


def _empty(folder: Path) -> None:
    with disk_errors(folder):
        for entry in folder.iterdir():
            if entry.name == LOCK_NAME:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def _settle_config(folder: Path, config: Config) -> None:
    """Writes the resolved configuration once; afterwards it must stay the same."""
    path = folder / "config.toml"
    if not path.exists():
        write_atomic(path, dump(config))
        return
    changes = _changes(path, config)
    if changes:
        raise RunError(
            f"{folder} was made with another configuration:\n  " + "\n  ".join(changes) + "\n"
            "Use another folder, or start afresh (--fresh, FRESH=1), which deletes what this run has made."
        )


def _changes(path: Path, config: Config) -> list[str]:
    """Lines `- key = value` (as stored) and `+ key = value` (asked for now); a setting newer than the run has its default, and a
    free one may differ."""
    try:
        stored = _binding(load(type(config), path))
    except BadConfig:
        with disk_errors(path):
            stored = path.read_text(encoding="utf-8").splitlines()
    return [line for line in difflib.ndiff(stored, _binding(config)) if line[:1] in "+-"]


def _binding(config: Config) -> list[str]:
    free = set(free_keys(type(config)))
    return [f"{key} = {value}" for key, value in flatten(config).items() if key not in free]
