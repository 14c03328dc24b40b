"""When events really are, as people say: a CSV file with one row per question, made by hand or by dragging in the viewer.

    question_id           which question
    start_s, end_s        the window, in seconds from the start of the video
    labeller              who says so; empty where one person did it all

Other columns are passed over, and so is a row that says nothing yet. A row that cannot be read is an error with its line, not a
drop. Two people may differ: whoever uses the file has to say whom to follow.
"""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path

from deepsport.bench.judged.people_csv import people_rows
from deepsport.errors import BadRecord
from deepsport.records import Record, Window

_NEEDED = frozenset({"question_id", "start_s", "end_s"})


class Correction(Record):
    """When one person says that the event of one question is."""

    place: str
    """`windows.csv:3`."""
    question_id: str
    window: Window
    labeller: str = ""


def read_windows(path: Path) -> tuple[Correction, ...]:
    """The windows of a CSV file, each labeller's word on a question once.

    Raises BadRecord with the line of a row that is no window, RunError if the file cannot be read."""
    found: dict[tuple[str, str], Correction] = {}
    for place, row in people_rows(path):
        if missing := sorted(_NEEDED - row.keys()):
            needed = ", ".join(sorted(_NEEDED))
            raise BadRecord(f"{path} has no column {missing[0]}, but {', '.join(row)}. It needs {needed}.")
        correction = _correction(place, row)
        if correction is None:
            continue
        before = found.setdefault((correction.labeller, correction.question_id), correction)
        if before.window != correction.window:
            raise BadRecord(
                f"{before.place} and {place} are two windows of question {correction.question_id!r}. Keep one of the rows, or "
                "name two people in a column labeller."
            )
    return tuple(found.values())


def _correction(place: str, row: Mapping[str, str]) -> Correction | None:
    """None for a row that says nothing yet. Raises BadRecord."""
    question_id, start, end = row["question_id"], row["start_s"], row["end_s"]
    if not (start or end):
        return None
    if not question_id:
        raise BadRecord(f"{place}: question_id does not say which question is meant")
    start_s, end_s = _seconds(place, "start_s", start), _seconds(place, "end_s", end)
    if end_s < start_s:
        raise BadRecord(f"{place}: the window ends at {end_s:g} s, before its start at {start_s:g} s")
    window = Window(start_s=start_s, end_s=end_s)
    return Correction(place=place, question_id=question_id, window=window, labeller=row.get("labeller", ""))


def _seconds(place: str, name: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = -1.0
    if not (isfinite(value) and value >= 0):
        raise BadRecord(f"{place}: {name} = {cell[:40]!r} is no time in seconds from 0 on")
    return value
