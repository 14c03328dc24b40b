"""Files of questions: Parquet, written a group of rows at a time, or JSON lines; the same bytes for the same questions, and read
with every hash compared.

A shard is not trusted. It is read from the file whose hash was taken, by its own columns and no others, and every row is rebuilt
as a question and compared with its own hash. Memory holds one group of rows.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportUnknownParameterType=false
# (pyarrow is not typed)

import hashlib
import os
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from deepsport.data.dataset.columns import SCHEMA, Row, question_of, row_of
from deepsport.data.dataset.manifest import Shard, Split, shard_path
from deepsport.durable import disk_errors, read_records
from deepsport.errors import BadRecord
from deepsport.records import Question

ROWS_PER_SHARD = 16_384
ROWS_PER_GROUP = 2_048

Form = Literal["parquet", "jsonl"]


class ShardWriter(Protocol):
    """Writes one split, into the folder of a dataset that nobody reads yet."""

    def add(self, question: Question) -> None:
        """One more question. Raises BadRecord if it cannot be held, RunError if the disk does not take it."""
        ...

    def close(self) -> tuple[Shard, ...]:
        """Writes what is left, and says which shards there are: none, if there was no question."""
        ...


def shard_writer(form: Form, folder: Path, split: Split) -> ShardWriter:
    """A writer of a form."""
    return ParquetShards(folder, split) if form == "parquet" else LineShard(folder, split)


class LineShard:
    """A split as one file of JSON lines."""

    def __init__(self, folder: Path, split: Split) -> None:
        """Writes nothing yet."""
        self._folder = folder
        self._name = f"{split}.jsonl"
        self._n = 0
        self._file: BinaryIO | None = None

    def add(self, question: Question) -> None:
        """One more line."""
        path = self._folder / self._name
        with disk_errors(path):
            self._file = self._file or path.open("wb")
            self._file.write(question.model_dump_json().encode() + b"\n")
        self._n += 1

    def close(self) -> tuple[Shard, ...]:
        """The file, if there is one."""
        if self._file is None:
            return ()
        with disk_errors(self._folder / self._name):
            self._file.close()
        return (_shard(self._folder, self._name, self._n),)


class ParquetShards:
    """A split as Parquet files of ROWS_PER_SHARD rows."""

    def __init__(self, folder: Path, split: Split) -> None:
        """Writes nothing yet: a split without questions has no shard."""
        self._folder = folder
        self._split = split
        self._rows: list[Row] = []
        self._n_in_shard = 0
        self._names: list[tuple[str, int]] = []
        self._file: pq.ParquetWriter | None = None

    def add(self, question: Question) -> None:
        """One more row. Raises BadRecord for a question that no table can hold, RunError if the disk does not take it."""
        self._rows.append(row_of(question))
        if len(self._rows) == ROWS_PER_GROUP:
            self._flush()

    def close(self) -> tuple[Shard, ...]:
        """Writes what is left, and says which shards there are."""
        self._flush()
        self._close_file()
        return tuple(_shard(self._folder, name, n) for name, n in self._names)

    def _flush(self) -> None:
        if not self._rows:
            return
        table = self._table()
        with disk_errors(self._folder / self._split):
            self._file = self._file or self._open()
            self._file.write_table(table)
        self._n_in_shard += len(self._rows)
        self._rows = []
        if self._n_in_shard >= ROWS_PER_SHARD:
            self._close_file()

    def _table(self) -> pa.Table:
        try:
            return pa.Table.from_pylist(self._rows, schema=SCHEMA)
        except (pa.ArrowException, OverflowError, UnicodeError) as error:
            first, last = self._rows[0]["id"], self._rows[-1]["id"]
            raise BadRecord(f"a question between {first!r} and {last!r} does not fit into a table: {error}. Mend it.") from None

    def _open(self) -> pq.ParquetWriter:
        name = f"{self._split}/{len(self._names):05d}.parquet"
        (self._folder / self._split).mkdir(exist_ok=True)
        return pq.ParquetWriter(self._folder / name, SCHEMA, compression="zstd")

    def _close_file(self) -> None:
        if self._file is None:
            return
        with disk_errors(self._folder / self._split):
            self._file.close()
        self._names.append((f"{self._split}/{len(self._names):05d}.parquet", self._n_in_shard))
        self._file, self._n_in_shard = None, 0


def _shard(folder: Path, name: str, n_questions: int) -> Shard:
    with (folder / name).open("rb") as file:
        os.fsync(file.fileno())
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Shard(path=name, n_questions=n_questions, n_bytes=(folder / name).stat().st_size, sha256=sha256)


def read_shards(folder: Path, shards: Iterable[Shard]) -> Iterator[Question]:
    """The questions of shards, in order. Raises BadRecord with file and row for what is not as it was written."""
    for shard in shards:
        path = shard_path(folder, shard)
        with disk_errors(path):
            file = path.open("rb")
        with file:
            _require_same(path, file, shard)
            yield from read_records(path, Question) if path.suffix == ".jsonl" else _questions(path, file, shard)


def _require_same(path: Path, file: BufferedReader, shard: Shard) -> None:
    if hashlib.file_digest(file, "sha256").hexdigest() != shard.sha256:
        raise BadRecord(
            f"{path} is not the shard that the manifest names: its sha256 is another. Copy it again, or make it again."
        )
    file.seek(0)


def _questions(path: Path, file: BufferedReader, shard: Shard) -> Iterator[Question]:
    n_read = 0
    for number, row in enumerate(_rows(path, file), start=1):
        try:
            question = question_of(row)
        except BadRecord as error:
            raise BadRecord(f"{path}, row {number}: {error}. The shard was not written by deepsport; do not use it.") from None
        n_read = number
        yield question
    if n_read != shard.n_questions:
        raise BadRecord(f"{path} holds {n_read} questions; the manifest says {shard.n_questions}. Make the dataset again.")


def _rows(path: Path, file: BufferedReader) -> Iterator[Row]:
    try:
        parquet = pq.ParquetFile(file)
        if difference := _difference(parquet.schema_arrow):
            raise BadRecord(f"{path} has other columns than a shard of questions: {difference}.")
        for batch in parquet.iter_batches(batch_size=ROWS_PER_GROUP, use_threads=False):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise BadRecord(f"{path} is no Parquet file that can be read: {error}. Copy it again, or make it again.") from None


def _difference(found: pa.Schema) -> str | None:
    """The first column that is not as it should be; a column that may be null is looked at row by row."""
    wanted, there = ([(field.name, field.type) for field in schema] for schema in (SCHEMA, found))
    if wanted == there:
        return None
    names = [name for name, _ in (*wanted, *there) if dict(wanted).get(name) != dict(there).get(name)]
    return f"{names[0]} is {dict(there).get(names[0], 'missing')}" if names else "they stand in another order"
