"""Questions with the windows that people gave their events: a new file beside the old one, which stays as it is.

A window is a fact that everything about looking is measured by, so nobody's word is taken against another's: where two people
differ about a question, whose word counts has to be said.
"""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepsport.bench.judged.windows import Correction
from deepsport.durable import read_records, write_atomic
from deepsport.errors import BadRecord
from deepsport.records import Question, Window

MOST_NAMED = 5
"""Ids that a message names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """What was made of a file of questions."""

    questions: tuple[Question, ...]
    """All of them, in their order."""
    n_changed: int
    unknown: tuple[str, ...]
    """Ids that the file does not hold."""


def chosen(corrections: Sequence[Correction], labeller: str | None = None) -> dict[str, Correction]:
    """By question id; `labeller`: that person's alone. Raises BadRecord if two people differ, or the person said nothing."""
    said: defaultdict[str, list[Correction]] = defaultdict(list)
    for one in corrections:
        if labeller in (None, one.labeller):
            said[one.question_id].append(one)
    if labeller is not None and not said:
        names = ", ".join(sorted({repr(one.labeller) for one in corrections}))
        raise BadRecord(f"{labeller!r} gave no window. Those who did: {names or 'nobody'}.")
    for first, *others in said.values():
        differing = next((one for one in others if one.window != first.window), None)
        if differing:
            raise BadRecord(
                f"{first.place} and {differing.place}: {first.labeller!r} and {differing.labeller!r} differ about "
                f"{first.question_id!r}. Say whose word counts with --labeller, or keep one of the rows."
            )
    return {question_id: several[0] for question_id, several in said.items()}


def corrected(questions: Sequence[Question], windows: Mapping[str, Correction]) -> Corrected:
    """The questions with their new windows. Pure.

    A question that the sparse frames were enough for stays one: whether they still are is for whoever made it to say."""
    made = tuple(
        _with_window(question, windows[question.id].window) if question.id in windows else question for question in questions
    )
    changed = sum(old != new for old, new in zip(questions, made, strict=True))
    unknown = tuple(windows.keys() - {question.id for question in questions})
    return Corrected(questions=made, n_changed=changed, unknown=tuple(sorted(unknown)))


def correct(questions: Path, corrections: Sequence[Correction], out: Path, labeller: str | None = None) -> Corrected:
    """Writes a file of questions with the windows of `corrections`; paths of videos are made to count from its folder.

    Raises BadRecord if it would overwrite its source, if none of the windows is about these questions, or as `chosen` does."""
    if out.exists() and out.samefile(questions):
        raise BadRecord(f"{out} is the file that is corrected. Give another one with --out, so that both can be compared.")
    windows = chosen(corrections, labeller)
    found = corrected(list(read_records(questions, Question)), windows)
    if windows and len(found.unknown) == len(windows):
        raise BadRecord(f"none of the windows is about {questions}: it does not hold {', '.join(found.unknown[:MOST_NAMED])}")
    lines = [_from(question, questions.parent, out.parent).model_dump_json() for question in found.questions]
    write_atomic(out, "".join(f"{line}\n" for line in lines))
    return found


def _with_window(question: Question, window: Window) -> Question:
    """The question with another window; frames that its source counted for the old one are no longer the event's."""
    if window == question.window:
        return question
    provenance = question.provenance and question.provenance.model_copy(update={"event_frames": None})
    return question.model_copy(update={"window": window, "provenance": provenance})


def _from(question: Question, old: Path, new: Path) -> Question:
    """The question with its video's path counted from another folder."""
    if Path(question.video).is_absolute() or old.resolve() == new.resolve():
        return question
    video = os.path.relpath((old / question.video).resolve(), new.resolve())
    return question.model_copy(update={"video": video})
