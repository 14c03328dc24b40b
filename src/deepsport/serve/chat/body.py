"""The body of a chat completion request, read strictly: what would change the meaning of the answer is never passed over.

Fields of the API fall into four kinds: those done here; those that mean nothing here (`user`, `store` ...), passed over; those
that ask for something not done here (`tools`, `stop` ...), refused unless they say the default; and unknown ones, refused.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag, ValidationError

from deepsport.serve.chat.refusal import Refused, bad_request

PASSED_OVER = frozenset(
    {
        "metadata",
        "parallel_tool_calls",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
        "verbosity",
    }
)

_FRAMES = "ask for frames with deepsport.first_frames"
NOT_DONE: Mapping[str, tuple[tuple[JsonValue, ...], str]] = {
    "audio": ((), "this server answers in text"),
    "fps": ((), _FRAMES),
    "frequency_penalty": ((0,), "replies are drawn as the model says them"),
    "function_call": (("none",), "the server has one tool of its own, for frames"),
    "functions": (([],), "the server has one tool of its own, for frames"),
    "logit_bias": (({},), "replies are drawn as the model says them"),
    "logprobs": ((False,), "an answer is the end of several replies"),
    "max_frames": ((), _FRAMES),
    "media_io_kwargs": ((), _FRAMES),
    "mm_processor_kwargs": ((), _FRAMES),
    "modalities": ((["text"],), "this server answers in text"),
    "prediction": ((), "replies are drawn as the model says them"),
    "presence_penalty": ((0,), "replies are drawn as the model says them"),
    "response_format": (({"type": "text"},), "an answer is short text; for a choice give deepsport.options"),
    "stop": (([],), "a reply ends by itself"),
    "tool_choice": (("none", "auto"), "the server has one tool of its own, for frames"),
    "tools": (([],), "the server has one tool of its own, for frames"),
    "top_logprobs": ((0,), "an answer is the end of several replies"),
    "top_p": ((1,), "use temperature"),
    "web_search_options": ((), "this server looks at video only"),
}
"""What is not done here, the values (besides null) that ask for nothing, and what to do instead."""


class Wire(BaseModel):
    """A part of a request."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Url(Wire):
    """Where a medium is."""

    url: str
    detail: str | None = None
    """Of images, in the API; frames are all shown alike here."""


class TextPart(Wire):
    """Text of a message."""

    type: Literal["text"]
    text: str


class ImagePart(Wire):
    """A picture of a message."""

    type: Literal["image_url"]
    image_url: Url


class VideoPart(Wire):
    """A video of a message."""

    type: Literal["video_url"]
    video_url: Url


class RefusalPart(Wire):
    """Of an earlier turn."""

    type: Literal["refusal"]
    refusal: str


Part = Annotated[TextPart | ImagePart | VideoPart | RefusalPart, Field(discriminator="type")]
Parts = Annotated[tuple[Part, ...], Field(fail_fast=True, max_length=1000)]
"""Read to the first fault: a large body may have millions."""

MAX_FAULTS = 100
"""More are not looked at one by one: each takes a kilobyte."""


def _kind(content: object) -> str:
    return "text" if isinstance(content, str) else "none" if content is None else "parts"


class Said(BaseModel):
    """A message; what an earlier reply of a server carried besides its content is passed over when it comes back."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        Annotated[str, Tag("text")] | Annotated[Parts, Tag("parts")] | Annotated[None, Tag("none")],
        Discriminator(_kind),
    ] = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """The content as parts, whichever way it was written."""
        if isinstance(self.content, str):
            return (TextPart(type="text", text=self.content),)
        return self.content or ()

    @property
    def text(self) -> str:
        """Its texts, a line each."""
        return "\n".join(part.text for part in self.parts if isinstance(part, TextPart)).strip()


class Wanted(Wire):
    """The extension of a request: what only this server does."""

    sport: str | None = Field(default=None, max_length=64)
    options: tuple[str, ...] | None = Field(default=None, min_length=2, max_length=100)
    """The answers to choose from."""
    max_turns: int | None = Field(default=None, ge=1)
    first_frames: int | None = Field(default=None, ge=1)
    frames_per_call: int | None = Field(default=None, ge=2)
    with_tool: bool = True
    """Whether the model may look again."""


class StreamOptions(BaseModel):
    """What a stream holds besides the answer; other options ask for nothing that changes it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    include_usage: bool | None = None


class ChatBody(BaseModel):
    """The request as it came."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")

    model: str
    messages: tuple[Said, ...] = Field(fail_fast=True, min_length=1, max_length=1000)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    n: int | None = Field(default=None, ge=1)
    deepsport: Wanted = Wanted()


def read_body(raw: bytes) -> ChatBody:
    """The request in a body. Raises Refused."""
    try:
        body = ChatBody.model_validate_json(raw)
    except ValidationError as error:
        raise _unreadable(error) from None
    for name, value in (body.model_extra or {}).items():
        _require_harmless(name, value)
    return body


def _require_harmless(name: str, value: JsonValue) -> None:
    if name in PASSED_OVER or (value is None and name in NOT_DONE):
        return
    if name in NOT_DONE:
        neutral, advice = NOT_DONE[name]
        if any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in neutral):
            return
        raise bad_request(f"{name} is not done here: {advice}. Leave it out.", name, "unsupported_parameter")
    near = get_close_matches(name, [*ChatBody.model_fields, *PASSED_OVER, *NOT_DONE], n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    raise bad_request(f"unknown field {name[:80]!r}.{meant}", name[:80], "unknown_parameter")


def _unreadable(error: ValidationError) -> Refused:
    """The first fault, by the place where it is."""
    if error.error_count() > MAX_FAULTS:
        return bad_request(f"the body has {error.error_count()} faults, unknown fields for example", code="invalid_value")
    fault = error.errors(include_input=False, include_url=False)[0]
    if fault["type"] == "json_invalid":
        return bad_request(f"the body is not JSON: {fault['msg']}", code="invalid_json")
    place = _place(fault["loc"])
    said = "is missing" if fault["type"] == "missing" else f": {fault['msg']}"
    return bad_request(f"{place or 'the body'}{'' if said.startswith(':') else ' '}{said}", place or None, "invalid_value")


def _place(loc: tuple[int | str, ...]) -> str:
    """`messages[0].content[1].video_url.url`, without the names that only the reader has for its alternatives."""
    ours = {"text", "parts", "none", "image_url", "video_url", "refusal"}
    kept = [step for number, step in enumerate(loc) if not (step in ours and _is_tag(loc, number))]
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in kept)
    return text.lstrip(".")[:200]


def _is_tag(loc: tuple[int | str, ...], number: int) -> bool:
    """A tag stands behind `content` or behind the index of one of its parts."""
    before = loc[:number]
    return before[-1:] == ("content",) or (len(before) > 1 and isinstance(before[-1], int) and before[-2] == "parts")
