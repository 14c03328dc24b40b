"""Questions whose clips have moved, been renamed or only now arrived get them back: by content, else by name.

A question whose clip is known by its content hash takes any file with that content, whatever its name, and no other: a clip that
was replaced where it stands is gone. One that never had a clip takes the file of its name, as in an import. What finds no clip
goes to, or stays in, the missing ones. No question is lost to a kill: before a question leaves one of the two files it stands in
the other, and a question that stands in both after a kill is settled by the next run. A lock keeps two runs apart.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from glob import escape
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from deepsport import lock
from deepsport.data.clips import NOTES_NAME, Clips, Looked, clip_at
from deepsport.data.dataset.manifest import MANIFEST_NAME
from deepsport.data.fingerprint import CLIPS_NAME, load_clips
from deepsport.data.importing import QUESTIONS_NAME, clips_of, linking_to, record_file
from deepsport.data.question_lines import dataset_at, missing_beside
from deepsport.data.source import Dropped, Drops
from deepsport.durable import disk_errors, read_records, replacing
from deepsport.errors import BadRecord, BadVideo
from deepsport.records import Question, Record
from deepsport.video.source import FrameSource

OTHER_CONTENT = "a file of the right name but with other content"


class LinkReport(Record):
    """What a link did."""

    n_kept: int = 0
    """Questions whose clip is where they say."""
    n_linked: int = 0
    """That have a clip again, or for the first time its hash."""
    n_missing: int = 0
    """That have none."""
    unfit: tuple[Dropped, ...] = ()
    """Why files were not taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """The files of questions, and what is looked for."""

    asked: Path
    missing: Path
    clips: Clips
    drops: Drops = field(default_factory=Drops)
    asked_ids: set[bytes] = field(default_factory=set[bytes])
    hashes: set[str] = field(default_factory=set[str])
    likely: dict[Path, None] = field(default_factory=dict[Path, None])
    """Files of the right name for one of the hashes: looked at first."""
    contents: dict[str, str] = field(default_factory=dict[str, str])
    """Hashes of the clips that stand where questions with a hash say; empty for one that cannot be read."""

    @property
    def home(self) -> Path:
        """Where relative paths of videos count from."""
        return self.asked.parent

    def questions(self) -> Iterator[tuple[Question, bool]]:
        """All of them once, and whether each stands in the file of what can be asked."""
        for question in read_records(self.asked, Question):
            yield question, True
        for question in read_records(self.missing, Question) if self.missing.exists() else ():
            if _key(question) not in self.asked_ids:
                yield question, False

    def has_clip(self, question: Question, was_asked: bool) -> bool:
        """Whether there is nothing to look for: its clip stands where it says, with the content that it had. A clip of these
        videos that was never looked at has its hash and its true times to give."""
        file = clip_at(question.video, self.home) if was_asked else None
        if file is None:
            return False
        if sha256 := _sha256(question):
            return self.contents.get(question.video) == sha256
        return question.provenance is None or self.clips.at(file) is None

    def note_content(self, question: Question, looked: Looked) -> None:
        """Looks at the clip that stands where a question says, once, if that is to have a known content."""
        file = clip_at(question.video, self.home) if _sha256(question) and question.video not in self.contents else None
        if file:
            try:
                self.contents[question.video] = looked.sha256(file)
            except BadVideo:
                self.contents[question.video] = ""


def link(path: Path, videos: Path, on_clip: Callable[[], None] = lambda: None) -> LinkReport:
    """Links the questions of an import folder or a file to the clips in a folder; `on_clip` is called whenever one has been read.

    Raises BadRecord for a line that is no question and for a dataset, BadAnnotation if the folder holds no clip, and RunError if
    another run holds the questions or the disk fails; the files then stand as they were."""
    _require_no_dataset(path)
    asked = path / QUESTIONS_NAME if path.is_dir() else path
    search = _Search(asked=asked, missing=missing_beside(asked), clips=clips_of(videos))
    with disk_errors(asked):
        asked.stat()
    held = lock.take(asked.parent)
    try:
        _remove_partials(search)
        n_kept, n_wanted = _survey(search, on_clip)
        settled = not n_wanted and not (search.missing.exists() and search.missing.stat().st_size)
        return LinkReport(n_kept=n_kept) if settled else _relink(search, on_clip)
    finally:
        lock.release(held)


def _require_no_dataset(path: Path) -> None:
    """A manifest holds the hash of every file of its dataset. Raises BadRecord."""
    if dataset_at(path) or (not path.is_dir() and (path.parent / MANIFEST_NAME).is_file()):
        raise BadRecord(
            f"{path} is, or belongs to, a dataset, whose files stay as its manifest.json says. "
            "Link the imports that it was made of, and make it again with `deepsport data split`."
        )


def _remove_partials(search: _Search) -> None:
    """What runs left that were killed."""
    for file in (search.asked, search.missing, search.home / CLIPS_NAME):
        for partial in search.home.glob(f".{escape(file.name)}.*.partial"):
            if partial.name.removeprefix(f".{file.name}.").removesuffix(".partial").isdecimal():
                with disk_errors(partial):
                    partial.unlink()


def _survey(search: _Search, on_clip: Callable[[], None]) -> tuple[int, int]:
    """Notes what is looked for; returns how many questions have their clip and how many have not."""
    n_kept = n_wanted = 0
    with FrameSource() as frames, closing(Looked(search.home / NOTES_NAME, search.clips.folder, frames, on_clip)) as looked:
        for question, was_asked in search.questions():
            if was_asked:
                search.asked_ids.add(_key(question))
                search.note_content(question, looked)
            if search.has_clip(question, was_asked):
                n_kept += 1
                continue
            n_wanted += 1
            if sha256 := _sha256(question):
                search.hashes.add(sha256)
                search.likely.update(dict.fromkeys(search.clips.namesakes(question.video)))
    return n_kept, n_wanted


def _relink(search: _Search, on_clip: Callable[[], None]) -> LinkReport:
    """The missing ones are written twice: first all that were or will be missing, and without those found when these stand among
    what can be asked."""
    with ExitStack() as stack:
        with disk_errors(search.missing):
            rest = stack.enter_context(TemporaryFile(dir=search.missing.parent))
        report = _write_both(search, rest, on_clip)
        rest.seek(0)
        with disk_errors(search.missing), replacing(search.missing) as file:
            shutil.copyfileobj(rest, file)
    return report


def _write_both(search: _Search, rest: BinaryIO, on_clip: Callable[[], None]) -> LinkReport:
    n_kept = n_linked = n_missing = 0
    home, drops = search.home, search.drops
    with ExitStack() as stack:  # takes their places in reverse order: clips, missing, asked
        write_asked = stack.enter_context(record_file(search.asked))
        write_missing = stack.enter_context(record_file(search.missing))
        linker = stack.enter_context(linking_to(search.clips, home, drops, on_clip))
        found = _by_content(search, linker.looked)
        for question, was_asked in search.questions():
            if search.has_clip(question, was_asked):
                n_kept += 1
                write_asked(question)
                continue
            write_missing(question)
            file = _file_for(question, search, found)
            if again := linker.link(question, file) if file else None:
                n_linked += 1
                write_asked(again)
            else:
                n_missing += 1
                with disk_errors(search.missing):
                    rest.write(question.model_dump_json().encode() + b"\n")
        linker.keep(load_clips(home).values())
    return LinkReport(n_kept=n_kept, n_linked=n_linked, n_missing=n_missing, unfit=Dropped.all_of(drops))


def _by_content(search: _Search, looked: Looked) -> dict[str, Path]:
    """Files by the hashes that are looked for; it ends when all are found."""
    wanted, found = set(search.hashes), dict[str, Path]()
    for file in {**search.likely, **dict.fromkeys(search.clips.files)}:
        if not wanted:
            break
        try:
            sha256 = looked.sha256(file)
        except BadVideo:
            search.drops.add("a file that cannot be read", str(file.relative_to(search.clips.folder)))
            continue
        if sha256 in wanted:
            wanted.remove(sha256)
            found[sha256] = file
    return found


def _file_for(question: Question, search: _Search, found: dict[str, Path]) -> Path | None:
    named, sha256 = search.clips.find(question.video), _sha256(question)
    if not sha256:
        there = clip_at(question.video, search.home)
        return (search.clips.at(there) if there else None) or named
    namesakes = [named] if named else search.clips.namesakes(question.video)
    if sha256 not in found and len(namesakes) == 1:
        search.drops.add(OTHER_CONTENT, str(namesakes[0].relative_to(search.clips.folder)))
    return found.get(sha256)


def _sha256(question: Question) -> str:
    return question.provenance.video_sha256 if question.provenance else ""


def _key(question: Question) -> bytes:
    return blake2b(question.id.encode(), digest_size=12).digest()
