"""From annotation files to a file of questions: streamed, so that memory does not grow with their number, and complete or absent.

questions.jsonl    what can be asked; with a folder of videos, only questions whose clip is there
missing.jsonl      questions whose clip is not there: not asked, and so never counted as wrong
clips.jsonl        with a folder of videos: each clip's content hash, length and looks
import.json        what was read, how many of what became questions, and why the rest did not
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deepsport import lock
from deepsport.data.clips import NOTES_NAME, UNREADABLE, Clips, Looked, is_text, linked
from deepsport.data.fingerprint import CLIPS_NAME, Clip
from deepsport.data.looking import look_ahead
from deepsport.data.source import Dropped, Drops, Source
from deepsport.durable import disk_errors, replacing, write_atomic
from deepsport.errors import BadAnnotation, BadVideo
from deepsport.executor.cluster import Cluster
from deepsport.records import Question, Record
from deepsport.video.source import FrameSource

QUESTIONS_NAME = "questions.jsonl"
MISSING_NAME = "missing.jsonl"


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
    source: Source,
    path: Path,
    folder: Path,
    videos: Path | None = None,
    on_question: Callable[[], None] = lambda: None,
    on_clip: Callable[[], None] = lambda: None,
    cluster: Cluster | None = None,
) -> ImportReport:
    """Writes the questions of an annotation into a folder; `on_clip` is called whenever a clip has been read. With a cluster, the
    clips that questions are about are read there first.

    Raises BadAnnotation, RunError if the disk does not take it, and ExecutorError if the cluster fails."""
    drops, counts = Drops(), _Counts()
    clips = clips_of(videos) if videos else None
    with ExitStack() as stack:
        stack.callback(lock.release, lock.take(folder))
        if clips and cluster:
            look_ahead(_asked_about(source, path, clips), folder / NOTES_NAME, clips.folder, cluster, on_clip)
        write = stack.enter_context(record_file(folder / QUESTIONS_NAME))
        write_missing = stack.enter_context(record_file(folder / MISSING_NAME))
        linker = stack.enter_context(linking_to(clips, folder, drops, on_clip)) if clips else None
        for question in source.questions(path, drops):
            on_question()
            file = clips.find(question.video) if clips else None
            if clips and file is None:
                counts.n_missing += 1
                write_missing(question)
            elif asked := linker.link(question, file) if linker and file else question:
                counts.add(asked)
                write(asked)
    if clips is None:
        _forget_clips(folder)
    report = counts.report(source, path, drops)
    write_atomic(folder / "import.json", report.model_dump_json(indent=1) + "\n")
    return report


def _asked_about(source: Source, path: Path, clips: Clips) -> list[Path]:
    """The files that an import will look at, in the order in which it will."""
    found = (clips.find(question.video) for question in source.questions(path, Drops()))
    return list(dict.fromkeys(file for file in found if file))


class Linker:
    """Gives questions their clips, and writes down each clip that has a question."""

    def __init__(self, looked: Looked, source: FrameSource, drops: Drops, write_clip: Callable[[Clip], None]) -> None:
        self.looked = looked
        self._source, self._drops, self._write_clip = source, drops, write_clip
        self._written: set[tuple[str, str]] = set()

    def link(self, question: Question, file: Path) -> Question | None:
        """The question about a file, or None with a counted reason."""
        try:
            clip = self.looked.clip(file)
        except BadVideo:
            self._drops.add(UNREADABLE, question.video)
            return None
        asked = linked(question, clip, self._source, self._drops)
        if asked and (clip.sha256, clip.video) not in self._written:
            self._written.add((clip.sha256, clip.video))
            self._write_clip(clip)
        return asked

    def keep(self, clips: Iterable[Clip]) -> None:
        """Writes down clips of an earlier time too, but for those that have a new place."""
        placed = {sha256 for sha256, _ in self._written}
        for clip in clips:
            if clip.sha256 not in placed:
                self._write_clip(clip)


@contextmanager
def linking_to(clips: Clips, folder: Path, drops: Drops, on_clip: Callable[[], None]) -> Generator[Linker]:
    """Links to a folder's clips, and leaves their clips.jsonl beside the questions in `folder`."""
    with record_file(folder / CLIPS_NAME) as write_clip, FrameSource() as frames:
        looked = Looked(folder / NOTES_NAME, clips.folder, frames, on_clip)
        try:
            yield Linker(looked, frames, drops, write_clip)
        finally:
            looked.close()


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
            dropped=Dropped.all_of(drops),
        )


def clips_of(videos: Path) -> Clips:
    """The clips of a folder. Raises BadAnnotation if it holds none, or cannot be named."""
    if not is_text(str(videos.absolute())):
        raise BadAnnotation(f"{videos} has a name that is not text, which no record can hold. Rename the folder.")
    clips = Clips(videos)
    if not len(clips):
        raise BadAnnotation(f"{videos} holds no video file. Name the folder that the clips of this source lie in.")
    return clips


@contextmanager
def record_file(path: Path) -> Generator[Callable[[Record], None]]:
    """A file of records that takes its place when all of them are written. Raises RunError for a fault of this file alone: what
    else fails meanwhile is passed on as it is."""
    with ExitStack() as stack:
        with disk_errors(path):
            file = stack.enter_context(replacing(path))

        def write(record: Record) -> None:
            with disk_errors(path):
                file.write(record.model_dump_json().encode() + b"\n")

        yield write
        with disk_errors(path):
            stack.close()


def _forget_clips(folder: Path) -> None:
    """What an earlier import of this folder knew of clips is not of these questions."""
    with disk_errors(folder / CLIPS_NAME):
        (folder / CLIPS_NAME).unlink(missing_ok=True)
