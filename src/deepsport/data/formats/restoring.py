"""A file in any of the layouts -> a file of episodes. The layout is told by content, row by row.

Nobody vouches for such a file: nothing that it names is opened, fetched or run, a bad row is left out and counted with its place,
and only a file that cannot be read at all is an error.
"""

from asyncio import Runner
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import JsonValue, ValidationError

from deepsport.data.annotation import json_items
from deepsport.data.clips import Clips
from deepsport.data.document import is_object, open_text
from deepsport.data.formats.content import Contents
from deepsport.data.formats.frame_reference import read_reference
from deepsport.data.formats.line import Line, Row, all_urls
from deepsport.data.formats.origin import Origin, read_origin
from deepsport.data.formats.returning import gathered, returned
from deepsport.data.formats.table import lines_in
from deepsport.data.formats.verl import parquet_rows
from deepsport.data.formats.writing import writing
from deepsport.data.moved import moved
from deepsport.data.rows import json_lines
from deepsport.data.source import Dropped, Drops
from deepsport.durable import disk_errors
from deepsport.errors import BadAnnotation, BadRecord
from deepsport.records import Episode, Record


class RestoreReport(Record):
    """What a way back did."""

    n_read: int
    n_restored: int
    n_ours: int
    """Restored whole, from rows that this package wrote."""
    by_layout: dict[str, int]
    dropped: tuple[Dropped, ...]
    """Rows, and images of rows."""


def restore_episodes(
    path: Path, out: Path, *, videos: Path | None = None, on_row: Callable[[], None] = lambda: None
) -> RestoreReport:
    """Writes the episodes of a file that was exported, here or elsewhere; `videos`: the folder to look for their videos in.

    Raises BadRecord for a file that cannot be read, or holds no row at all, BadConfig for an output that is the input, RunError
    if the disk does not take it."""
    drops, layouts, n_read, n_ours = Drops(), Counter[str](), 0, 0
    seen: set[str] = set()
    clips, contents = _clips(videos), Contents()
    with writing(out, path) as file, Runner() as runner:
        for name, row in _rows(path, drops):
            n_read += 1
            on_row()
            try:
                layout, lines = lines_in(row)
                origin = read_origin(row.get("metadata")) or read_origin(row.get("extra_info"))
                episode = _episode(row, lines, origin, name, runner, drops)
                if episode.id in seen:
                    raise BadRecord("an id that was there before")
                episode = _linked(episode, _hashes(lines, origin), clips, contents) if clips else episode
            except BadRecord as reason:
                drops.add(str(reason), name)
                continue
            seen.add(episode.id)
            layouts[layout] += 1
            n_ours += origin is not None
            file.write(episode.model_dump_json().encode() + b"\n")
        if not n_read:
            raise BadRecord(f"{path} holds no row: {', '.join(drops.counts) or 'it is empty'}. Name a file that was exported.")
    return RestoreReport(
        n_read=n_read, n_restored=len(seen), n_ours=n_ours, by_layout=dict(layouts), dropped=Dropped.all_of(drops)
    )


def _rows(path: Path, drops: Drops) -> Iterator[tuple[str, Row]]:
    """The rows of a parquet file, a JSON array or a file of JSON lines. Raises BadRecord."""
    try:
        kind = _kind(path)
        if kind == "parquet":
            yield from parquet_rows(path)
        elif kind == "array":
            yield from _items(path, drops)
        else:
            yield from json_lines(path, drops)
    except BadAnnotation as error:
        raise BadRecord(str(error)) from error


def _kind(path: Path) -> str:
    with disk_errors(path), path.open("rb") as file:
        if file.read(4) == b"PAR1":
            return "parquet"
    with disk_errors(path), open_text(path, errors="replace") as text:
        return "array" if text.read(4096).lstrip()[:1] == "[" else "lines"


def _items(path: Path, drops: Drops) -> Iterator[tuple[str, Row]]:
    for place, item in enumerate(json_items(path)):
        name = f"{path.name}[{place}]"
        if is_object(item):
            yield name, item
        else:
            drops.add("a row that is no object", name)


def _episode(row: Row, lines: tuple[Line, ...], origin: Origin | None, name: str, runner: Runner, drops: Drops) -> Episode:
    """The episode of a row. Raises BadRecord."""
    try:
        if origin:
            return returned(lines, origin, runner)
        return gathered(lines, _id(row.get("id"), name), drops)
    except ValidationError:
        raise BadRecord("what it says makes no episode") from None


def _id(given: JsonValue, name: str) -> str:
    return given if isinstance(given, str) and given else name


def _clips(videos: Path | None) -> Clips | None:
    if videos is None:
        return None
    clips = Clips(videos)
    if not len(clips):
        raise BadRecord(f"{videos} holds no video file. Name the folder that the footage lies in.")
    return clips


def _hashes(lines: tuple[Line, ...], origin: Origin | None) -> set[str]:
    """What a row says about the content of its video: one hash, if it does not contradict itself; none if it does not say."""
    urls = origin.frames if origin and origin.frames is not None else all_urls(lines)
    played = origin.video_sha256 if origin else ""
    try:
        return {played, *(read_reference(url).sha256 for url in urls)} - {""}
    except BadRecord:
        return {played} - {""}


def _linked(episode: Episode, hashes: set[str], clips: Clips, contents: Contents) -> Episode:
    """The episode over the video in the folder, as it was if that has none. Raises BadRecord for one of other content."""
    video = episode.question.video
    file = clips.find(video) if video else None
    if file is None:
        return episode
    if hashes and hashes != {contents.sha256(str(file))}:
        raise BadRecord("a video of this name, and of other content")
    return moved(episode, str(file))
