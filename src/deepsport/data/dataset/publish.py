"""What may be passed on, as a dataset of its own: records with a licence, without footage and without a path of this machine.

A record whose source states no licence is left out, and counted; so is one that names no source. A video is named by its path
below the folder that all videos of its source lie in, behind the name of the source where there are several such folders, and
known by its sha256. What a dataset says of its splits together is not said of one of them alone.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath

from deepsport.data.dataset.folder import (
    DatasetWriter,
    read_questions,
    real,
    require_apart,
    taking_the_place_of,
)
from deepsport.data.dataset.gathering import Watch, why_left_out
from deepsport.data.dataset.making import unwatched
from deepsport.data.dataset.manifest import Manifest, Split, is_dataset, load_manifest, placed
from deepsport.data.dataset.shards import Form
from deepsport.data.dataset.tally import source_and_licence
from deepsport.data.dataset.traces import key
from deepsport.durable import read_records
from deepsport.errors import BadRecord
from deepsport.records import Question, Record

NO_LICENCE = "no licence is stated"

SHORTEST_COMMON = 4
"""Parts of a common folder, the root included: a shorter one does not say where a collection of videos begins."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
"""The name of a source that can be a folder's on every machine."""


class PublishReport(Record):
    """What was passed on and what was not."""

    n_questions: int
    by_licence: Mapping[str, int]
    left_out: Mapping[str, int]
    """Records by reason, those among them that a dataset passed on as a whole had left out before."""
    without_licence: Mapping[str, int]
    """Records without a licence, by source."""


def publish(source: Path, out: Path, form: Form, *, watch: Watch = unwatched) -> PublishReport:
    """Writes to the folder `out` what may be passed on of a dataset, of one split of it, or of a file of questions ("train").

    Raises BadRecord for what cannot be read or leaves nothing, RunError if the disk does not take it."""
    require_apart(out, [source])
    origin = _Origin(source, watch)
    names = _VideoNames(origin)
    before = origin.manifest if origin.is_whole else None
    left_out = Counter(dict(before.left_out) if before else {})
    without_licence: Counter[str] = Counter()
    with taking_the_place_of(out) as folder:
        writer = DatasetWriter(folder, form)
        for split, question in origin.questions("writing"):
            if reason := why_not_passed_on(question):
                left_out[reason] += 1
                without_licence[source_and_licence(question)[0]] += reason == NO_LICENCE
            else:
                writer.add(question.model_copy(update={"video": names.name(question)}), split)
        parts = writer.parts()
        if not parts:
            raise BadRecord(f"{source} holds nothing that may be passed on: {_counts(left_out) or 'it is empty'}.")
        writer.finish(parts, left_out, before.splitting if before else None, before.leaks if before else None)
    by_licence = sum((Counter(part.by_licence) for part in parts.values()), Counter[str]())
    return PublishReport(
        n_questions=by_licence.total(),
        by_licence=dict(sorted(by_licence.items())),
        left_out=dict(sorted(left_out.items())),
        without_licence=dict(sorted((+without_licence).items())),
    )


def why_not_passed_on(question: Question) -> str | None:
    """Why a question stays here, None if it may be passed on."""
    return why_left_out(question) or (None if source_and_licence(question)[1] else NO_LICENCE)


class _Origin:
    """A dataset or a file of questions, to be read as often as needed."""

    def __init__(self, path: Path, watch: Watch) -> None:
        self.manifest: Manifest | None = None
        self.folder = real(path.parent)
        self._only: Split | None = None
        self._path = path
        self._watch = watch
        if is_dataset(path):
            folder, self._only = placed(path.absolute())
            self.folder = real(folder)
            self.manifest = load_manifest(self.folder)
        elif not path.is_file():
            raise BadRecord(f"{path} is neither a dataset nor a file of questions. `deepsport data split` makes a dataset.")

    @property
    def is_whole(self) -> bool:
        """Whether it is all of what it was made as."""
        return self._only is None

    def questions(self, step: str) -> Iterator[tuple[Split, Question]]:
        """Every question with its split."""
        with self._watch(step, None) as tick:
            for placed_question in self._questions():
                yield placed_question
                tick()

    def _questions(self) -> Iterator[tuple[Split, Question]]:
        if self.manifest is None:
            for question in read_records(self._path, Question):
                yield "train", question
            return
        splits: tuple[Split, ...] = (self._only,) if self._only else tuple(self.manifest.parts)
        for split in splits:
            for question in read_questions(self.folder, split):
                yield split, question


class _VideoNames:
    """What videos are called by others: one name for one video, whoever asks about it, and another for every other.

    The videos of a source lie in one folder, and those of several sources in one if it holds the folders of the others."""

    def __init__(self, origin: _Origin) -> None:
        self._home = origin.folder
        folders: dict[str, PurePath] = {}
        for _, question in origin.questions("reading"):
            if why_not_passed_on(question) is None:
                source, folder = source_and_licence(question)[0], self._beginning(question)
                folders[source] = PurePath(os.path.commonpath((folders.get(source, folder), folder)))
        self._names = _named({source: folder for source, folder in folders.items() if self._says_enough(folder)})

    def name(self, question: Question) -> str:
        path = self._path(question)
        for folder, name in self._names.items():
            if path.is_relative_to(folder):
                return (name / path.relative_to(folder)).as_posix()
        return f"{key(str(path.parent)):016x}/{path.name}"

    def _beginning(self, question: Question) -> PurePath:
        """The folder that a name counts from if there is no other video: a path that stays within ours is one already."""
        path = PurePath(question.video)
        return self._path(question).parent if path.is_absolute() or ".." in path.parts else self._home

    def _says_enough(self, folder: PurePath) -> bool:
        return folder == self._home or len(folder.parts) >= SHORTEST_COMMON

    def _path(self, question: Question) -> PurePath:
        """Where a video is on this machine."""
        return PurePath(os.path.normpath(self._home / question.video))


def _named(folders: Mapping[str, PurePath]) -> dict[PurePath, PurePath]:
    """The outermost folders of sources, and what each is called: nothing if it is the only one, else by its first source."""
    named: dict[PurePath, PurePath] = {}
    for source, folder in sorted(folders.items()):
        outermost = min((other for other in folders.values() if folder.is_relative_to(other)), key=lambda other: len(other.parts))
        named.setdefault(outermost, PurePath(source if _PLAIN.fullmatch(source) else f"{key(source):016x}"))
    return named if len(named) > 1 else dict.fromkeys(named, PurePath())


def _counts(left_out: Mapping[str, int]) -> str:
    return ", ".join(f"{n} left out: {reason}" for reason, n in left_out.items())
