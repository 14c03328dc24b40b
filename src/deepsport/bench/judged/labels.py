"""What people said of answers: a CSV file with one row per answer, made by hand or by a viewer.

    episode_id or question_id    which answer; by question only where the run asked each question once
    points, 0 to 10              how good it is; or
    right, yes or no             whether it is right
    failure                      why it is wrong, one of `Failure`; may stand alone
    labeller                     who says so; empty where one person labelled everything

Other columns are passed over, and so is a row that says nothing yet. A row that cannot be read is an error with its line, not a
drop: a label that goes missing in silence changes the agreement.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepsport.bench.diagnose import Failure
from deepsport.bench.judged.people_csv import people_rows
from deepsport.errors import BadRecord
from deepsport.records import Episode, Record
from deepsport.reward.judge import FULL_POINTS

_YES, _NO = frozenset({"yes", "y", "1", "true", "right"}), frozenset({"no", "n", "0", "false", "wrong"})
_SAYING = ("points", "right", "failure")
MOST_NAMED = 5
"""Ids that a message names."""


class Label(Record):
    """What one person said of one answer."""

    place: str
    """`labels.csv:3`."""
    episode_id: str = ""
    question_id: str = ""
    """One of the two is given."""
    points: int | None = None
    right: bool | None = None
    failure: Failure | None = None
    labeller: str = ""

    @property
    def judged_points(self) -> int | None:
        """Points, or all or none of them where only right or wrong was said."""
        if self.points is not None:
            return self.points
        return None if self.right is None else FULL_POINTS * self.right


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """A file of labels."""

    labels: tuple[Label, ...]
    n_blank: int
    """Rows that say nothing yet."""
    n_doubled: int
    """Rows that say again what their labeller had said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """The labels of the answers of one run."""

    by_labeller: Mapping[str, Mapping[str, Label]]
    """Labeller, then episode id."""
    unknown: tuple[str, ...]
    """Ids that the run does not hold."""


def read_labels(path: Path) -> Labels:
    """The labels of a CSV file. Raises BadRecord with the line of a row that is no label, RunError if the file cannot be read."""
    found: dict[tuple[str, str, str], Label] = {}
    n_blank = n_doubled = 0
    for place, row in people_rows(path):
        _require_columns(path, row)
        label = _label(place, row)
        if label is None:
            n_blank += 1
            continue
        key = (label.labeller, label.episode_id, "" if label.episode_id else label.question_id)
        before = found.setdefault(key, label)
        if before is not label:
            _require_equal(before, label)
            n_doubled += 1
    return Labels(labels=tuple(found.values()), n_blank=n_blank, n_doubled=n_doubled)


def labelled(labels: Sequence[Label], episodes: Iterable[Episode]) -> Labelled:
    """Which answers of a run the labels are about. Raises BadRecord if none is, or if a label could mean several answers."""
    by_id: dict[str, Episode] = {}
    by_question: defaultdict[str, list[Episode]] = defaultdict(list)
    for episode in episodes:
        by_id[episode.id] = episode
        by_question[episode.question.id].append(episode)
    found: defaultdict[str, dict[str, Label]] = defaultdict(dict)
    unknown: list[str] = []
    for label in labels:
        meant = _meant(label, by_id, by_question)
        if meant is None:
            unknown.append(label.episode_id or label.question_id)
            continue
        before = found[label.labeller].setdefault(meant.id, label)
        if before is not label:
            _require_equal(before, label)
    if labels and not found:
        raise BadRecord(f"none of the {len(labels)} labels is about this run: it does not hold {', '.join(unknown[:MOST_NAMED])}")
    return Labelled(by_labeller={name: found[name] for name in sorted(found)}, unknown=tuple(unknown))


def _meant(label: Label, by_id: Mapping[str, Episode], by_question: Mapping[str, Sequence[Episode]]) -> Episode | None:
    if label.episode_id:
        meant = by_id.get(label.episode_id)
        if meant and label.question_id not in ("", meant.question.id):
            raise BadRecord(
                f"{label.place}: {label.episode_id!r} answers question {meant.question.id!r}, not {label.question_id!r}. "
                "Mend the one that is wrong, or remove it."
            )
        return meant
    answers = by_question.get(label.question_id, ())
    if len(answers) > 1:
        raise BadRecord(
            f"{label.place}: question {label.question_id!r} was answered {len(answers)} times. "
            "Name the answer in a column episode_id."
        )
    return answers[0] if answers else None


def _require_columns(path: Path, row: Mapping[str, str]) -> None:
    if not row.keys() & {"episode_id", "question_id"}:
        raise BadRecord(f"{path} has no column episode_id or question_id, but {', '.join(row)}. Name the answers in one of them.")
    if not row.keys() & set(_SAYING):
        raise BadRecord(f"{path} has none of the columns points, right and failure, so it says nothing about the answers.")


def _label(place: str, row: Mapping[str, str]) -> Label | None:
    """None for a row that says nothing yet. Raises BadRecord."""
    points, right, failure = (row.get(name, "") for name in _SAYING)
    if not (points or right or failure):
        return None
    episode_id, question_id = row.get("episode_id", ""), row.get("question_id", "")
    if not (episode_id or question_id):
        raise BadRecord(f"{place}: neither episode_id nor question_id says which answer is meant")
    label = Label(
        place=place,
        episode_id=episode_id,
        question_id=question_id,
        points=_points(place, points),
        right=_right(place, right),
        failure=_failure(place, failure),
        labeller=row.get("labeller", ""),
    )
    if label.points is not None and label.right is not None and label.right != (2 * label.points >= FULL_POINTS):
        raise BadRecord(f"{place}: {label.points} points and right = {right!r} contradict each other")
    return label


def _points(place: str, cell: str) -> int | None:
    if not cell:
        return None
    if not (cell.isascii() and cell.isdigit() and len(cell) <= 2 and int(cell) <= FULL_POINTS):
        raise BadRecord(f"{place}: points = {cell[:40]!r} is not a whole number from 0 to {FULL_POINTS}")
    return int(cell)


def _right(place: str, cell: str) -> bool | None:
    word = cell.casefold()
    if word and word not in _YES | _NO:
        raise BadRecord(f"{place}: right = {cell[:40]!r} is neither yes nor no (1 and 0 are read too)")
    return None if not word else word in _YES


def _failure(place: str, cell: str) -> Failure | None:
    name = cell.casefold().replace(" ", "_")
    if name and name not in set(Failure):
        raise BadRecord(f"{place}: failure = {cell[:40]!r} is none of {', '.join(Failure)}")
    return Failure(name) if name else None


def _require_equal(before: Label, label: Label) -> None:
    """Whoever says two things of one answer has to make up their mind."""
    if (before.points, before.right, before.failure) != (label.points, label.right, label.failure):
        who = f"{label.labeller!r} says" if label.labeller else "the file says"
        raise BadRecord(
            f"{before.place} and {label.place}: {who} two things of {label.episode_id or label.question_id!r}. "
            "Keep one of the rows, or name two people in a column labeller."
        )
