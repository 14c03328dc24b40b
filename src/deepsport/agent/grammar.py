"""The grammar of a reply: one thought, then one action.

    <think>...</think><tool_call>{"action":"choose_frames","frame_range":[start,end]}</tool_call>
    <think>...</think><answer>...</answer>

One strict reader for every policy. Besides the canonical form, which is the only one ever written, it reads the spellings that
other models are known to use: the tag `<tool call>`, a body `frame extraction tool(start, end)`, and `{"name", "arguments"}`.
Everything else is `Malformed`, with a reason that tells the writer what to mend.
"""

import json
import re
from dataclasses import dataclass
from typing import Final, NoReturn, cast

TOOL_NAME: Final = "choose_frames"
MAX_REPLY_CHARS: Final = 100_000
MAX_CALL_CHARS: Final = 1_000
"""A call needs 60; the bound keeps hostile JSON away from the parser."""

_REPLY = re.compile(r"<think>(?P<thought>.*?)</think>\s*<(?P<tag>tool_call|answer)>(?P<body>.*)</(?P=tag)>", re.DOTALL)
_TAG = re.compile(r"</?\s*(?:think|answer|tool[_ ]call)\s*>", re.IGNORECASE)
_FUNCTION = re.compile(r"(?:frame[ _]extraction[ _]tool|choose_frames)\(\s*(-?\d{1,18})\s*,\s*(-?\d{1,18})\s*\)")


@dataclass(frozen=True, slots=True)
class ChooseFrames:
    """A request for frames from `start_index` to `end_index`, both included; not yet checked against the video."""

    thought: str
    start_index: int
    end_index: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of the episode."""

    thought: str
    answer: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """A reply outside the grammar."""

    reason: str


Action = ChooseFrames | Answer | Malformed


def parse(text: str) -> Action:
    """Reads one reply. Never raises."""
    if len(text) > MAX_REPLY_CHARS:
        return Malformed(f"the reply has {len(text)} characters, more than {MAX_REPLY_CHARS}")
    text = text.strip().replace("<tool call>", "<tool_call>").replace("</tool call>", "</tool_call>")
    match = _REPLY.fullmatch(text)
    if match is None:
        return Malformed(_what_is_missing(text))
    thought, body = match["thought"].strip(), match["body"].strip()
    if _TAG.search(thought) or _TAG.search(body):
        return Malformed("a reply holds one thought and one action, and no further tags")
    if match["tag"] == "answer":
        return Answer(thought, body) if body else Malformed("the answer is empty")
    return _read_call(thought, body)


def write_call(thought: str, start_index: int, end_index: int) -> str:
    """The canonical text of a tool call."""
    call = f'{{"action":"{TOOL_NAME}","frame_range":[{start_index},{end_index}]}}'
    return f"<think>{thought}</think><tool_call>{call}</tool_call>"


def write_answer(thought: str, answer: str) -> str:
    """The canonical text of an answer."""
    return f"<think>{thought}</think><answer>{answer}</answer>"


def _what_is_missing(text: str) -> str:
    if not text:
        return "the reply is empty"
    if not text.startswith("<think>"):
        return "the reply does not start with <think>"
    if "</think>" not in text:
        return "<think> is not closed"
    for tag in ("tool_call", "answer"):
        if f"<{tag}>" in text:
            return f"<{tag}> is not closed, or text follows it" if not text.endswith(f"</{tag}>") else "the reply is out of order"
    return "no <tool_call> or <answer> follows the thought"


def _read_call(thought: str, body: str) -> ChooseFrames | Malformed:
    if len(body) > MAX_CALL_CHARS:
        return Malformed(f"the call has {len(body)} characters, more than {MAX_CALL_CHARS}")
    if function := _FUNCTION.fullmatch(body):
        return ChooseFrames(thought, int(function[1]), int(function[2]))
    try:
        call: object = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return Malformed("the call is not JSON")
    frame_range = _frame_range(call)
    if isinstance(frame_range, Malformed):
        return frame_range
    return ChooseFrames(thought, *frame_range)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _frame_range(call: object) -> tuple[int, int] | Malformed:
    if not isinstance(call, dict):
        return Malformed("the call is not a JSON object")
    fields = cast(dict[str, object], call)
    if set(fields) == {"name", "arguments"} and isinstance(fields["arguments"], dict):
        fields = {"action": fields["name"], **cast(dict[str, object], fields["arguments"])}
    if set(fields) != {"action", "frame_range"}:
        return Malformed(f'the call needs exactly the keys "action" and "frame_range", not {sorted(fields)}')
    if fields["action"] != TOOL_NAME:
        return Malformed(f'unknown tool {str(fields["action"])[:40]!r}; the only tool is "{TOOL_NAME}"')
    return _two_indices(fields["frame_range"])


def _two_indices(frame_range: object) -> tuple[int, int] | Malformed:
    if not isinstance(frame_range, list) or len(cast(list[object], frame_range)) != 2:
        return Malformed('"frame_range" is not a list of two frame indices')
    start, end = cast(list[object], frame_range)
    if type(start) is not int or type(end) is not int:  # bool is an int, and 3.2 is likely a time
        return Malformed('"frame_range" takes frame indices, which are whole numbers, not times')
    return start, end
