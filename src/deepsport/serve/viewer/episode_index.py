"""One set of episodes, indexed while its file grows: every line read once, every row kept up with verdicts and diagnoses.

A file that takes the place of the one that was read is indexed from its start, and the old rows stand until the new ones are
complete. A line that cannot be read is a problem that is told, not the end.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from deepsport.bench.diagnosis.diagnosing import DIAGNOSES
from deepsport.bench.diagnosis.record import Diagnosis
from deepsport.bench.result import Judged
from deepsport.records import Episode
from deepsport.serve.viewer.episode_table import NO_STEP, Table, View, key_of
from deepsport.serve.viewer.growing_file import GrowingFile, Line, LongLineError
from deepsport.serve.viewer.line_to_row import Entry, SetKind, facts_of, read_entry, said_of, text_of
from deepsport.serve.viewer.verdict_files import MOST_PROBLEMS, VerdictFile

GROWING_S = 10.0
"""So long after its last new line a file counts as growing."""

RunOf = Callable[[Episode], int]
"""In which of several runs an episode was played."""


@dataclass(slots=True)
class State:
    """One state of the file and what was read of it."""

    lines: GrowingFile
    table: Table = field(default_factory=Table)
    problems: list[str] = field(default_factory=list[str])
    n_broken: int = 0
    step: int = NO_STEP
    """Of the line read last."""
    share_read: float = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """An episode that was read again."""

    view: View
    row: int
    entry: Entry
    content: bytes


class Index:
    """The rows of a set. `advance` is for one thread, everything else for any."""

    def __init__(self, path: Path, kind: SetKind, *, verdicts: Path, run_of: RunOf) -> None:
        self.path = path
        self.kind = kind
        self.version = 0
        """Counts changes of what a list could show."""
        self.grew_at = 0.0
        self._run_of = run_of
        self._judged = VerdictFile(verdicts, Judged)
        self._diagnosed = VerdictFile(path.parent / DIAGNOSES, Diagnosis)
        self._stale: set[str] = set()
        self._shown: State | None = None
        self._coming: State | None = None
        self._fault = ""

    def advance(self, budget_s: float) -> bool:
        """Reads on for a while; whether there may be more to read at once."""
        deadline, before = time.monotonic() + budget_s, self.version
        try:
            self._fault = ""
            self._hear()
            busy = self._read_on(deadline) or self._mend(deadline)
        except OSError as error:
            self._fault, busy = f"{self.path.name} cannot be read: {error.strerror or error}", False
        if self.version != before:
            self.grew_at = time.time()
        return busy

    def view(self) -> View:
        """The rows as they are now."""
        state = self._shown
        return state.table.view(state.lines) if state else Table().view()

    @property
    def share_read(self) -> float:
        """Of the newest state of the file, in [0, 1]."""
        state = self._coming or self._shown
        return state.share_read if state else 0.0

    @property
    def problems(self) -> list[str]:
        """What could not be read, in words for a person."""
        state = self._coming or self._shown
        told = [self._fault] if self._fault else []
        if state:
            told += state.problems
            if state.n_broken > len(state.problems):
                told.append(f"{state.n_broken - len(state.problems)} more lines of {self.path.name} cannot be read")
        return told + (self._judged.problems + self._diagnosed.problems)[:MOST_PROBLEMS]

    def find(self, key: int) -> Found | None:
        """The episode of that key, read again. None if there is none, or its line is no longer there."""
        state = self._shown
        row = state.table.row_of(key) if state else None
        return None if state is None or row is None else self.again(state.table.view(state.lines), row)

    def again(self, view: View, row: int) -> Found | None:
        """The episode of a row, read again. None if its line is no longer there."""
        if view.file is None:
            return None
        try:
            content = view.file.at(view.place(row))
            entry = read_entry(self.kind, content)
        except (ValueError, OSError):
            return None
        return Found(view, row, entry, content) if key_of(entry.episode.id) == int(view.rows_F[row]["key"]) else None

    def judged(self, entry: Entry) -> Judged | None:
        """What a judge said of the answer."""
        return self._judged.of(entry.episode.id)

    def diagnosis(self, entry: Entry) -> Diagnosis | None:
        """What a diagnosis says of the failure."""
        return self._diagnosed.of(entry.episode.id)

    def _hear(self) -> None:
        if self.kind is SetKind.EPISODES:
            heard = self._judged.poll() | self._diagnosed.poll()
            if self._shown or self._coming:
                self._stale |= heard

    def _read_on(self, deadline: float) -> bool:
        state = self._state()
        if state is None:
            return False
        while time.monotonic() < deadline:
            n_new = self._read_some(state)
            state.share_read = state.lines.share_read if n_new else 1.0  # a last line that was never finished is not waited for
            if n_new == 0:
                self._settle(state)
                return False
            if state is self._shown:
                self.version += 1
        if self._shown is None:
            self._settle(state)
        return True

    def _state(self) -> State | None:
        """The state of the file to read on in; None while there is no file."""
        newest = self._coming or self._shown
        if newest and newest.lines.is_current():
            return newest
        if not self.path.is_file():
            return newest
        self._coming = State(GrowingFile(self.path))
        return self._coming

    def _settle(self, state: State) -> None:
        """From now on the rows of this state are shown: it is complete, or there was nothing to show before it."""
        if self._shown is not state:
            self._shown, self._coming = state, None
            self.version += 1

    def _read_some(self, state: State) -> int:
        try:
            lines = state.lines.read()
        except LongLineError as error:
            self._tell(state, str(error))
            return 1
        for line in lines:
            try:
                entry = read_entry(self.kind, line.content)
            except ValueError as error:
                self._tell(state, f"{self.path.name}:{line.number} is passed over: {error}")
                continue
            self._step(state, entry)
            self._put(state, entry, line)
        return len(lines)

    def _tell(self, state: State, problem: str) -> None:
        state.n_broken += 1
        if len(state.problems) < MOST_PROBLEMS:
            state.problems.append(problem)

    def _step(self, state: State, entry: Entry) -> None:
        """A training run that was killed samples some steps anew."""
        if entry.step is not None and entry.step != state.step:
            state.table.hide_step(entry.step)
            state.step = entry.step

    def _put(self, state: State, entry: Entry, line: Line) -> None:
        verdict, diagnosis = said_of(entry, self.judged(entry)), self.diagnosis(entry)
        run = self._run_of(entry.episode)
        facts = facts_of(entry, line, state.table, run=run, verdict=verdict, diagnosis=diagnosis)
        state.table.put(facts, text_of(entry.episode))

    def _mend(self, deadline: float) -> bool:
        """Rows of which something else is said by now."""
        state = self._shown
        while state and self._stale and time.monotonic() < deadline:
            row = state.table.row_of(key_of(self._stale.pop()))
            found = self.again(state.table.view(state.lines), row) if row is not None else None
            if found:
                self._put(state, found.entry, Line(0, found.view.place(found.row), found.content))
                self.version += 1
        return bool(state and self._stale)
