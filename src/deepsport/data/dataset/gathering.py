"""The questions that a dataset is made of: those of several files, read again for every step instead of being held.

A file counts its videos from its own folder; here they count from the folder of the dataset. What cannot be asked or scored is
left out and counted: without a reference, with an empty text or answer, with a number that is none, or longer than LONGEST_TEXT.
"""

import math
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from deepsport.data.dataset.manifest import SPLITS, Split
from deepsport.data.dataset.split import UNDECIDED, Sides
from deepsport.data.dataset.traces import Traces, column, key
from deepsport.durable import read_records
from deepsport.errors import BadRecord
from deepsport.progress import Tick
from deepsport.records import Choice, FreeText, Number, Question

LONGEST_TEXT = 65_536
"""Characters of a question or its answer. A longer one is a file that went astray."""

Watch = Callable[[str, int | None], AbstractContextManager[Tick]]
"""Shows how far a step is, by its name and the number of its questions."""


@dataclass(frozen=True, slots=True)
class QuestionFile:
    """A file of questions, and the split that it is, if that is not ours to choose."""

    path: Path
    split: Split | None = None


@dataclass(slots=True)
class Gathered:
    """Questions that can be read as often as needed, always in the same order."""

    files: Sequence[QuestionFile]
    out: Path
    """The folder of the dataset, without links: a path from it that goes up would lead elsewhere."""
    watch: Watch
    left_out: Counter[str] = field(default_factory=Counter[str])
    ends: "array[int]" = field(default_factory=lambda: array("Q"))
    """How many questions the files up to each one hold."""

    def traces(self) -> Traces:
        """Reads everything once. Raises BadRecord for a broken line, an id that is there twice, or no question at all."""
        traces = Traces(str(self.out))
        with self.watch("reading", None) as tick:
            for file in self.files:
                n_before = len(traces)
                for question in self._of_file(file.path, self.left_out):
                    traces.add(question)
                    tick()
                if file.split and len(traces) == n_before:
                    raise BadRecord(
                        f"{file.path} is given as {file.split} and holds no question that can be asked. "
                        "Leave it away or give another."
                    )
                self.ends.append(len(traces))
        if not len(traces):
            raise BadRecord(
                f"{', '.join(str(file.path) for file in self.files)}: no question that can be asked.{self._reasons()}"
            )
        self._require_different_ids(traces)
        return traces

    def again(self, step: str, traces: Traces) -> Iterator[Question]:
        """The questions of the traces. Raises BadRecord if the files have changed in between."""
        row = 0
        with self.watch(step, len(traces)) as tick:
            for file in self.files:
                for question in self._of_file(file.path, Counter()):
                    if row == len(traces) or traces.ids[row] != key(question.id):
                        raise BadRecord(f"{file.path} has changed while it was read. Run the command again.")
                    row += 1
                    yield question
                    tick()
        if row < len(traces):
            raise BadRecord(f"{self.files[-1].path} has changed while it was read. Run the command again.")

    def fixed(self) -> Sides:
        """The split of each question that was given, UNDECIDED for the others."""
        counts = np.diff(np.asarray(self.ends, dtype=np.int64), prepend=0)
        sides = [UNDECIDED if file.split is None else SPLITS.index(file.split) for file in self.files]
        return np.repeat(np.array(sides, dtype=np.int8), counts)

    def _of_file(self, path: Path, left_out: Counter[str]) -> Iterator[Question]:
        if not path.is_file():
            raise BadRecord(f"{path} is not a file. Give the path of a .jsonl file of questions.")
        way = os.path.relpath(os.path.realpath(path.parent), self.out)
        for question in read_records(path, Question):
            if reason := why_left_out(question):
                left_out[reason] += 1
            else:
                video = question.video if os.path.isabs(question.video) else os.path.normpath(os.path.join(way, question.video))
                yield question.model_copy(update={"video": video})

    def _require_different_ids(self, traces: Traces) -> None:
        ids = column(traces.ids)
        order = np.argsort(ids, kind="stable")
        twice = np.nonzero(np.diff(ids[order]) == 0)[0]
        if len(twice):
            first, second = sorted(int(row) for row in order[twice[0] : twice[0] + 2])
            files = [self.files[int(np.searchsorted(np.asarray(self.ends), row, side="right"))].path for row in (first, second)]
            name = next(question.id for row, question in enumerate(self.again("looking", traces)) if row == first)
            raise BadRecord(f"the id {name!r} stands in {files[0]} and again in {files[1]}. Remove one, or give it another id.")

    def _reasons(self) -> str:
        return "".join(f" {n} left out: {reason}." for reason, n in self.left_out.items())


def why_left_out(question: Question) -> str | None:
    """Why a question has no place in a dataset, None if it has."""
    match question.gold:
        case None:
            return "no reference answer"
        case Number(answer=number, tolerance=tolerance):
            if not (math.isfinite(number) and math.isfinite(tolerance)):
                return "a number that is not finite"
            texts = (question.text,)
        case Choice(answer=answer) | FreeText(answer=answer):
            if not answer.strip():
                return "an empty answer"
            texts = (question.text, answer)
    if not question.text.strip():
        return "an empty question"
    if max(map(len, texts)) > LONGEST_TEXT:
        return f"longer than {LONGEST_TEXT:,} characters"
    if question.window and not (math.isfinite(question.window.start_s) and math.isfinite(question.window.end_s)):
        return "a window that is not finite"
    return None
