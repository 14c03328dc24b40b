"""TRL's conversational layout with images and tools: `messages`, `images`, `tools`.

Every content is a list of parts, and an image part says only that an image stands there: columns of a table have one type, and a
key that one part has and another has not would come back as a null that chat templates take for an image. Arguments of a call
are an object, as templates print them.
"""

from pydantic import JsonValue

from deepsport.data.formats.line import Line, Row, results_apart
from deepsport.data.formats.origin import write_origin
from deepsport.data.formats.script import Format, Script, require_as_many


def trl_row(script: Script) -> Row:
    """One line of the file."""
    lines = list(results_apart(script.lines))
    images: list[JsonValue] = [*script.urls]
    require_as_many(sum(not isinstance(part, str) for line in lines for part in line.parts), len(images))
    messages: list[JsonValue] = [_message(line) for line in lines]
    return {"messages": messages, "images": images, "tools": script.tools, "metadata": write_origin(script.origin)}


def _message(line: Line) -> Row:
    content: list[JsonValue] = [
        {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"} for part in line.parts
    ]
    message: Row = {"role": line.role, "content": content}
    if line.calls:
        message["tool_calls"] = [
            {"type": "function", "function": {"name": call.name, "arguments": call.arguments}} for call in line.calls
        ]
    return message


FORMAT = Format(title="TRL conversational with images and tools", row=trl_row)
