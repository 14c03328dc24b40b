"""The questions that a path means, and the lines that should be questions: one at a time, and none longer than LONGEST_LINE is
ever held.

Text is read as UTF-8 or UTF-16, with or without a byte order mark and with either line end; that UTF-16 is not what other
commands read is said once, in a line of its own.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from pydantic import ValidationError

from deepsport.data.annotation import first_fault
from deepsport.data.dataset.manifest import MANIFEST_NAME, is_dataset, load_manifest, placed
from deepsport.data.document import open_text
from deepsport.data.importing import MISSING_NAME, QUESTIONS_NAME
from deepsport.durable import disk_errors
from deepsport.errors import BadRecord
from deepsport.records import Question

LONGEST_LINE = 16 * 2**20
"""Characters."""

_NOT_TEXT = re.compile("[\ud800-\udfff]")
"""What surrogateescape leaves of bytes that cannot be decoded."""


class LineFault(StrEnum):
    """Why a line is no question."""

    BROKEN = "a line that is no question"
    NOT_TEXT = "a line that is not text"
    TOO_LONG = "a line that is too long"
    UTF_16 = "a file in UTF-16, which other commands do not read"
    SHARD = "a split of a dataset that is not as its manifest says"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line that is not blank: a question, or a fault."""

    place: str
    """`questions.jsonl:3`."""
    question: Question | None = None
    fault: LineFault | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What a path means: a file of questions, the questions.jsonl of a folder, a dataset, or one split of it."""

    home: Path
    """Where relative paths of videos count from."""
    file: Path | None = None
    """None for a dataset."""
    split: str | None = None
    """None for all of a dataset."""

    def lines(self) -> Iterator[Line]:
        """In order. Raises RunError if a file cannot be read, BadRecord for a manifest that is none."""
        return question_lines(self.file) if self.file else _dataset_lines(self.home, self.split)


def questions_at(path: Path) -> Questions:
    """What stands at a path. Raises BadRecord if that holds no questions."""
    file = path / QUESTIONS_NAME if path.is_dir() else path
    if file.is_file() and file.name != MANIFEST_NAME:
        return Questions(home=file.parent, file=file)
    if dataset := dataset_at(path):
        return dataset
    raise BadRecord(f"{path} is neither a file of questions, nor a folder with a questions.jsonl, nor a dataset.")


def dataset_at(path: Path) -> Questions | None:
    """The dataset that a path means, its manifest or one of its splits, whether or not there is any question in that."""
    folder, split = placed(path)
    return Questions(home=folder, split=split) if is_dataset(path) else None


def missing_beside(questions: Path) -> Path:
    """Where the questions of a file are while their clip is missing."""
    return questions.with_name(MISSING_NAME if questions.name == QUESTIONS_NAME else f"{questions.stem}.{MISSING_NAME}")


def _dataset_lines(folder: Path, only: str | None) -> Iterator[Line]:
    from deepsport.data.dataset.folder import read_questions

    for split in load_manifest(folder).parts:
        if only not in (None, split):
            continue
        try:
            for number, question in enumerate(read_questions(folder, split), start=1):
                yield Line(place=f"{split}:{number}", question=question)
        except BadRecord as error:
            yield Line(place=split, fault=LineFault.SHARD, detail=str(error))


def question_lines(file: Path) -> Iterator[Line]:
    """The lines of a file, in order. Raises RunError if it cannot be read."""
    with disk_errors(file):
        opened = open_text(file, errors="surrogateescape")
    with opened:
        if opened.encoding == "utf-16":
            yield Line(place=file.name, fault=LineFault.UTF_16, detail="save it as UTF-8")
        number = 0
        while True:
            number += 1
            place = f"{file.name}:{number}"
            with disk_errors(file):
                try:
                    text, whole = _next(opened)
                except UnicodeError as error:  # UTF-16 that ends within a character
                    yield Line(place=place, fault=LineFault.NOT_TEXT, detail=str(error))
                    return
            if not text:
                return
            if not whole:
                yield Line(place=place, fault=LineFault.TOO_LONG, detail=f"over {LONGEST_LINE:,} characters")
            elif text.strip():
                yield _line(place, text)


def _next(file: TextIO) -> tuple[str, bool]:
    """The next line, empty at the end, and whether it is all of it: the rest of one that is too long is passed over."""
    text = file.readline(LONGEST_LINE)
    if len(text) < LONGEST_LINE or text.endswith("\n"):
        return text, True
    while (rest := file.readline(LONGEST_LINE)) and not rest.endswith("\n"):
        pass
    return text[:1], False


def _line(place: str, text: str) -> Line:
    if _NOT_TEXT.search(text):
        return Line(place=place, fault=LineFault.NOT_TEXT, detail="it is not UTF-8")
    try:
        return Line(place=place, question=Question.model_validate_json(text))
    except ValidationError as error:
        return Line(place=place, fault=LineFault.BROKEN, detail=first_fault(error).removeprefix(": "))
