"""Labels and windows of one set, by the episode and the question they are about; the viewer's own labeller comes first."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from deepsport.bench.diagnose import Failure
from deepsport.bench.judged.labels import Label, read_labels
from deepsport.bench.judged.windows import Correction, read_windows
from deepsport.errors import BadRecord
from deepsport.records import Episode, Record, Window
from deepsport.reward.judge import FULL_POINTS
from deepsport.serve.viewer.annotation_csv import AnnotationFile, Form
from deepsport.serve.viewer.episode_table import View, key_of
from deepsport.serve.viewer.filters import LABELS

LABEL_FORM = Form(
    columns=("episode_id", "question_id", "right", "points", "failure", "labeller"), says=("right", "points", "failure")
)
WINDOW_FORM = Form(columns=("question_id", "start_s", "end_s", "labeller"), says=("start_s", "end_s"))
LONGEST_NAME = 80
LATEST_S = 1e6
"""Seconds; no video is longer."""
LabelsByAnswer = Mapping[tuple[str, str], Sequence[Label]]
"""By episode id and "", or "" and question id where a label names no episode."""
WindowsByQuestion = Mapping[str, Sequence[Correction]]


class _Saying(Record):
    labeller: str = Field(default="", max_length=LONGEST_NAME)

    @field_validator("labeller")
    @classmethod
    def _plain(cls, name: str) -> str:
        """Names stand in a file that spreadsheets open, which take some cells for formulas."""
        name = name.strip()
        if not name.isprintable() or name[:1] in tuple("=+-@"):
            raise ValueError("a name is printable and begins with none of = + - @")
        return name


class NewLabel(_Saying):
    """What is said of an answer; nothing at all takes back what was said."""

    right: bool | None = None
    points: int | None = Field(default=None, ge=0, le=FULL_POINTS, strict=True)
    failure: Failure | None = None

    @model_validator(mode="after")
    def _agrees(self) -> "NewLabel":
        if self.points is not None and self.right is not None and self.right != (2 * self.points >= FULL_POINTS):
            raise ValueError(f"{self.points} points and right = {self.right} contradict each other")
        return self


class NewWindow(_Saying):
    """When the event is said to be."""

    start_s: float = Field(ge=0, le=LATEST_S, allow_inf_nan=False)
    end_s: float = Field(ge=0, le=LATEST_S, allow_inf_nan=False)

    @model_validator(mode="after")
    def _ordered(self) -> "NewWindow":
        Window(start_s=self.start_s, end_s=self.end_s)
        return self


class Annotations:
    """What people said of the episodes of a set."""

    def __init__(self, labels: Path, windows: Path, labeller: str) -> None:
        self.own = labeller
        self.labels: AnnotationFile[LabelsByAnswer] = AnnotationFile(labels, LABEL_FORM, _labels_in, {})
        self.windows: AnnotationFile[WindowsByQuestion] = AnnotationFile(windows, WINDOW_FORM, _windows_in, {})

    @property
    def version(self) -> tuple[int, int]:
        """Another one whenever a file was changed, here or by somebody else."""
        return self.labels.version, self.windows.version

    @property
    def problems(self) -> list[str]:
        """What cannot be read."""
        return [problem for problem in (self.labels.problem, self.windows.problem) if problem]

    def look(self) -> None:
        """Reads what was changed."""
        self.labels.look()
        self.windows.look()

    def labels_of(self, episode: Episode) -> list[Label]:
        """Everybody's label of an answer, one's own first."""
        said = self.labels.said
        about = [*said.get((episode.id, ""), ()), *said.get(("", episode.question.id), ())]
        return sorted(about, key=self._rank, reverse=True)

    def windows_of(self, question_id: str) -> list[Correction]:
        """Everybody's window of a question, one's own first."""
        return sorted(self.windows.said.get(question_id, ()), key=lambda each: each.labeller != self.own)

    def codes(self, view: View) -> NDArray[np.int8]:
        """What the first label of each row says, as a number of `filters.LABELS`."""
        codes = np.zeros(view.n, dtype=np.int8)
        by_rank: defaultdict[tuple[bool, bool], dict[int, int]] = defaultdict(dict)
        for (episode_id, question_id), labels in self.labels.said.items():
            key = key_of(episode_id or question_id)
            for label in labels:
                by_rank[self._rank(label)].setdefault(key, _code(label))
        for rank in sorted(by_rank):
            _lay(codes, view.rows_F["key" if rank[1] else "question"], by_rank[rank])
        return codes

    def label(self, episode: Episode, labeller: str, said: NewLabel, *, alone: bool) -> None:
        """Writes a label down; `alone`: the question was answered once, so that a row may name it alone.

        Raises BadRecord and RunError."""
        _require_spelt(episode.id, episode.question.id)
        cells = {
            "episode_id": episode.id,
            "question_id": episode.question.id,
            "labeller": labeller,
            "right": "" if said.right is None else "yes" if said.right else "no",
            "points": "" if said.points is None else str(said.points),
            "failure": said.failure or "",
        }

        def is_meant(row: Mapping[str, str]) -> bool:
            by_question = alone and not row["episode_id"] and row["question_id"] == episode.question.id
            return row["labeller"] == labeller and (row["episode_id"] == episode.id or by_question)

        self.labels.change(is_meant, cells)

    def correct(self, question_id: str, labeller: str, said: NewWindow | None) -> None:
        """Writes a window down, or takes it back. Raises BadRecord and RunError."""
        _require_spelt(question_id)
        times = {"start_s": f"{said.start_s:.3f}", "end_s": f"{said.end_s:.3f}"} if said else {}
        cells = {"question_id": question_id, "labeller": labeller, **times}
        self.windows.change(lambda row: (row["question_id"], row["labeller"]) == (question_id, labeller), cells)

    def _rank(self, label: Label) -> tuple[bool, bool]:
        """The higher, the sooner it counts: one's own word, then one that names the answer; of equals, the first in the file."""
        return label.labeller == self.own, bool(label.episode_id)


def _labels_in(path: Path) -> LabelsByAnswer:
    found: defaultdict[tuple[str, str], list[Label]] = defaultdict(list)
    for label in read_labels(path).labels:
        found[label.episode_id, "" if label.episode_id else label.question_id].append(label)
    return found


def _windows_in(path: Path) -> WindowsByQuestion:
    found: defaultdict[str, list[Correction]] = defaultdict(list)
    for correction in read_windows(path):
        found[correction.question_id].append(correction)
    return found


def _require_spelt(*names: str) -> None:
    """Refuses ids that a file of labels cannot name: blanks around a cell do not count. Raises BadRecord."""
    for name in names:
        if name != name.strip() or not name:
            raise BadRecord(f"the id {name[:40]!r} is empty or has blanks around it, so that no CSV file can name it. Rename it.")


def _code(label: Label) -> int:
    if label.judged_points is None:
        return LABELS.index("classed")
    return LABELS.index("right" if 2 * label.judged_points >= FULL_POINTS else "wrong")


def _lay(codes: NDArray[np.int8], keys: NDArray[np.uint64], said: Mapping[int, int]) -> None:
    """Puts what is said of some keys, at least one, in the rows that have them."""
    known = np.array(sorted(said), dtype=np.uint64)
    values = np.array([said[key] for key in sorted(said)], dtype=np.int8)
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    there = known[places] == keys
    codes[there] = values[places[there]]


def label_json(label: Label) -> dict[str, object]:
    """As the page gets it."""
    return {"labeller": label.labeller, "right": label.right, "points": label.points, "failure": label.failure}


def window_json(said: Correction) -> dict[str, object]:
    """As the page gets it."""
    return {"labeller": said.labeller, "start_s": said.window.start_s, "end_s": said.window.end_s}
