"""What may be passed on, as a dataset of its own: records with a licence, without footage and without a path of this machine.

A record whose source states no licence is left out, and counted. Questions without provenance are the arena's, which are ours
(OWN_LICENCE). A video is named by its path below the folder that all videos of its source lie in, and known by its sha256.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath

from deepsport.data.dataset.folder import DatasetWriter, is_dataset, placed, read_questions, taking_the_place_of
from deepsport.data.dataset.gathering import Watch, why_left_out
from deepsport.data.dataset.making import unwatched
from deepsport.data.dataset.manifest import Manifest, Split, load_manifest
from deepsport.data.dataset.shards import Form
from deepsport.data.dataset.tally import source_and_licence
from deepsport.data.dataset.traces import key
from deepsport.durable import read_records
from deepsport.errors import BadRecord, RunError
from deepsport.records import Question, Record

NO_LICENCE = "no licence is stated"

SHORTEST_COMMON = 4
"""Parts of a common folder, the root included: a shorter one does not say where a collection of videos begins."""


class PublishReport(Record):
    """What was passed on and what was not."""

    n_questions: int
    by_licence: Mapping[str, int]
    left_out: Mapping[str, int]
    """Records by reason, those that the source left out before among them."""
    without_licence: Mapping[str, int]
    """Records without a licence, by source."""


def publish(source: Path, out: Path, form: Form, *, watch: Watch = unwatched) -> PublishReport:
    """Writes to the folder `out` what may be passed on of a dataset, of one split of it, or of a file of questions ("train").

    Raises BadRecord for what cannot be read or leaves nothing, RunError if the disk does not take it."""
    origin = _Origin(source, watch)
    if out.resolve() == origin.folder.resolve():
        raise RunError(f"{out} is what would be passed on, and would be replaced by a part of itself. Choose another folder.")
    names = _VideoNames(origin)
    left_out = Counter(dict(origin.manifest.left_out) if origin.manifest else {})
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
        before = origin.manifest
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
        self.folder = path.absolute().parent
        self._only: Split | None = None
        self._path = path
        self._watch = watch
        if is_dataset(path):
            self.folder, self._only = placed(path.absolute())
            self.manifest = load_manifest(self.folder)
        elif not path.is_file():
            raise BadRecord(f"{path} is neither a dataset nor a file of questions. `deepsport data split` makes a dataset.")

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
    """What videos are called by others: paths from the folder that is common to all videos of a source."""

    def __init__(self, origin: _Origin) -> None:
        self._folder = origin.folder
        self._common: dict[str, PurePath] = {}
        for _, question in origin.questions("reading"):
            path, source = self._path(question), source_and_licence(question)[0]
            if path is not None and why_not_passed_on(question) is None:
                known = self._common.get(source, path.parent)
                self._common[source] = PurePath(os.path.commonpath((known, path.parent)))

    def name(self, question: Question) -> str:
        path = self._path(question)
        if path is None:
            return question.video
        common = self._common[source_and_licence(question)[0]]
        if len(common.parts) < SHORTEST_COMMON:
            return f"{key(str(path.parent)):016x}/{path.name}"
        return path.relative_to(common).as_posix()

    def _path(self, question: Question) -> PurePath | None:
        """Where a video is on this machine; None if its name says nothing about that."""
        path = PurePath(question.video)
        if path.is_absolute() or ".." in path.parts:
            return PurePath(os.path.normpath(self._folder / path))
        return None


def _counts(left_out: Mapping[str, int]) -> str:
    return ", ".join(f"{n} left out: {reason}" for reason, n in left_out.items())
