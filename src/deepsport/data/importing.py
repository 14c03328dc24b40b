"""From annotation files to a file of questions: streamed, so that memory does not grow with their number, and complete or absent.

questions.jsonl    what can be asked; with a folder of videos, only questions whose clip is there
missing.jsonl      questions whose clip is not there: not asked, and so never counted as wrong
import.json        what was read, how many of what became questions, and why the rest did not
"""

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from deepsport.data.clips import Clips, linked
from deepsport.data.source import Drops, Source
from deepsport.durable import disk_errors, replacing, write_atomic
from deepsport.errors import BadAnnotation
from deepsport.records import Question, Record
from deepsport.video.source import FrameSource


class Dropped(Record):
    """A reason why records became no question."""

    reason: str
    n_times: int
    examples: tuple[str, ...]


class ImportReport(Record):
    """What an import did."""

    source: str
    licence: str
    path: str
    n_questions: int
    n_missing: int
    """Questions whose clip was not found."""
    n_clips: int
    by_sport: dict[str, int]
    by_dimension: dict[str, int]
    by_answer: dict[str, int]
    dropped: tuple[Dropped, ...]


def import_source(
    source: Source, path: Path, folder: Path, videos: Path | None = None, on_question: Callable[[], None] = lambda: None
) -> ImportReport:
    """Writes the questions of an annotation into a folder. Raises BadAnnotation, and RunError if the disk does not take it."""
    drops, counts = Drops(), _Counts()
    clips = _clips(videos)
    with ExitStack() as stack:
        write = stack.enter_context(_lines(folder / "questions.jsonl"))
        write_missing = stack.enter_context(_lines(folder / "missing.jsonl"))
        frames = stack.enter_context(FrameSource())
        for question in source.questions(path, drops):
            on_question()
            file = clips.find(question.video) if clips else None
            if clips and file is None:
                counts.n_missing += 1
                write_missing(question)
                continue
            asked = linked(question, file, clips.sha256(file), frames, drops) if clips and file else question
            if asked:
                counts.add(asked)
                write(asked)
    report = counts.report(source, path, drops)
    write_atomic(folder / "import.json", report.model_dump_json(indent=1) + "\n")
    return report


class _Counts:
    def __init__(self) -> None:
        self.n_missing = 0
        self._clips: set[str] = set()
        self._sports: Counter[str] = Counter()
        self._dimensions: Counter[str] = Counter()
        self._answers: Counter[str] = Counter()

    def add(self, question: Question) -> None:
        self._clips.add(question.video)
        self._sports[question.sport or "none"] += 1
        self._dimensions[question.dimension or "none"] += 1
        self._answers[question.gold.kind if question.gold else "none"] += 1

    def report(self, source: Source, path: Path, drops: Drops) -> ImportReport:
        return ImportReport(
            source=source.name,
            licence=source.licence,
            path=str(path),
            n_questions=self._sports.total(),
            n_missing=self.n_missing,
            n_clips=len(self._clips),
            by_sport=dict(self._sports.most_common()),
            by_dimension=dict(self._dimensions.most_common()),
            by_answer=dict(self._answers.most_common()),
            dropped=tuple(
                Dropped(reason=reason, n_times=n, examples=tuple(drops.examples[reason]))
                for reason, n in drops.counts.most_common()
            ),
        )


def _clips(videos: Path | None) -> Clips | None:
    if videos is None:
        return None
    clips = Clips(videos)
    if not len(clips):
        raise BadAnnotation(f"{videos} holds no video file. Name the folder that the clips of this source lie in.")
    return clips


@contextmanager
def _lines(path: Path) -> Generator[Callable[[Question], None]]:
    """A file of questions that takes its place when all of them are written."""
    with disk_errors(path), replacing(path) as file:
        yield lambda question: _write(file, question)


def _write(file: BinaryIO, question: Question) -> None:
    file.write(question.model_dump_json().encode() + b"\n")
