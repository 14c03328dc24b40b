"""Episodes out to the layouts of other trainers: streamed, complete or absent, and everything left out is counted.

What may not be passed on (a source that states no licence) is not exported; neither is an episode whose video is another file by
now, or that no longer plays back as it was recorded, since its prompts would not be those that its policy saw. No path of this
machine leaves it. The way back is `formats/restoring.py`.
"""

import json
from asyncio import Runner
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

from deepsport.agent.rollout import Limits
from deepsport.data.formats.conversation import ITS_OWN_END, Conversation, Unseen, converse, opening_of
from deepsport.data.formats.frame_files import FrameFiles
from deepsport.data.formats.frame_reference import write_reference
from deepsport.data.formats.line import Calls, Line, Row, lines_of, told_lines, unsafe
from deepsport.data.formats.origin import origin_of
from deepsport.data.formats.script import Format, Script
from deepsport.data.formats.table import FORMATS, Form
from deepsport.data.formats.verl import rl_file, rl_row, sft_file
from deepsport.data.formats.video_names import VideoNames
from deepsport.data.formats.writing import writing
from deepsport.data.source import Dropped, Drops
from deepsport.durable import disk_errors, read_records
from deepsport.errors import BadRecord, BadVideo
from deepsport.policy.base import Image, Message
from deepsport.records import Episode, Frame, Question, Record
from deepsport.video.source import FrameSource

OnSample = Callable[[], None]


class ExportReport(Record):
    """What an export did."""

    form: str
    calls: str
    n_read: int
    n_exported: int
    n_images: int
    """References, a frame that is shown twice counted twice."""
    n_frame_files: int
    """Picture files written, those that were there already left out."""
    dropped: tuple[Dropped, ...]


def export_episodes(
    path: Path,
    out: Path,
    form: Form,
    *,
    limits: Limits,
    frames: Path | None = None,
    videos: Path | None = None,
    calls: Calls = Calls.NATIVE,
    on_sample: OnSample = lambda: None,
) -> ExportReport:
    """Writes the episodes of a `.jsonl` file in a format, or their questions for `verl`, which takes a file of questions too.

    limits: of the episodes, for their prompts; frames: a folder for the frames as files; videos: the folder that videos are named
    from. Raises BadRecord if the file holds nothing that it should, BadConfig, and RunError if the disk does not take it."""
    calls = Calls.TEXT if form in FORMATS and FORMATS[form].text_only else calls
    with FrameSource() as decoded, Unseen() as source, Runner() as runner:
        files = FrameFiles(frames, out.parent, decoded) if frames else None
        desk = _Desk(names=VideoNames(path.parent, videos), limits=limits, source=source, files=files, runner=runner)
        rows = _question_rows(path, desk) if form is Form.VERL else _episode_rows(path, desk, FORMATS[form], calls)
        with _file(out, path, form) as write:
            for row in rows:
                on_sample()
                if row is not None:
                    write(row)
                    desk.n_exported += 1
            if not desk.n_read:
                raise BadRecord(f"{path} holds nothing to export.")
    return desk.report(form, calls)


@dataclass(slots=True, kw_only=True)
class _Desk:
    """What an export works with, and its counts."""

    names: VideoNames
    limits: Limits
    source: FrameSource
    files: FrameFiles | None
    runner: Runner
    drops: Drops = field(default_factory=Drops)
    n_read: int = 0
    n_exported: int = 0
    n_images: int = 0

    def urls(self, question: Question, frames: Sequence[Frame], played: str) -> tuple[dict[int, str], str]:
        """The references to frames by index, and the name of the video. Raises BadRecord."""
        name, sha256 = self.names.name(question, played)
        moved = [frame.model_copy(update={"video": name}) for frame in frames]
        return {frame.index: write_reference(frame, sha256) for frame in moved}, name

    def paths(self, question: Question, frames: Sequence[Frame]) -> Mapping[int, str] | None:
        """The files of frames by index, None if none are wanted. Raises BadRecord."""
        if self.files is None:
            return None
        try:
            return self.files.paths(self.names.place(question.video), self.names.sha256(question.video), frames)
        except BadVideo as error:
            raise BadRecord("a frame that cannot be decoded") from error

    def drop(self, reason: BadRecord, record: str) -> None:
        """Counts a record that is left out; its name goes with what is wrong in particular."""
        cause = reason.__cause__
        self.drops.add(str(reason), f"{record}: {cause}" if cause else record)

    def report(self, form: Form, calls: Calls) -> ExportReport:
        return ExportReport(
            form=form,
            calls=calls,
            n_read=self.n_read,
            n_exported=self.n_exported,
            n_images=self.n_images,
            n_frame_files=self.files.n_written if self.files else 0,
            dropped=Dropped.all_of(self.drops),
        )


def _episode_rows(path: Path, desk: _Desk, form: Format, calls: Calls) -> Iterator[Row | None]:
    """A row for each episode, None for one that is left out."""
    for episode in read_records(path, Episode):
        desk.n_read += 1
        try:
            yield _episode_row(episode, desk, form, calls)
        except BadRecord as reason:
            desk.drop(reason, episode.id)
            yield None


def _episode_row(episode: Episode, desk: _Desk, form: Format, calls: Calls) -> Row:
    """Raises BadRecord with the reason why there is none."""
    _require_licence(episode.question)
    if episode.stop not in ITS_OWN_END:
        raise BadRecord(f"ended by {episode.stop}, not by its own words")
    desk.names.require_same(episode.question.video, episode.video_sha256)
    conversation = _conversation(episode, desk)
    seen = conversation.episode.frames_seen
    urls, name = desk.urls(episode.question, seen, episode.video_sha256)
    lines = lines_of(conversation, calls, lambda frame: urls[frame.index])
    _require_safe(lines, marked=form.marked)
    paths = desk.paths(episode.question, seen)
    if paths is not None:
        lines = lines_of(conversation, calls, lambda frame: paths[frame.index])
    desk.n_images += len(seen)
    asked = episode.question.model_copy(update={"video": name})
    frames = tuple(urls[frame.index] for frame in seen) if paths is not None else None
    origin = origin_of(conversation, _shareable(asked), _bare(episode.policy), desk.limits, frames)
    return form.row(Script(lines=lines, calls=calls, origin=origin))


def _conversation(episode: Episode, desk: _Desk) -> Conversation:
    place = desk.names.place(episode.question.video)
    try:
        return desk.runner.run(converse(episode, desk.source, desk.limits, video=place))
    except (BadRecord, BadVideo) as error:
        raise BadRecord("does not play back as recorded") from error


def _question_rows(path: Path, desk: _Desk) -> Iterator[Row | None]:
    """A row for each question, None for one that is left out."""
    asked: set[str] = set()
    for question, with_tool, played in _questions(path):
        desk.n_read += 1
        if question.id in asked:
            desk.drops.add("a question that was there before", question.id)
            yield None
            continue
        asked.add(question.id)
        try:
            yield _question_row(question, desk, with_tool, played)
        except BadRecord as reason:
            desk.drop(reason, question.id)
            yield None
        except BadVideo:
            desk.drops.add("a video that cannot be read", question.id)
            yield None


def _question_row(question: Question, desk: _Desk, with_tool: bool, played: str) -> Row:
    """Raises BadRecord with the reason why there is none, BadVideo."""
    _require_licence(question)
    if question.gold is None:
        raise BadRecord("no known answer")
    desk.names.require_same(question.video, played)
    place = desk.names.place(question.video)
    n_frames = desk.source.info(place).n_frames
    here = question.model_copy(update={"video": place})
    messages = desk.runner.run(opening_of(here, desk.source, desk.limits, with_tool=with_tool))
    seen = _frames_in(messages)
    urls, name = desk.urls(question, seen, played)
    _require_safe(told_lines(messages, lambda frame: urls[frame.index]), marked=True)
    files = desk.paths(question, seen)
    shown = urls if files is None else files
    desk.n_images += len(seen) if files is not None else 0
    asked = _shareable(question.model_copy(update={"video": name}))
    lines = told_lines(messages, lambda frame: shown[frame.index])
    index, with_files = desk.n_exported, files is not None
    return rl_row(asked, lines, index, n_frames, limits=desk.limits, with_tool=with_tool, with_files=with_files)


def _questions(path: Path) -> Iterator[tuple[Question, bool, str]]:
    """The questions of a file of questions or of episodes, each with whether the tool was offered, and the hash of what was
    played."""
    if _holds_episodes(path):
        yield from ((episode.question, episode.with_tool, episode.video_sha256) for episode in read_records(path, Episode))
    else:
        yield from ((question, True, "") for question in read_records(path, Question))


def _holds_episodes(path: Path) -> bool:
    with disk_errors(path), path.open("rb") as file:
        first = next((line for line in file if line.strip()), b"")
    try:
        record: object = json.loads(first.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        return False
    return isinstance(record, dict) and "question" in record


def _frames_in(messages: Sequence[Message]) -> list[Frame]:
    return [part.frame for message in messages for part in message.parts if isinstance(part, Image)]


def _require_licence(question: Question) -> None:
    """What a person asks has no source; a source that states no licence permits nothing."""
    if question.provenance is not None and not question.provenance.licence.strip():
        raise BadRecord("a source that states no licence")


def _require_safe(lines: Sequence[Line], *, marked: bool) -> None:
    if reason := unsafe(lines, marked=marked):
        raise BadRecord(reason)


def _shareable(question: Question) -> Question:
    """The question with the name of its annotation file, not where it lies here."""
    known = question.provenance
    if known is None:
        return question
    return question.model_copy(update={"provenance": known.model_copy(update={"file": _bare(known.file)})})


def _bare(name: str) -> str:
    """A name that may be a path of this machine, then without its folders."""
    if PurePosixPath(name).is_absolute():
        return PurePosixPath(name).name
    return PureWindowsPath(name).name if PureWindowsPath(name).is_absolute() else name


@contextmanager
def _file(out: Path, source: Path, form: Form) -> Generator[Callable[[Row], object]]:
    """The file of rows, which takes its place when all of them are written."""
    with writing(out, source) as file:
        if form not in (Form.VERL, Form.VERL_SFT):
            yield lambda row: file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            return
        rows = rl_file(file) if form is Form.VERL else sft_file(file)
        yield rows.write
        rows.close()
