"""Local files that a request may name: those within the allowed folders, after every symbolic link is resolved.

What counts is the file that was opened, not the path that was looked at: from the allowed folder on, each folder is opened below
the last one and no link is followed, so nothing can be exchanged in between. A path outside gets the same answer whether or not
such a file exists.
"""

import os
import stat
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from deepsport.errors import BadConfig
from deepsport.serve.media.refusal import MediaRefused, Refusal

_PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """A regular file within an allowed folder, open."""

    path: str
    """Without links."""
    descriptor: int
    status: os.stat_result


class Folders:
    """The allowed folders."""

    def __init__(self, folders: Iterable[str]) -> None:
        """Raises BadConfig for a folder that is not there, or that is the whole machine."""
        self._roots = [_root(folder) for folder in folders]

    @contextmanager
    def open(self, url: str) -> Generator[LocalFile]:
        """The file that `file:///...` names. Raises MediaRefused."""
        path = os.path.realpath(_path(url))
        root = next((root for root in self._roots if path.startswith(root + os.sep)), None)
        if root is None:
            advice = "Send it as a data: URI, or ask whoever runs the server to allow its folder."
            raise MediaRefused(Refusal.FOLDER, f"this server shows no file outside its allowed folders. {advice}")
        descriptor = _open_below(root, path[len(root) + 1 :].split(os.sep))
        try:
            yield LocalFile(path=path, descriptor=descriptor, status=os.fstat(descriptor))
        finally:
            os.close(descriptor)


def _root(folder: str) -> str:
    root = os.path.realpath(os.path.expanduser(folder))
    if not os.path.isdir(root):
        raise BadConfig(f"the allowed media folder {folder} is not a folder. Create it, or leave it out.")
    if root == os.sep:
        raise BadConfig("the allowed media folder / is the whole machine. Name the folders with the videos.")
    return root


def _path(url: str) -> str:
    """The absolute path in a file URL. Raises MediaRefused."""
    rest = url[len("file:") :]
    host, slash, path = rest[2:].partition("/") if rest.startswith("//") else ("", rest[:1], rest[1:])
    decoded = slash + os.fsdecode(unquote_to_bytes(path))
    if slash != "/" or host not in ("", "localhost") or decoded.startswith("//"):
        raise MediaRefused(Refusal.FOLDER, "a local file is named by its absolute path: file:///folder/clip.mp4")
    if "?" in path or "#" in path:
        raise MediaRefused(Refusal.MALFORMED, "write ? as %3F and # as %23 in a file: URL.")
    if "\0" in decoded or "\\" in decoded or ".." in decoded.split("/"):
        raise MediaRefused(Refusal.FOLDER, "a file: URL holds no `..`, no backslash and no null byte. Name the file itself.")
    return decoded


def _open_below(root: str, parts: list[str]) -> int:
    """The descriptor of a regular file, by its place below a folder. Raises MediaRefused."""
    try:
        folder = os.open(root, _PLAIN | os.O_DIRECTORY)
        try:
            for part in parts[:-1]:
                above, folder = folder, os.open(part, _PLAIN | os.O_DIRECTORY, dir_fd=folder)
                os.close(above)
            return _open_regular(parts[-1], folder)
        finally:
            os.close(folder)
    except OSError:
        raise MediaRefused(Refusal.FOLDER, "there is no such file that this server can read. Check its name.") from None


def _open_regular(name: str, folder: int) -> int:
    """Opens nothing but a regular file: opening a device may do something."""
    before = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISREG(before.st_mode):
        raise MediaRefused(Refusal.TYPE, "it is a folder, pipe, socket or device. Name a video file.")
    descriptor = os.open(name, _PLAIN, dir_fd=folder)
    if not os.path.samestat(before, os.fstat(descriptor)):
        os.close(descriptor)
        raise MediaRefused(Refusal.FOLDER, "the file was replaced while it was opened. Ask again.")
    return descriptor
