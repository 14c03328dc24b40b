"""Rows of chat messages read, whoever wrote them: OpenAI's, TRL's and verl's differ only in where the images are.

An image is a part that names it, a part or a placeholder `<image>` that takes the next one of the row's `images`; none is
opened. What a row has beyond the layout is passed over; what contradicts it is refused with a reason that can be counted.
"""

import re
from collections.abc import Iterator

from pydantic import BaseModel, JsonValue, ValidationError

from deepsport.data.document import json_value
from deepsport.data.formats.line import Call, Line, Picture, Role, Row
from deepsport.errors import BadRecord

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


class _Url(BaseModel):
    url: str


class _Part(BaseModel):
    type: str
    text: str | None = None
    image_url: _Url | str | None = None
    image: str | None = None


class _Function(BaseModel):
    name: str
    arguments: JsonValue = None
    """JSON text by OpenAI's specification, an object by TRL's."""


class _Call(BaseModel):
    function: _Function


class _Message(BaseModel):
    role: str
    content: str | list[_Part] | None = None
    tool_calls: list[_Call] | None = None


class Images:
    """The images of a row, handed out in order."""

    def __init__(self, given: JsonValue) -> None:
        """Takes the row's list. Raises BadRecord if it is none."""
        listed = given if isinstance(given, list) else [given]
        self._urls = [_url(image) for image in listed]
        self._n_taken = 0

    def next(self) -> Picture:
        """Raises BadRecord when there are no more."""
        if self._n_taken == len(self._urls):
            raise BadRecord("more places for images than images")
        self._n_taken += 1
        return Picture(self._urls[self._n_taken - 1])

    def placed(self, text: str) -> tuple[str | Picture, ...]:
        """A text with its placeholders replaced."""
        pieces = re.split(r"(<image>)", text)
        return tuple(self.next() if piece == "<image>" else piece for piece in pieces if piece)

    def require_used_up(self) -> None:
        """Raises BadRecord if an image stands nowhere in the text."""
        if self._n_taken != len(self._urls):
            raise BadRecord("more images than places for images")


def chat_lines(row: Row) -> tuple[Line, ...]:
    """The lines of a row. Raises BadRecord."""
    messages = row.get("messages")
    if not isinstance(messages, list):
        raise BadRecord("no list of messages")
    given = row.get("images")
    images = Images(given if given is not None else [])
    lines = tuple(_line(message, images, marked=given is not None) for message in messages)
    images.require_used_up()
    return lines


def parse_json(text: str) -> JsonValue:
    """Raises BadRecord for what is not JSON."""
    try:
        return json_value(text)
    except (ValueError, RecursionError):
        raise BadRecord("arguments of a call that are not JSON") from None


def layout_fault(error: ValidationError) -> BadRecord:
    """Which part of a message is not in the layout, as a reason that can be counted."""
    place = ".".join(part for part in map(str, error.errors()[0]["loc"]) if not part.isdigit())
    return BadRecord(f"a message out of the layout: {place or 'no object'}"[:120])


def _url(image: JsonValue) -> str:
    """Of a path, or of an object that holds one, as verl and datasets write it."""
    if isinstance(image, dict):
        image = next((image[key] for key in ("image", "path", "url") if image.get(key)), None)
    if not isinstance(image, str):
        raise BadRecord("an image that is neither a path nor a reference")
    return image


def _line(fields: JsonValue, images: Images, *, marked: bool) -> Line:
    try:
        message = _Message.model_validate(fields)
    except ValidationError as error:
        raise layout_fault(error) from None
    except RecursionError:
        raise BadRecord("a message that is nested too deeply") from None
    role = _ROLES.get(message.role)
    if role is None:
        raise BadRecord("a message of an unknown role")
    calls = tuple(_call(call.function) for call in message.tool_calls or ())
    return Line(role=role, parts=tuple(_parts(message.content, images, marked)), calls=calls)


def _parts(content: str | list[_Part] | None, images: Images, marked: bool) -> Iterator[str | Picture]:
    if isinstance(content, str):
        yield from images.placed(content) if marked else (content,)
        return
    for part in content or ():
        if part.type == "text" and part.text is not None:
            yield part.text
        elif part.type == "image_url" and part.image_url is not None:
            yield Picture(part.image_url if isinstance(part.image_url, str) else part.image_url.url)
        elif part.type == "image":
            yield Picture(part.image) if part.image else images.next()
        else:
            raise BadRecord("a part of a message that is neither text nor an image")


def _call(function: _Function) -> Call:
    arguments = function.arguments
    return Call(function.name, parse_json(arguments) if isinstance(arguments, str) else arguments)
