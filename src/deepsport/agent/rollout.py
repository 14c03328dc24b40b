"""One question -> one episode: show frames, let the policy act, bring what it asks for, until a stop reason holds.

A bad sample is data: a policy or a video that fails ends its own episode with a stop reason and a detail, never the loop around
it. The video is probed once, at the opening: a file that is replaced later is a fault, since its frames are no longer those that
were shown. Episodes run concurrently as coroutines; each waits only for its own policy session and its own frames.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pydantic import Field

from deepsport.agent.grammar import Answer, ChooseFrames, Malformed, parse
from deepsport.agent.prompt import PromptStyle, opening, refusal, tool_result
from deepsport.agent.tool import Refused, choose_frames
from deepsport.config import Config
from deepsport.errors import BadVideo, ContextOverflow, PolicyError
from deepsport.policy.base import Image, Message, Policy, Reply, Sampling
from deepsport.records import Episode, Frame, Question, StopReason, ToolCall, Turn, Usage, Window
from deepsport.video.sample import uniform
from deepsport.video.source import FrameSource, Stamp, VideoInfo

OnTurn = Callable[[Turn], None]


class Limits(Config):
    """The size of an episode."""

    first_frames: int = Field(default=8, ge=0)
    """Sparse frames at the start (F1 of the paper). None and no tool: the video is not opened, the question is asked blind."""
    frames_per_call: int = Field(default=8, ge=2)
    """Frames that one tool call brings at most. A window shows both its ends, so 2 is the least."""
    max_turns: int = Field(default=5, ge=1)
    """Replies, the answer included."""
    style: PromptStyle = PromptStyle.FULL
    """How much the opening explains."""


async def run_episode(
    question: Question,
    policy: Policy,
    source: FrameSource,
    *,
    limits: Limits,
    sampling: Sampling,
    with_tool: bool = True,
    on_turn: OnTurn | None = None,
    episode_id: str | None = None,
    brought: Sequence[int] = (),
) -> Episode:
    """Runs one episode to its end; `brought` are frames that come with the opening as if the policy had asked for them.

    Raises only what is not the sample's fault (cancellation, bugs)."""
    started = time.monotonic()
    session = policy.session(sampling)
    play = _Play(question=question, source=source, limits=limits, with_tool=with_tool, on_turn=on_turn, brought=brought)
    try:
        messages = await play.open()
        while play.stop is None:
            messages = await play.act(await session.reply(messages))
    except (PolicyError, BadVideo) as error:
        play.stop, play.detail = _stop_of(error), str(error)
    seconds = time.monotonic() - started
    return Episode(
        id=episode_id or f"{question.id}/{sampling.seed}",
        question=question,
        policy=policy.name,
        seed=sampling.seed,
        with_tool=with_tool,
        first_frames=play.first_frames,
        turns=tuple(play.turns),
        answer=play.turns[-1].answer if play.turns else None,
        stop=play.stop,
        detail=play.detail,
        tokens=session.tokens(),
        usage=Usage(prompt_tokens=play.prompt_tokens, reply_tokens=play.reply_tokens, seconds=seconds),
    )


@dataclass(slots=True, kw_only=True)
class _Play:
    """One episode under way: its rules, and what has happened so far."""

    question: Question
    source: FrameSource
    limits: Limits
    with_tool: bool
    on_turn: OnTurn | None
    brought: Sequence[int] = ()
    n_frames: int = 0
    """Of the video; known once it is open."""
    opened: Stamp | None = None
    """The state of the video at the opening: another episode may open it anew after it was replaced."""
    first_frames: tuple[Frame, ...] = ()
    turns: list[Turn] = field(default_factory=list[Turn])
    windows: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    """Asked for so far, refused ones included."""
    prompt_tokens: int = 0
    reply_tokens: int = 0
    stop: StopReason | None = None
    detail: str = ""

    async def open(self) -> list[Message]:
        """Probes the video and shows the sparse frames. Raises BadVideo."""
        info, images = None, list[Image]()
        if self.limits.first_frames or self.brought or self.with_tool:
            info, images = await asyncio.to_thread(self._first_look)
            self.n_frames, self.first_frames = info.n_frames, _frames(images)
        messages = opening(
            self.question,
            info,
            images,
            style=self.limits.style,
            with_tool=self.with_tool,
            frames_per_call=self.limits.frames_per_call,
            max_turns=self.limits.max_turns,
        )
        return await self._bring(messages) if self.brought else messages

    async def _bring(self, messages: list[Message]) -> list[Message]:
        """Frames behind the opening, in one message with it: some servers take no two in a row from one side."""
        images = await asyncio.to_thread(self._look, self.brought)
        self.first_frames += _frames(images)
        result = tool_result(self.question, images, style=self.limits.style, turns_left=self.turns_left)
        return [*messages[:-1], Message("user", (*messages[-1].parts, "\n", *result.parts))]

    async def act(self, reply: Reply) -> list[Message]:
        """Carries out one reply and returns what the policy is told next: nothing if the episode has stopped. Raises BadVideo."""
        self.prompt_tokens += reply.prompt_tokens
        self.reply_tokens += reply.reply_tokens
        text = _recordable(reply.text)
        if reply.cut_off:
            return self._end(Turn(text=text), StopReason.MAX_TOKENS, "the reply ran into its token limit")
        match parse(text):
            case Malformed(reason):
                return self._end(Turn(text=text), StopReason.FORMAT_ERROR, reason)
            case Answer(thought, answer):
                return self._end(Turn(text=text, thought=thought, answer=answer), StopReason.ANSWERED)
            case ChooseFrames(thought, start, end):
                call = ToolCall(start_index=start, end_index=end)
                return await self._call(call, Turn(text=text, thought=thought, call=call))

    async def _call(self, call: ToolCall, turn: Turn) -> list[Message]:
        window = (call.start_index, call.end_index)
        if not self.with_tool:
            return self._end(turn, StopReason.FORMAT_ERROR, "no tool is offered")
        if window in self.windows:
            return self._end(turn, StopReason.FORMAT_ERROR, "this window was asked for before")
        if self.turns_left == 1:  # frames that nobody will look at are not brought: an episode records what was *shown*
            return self._end(turn, StopReason.MAX_TURNS, f"no answer within {self.limits.max_turns} turns")
        self.windows.add(window)
        indices = choose_frames(*window, n_frames=self.n_frames, k=self.limits.frames_per_call)
        if isinstance(indices, Refused):
            self._add(turn.model_copy(update={"note": indices.reason}))
            return [refusal(indices.reason, style=self.limits.style, turns_left=self.turns_left)]
        images = await asyncio.to_thread(self._look, indices)
        self._add(_shown(turn, call, _frames(images)))
        return [tool_result(self.question, images, style=self.limits.style, turns_left=self.turns_left)]

    def _first_look(self) -> tuple[VideoInfo, list[Image]]:
        """Runs in a thread, like `_look`: decoding takes CPU time, and the event loop is for waiting."""
        info = self.source.info(self.question.video)
        self.opened = self.source.state(self.question.video)
        n_shown = self.limits.first_frames
        return info, self._look(uniform(info.n_frames, n_shown)) if n_shown else []

    def _look(self, indices: Sequence[int]) -> list[Image]:
        video = self.question.video
        shown = self.source.look(video, indices)
        if self.source.state(video) != self.opened:
            raise BadVideo(f"{video} was replaced after it was opened. Ask the question again; frame indices may have changed.")
        return [Image(Frame(video=video, index=each.index, time_s=each.time_s), each.pixels) for each in shown]

    @property
    def turns_left(self) -> int:
        """Replies that the policy may still give."""
        return self.limits.max_turns - len(self.turns)

    def _add(self, turn: Turn) -> None:
        """Records a turn and shows it to whoever watches."""
        self.turns.append(turn)
        if self.on_turn:
            self.on_turn(turn)

    def _end(self, turn: Turn, stop: StopReason, why: str = "") -> list[Message]:
        self._add(turn.model_copy(update={"note": why}))
        self.stop, self.detail = stop, why
        return []


def _stop_of(error: PolicyError | BadVideo) -> StopReason:
    match error:
        case ContextOverflow():
            return StopReason.CONTEXT_OVERFLOW
        case PolicyError():
            return StopReason.POLICY_ERROR
        case BadVideo():
            return StopReason.VIDEO_ERROR


def _frames(images: Sequence[Image]) -> tuple[Frame, ...]:
    return tuple(image.frame for image in images)


def _shown(turn: Turn, call: ToolCall, frames: tuple[Frame, ...]) -> Turn:
    """A turn whose call was accepted: with the frames it brought, the first and the last of which are the ends of the window."""
    window = Window(start_s=frames[0].time_s, end_s=frames[-1].time_s)
    return turn.model_copy(update={"call": call.model_copy(update={"window": window}), "frames": frames})


def _recordable(text: str) -> str:
    """Text that can be written as UTF-8: half a surrogate pair, which only a broken server sends, becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")
