"""The grammar of a reply: one thought, then one action.

    <think>...</think><tool_call>{"action":"choose_frames","frame_range":[start,end]}</tool_call>
    <think>...</think><answer>...</answer>

One strict reader for every policy. Besides the canonical form, which is the only one ever written, it reads the spellings that
other models are known to use: the tag `<tool call>`, a body `frame extraction tool(start, end)`, and `{"name", "arguments"}`.
Everything else is `Malformed`, with a reason that tells the writer what to mend. The text is hostile until read: every step is
linear in its length.
"""

import json
import re
from dataclasses import dataclass
from typing import Final, cast

TOOL_NAME: Final = "choose_frames"
MAX_REPLY_CHARS: Final = 100_000
MAX_CALL_CHARS: Final = 1_000
"""A call needs 60; the bound keeps hostile JSON away from the parser."""

MAX_INDEX: Final = 10**18
"""Beyond any video, and still an integer of 64 bits wherever a record goes."""

_ACTION = re.compile(r"<(?P<tag>tool_call|answer)>(?P<body>.*)</(?P=tag)>", re.DOTALL)
_TAG = re.compile(r"</?\s*(?:think|answer|tool[_ ]call)\b[^<>]*>", re.IGNORECASE)
_FUNCTION = re.compile(r"(?:frame[ _]extraction[ _]tool|choose_frames)\((?P<arguments>.*)\)", re.DOTALL)


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
    if not text.startswith("<think>"):
        return Malformed("the reply does not start with <think>" if text else "the reply is empty")
    thought, closed, rest = text.removeprefix("<think>").partition("</think>")
    if not closed:
        return Malformed("<think> is not closed")
    return _read_action(thought.strip(), rest.strip())


def write_call(thought: str, start_index: int, end_index: int) -> str:
    """The canonical text of a tool call."""
    call = f'{{"action":"{TOOL_NAME}","frame_range":[{start_index},{end_index}]}}'
    return f"<think>{thought}</think><tool_call>{call}</tool_call>"


def write_answer(thought: str, answer: str) -> str:
    """The canonical text of an answer."""
    return f"<think>{thought}</think><answer>{answer}</answer>"


def _read_action(thought: str, rest: str) -> Action:
    action = _ACTION.fullmatch(rest)
    if action is None:
        return Malformed(_what_is_wrong(rest))
    body = action["body"].strip()
    if _TAG.search(thought) or _TAG.search(body):
        return Malformed("a reply holds one thought and one action, and no further tags")
    if action["tag"] == "answer":
        return Answer(thought, body) if body else Malformed("the answer is empty")
    return _read_call(thought, body)


def _what_is_wrong(rest: str) -> str:
    """Why what stands behind the thought is no action."""
    for tag in ("tool_call", "answer"):
        if rest.startswith(f"<{tag}>"):
            return f"text follows </{tag}>" if f"</{tag}>" in rest else f"<{tag}> is not closed"
    return "no <tool_call> or <answer> follows the thought"


def _read_call(thought: str, body: str) -> ChooseFrames | Malformed:
    if len(body) > MAX_CALL_CHARS:
        return Malformed(f"the call has {len(body)} characters, more than {MAX_CALL_CHARS}")
    function = _FUNCTION.fullmatch(body)
    try:
        call: object = json.loads(f"[{function['arguments']}]" if function else body, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        return Malformed(f"the call is not JSON: {error}")
    frame_range = _two_indices(call) if function else _frame_range(call)
    return frame_range if isinstance(frame_range, Malformed) else ChooseFrames(thought, *frame_range)


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON; of two values under one key nobody knows which is meant. Raises ValueError."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a key stands in it twice")
    return fields


def _frame_range(call: object) -> tuple[int, int] | Malformed:
    if not isinstance(call, dict):
        return Malformed("the call is not a JSON object")
    fields = cast(dict[str, object], call)
    arguments = fields.get("arguments")
    if set(fields) == {"name", "arguments"} and isinstance(arguments, dict) and "action" not in arguments:
        fields = {"action": fields["name"], **cast(dict[str, object], arguments)}
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
    if max(abs(start), abs(end)) >= MAX_INDEX:
        return Malformed('"frame_range" takes frame indices, and no video has that many frames')
    return start, end
