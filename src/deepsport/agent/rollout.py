"""One question -> one episode: show frames, let the policy act, bring what it asks for, until a stop reason holds.

A bad sample is data: a policy or a video that fails ends its own episode with a stop reason and a detail, never the loop around
it. Episodes run concurrently as coroutines; each waits only for its own policy session and its own frames.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from deepsport.agent.grammar import Answer, ChooseFrames, Malformed, parse
from deepsport.agent.prompt import PromptStyle, opening, refusal, tool_result
from deepsport.agent.tool import Refused, choose_frames
from deepsport.config import Config
from deepsport.errors import BadVideo, ContextOverflow, PolicyError
from deepsport.policy.base import Image, Message, Policy, Reply, Sampling
from deepsport.records import Episode, Frame, Question, StopReason, ToolCall, Turn, Usage, Window
from deepsport.video.sample import uniform
from deepsport.video.source import FrameSource

OnTurn = Callable[[Turn], None]


class Limits(Config):
    """The size of an episode."""

    first_frames: int = 8
    """Sparse frames at the start (F1 of the paper)."""
    frames_per_call: int = 8
    """Frames that one tool call brings at most."""
    max_turns: int = 5
    """Replies, the answer included."""
    style: PromptStyle = PromptStyle.FULL
    """How much the opening explains."""


@dataclass(slots=True)
class _Trace:
    """What has happened so far in one episode."""

    first_frames: tuple[Frame, ...] = ()
    turns: list[Turn] = field(default_factory=list[Turn])
    windows: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    prompt_tokens: int = 0
    reply_tokens: int = 0
    on_turn: OnTurn | None = None

    def add(self, turn: Turn) -> None:
        """Records a turn and shows it to whoever watches."""
        self.turns.append(turn)
        if self.on_turn:
            self.on_turn(turn)


class _Stop(Exception):  # noqa: N818 (control flow inside this file: ends the loop from any depth)
    def __init__(self, reason: StopReason, detail: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


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
) -> Episode:
    """Runs one episode to its end. Raises only what is not the sample's fault (cancellation, bugs)."""
    started = time.monotonic()
    trace = _Trace(on_turn=on_turn)
    session = policy.session(sampling)
    try:
        messages = await _open(question, source, trace, limits, with_tool)
        while True:
            reply = await session.reply(messages)
            messages = await _act(reply, question, source, trace, limits, with_tool)
    except _Stop as reached:
        stop = reached
    except ContextOverflow as error:
        stop = _Stop(StopReason.CONTEXT_OVERFLOW, str(error))
    except PolicyError as error:
        stop = _Stop(StopReason.POLICY_ERROR, str(error))
    except BadVideo as error:
        stop = _Stop(StopReason.VIDEO_ERROR, str(error))
    usage = Usage(prompt_tokens=trace.prompt_tokens, reply_tokens=trace.reply_tokens, seconds=time.monotonic() - started)
    return Episode(
        id=episode_id or f"{question.id}/{sampling.seed}",
        question=question,
        policy=policy.name,
        seed=sampling.seed,
        with_tool=with_tool,
        first_frames=trace.first_frames,
        turns=tuple(trace.turns),
        answer=trace.turns[-1].answer if trace.turns else None,
        stop=stop.reason,
        detail=stop.detail,
        tokens=session.tokens(),
        usage=usage,
    )


async def _open(question: Question, source: FrameSource, trace: _Trace, limits: Limits, with_tool: bool) -> list[Message]:
    info = await asyncio.to_thread(source.info, question.video)
    images = await _look(source, question.video, uniform(info.n_frames, limits.first_frames))
    trace.first_frames = tuple(image.frame for image in images)
    return opening(
        question,
        info,
        images,
        style=limits.style,
        with_tool=with_tool,
        frames_per_call=limits.frames_per_call,
        max_turns=limits.max_turns,
    )


async def _look(source: FrameSource, video: str, indices: Sequence[int]) -> list[Image]:
    def decode() -> list[Image]:
        pixels, times_s = source.frames(video, indices), source.times(video, indices)
        return [Image(Frame(video=video, index=i, time_s=t), p) for i, t, p in zip(indices, times_s, pixels, strict=True)]

    return await asyncio.to_thread(decode)


async def _act(
    reply: Reply, question: Question, source: FrameSource, trace: _Trace, limits: Limits, with_tool: bool
) -> list[Message]:
    """Carries out one reply; returns what the policy is told next, or raises _Stop."""
    trace.prompt_tokens += reply.prompt_tokens
    trace.reply_tokens += reply.reply_tokens
    action = parse(reply.text)
    if reply.cut_off:
        _fail(trace, Turn(text=reply.text, note="the reply ran into its token limit"), StopReason.MAX_TOKENS)
    if isinstance(action, Malformed):
        _fail(trace, Turn(text=reply.text, note=action.reason), StopReason.FORMAT_ERROR)
    if isinstance(action, Answer):
        trace.add(Turn(text=reply.text, thought=action.thought, answer=action.answer))
        raise _Stop(StopReason.ANSWERED)
    return await _call(action, reply.text, question, source, trace, limits, with_tool)


async def _call(
    action: ChooseFrames, text: str, question: Question, source: FrameSource, trace: _Trace, limits: Limits, with_tool: bool
) -> list[Message]:
    call = ToolCall(start_index=action.start_index, end_index=action.end_index)
    turn = Turn(text=text, thought=action.thought, call=call)
    if not with_tool:
        _fail(trace, turn.model_copy(update={"note": "no tool is offered"}), StopReason.FORMAT_ERROR)
    if (call.start_index, call.end_index) in trace.windows:
        _fail(trace, turn.model_copy(update={"note": "this window was asked for before"}), StopReason.FORMAT_ERROR)
    trace.windows.add((call.start_index, call.end_index))
    turns_left = limits.max_turns - len(trace.turns) - 1
    info = await asyncio.to_thread(source.info, question.video)
    indices = choose_frames(call.start_index, call.end_index, n_frames=info.n_frames, k=limits.frames_per_call)
    if isinstance(indices, Refused):
        turn = turn.model_copy(update={"note": indices.reason})
        message = refusal(indices.reason, style=limits.style, turns_left=turns_left)
    else:
        images = await _look(source, question.video, indices)
        frames = tuple(image.frame for image in images)
        window = Window(start_s=max(0.0, frames[0].time_s), end_s=max(0.0, frames[-1].time_s))
        turn = turn.model_copy(update={"call": call.model_copy(update={"window": window}), "frames": frames})
        message = tool_result(images, style=limits.style, turns_left=turns_left)
    trace.add(turn)
    if turns_left == 0:
        raise _Stop(StopReason.MAX_TURNS, f"no answer within {limits.max_turns} turns")
    return [message]


def _fail(trace: _Trace, turn: Turn, reason: StopReason) -> NoReturn:
    trace.add(turn)
    raise _Stop(reason, turn.note)
