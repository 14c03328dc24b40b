"""manifest.json, which stands in the folder of a dataset: the shards of each split with their hashes, what is in them, how they
were split, and what was compared to find leaks.

    manifest.json, README.md (the card), train/00000.parquet, ..., val/..., test/...

It names nothing of the machine it was made on, and no time: the same questions give the same dataset. It is not trusted when
read: a shard must lie in the folder.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field, ValidationError

from deepsport.durable import disk_errors
from deepsport.errors import BadRecord
from deepsport.records import Record

MANIFEST_NAME = "manifest.json"
CARD_NAME = "README.md"

MANIFEST_VERSION = 1

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


class Shard(Record):
    """A file of a split: Parquet, or JSON lines if its name ends so."""

    path: str
    """From the folder of the dataset."""
    n_questions: int = Field(ge=0)
    n_bytes: int = Field(ge=0)
    sha256: str


class Part(Record):
    """A split, and what is in it. Sport and dimension are "unknown" where the record does not say."""

    shards: tuple[Shard, ...]
    n_questions: int
    n_matches: int
    n_clips: int
    by_source: Mapping[str, int]
    by_licence: Mapping[str, int]
    """An empty name: no licence is stated."""
    by_answer: Mapping[str, int]
    by_sport: Mapping[str, Mapping[str, int]]
    """By dimension within each sport."""


class Sharing(StrEnum):
    """What two splits must not share."""

    MATCH = "match"
    FILE = "file"
    """The video file."""
    FOOTAGE = "footage"
    """The content of the video."""
    WORDING = "wording"
    """Nearly the same question in words that recur nowhere else."""


class Lookalike(Record):
    """Two clips of different splits that may be the same footage in another encoding."""

    split: Split
    clip: str
    other_split: Split
    other_clip: str
    bits: int
    """Of the hashes of their frames, that differ."""


class LeakReport(Record):
    """What was compared between the splits as they are written, and what was found."""

    n_questions: int
    n_compared: Mapping[Sharing, int]
    """Different matches, files, contents and wordings."""
    n_fingerprints: int
    """Clips whose looks were known and compared."""
    n_leaks: Mapping[Sharing, int]
    """Shared by two splits; a dataset is only written with none."""
    n_lookalikes: int
    lookalikes: tuple[Lookalike, ...]
    """The first few."""


class Splitting(Record):
    """How the questions were divided."""

    seed: int
    shares: Mapping[Split, float]
    fixed: tuple[Split, ...]
    """Splits that were given, and not chosen."""
    n_groups: int
    """Of questions that had to stay together."""
    n_largest: int
    """Questions in the largest of them."""


class Manifest(Record):
    """What a dataset is."""

    manifest_version: int = MANIFEST_VERSION
    deepsport: str
    """Its version."""
    parts: Mapping[Split, Part]
    licences: Mapping[str, tuple[str, ...]]
    """Of the records of each source."""
    left_out: Mapping[str, int]
    """Questions that were given and are not in the dataset, by reason."""
    splitting: Splitting | None
    """None if the questions were not split."""
    leaks: LeakReport | None


def is_dataset(path: Path) -> bool:
    """Whether a path is a dataset, its manifest or one of its splits."""
    folder, _ = placed(path)
    return (folder / MANIFEST_NAME).is_file()


def placed(path: Path) -> tuple[Path, Split | None]:
    """The folder of the dataset that a path names, and the split if it names one."""
    if path.name == MANIFEST_NAME:
        return path.parent, None
    named: dict[str, Split] = {split: split for split in SPLITS}
    if path.name in named and (path.parent / MANIFEST_NAME).is_file():
        return path.parent, named[path.name]
    return path, None


def load_manifest(folder: Path) -> Manifest:
    """The manifest of a dataset. Raises BadRecord, and RunError if it cannot be read."""
    path = folder / MANIFEST_NAME
    with disk_errors(path):
        raw = path.read_bytes()
    try:
        version = _version(raw)
        if version != MANIFEST_VERSION:
            raise BadRecord(
                f"{path} is a manifest of version {version}; this deepsport reads version {MANIFEST_VERSION}. "
                "Read it with the deepsport that wrote it, or make the dataset again."
            )
        manifest = Manifest.model_validate_json(raw)
    except (ValidationError, ValueError, RecursionError) as error:
        if isinstance(error, BadRecord):
            raise
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise BadRecord(
            f"{path} is no manifest of a dataset: {first}. Make the dataset again with `deepsport data split`."
        ) from None
    return manifest


def shard_path(folder: Path, shard: Shard) -> Path:
    """Where a shard stands. Raises BadRecord if that is not within the dataset."""
    name = PurePosixPath(shard.path)
    path = folder / name
    outside = name.is_absolute() or ".." in name.parts or "\\" in shard.path or "\0" in shard.path
    if outside or not path.resolve().is_relative_to(folder.resolve()):
        raise BadRecord(
            f"{folder / MANIFEST_NAME} names the shard {shard.path!r}, which leads out of its folder. Do not trust it."
        )
    return path


def _version(raw: bytes) -> object:
    content: object = json.loads(raw)
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    return content.get("manifest_version")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
