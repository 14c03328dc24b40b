"""Lines of a chat -> an episode.

A row of ours is played again through the agent loop, over frames that are only remembered: notes, windows and the stop reason are
then those of the loop, and a row whose images are not what its calls bring is refused. Of anybody else's row is kept what can be
told for certain: the question, the calls, the answer, and frames if they are references. BadRecord gives a reason that can be
counted; a part that is left out is counted as well.
"""

import json
import re
from asyncio import Runner
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from deepsport.agent.grammar import TOOL_NAME, Answer, ChooseFrames, Malformed, parse, write_answer, write_call
from deepsport.data.formats.conversation import ITS_OWN_END, UNSEEN, replay
from deepsport.data.formats.frame_reference import read_reference
from deepsport.data.formats.line import Call, Line, all_urls
from deepsport.data.formats.origin import Origin
from deepsport.data.source import Drops
from deepsport.errors import BadRecord, BadVideo
from deepsport.records import Episode, Frame, Question, StopReason, ToolCall, Turn, Usage, Window
from deepsport.video.probe import VideoInfo
from deepsport.video.source import FrameSource, Shown

_TAG = re.compile(r"</?(?:think|answer|tool[_ ]call)\b", re.IGNORECASE)
_OPENING = re.compile(
    r"(?:You answer questions about a sports video\..*?\n)?"  # rules, in layouts that have no place for them
    r"Video: (?:[^\n]*, )?\d+ frames, \d+\.\d\d s\.\n"
    r"(?:frame \d+ \([^\n]*\n)*"
    rf"Question: (.*?)(?:\ntool: (?:{TOOL_NAME}|none)\s*)?",
    re.DOTALL,
)
"""What an opening of this package says, from its first word to its last."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What was said, as the agent's grammar has it, and what was told after it."""

    text: str
    after: tuple[Line, ...]


def returned(lines: Sequence[Line], origin: Origin, runner: Runner) -> Episode:
    """The episode of a row of ours. Raises BadRecord."""
    _, replies = _replies(lines)
    texts = [_as_sampled(reply.text, origin.verbatim.get(place)) for place, reply in enumerate(replies)]
    urls = all_urls(lines)
    frames = _frames(urls if origin.frames is None else origin.frames)
    if len(frames) != len(urls):
        raise BadRecord("more or fewer images than its metadata names")
    like = Episode(
        id=origin.episode,
        question=origin.question,
        policy=origin.policy,
        seed=origin.seed,
        with_tool=origin.with_tool,
        stop=StopReason.POLICY_ERROR,
    )
    with Remembered(origin.question.video, frames, origin.n_frames) as source:
        _, played = runner.run(replay(origin.question, texts, source, origin.limits, like=like))
    if played.stop not in ITS_OWN_END or played.frames_seen != frames or len(played.turns) != len(texts):
        raise BadRecord("does not play back as its metadata says")
    return played.model_copy(update={"usage": Usage(), "video_sha256": origin.video_sha256})


def gathered(lines: Sequence[Line], name: str, drops: Drops) -> Episode:
    """What can be told of anybody's row; frames that are none are left out and counted. Raises BadRecord."""
    told, replies = _replies(lines)
    looks = [all_urls(told), *(all_urls(reply.after) for reply in replies)]
    frames = _known_frames(looks, name, drops)
    turns = [_turn(reply, seen, is_last=reply is replies[-1]) for reply, seen in zip(replies, frames[1:], strict=True)]
    last = turns[-1]
    video = next((frame.video for seen in frames for frame in seen), "")
    return Episode(
        id=name,
        question=Question(id=name, video=video, text=_question(told)),
        policy="unknown",
        with_tool=any(turn.call for turn in turns),
        first_frames=frames[0],
        turns=tuple(turns),
        answer=last.answer,
        stop=_stop(last),
        detail="" if last.answer else last.note,
    )


class Remembered(FrameSource):
    """The frames that a row names: their times, and no file behind them."""

    def __init__(self, video: str, frames: Sequence[Frame], n_frames: int) -> None:
        """Raises BadRecord if a frame is of another video, or has two times."""
        super().__init__()
        self._time_s = {frame.index: frame.time_s for frame in frames}
        self._n_frames = n_frames
        if any(frame.video != video or self._time_s[frame.index] != frame.time_s for frame in frames):
            raise BadRecord("frames that contradict each other, or are not of the video asked about")

    def info(self, path: str) -> VideoInfo:
        """The one fact that an episode depends on; the others were in the prompt, and stay there."""
        end_s = max(self._time_s.values(), default=0.0)
        return VideoInfo(path, self._n_frames, Fraction(25), end_s, width=0, height=0, rotation=0, codec="", metadata={})

    def look(self, path: str, indices: Sequence[int]) -> list[Shown]:
        """An empty picture for each index, with its time as it was. Raises BadVideo for a frame that was never shown."""
        if any(index not in self._time_s for index in indices):
            raise BadVideo("a frame was asked for that the row does not name")
        return [Shown(index, self._time_s[index], UNSEEN) for index in indices]


def _replies(lines: Sequence[Line]) -> tuple[tuple[Line, ...], list[Reply]]:
    """What was told before the first reply, and the replies. Raises BadRecord."""
    spoken = [place for place, line in enumerate(lines) if line.role == "assistant"]
    if not spoken or spoken[-1] != len(lines) - 1:
        raise BadRecord("no reply at its end")
    ends = [*spoken[1:], len(lines)]
    replies = [Reply(_text(lines[start]), tuple(lines[start + 1 : end])) for start, end in zip(spoken, ends, strict=True)]
    if not all(reply.after for reply in replies[:-1]):
        raise BadRecord("two replies with nothing between them")
    return tuple(lines[: spoken[0]]), replies


def _text(line: Line) -> str:
    """A reply in the agent's grammar. Raises BadRecord for a call that is none of its tool."""
    if len(line.calls) > 1:
        raise BadRecord("two calls in one turn")
    if line.urls:
        raise BadRecord("an image in a reply")
    return _called(line.text, line.calls[0]) if line.calls else line.text


def _called(content: str, call: Call) -> str:
    thought = re.sub(r"</?think>", "", content).strip()
    if call.name != TOOL_NAME:
        raise BadRecord("a call of another tool")
    if not isinstance(call.arguments, dict):
        raise BadRecord("arguments of a call that are no object")
    body = json.dumps({"action": call.name, **call.arguments})
    action = parse(f"<think>{thought}</think><tool_call>{body}</tool_call>")
    if not isinstance(action, ChooseFrames):
        raise BadRecord("a call that the tool does not take")
    return write_call(action.thought, action.start_index, action.end_index)


def _as_sampled(text: str, verbatim: str | None) -> str:
    """The reply as it was spelt, if it says what the row says."""
    return verbatim if verbatim is not None and parse(verbatim) == parse(text) else text


def _frames(urls: Sequence[str]) -> tuple[Frame, ...]:
    return tuple(read_reference(url).frame for url in urls)


def _known_frames(looks: Sequence[Sequence[str]], name: str, drops: Drops) -> list[tuple[Frame, ...]]:
    """The frames of each look, or none at all if an image is no reference to the one video."""
    try:
        frames = [_frames(urls) for urls in looks]
        if len({frame.video for seen in frames for frame in seen}) > 1:
            raise BadRecord("frames of more than one video")
    except BadRecord as reason:
        drops.add(f"images of a row: {reason}", name)
        return [()] * len(looks)
    return frames


def _turn(reply: Reply, frames: tuple[Frame, ...], *, is_last: bool) -> Turn:
    match parse(reply.text):
        case ChooseFrames(thought, start, end):
            call = ToolCall(start_index=start, end_index=end, window=_window(frames))
            note = "" if frames or is_last else "".join(line.text for line in reply.after)
            return Turn(text=reply.text, thought=thought, call=call, frames=frames, note=note)
        case Answer(thought, answer) if is_last:
            return Turn(text=reply.text, thought=thought, answer=answer)
        case Malformed(reason) if is_last:
            return _plain_answer(reply.text) or Turn(text=reply.text, note=reason)
        case _:
            raise BadRecord("a reply in its midst that is no call")


def _plain_answer(text: str) -> Turn | None:
    """The turn of a reply that is an answer without its tags; None if it is none."""
    thought, closed, rest = text.strip().removeprefix("<think>").partition("</think>")
    thought, answer = (thought.strip(), rest.strip()) if closed else ("", text.strip())
    written = write_answer(thought, answer)
    is_plain = answer and not _TAG.search(answer) and not _TAG.search(thought) and isinstance(parse(written), Answer)
    return Turn(text=written, thought=thought, answer=answer) if is_plain else None


def _window(frames: Sequence[Frame]) -> Window | None:
    if not frames or not 0 <= frames[0].time_s <= frames[-1].time_s:
        return None
    return Window(start_s=frames[0].time_s, end_s=frames[-1].time_s)


def _stop(last: Turn) -> StopReason:
    if last.answer is not None:
        return StopReason.ANSWERED
    return StopReason.MAX_TURNS if last.call else StopReason.FORMAT_ERROR


def _question(told: Sequence[Line]) -> str:
    """What the user asked; of an opening of this package only the question itself."""
    text = "".join(line.text for line in told if line.role == "user").strip()
    opening = _OPENING.fullmatch(text)
    question = opening[1].strip() if opening else text
    if not question:
        raise BadRecord("no question")
    return question
