"""The media of requests while they are looked at: a private folder of this server, where every medium is named after its content.

What a request brought is there until its block ends, and shared with requests that brought the same. A local file is not copied
but linked to, under a name made of its path and state: a file that is replaced has another name.
"""

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Self

from deepsport.durable import disk_errors
from deepsport.serve.media.brought import Album, Brought, Clip, MediaPart
from deepsport.serve.media.data_uri import base64_of, frames_of
from deepsport.serve.media.fetch import Fetcher, Resolve, certificates, resolve_name
from deepsport.serve.media.folders import Folders
from deepsport.serve.media.images import read_picture
from deepsport.serve.media.intake import Intake, Room
from deepsport.serve.media.private_folder import PrivateFolder
from deepsport.serve.media.refusal import MediaRefused, Refusal
from deepsport.serve.media.settings import MediaPolicy
from deepsport.video.pixels import Pixels

PREFIX = "deepsport-media-"


class MediaStore:
    """Brings what requests name, under one policy, in one event loop. A context manager; all of it goes when it closes."""

    def __init__(self, policy: MediaPolicy, *, parent: Path | None = None, resolve: Resolve = resolve_name) -> None:
        """`parent` is where the folder is made (None: the system's place for temporary files); `resolve` finds the addresses of
        hosts. Raises BadConfig for an allowed folder that is not there."""
        self.policy = policy
        self._parent = parent or Path(tempfile.gettempdir())
        self._fetcher = Fetcher(policy, resolve)
        self._folders = Folders(policy.folders)
        self._users = Counter[str]()
        """Requests that look at a medium, by its name."""
        self._folder: PrivateFolder

    def __enter__(self) -> Self:
        """Makes the folder, and removes those of servers that were killed. Raises RunError if it cannot be made."""
        self._folder = PrivateFolder.make(self._parent, PREFIX)
        if self.policy.hosts:
            certificates()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Removes the folder."""
        self._folder.remove()

    @asynccontextmanager
    async def bring(self, parts: Sequence[MediaPart]) -> AsyncGenerator[Brought]:
        """All media of a request: one video, or one or more pictures; they go when the block ends.

        Raises MediaRefused for what the client can mend, RunError if the disk of this server does not take it."""
        parts = _one_kind(parts, self.policy.max_images)
        with self._place() as place:
            with disk_errors(self._folder.path):
                taken = await self._in_time(parts, place)
            if isinstance(taken, Album):
                yield taken
            else:
                with self._kept(taken) as clip:
                    yield clip

    async def _in_time(self, parts: Sequence[MediaPart], place: Path) -> "Album | _Taken":
        room = Room(self.policy.max_bytes)
        try:
            async with asyncio.timeout(self.policy.fetch_s):
                return await (self._video(parts[0], place, room) if parts[0].kind == "video" else self._album(parts, room))
        except TimeoutError:
            late = f"not all media were here after {self.policy.fetch_s:g} s. Send smaller ones, or from a faster host."
            raise MediaRefused(Refusal.TIME, late) from None

    async def _video(self, part: MediaPart, place: Path, room: Room) -> "_Taken":
        """A video in a file or a link of its own."""
        file = place / "video"
        if _scheme(part.url) == "file":
            return await asyncio.to_thread(self._link, part.url, file)
        with file.open("xb") as open_file:
            intake = Intake(open_file, room)
            await self._pour(part, intake)
        return _Taken(file=file, name=intake.digest, n_bytes=intake.n_bytes)

    def _link(self, url: str, link: Path) -> "_Taken":
        with self._folders.open(url) as local:
            link.symlink_to(local.path)
            state = local.status
            if not os.path.samestat(link.stat(), state):
                raise MediaRefused(Refusal.FOLDER, "the file was replaced while it was opened. Ask again.")
            name = repr((local.path, state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns))
            return _Taken(file=link, name=hashlib.sha256(os.fsencode(name)).hexdigest(), n_bytes=state.st_size)

    async def _album(self, parts: Sequence[MediaPart], room: Room) -> Album:
        pictures, names, n_pixels = list[Pixels](), hashlib.sha256(), 0
        for number, part in enumerate(parts, start=1):
            with _numbered(number, len(parts)):
                file = BytesIO()
                intake = Intake(file, room)
                await self._pour(part, intake)
                sent = file.getvalue()
                pictures.append(await asyncio.to_thread(read_picture, sent, self.policy.max_pixels - n_pixels))
            n_pixels += pictures[-1].size // 3
            names.update(intake.digest.encode())
        return Album(path=f"pictures-{names.hexdigest()}", pictures=tuple(pictures), n_bytes=room.n_bytes)

    async def _pour(self, part: MediaPart, intake: Intake) -> None:
        """Everything that a part holds or names."""
        match _scheme(part.url):
            case "data":
                body = base64_of(part)
                intake.room.require(body.decoded_size)
                await _add(body.chunks(), intake)
            case "file":
                with self._folders.open(part.url) as local:
                    intake.room.require(local.status.st_size)
                    await _add(_read(local.descriptor), intake)
            case _:
                await self._fetcher.fetch(part.url, part.kind, intake)

    @contextmanager
    def _place(self) -> Generator[Path]:
        """Where a request's media come in. What still writes there after a cancelled request finds no folder."""
        with disk_errors(self._folder.path):
            place = Path(tempfile.mkdtemp(dir=self._folder.path))
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    @contextmanager
    def _kept(self, taken: "_Taken") -> Generator[Clip]:
        """Gives a file the name of its content, unless a request that is under way has brought the same."""
        path = self._folder.path / f"{taken.name}.video"
        if not self._users[taken.name]:
            with disk_errors(self._folder.path):
                taken.file.rename(path)
        self._users[taken.name] += 1
        try:
            yield Clip(path=str(path), n_bytes=taken.n_bytes)
        finally:
            self._users[taken.name] -= 1
            if not self._users[taken.name]:
                del self._users[taken.name]
                path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """A video that has come in."""

    file: Path
    name: str
    n_bytes: int


def _one_kind(parts: Sequence[MediaPart], max_images: int) -> Sequence[MediaPart]:
    """One video, or pictures only; the frames of a `data:video/jpeg` are pictures. Raises MediaRefused."""
    n_videos = sum(part.kind == "video" for part in parts)
    if not parts:
        raise MediaRefused(Refusal.MALFORMED, "no video and no picture was sent. Add a video_url or image_url part.")
    if n_videos > 1 or 0 < n_videos < len(parts):
        raise MediaRefused(
            Refusal.TOO_MANY, "a request brings one video, or pictures only. Ask about each in a request of its own."
        )
    if len(parts) > max_images:
        raise MediaRefused(Refusal.TOO_MANY, f"{len(parts)} pictures were sent; this server takes {max_images} at most.")
    return frames_of(parts[0], max_images) or parts


def _scheme(url: str) -> str:
    """What the medium is named by. Raises MediaRefused."""
    scheme = url[:32].partition(":")[0].lower()
    if scheme not in ("data", "file", "http", "https") or ":" not in url[:32]:
        raise MediaRefused(Refusal.SCHEME, "media are named by a data:, http(s): or file: URL; it is none of these.")
    return scheme


@contextmanager
def _numbered(number: int, n_parts: int) -> Generator[None]:
    """Says of which of several pictures a refusal speaks."""
    try:
        yield
    except MediaRefused as refused:
        place = f"picture {number} of {n_parts}: " if n_parts > 1 else ""
        raise MediaRefused(refused.code, f"{place}{refused}") from None


async def _add(chunks: AsyncIterator[bytes], intake: Intake) -> None:
    async for chunk in chunks:
        intake.add(chunk)


async def _read(descriptor: int) -> AsyncGenerator[bytes]:
    while chunk := os.read(descriptor, 2**20):
        yield chunk
        await asyncio.sleep(0)
