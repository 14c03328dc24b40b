"""The clips that questions are about: found in a folder, looked at once, and with them the true times of events that a source
counted in frames.

A data file only ever picks among the files of the folder that a person named: by relative path, with or without its ending, else
by how the two paths end, if one file alone agrees. `1_224p` is the name of a half of every match: where an annotation gives a
folder, a name without one says nothing. No path of a data file is ever opened. A link to a file counts as the file, since whoever
made the folder put it there; links to folders are not followed. A clip that is not there is reported, never guessed.
"""

import os
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path, PurePosixPath

from deepsport.data.fingerprint import Clip, content_hash, fingerprint
from deepsport.data.source import Drops
from deepsport.durable import RecordFile, read_records
from deepsport.errors import BadRecord, BadVideo
from deepsport.records import Question, Record, Window
from deepsport.video.container import Stamp, stamp_of
from deepsport.video.source import FrameSource

ENDINGS = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".ts", ".webm"})

LATE_S = 1.0
"""An event may end so much after its clip: sources round, and clips are cut a little short."""

NOTES_NAME = ".clips.jsonl"
"""What is known of clips already, beside the questions that were made with them."""

UNREADABLE = "a clip that cannot be read"
OUTSIDE = "an event outside its clip"


class Clips:
    """The video files of a folder and the folders in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = tuple(_videos(folder))
        self._by_place = {os.path.abspath(file): file for file in self.files}
        self._by_path: dict[str, list[Path]] = {}
        self._by_tail: dict[str, list[Path]] = {}
        """By name, and by folder and name."""
        for place, file in self._by_place.items():
            key = file.relative_to(folder).with_suffix("").as_posix()
            self._by_path.setdefault(key, []).append(file)
            for tail in (file.stem, f"{Path(place).parent.name}/{file.stem}"):
                self._by_tail.setdefault(tail, []).append(file)

    def __len__(self) -> int:
        return len(self.files)

    def find(self, video: str) -> Path | None:
        """The file for a path as an annotation gives it; of files that differ in their ending alone, the one with its ending.

        Where no file has that path: one whose place on this machine ends with it, or whose path below the folder it ends with. At
        least the parent folder agrees then, if the annotation gives one."""
        wanted, bare = PurePosixPath(video), _bare(video)
        tail = "/".join(bare.parts[-2:])
        found = self._by_path.get(bare.as_posix()) or [file for file in self._by_tail.get(tail, []) if self._agrees(file, bare)]
        if len(found) > 1:
            found = [file for file in found if file.relative_to(self.folder).as_posix() == wanted.as_posix()]
        return found[0] if len(found) == 1 else None

    def namesakes(self, video: str) -> list[Path]:
        """Files of that name in whatever folder: where to look first for a content that is known."""
        return self._by_tail.get(_bare(video).name, [])

    def at(self, file: Path) -> Path | None:
        """A file, if it is one of these."""
        return self._by_place.get(os.path.abspath(file))

    def _agrees(self, file: Path, bare: PurePosixPath) -> bool:
        """Of a file that has the name, and the parent folder if one is given."""
        ours, theirs = Path(os.path.abspath(file)).with_suffix("").parts, bare.parts
        n_same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(reversed(ours), reversed(theirs), strict=False)))
        return n_same == len(theirs) or n_same >= len(file.relative_to(self.folder).parts)


def _bare(video: str) -> PurePosixPath:
    path = PurePosixPath(video)
    return path.with_suffix("") if path.suffix.lower() in ENDINGS else path


class Note(Record):
    """What is known of a file as long as it stays as it was."""

    path: str
    """From the folder of videos."""
    size: int
    mtime_ns: int
    sha256: str
    clip: Clip | None = None
    """Its looks too, if they were wanted."""


class Looked:
    """Clips as they were looked at: each file is read once, and what was found is noted at once, so that an import or a link that
    is broken off or made again need not read hours of video twice."""

    def __init__(self, notes: Path, folder: Path, source: FrameSource, on_clip: Callable[[], None] = lambda: None) -> None:
        """`on_clip` is called whenever a file has been read."""
        self._folder, self._source, self._on_clip = folder, source, on_clip
        self._notes = {note.path: note for note in _notes(notes)}
        self._file = RecordFile(notes)
        self._faults: dict[tuple[Path, Stamp], str] = {}

    def sha256(self, file: Path) -> str:
        """Of a file's content. Raises BadVideo for a file that cannot be read."""
        return self._look(file, looks=False).sha256

    def clip(self, file: Path) -> Clip:
        """Its content and its looks. Raises BadVideo, at every call, for a file that cannot be read or decoded."""
        clip = self._look(file, looks=True).clip
        assert clip is not None
        return clip.model_copy(update={"video": str(file.absolute())})

    def knows(self, file: Path) -> bool:
        """Whether nothing is left to look at. Raises BadVideo for a file that cannot be read."""
        known = self._known(os.path.relpath(file, self._folder), stamp_of(str(file)))
        return known is not None and known.clip is not None

    def take(self, note: Note) -> None:
        """Notes what was found, here or somewhere else."""
        self._notes[note.path] = note
        if is_text(note.path):  # else no record can hold it
            self._file.append(note)
        self._on_clip()

    def close(self) -> None:
        """Waits for the disk."""
        self._file.close()

    def _known(self, path: str, stamp: Stamp) -> Note | None:
        known = self._notes.get(path)
        return known if known and (known.size, known.mtime_ns) == (stamp.size, stamp.mtime_ns) else None

    def _look(self, file: Path, *, looks: bool) -> Note:
        stamp, path = stamp_of(str(file)), os.path.relpath(file, self._folder)
        known = self._known(path, stamp)
        if known and (known.clip or not looks):
            return known
        if fault := self._faults.get((file, stamp)):
            raise BadVideo(fault)
        try:
            note = self._read(file, path, stamp, known.sha256 if known else "", looks)
        except BadVideo as error:
            self._faults[file, stamp] = str(error)
            raise
        self.take(note)
        return note

    def _read(self, file: Path, path: str, stamp: Stamp, sha256: str, looks: bool) -> Note:
        clip = fingerprint(file, self._source, sha256) if looks else None
        sha256 = clip.sha256 if clip else content_hash(file)
        if stamp_of(str(file)) != stamp:
            raise BadVideo(f"{str(file)!r} was written to while it was read. Wait until it is complete.")
        return Note(path=path, size=stamp.size, mtime_ns=stamp.mtime_ns, sha256=sha256, clip=clip)


def linked(question: Question, clip: Clip, source: FrameSource, drops: Drops) -> Question | None:
    """The question with its clip, and its window in the clip's own time; dropped if the clip cannot be read or is shorter."""
    try:
        window = _window(question, clip, source)
    except BadVideo:
        drops.add(UNREADABLE, question.video)
        return None
    except IndexError:
        drops.add(OUTSIDE, question.id)
        return None
    if window and outside(window, clip.duration_s):
        drops.add(OUTSIDE, question.id)
        return None
    known = question.provenance and question.provenance.model_copy(update={"video_sha256": clip.sha256})
    return question.model_copy(update={"video": clip.video, "window": window, "provenance": known})


def outside(window: Window, duration_s: float) -> bool:
    """Whether a window begins after the clip, or ends too long after it."""
    return window.start_s > duration_s or window.end_s > duration_s + LATE_S


def _window(question: Question, clip: Clip, source: FrameSource) -> Window | None:
    """Raises IndexError for an event that the clip does not have."""
    frames = question.provenance and question.provenance.event_frames
    if not frames:
        return question.window
    if not 0 <= frames[0] <= frames[1] < clip.n_frames:
        raise IndexError(frames)
    start_s, end_s = source.times(clip.video, list(frames))
    return Window(start_s=start_s, end_s=end_s)


def _notes(path: Path) -> list[Note]:
    """Notes that were changed by hand are worth nothing: they are thrown away, and the clips looked at again."""
    try:
        return list(read_records(path, Note)) if path.exists() else []
    except BadRecord:
        path.unlink()
        return []


def _videos(folder: Path) -> Iterator[Path]:
    """In order. A name that is not text, which no record can hold, is passed over."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if is_text(name))
        yield from (Path(place, name) for name in sorted(names) if Path(name).suffix.lower() in ENDINGS and is_text(name))


def is_text(name: str) -> bool:
    """Whether a file name's bytes are UTF-8."""
    return not any("\ud800" <= char <= "\udfff" for char in name)


def clip_at(video: str, home: Path) -> Path | None:
    """The file that a question names, counted from the folder that its own file lies in; None if there is none."""
    try:
        return file if (file := home / video).is_file() else None
    except (OSError, ValueError):  # a name that no file can have
        return None
