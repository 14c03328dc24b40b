"""What the policy is shown: the opening of an episode and the result of a tool call.

Each image follows the text `frame {index} ({seconds:.2f}s):`. Two styles: `full` explains the rules to a model that has never
seen them; `brief` only says whether the tool is offered, for a policy that learnt the rules in training (a third of the tokens).
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from deepsport.agent.grammar import TOOL_NAME, write_answer, write_call
from deepsport.policy.base import Image, Message, Part
from deepsport.records import Question
from deepsport.video.probe import VideoInfo

_ANSWER_FORM = write_answer("what you saw", "the answer")
_CLOSE = "An answer to a question with options is one of the options, word for word; otherwise it is short."
_ANSWER_ONLY = f"Reply with one thought and the answer, and nothing else, in this form:\n{_ANSWER_FORM}\n{_CLOSE}"
_BLIND_RULES = (
    "You answer questions about a sports video that you are not shown. Give the answer that is most likely, even if it is a "
    f"guess. {_ANSWER_ONLY}"
)


class PromptStyle(StrEnum):
    """How much the opening explains."""

    FULL = "full"
    BRIEF = "brief"


def opening(
    question: Question,
    video: VideoInfo | None,
    images: Sequence[Image],
    *,
    style: PromptStyle,
    with_tool: bool,
    frames_per_call: int,
    max_turns: int,
) -> list[Message]:
    """The first messages; the brief style's one line of rules stands last, where it is read best.

    Without a video the question stands alone, as it does for who is to answer blind."""
    parts = (*_head(question, video), *labelled(images), f"Question: {question.text}")
    if style is PromptStyle.BRIEF:
        return [Message("user", (*parts, f"\ntool: {TOOL_NAME if with_tool else 'none'}"))]
    rules = _rules(with_tool, frames_per_call, max_turns) if video else _BLIND_RULES
    return [Message("system", (rules,)), Message("user", parts)]


def tool_result(question: Question, images: Sequence[Image], *, style: PromptStyle, turns_left: int) -> Message:
    """The user message that brings the frames of a call, and the question again: by now it stands far back."""
    return Message("user", (*labelled(images), f"Question: {question.text}", *_hurry(style, turns_left)))


def refusal(reason: str, *, style: PromptStyle, turns_left: int) -> Message:
    """The user message that says why a call brought nothing."""
    return Message("user", (reason, *_hurry(style, turns_left)))


def labelled(images: Iterable[Image]) -> list[Part]:
    """Images, each behind its index and time."""
    parts: list[Part] = []
    for image in images:
        parts += [f"frame {image.frame.index} ({image.frame.time_s:.2f}s):", image, "\n"]
    return parts


def with_options(question: str, options: Sequence[str]) -> str:
    """A closed question as it is put: its text and what may be answered, told apart even if an option holds a comma."""
    between = "; " if any("," in option for option in options) else ", "
    return f"{question} Options: {between.join(options)}."


def _hurry(style: PromptStyle, turns_left: int) -> list[Part]:
    return ["\nThis is your last turn: answer now."] if style is PromptStyle.FULL and turns_left == 1 else []


def _head(question: Question, video: VideoInfo | None) -> list[Part]:
    if video is None:
        return []
    sport = f"{question.sport.replace('_', ' ')}, " if question.sport else ""
    return [f"Video: {sport}{video.n_frames} frames, {video.duration_s:.2f} s.\n"]


def _rules(with_tool: bool, frames_per_call: int, max_turns: int) -> str:
    call, answer = write_call("what you see and what you need to see", 40, 55), _ANSWER_FORM
    look = "You answer questions about a sports video. You are shown a few frames, spread evenly over the whole video. "
    if not with_tool:
        return f"{look}{_ANSWER_ONLY}"
    return (
        f"{look}What matters may happen between them: you can look again.\n"
        f"Reply with one thought and one action, and nothing else, in one of these forms:\n{call}\n{answer}\n"
        f"The first calls the tool {TOOL_NAME}: it shows up to {frames_per_call} frames spread evenly from the first to the last "
        "frame of the range, both included. Frame indices are the numbers printed before the images. Zoom in step by step: first "
        "the gap in which the event must lie, then, if need be, a part of it; a range of "
        f"{frames_per_call} frames shows every frame. Never ask for the same range twice. You have {max_turns} turns, and the "
        f"last must be the answer; answer as soon as you have seen enough.\n{_CLOSE}"
    )
