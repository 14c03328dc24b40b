"""Whether a host is fit to do a shard's work: the same packages, the same files.

A host that lacks the videos would find every one of them unreadable, and a bad sample is only counted. So the files of a shard
are looked at where the work was started, and compared where it is done.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from deepsport.errors import ExecutorError
from deepsport.versions import versions

_packages = cache(versions)
"""They do not change under a running process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the host that started the work looks like from a shard."""

    folder: str
    """The working directory: relative paths count from there."""
    packages: dict[str, str]
    sizes: dict[str, int]
    """Bytes of the files that are there."""


def this_place(files: Sequence[str]) -> Place:
    """This host, as far as it matters to somebody who reads these files."""
    sizes = {file: size for file in dict.fromkeys(files) if (size := _size(file)) is not None}
    return Place(folder=os.getcwd(), packages=_packages(), sizes=sizes)


def require_like(place: Place) -> None:
    """Goes to the folder of the place, if there is one here. Raises ExecutorError if this host is not like it."""
    ours = _packages()
    for package, version in place.packages.items():
        if ours.get(package, version) != version:
            raise ExecutorError(
                f"this host has {package} {ours[package]}, where the work was started it is {version}, and results could differ. "
                "Install the same version on every host."
            )
    if os.path.isdir(place.folder):
        os.chdir(place.folder)
    for file, size in place.sizes.items():
        if (here := _size(file)) != size:
            what = "is not there" if here is None else f"has {here} bytes instead of {size}"
            path = os.path.join(place.folder, file)
            raise ExecutorError(f"{path} {what} on this host. Mount the folder at the same path on every host.")


def _size(file: str) -> int | None:
    try:
        return os.stat(file).st_size
    except (OSError, ValueError):  # a name that no file can have
        return None
