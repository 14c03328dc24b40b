"""The file that an export or a way back writes: complete or absent, and never the file that it is made from."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from deepsport.durable import disk_errors, replacing
from deepsport.errors import BadConfig


@contextmanager
def writing(out: Path, source: Path) -> Generator[BinaryIO]:
    """A file that takes its place when all of it is written.

    Raises BadConfig if it would take that of `source`, RunError if the disk does not take it."""
    with disk_errors(out):
        if out.exists() and source.exists() and out.samefile(source):
            raise BadConfig(f"{out} is the file that is read, and would be lost. Give the output another name.")
        with replacing(out) as file:
            yield file
