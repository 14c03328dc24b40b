"""ShareGPT conversations, as LLaMA-Factory reads them, and those of LLaVA, written and read.

    sharegpt  human, gpt, function_call (thought, then the call as JSON), observation; `system`, `tools`, `images`
    llava     human and gpt only, calls in the text, the rules before the first question; `id`, `image`

Images are `<image>` within the text, in order. LLaMA-Factory wants what is told and what is said by turns, so a result is one
observation, and the tools as JSON text.
"""

import json
import re
from typing import cast

from pydantic import BaseModel, JsonValue, ValidationError

from deepsport.data.formats.chat_rows import Images, layout_fault, parse_json
from deepsport.data.formats.line import Call, Line, Role, Row
from deepsport.data.formats.origin import write_origin
from deepsport.data.formats.script import Format, Script, require_as_many
from deepsport.errors import BadRecord

MARK = "<image>"

_FROM: dict[str, str] = {"user": "human", "assistant": "gpt", "tool": "observation"}
_ROLES: dict[str, Role] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "tool": "tool",
    "system": "system",
}
_THOUGHT = re.compile(r"\s*(<think>.*?</think>)?(.*)", re.DOTALL)


def sharegpt_row(script: Script) -> Row:
    """One line of the file."""
    conversations: list[JsonValue] = [_said(line) for line in script.lines if line.role != "system"]
    functions = [cast(Row, tool)["function"] for tool in script.tools]
    return {
        "conversations": conversations,
        "system": "\n".join(line.text for line in script.lines if line.role == "system"),
        "tools": json.dumps(functions) if functions else "",
        "images": _counted(conversations, script.urls),
        "metadata": write_origin(script.origin),
    }


def llava_row(script: Script) -> Row:
    """One line of the file."""
    rules = "".join(f"{line.text}\n" for line in script.lines if line.role == "system")
    spoken = [line for line in script.lines if line.role != "system"]
    conversations: list[JsonValue] = [_said(line, rules if place == 0 else "") for place, line in enumerate(spoken)]
    images = _counted(conversations, script.urls)
    origin = script.origin
    return {"id": origin.episode, "image": images, "conversations": conversations, "metadata": write_origin(origin)}


def _said(line: Line, before: str = "") -> Row:
    value = before + line.marked(MARK)
    if line.calls:
        (call,) = line.calls
        return {"from": "function_call", "value": value + json.dumps({"name": call.name, "arguments": call.arguments})}
    return {"from": _FROM[line.role], "value": value}


def _counted(conversations: list[JsonValue], urls: list[str]) -> list[JsonValue]:
    """The images. Raises ValueError if the text has more or fewer places for them."""
    require_as_many(sum(str(cast(Row, line)["value"]).count(MARK) for line in conversations), len(urls))
    return [*urls]


class _Said(BaseModel):
    value: str
    role: str

    @classmethod
    def of(cls, fields: JsonValue) -> "_Said":
        """`from` is a word of Python's."""
        if not isinstance(fields, dict):
            raise BadRecord("a message that is no object")
        try:
            return cls(role=cast(str, fields.get("from")), value=cast(str, fields.get("value")))
        except ValidationError as error:
            raise layout_fault(error) from None


def sharegpt_lines(row: Row) -> tuple[Line, ...]:
    """The lines of a row of either kind. Raises BadRecord."""
    said = row.get("conversations")
    if not isinstance(said, list):
        raise BadRecord("no list of conversations")
    given = next((row[key] for key in ("images", "image") if row.get(key) is not None), None)
    images = Images(given if given is not None else [])
    system = row.get("system")
    lines = [Line(role="system", parts=(system,))] if isinstance(system, str) and system else []
    lines += [_line(_Said.of(message), images) for message in said]
    images.require_used_up()
    return tuple(lines)


def _line(said: _Said, images: Images) -> Line:
    role = _ROLES.get(said.role)
    if role is None:
        raise BadRecord("a message of an unknown role")
    if said.role != "function_call":
        return Line(role=role, parts=images.placed(said.value))
    found = _THOUGHT.fullmatch(said.value)
    thought, call = found.groups() if found else ("", said.value)
    return Line(role=role, parts=(thought or "",), calls=_calls(call))


def _calls(text: str) -> tuple[Call, ...]:
    """One call, or a list of calls made at once. Raises BadRecord."""
    value = parse_json(text)
    calls = value if isinstance(value, list) else [value]
    if not calls or not all(isinstance(call, dict) for call in calls):
        raise BadRecord("a call that is no object")
    return tuple(Call(str(call.get("name")), call.get("arguments")) for call in cast(list[Row], calls))


SHAREGPT = Format(title="ShareGPT conversations with function calls (LLaMA-Factory)", row=sharegpt_row, marked=True)
LLAVA = Format(title="LLaVA conversations, calls in the text", row=llava_row, marked=True, text_only=True)
