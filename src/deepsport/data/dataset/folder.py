"""A dataset: a folder with a manifest, a card, and Parquet shards for each split. Written whole or not at all; read a question at
a time.

It is put together in a folder beside its place, and takes that place by its name. A dataset that stood there goes only then; any
other folder that is not empty is refused, since files of somebody may be in it. One process at a time makes it, so that a folder
found half made is one that a kill left. A relative video path counts from the dataset, as the disk and not the path has it.
"""

import os
import shutil
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deepsport.data.dataset.card import card
from deepsport.data.dataset.manifest import (
    CARD_NAME,
    MANIFEST_NAME,
    SPLITS,
    LeakReport,
    Manifest,
    Part,
    Split,
    Splitting,
    load_manifest,
    placed,
)
from deepsport.data.dataset.shards import Form, read_shards, shard_writer
from deepsport.data.dataset.tally import Tally
from deepsport.durable import disk_errors, write_atomic
from deepsport.errors import BadRecord, RunError
from deepsport.lock import holding
from deepsport.records import Question
from deepsport.versions import versions


class DatasetWriter:
    """Questions into the splits of a dataset whose folder nobody reads yet."""

    def __init__(self, folder: Path, form: Form = "parquet") -> None:
        """Writes nothing yet."""
        self.folder = folder
        self._writers = {split: shard_writer(form, folder, split) for split in SPLITS}
        self._tallies = {split: Tally() for split in SPLITS}

    def add(self, question: Question, split: Split) -> None:
        """One more question of a split."""
        self._tallies[split].add(question)
        self._writers[split].add(question)

    def parts(self) -> dict[Split, Part]:
        """Closes the shards; splits without a question are none."""
        made = {split: self._tallies[split].part(self._writers[split].close()) for split in SPLITS}
        return {split: made[split] for split in SPLITS if made[split].shards}

    def finish(
        self, parts: Mapping[Split, Part], left_out: Mapping[str, int], splitting: Splitting | None, leaks: LeakReport | None
    ) -> Manifest:
        """Writes the manifest and the card."""
        licences: dict[str, set[str]] = {}
        for tally in self._tallies.values():
            for source, found in tally.licences.items():
                licences.setdefault(source, set()).update(found)
        manifest = Manifest(
            deepsport=versions()["deepsport"],
            parts=parts,
            licences={source: tuple(sorted(found)) for source, found in sorted(licences.items())},
            left_out=dict(sorted(left_out.items())),
            splitting=splitting,
            leaks=leaks,
        )
        write_atomic(self.folder / CARD_NAME, card(manifest))
        write_atomic(self.folder / MANIFEST_NAME, manifest.model_dump_json(indent=1) + "\n")
        return manifest


@contextmanager
def taking_the_place_of(out: Path) -> Generator[Path]:
    """An empty folder that becomes `out`, or what that links to, at a clean end.

    Raises RunError if something else is in the way, or another process makes the same dataset."""
    out = real(out)
    if real(Path()).is_relative_to(out):
        raise RunError(f"you are in {out}, which would be replaced under your feet. Run the command from another folder.")
    making, old = out.with_name(f".{out.name}.partial"), out.with_name(f".{out.name}.old")
    with holding(out):
        with disk_errors(out):
            _mended(out, making, old)
            _require_replaceable(out)
            making.mkdir()
        try:
            yield making
            with disk_errors(out):
                if out.exists():
                    out.rename(old)
                making.rename(out)
        finally:
            _mended(out, making, old)


def real(path: Path) -> Path:
    """Where a path leads, without links, "." and "..": what names and relative paths are counted by."""
    return Path(os.path.realpath(path))


def require_apart(out: Path, read: Iterable[Path]) -> None:
    """Raises RunError if anything that is read for a dataset lies within the folder that it replaces."""
    for path in read:
        if real(path).is_relative_to(real(out)):
            raise RunError(f"{path} is read and lies within {out}, which would be replaced. Choose another folder.")


def _mended(out: Path, making: Path, old: Path) -> None:
    """Removes what an attempt left that failed or was killed; an old dataset without a new one goes back to its place."""
    if old.exists() and not out.exists():
        old.rename(out)
    for folder in (making, old):
        shutil.rmtree(folder, ignore_errors=True)


def read_questions(path: Path, split: Split) -> Iterator[Question]:
    """The questions of a split of a dataset, given by its folder or its manifest, as they were written. Every hash is compared.

    Raises BadRecord with file and row for what is not as the manifest says."""
    folder = path.parent if path.name == MANIFEST_NAME else path
    manifest = load_manifest(folder)
    if split not in manifest.parts:
        raise BadRecord(f"{folder} has no split {split!r}. It has {', '.join(manifest.parts) or 'none'}.")
    return read_shards(folder, manifest.parts[split].shards)


def load_split(path: Path) -> list[Question]:
    """The questions of `DATASET/train`, or of a dataset that has one split only, with usable video paths. Raises BadRecord."""
    folder, split = _split_of(path)
    folder = real(folder)
    return [
        question.model_copy(update={"video": os.path.normpath(folder / question.video)})
        for question in read_questions(folder, split)
    ]


def _split_of(path: Path) -> tuple[Path, Split]:
    folder, split = placed(path)
    splits: list[Split] = [split] if split else list(load_manifest(folder).parts)
    if len(splits) != 1:
        raise BadRecord(
            f"{folder} is a dataset with several splits. Name one: {', '.join(str(folder / each) for each in splits)}."
        )
    return folder, splits[0]


def _require_replaceable(out: Path) -> None:
    """Refuses a folder that holds anything but a dataset."""
    if not out.exists():
        return
    if not out.is_dir():
        raise RunError(f"{out} is a file. Choose another folder for the dataset.")
    if not any(out.iterdir()):
        return
    ours = {MANIFEST_NAME, CARD_NAME}
    if (out / MANIFEST_NAME).is_file():
        ours |= {shard.path for part in load_manifest(out).parts.values() for shard in part.shards}
    there = {file.relative_to(out).as_posix() for file in out.rglob("*") if not file.is_dir() or file.is_symlink()}
    if foreign := sorted(there - ours) or ([] if MANIFEST_NAME in there else sorted(there)):
        raise RunError(f"{out} holds {foreign[0]}, which is no part of a dataset, so it is not replaced. Choose another folder.")
