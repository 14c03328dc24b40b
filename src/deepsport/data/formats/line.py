"""A conversation as lines of a chat: what every layout is written from, and read into.

A call that was carried out or refused is either native (a function call, its result under the role `tool`) or text (the agent's
grammar, its result a message of the user). The last reply is always its text to the letter: nothing answers it, and a function
call without a result is no valid chat.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from pydantic import JsonValue

from deepsport.agent.grammar import TOOL_NAME
from deepsport.data.formats.conversation import Conversation, Exchange
from deepsport.policy.base import Message
from deepsport.policy.openai.wire import FRAMES_FOLLOW
from deepsport.records import Frame, Turn

Row = dict[str, JsonValue]
"""One line of an export."""

Role = Literal["system", "user", "assistant", "tool"]

CONTROL = re.compile(r"<\|[^|<>\s]{1,40}\|>")
"""Tokens that steer a chat template; within a text they would steer somebody's trainer."""
MARK = re.compile(r"<(?:image|video|audio)>")
"""Placeholders of the layouts that keep images beside the text."""


class Calls(StrEnum):
    """How tool calls are written."""

    NATIVE = "native"
    """As function calls, for templates that know them."""
    TEXT = "text"
    """As the agent's grammar has them, for templates that pass function calls over, such as that of Qwen2.5-VL."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image by reference."""

    url: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function call; its arguments are an object, or whatever stood in their place."""

    name: str
    arguments: JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One message: texts and images in order, and the functions that it calls."""

    role: Role
    parts: tuple[str | Picture, ...]
    calls: tuple[Call, ...] = ()

    @property
    def text(self) -> str:
        """The texts, images left out."""
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def urls(self) -> tuple[str, ...]:
        """The images, in order."""
        return tuple(part.url for part in self.parts if isinstance(part, Picture))

    def marked(self, mark: str) -> str:
        """The texts with a placeholder for every image."""
        return "".join(part if isinstance(part, str) else mark for part in self.parts)


def lines_of(conversation: Conversation, calls: Calls, refer: Callable[[Frame], str]) -> tuple[Line, ...]:
    """The lines of a conversation; `refer` says how a frame is named."""
    last = len(conversation.exchanges) - 1
    lines: list[Line] = []
    for number, exchange in enumerate(conversation.exchanges):
        is_result = number > 0 and calls is Calls.NATIVE
        lines += (_told(message, "tool" if is_result else message.role, refer) for message in exchange.told)
        lines.append(_said(exchange, native=calls is Calls.NATIVE and number < last))
    return tuple(lines)


def told_lines(messages: Sequence[Message], refer: Callable[[Frame], str]) -> tuple[Line, ...]:
    """Messages of the environment as lines."""
    return tuple(_told(message, message.role, refer) for message in messages)


def results_apart(lines: Sequence[Line]) -> Iterator[Line]:
    """Results that bring images in two lines, as most servers and templates take no image under the role `tool`."""
    for line in lines:
        if line.role == "tool" and line.urls:
            yield Line(role="tool", parts=(FRAMES_FOLLOW,))
            yield replace(line, role="user")
        else:
            yield line


def all_urls(lines: Sequence[Line]) -> list[str]:
    """The images of all lines, in order."""
    return [url for line in lines for url in line.urls]


def unsafe(lines: Sequence[Line], *, marked: bool) -> str | None:
    """Why a text cannot stand in a layout, None if all can; `marked`: images are placeholders within the text."""
    texts = [line.text for line in lines]
    if any(CONTROL.search(text) for text in texts):
        return "a control token such as <|im_end|> in its text"
    if marked and any(MARK.search(text) for text in texts):
        return "a placeholder such as <image> in its text"
    return None


def _told(message: Message, role: Role, refer: Callable[[Frame], str]) -> Line:
    parts: list[str | Picture] = []
    for part in message.parts:
        if not isinstance(part, str):
            parts.append(Picture(refer(part.frame)))
        elif parts and isinstance(parts[-1], str):
            parts[-1] += part
        else:
            parts.append(part)
    return Line(role=role, parts=tuple(parts))


def _said(exchange: Exchange, *, native: bool) -> Line:
    turn = exchange.turn
    if not native or turn.call is None:
        return Line(role="assistant", parts=(turn.text,))
    return Line(role="assistant", parts=(f"<think>{turn.thought}</think>",), calls=(_call(turn),))


def _call(turn: Turn) -> Call:
    assert turn.call is not None
    return Call(TOOL_NAME, {"frame_range": [turn.call.start_index, turn.call.end_index]})
