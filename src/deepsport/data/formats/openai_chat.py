"""OpenAI chat messages, one conversation a line: what a chat completion request holds, images by reference.

A call is a `tool_calls` entry with its arguments as JSON text, the thought before it is the content. The last reply stays in the
agent's own words, `<think>...</think><answer>...</answer>`: the chat has no place for a thought beside an answer, and a model
that is trained on it says what this package reads.
"""

import json
from collections.abc import Sequence
from itertools import count

from pydantic import JsonValue

from deepsport.data.formats.line import Line, Row, results_apart
from deepsport.data.formats.origin import write_origin
from deepsport.data.formats.script import Format, Script


def openai_row(script: Script) -> Row:
    """One line of the file."""
    tools: Row = {"tools": script.tools} if script.tools else {}
    return {"messages": _messages(script.lines), **tools, "metadata": write_origin(script.origin)}


def _messages(lines: Sequence[Line]) -> list[JsonValue]:
    ids = (f"call_{number}" for number in count())
    messages: list[JsonValue] = []
    waiting = ""
    for line in results_apart(lines):
        message: Row = {"role": line.role, "content": _content(line)}
        if line.calls:
            waiting = next(ids)
            message["tool_calls"] = [_call(line, waiting)]
        elif line.role == "tool":
            message = {"role": "tool", "tool_call_id": waiting, "content": line.text}
        messages.append(message)
    return messages


def _content(line: Line) -> JsonValue:
    """Text alone is a plain string, which every server reads."""
    if not line.urls:
        return line.text
    return [
        {"type": "text", "text": part} if isinstance(part, str) else {"type": "image_url", "image_url": {"url": part.url}}
        for part in line.parts
    ]


def _call(line: Line, call_id: str) -> JsonValue:
    (call,) = line.calls
    arguments = json.dumps(call.arguments, separators=(",", ":"))
    return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


FORMAT = Format(title="OpenAI chat messages with image parts by reference", row=openai_row)
