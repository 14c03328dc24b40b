"""What an endpoint sent back, as one canonical reply.

Endpoints say the same thing in three places: in the text, in a separate field for reasoning, and in native tool calls. All three
end in the text form that the grammar reads,

    <think>...</think><tool_call>{"action":"choose_frames","frame_range":[3,9]}</tool_call>

so that an episode does not depend on how its server is set up. Nothing is mended: arguments that are not JSON and calls of other
tools are carried over as they are, and the grammar judges them.
"""

import json
import re
from dataclasses import dataclass, replace
from typing import cast

from pydantic import BaseModel, ValidationError

from deepsport.policy.openai.failure import Failure, shown
from deepsport.policy.openai.wire import Json


class _Function(BaseModel):
    name: str = ""
    arguments: str | dict[str, object] | None = None
    """JSON text by the specification; some servers send the object itself."""


class _Call(BaseModel):
    id: str | None = None
    function: _Function


class _Spoken(BaseModel):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    """The newer name of `reasoning_content` in vLLM."""
    tool_calls: list[_Call] | None = None


class _Choice(BaseModel):
    message: _Spoken
    finish_reason: str | None = None


class _Tokens(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    @property
    def counts(self) -> tuple[int, int]:
        return self.prompt_tokens or 0, self.completion_tokens or 0


class _Completion(BaseModel):
    choices: list[_Choice] | None = None
    usage: _Tokens | None = None
    error: object = None
    """Some gateways report an error with status 200."""


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Model]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One reply that could be read."""

    text: str
    """In the canonical form."""
    echo: Json
    """The assistant message that goes back with the next request."""
    call_ids: tuple[str, ...]
    """Native calls that wait for their result."""
    cut_off: bool
    prompt_tokens: int
    reply_tokens: int


def read(body: str) -> Said | Failure:
    """The reply in the body of a response with a success status, or why there is none."""
    try:
        completion = _Completion.model_validate_json(body)
    except ValidationError:
        return _unreadable(body)
    usage = completion.usage or _Tokens()
    if not completion.choices:
        cause = f": {shown(json.dumps(completion.error, default=str))}" if completion.error else ""
        return Failure(f"the reply has no choices{cause}", "Look into the server's log.", transient=True, tokens=usage.counts)
    choice = completion.choices[0]
    unsaid = _unsaid(choice)
    return replace(unsaid, tokens=usage.counts) if unsaid else _said(choice, usage)


def read_models(body: str) -> tuple[str, ...] | Failure:
    """The names in the endpoint's list of models, or why there is none."""
    try:
        return tuple(model.id for model in _Models.model_validate_json(body).data)
    except ValidationError:
        return _unreadable(body)


def read_error(body: str) -> object:
    """What the body of a response with an error status says: its JSON (the `error` object if there is one), or its text."""
    try:
        said: object = json.loads(body)
    except (ValueError, RecursionError):
        return body.strip()
    if not isinstance(said, dict):
        return said
    fields = cast(Json, said)
    return fields.get("error", fields)


def _unreadable(body: str) -> Failure:
    if body.lstrip()[:1] == "<":
        return Failure("it answered with a web page", "Check the address: it usually ends in /v1.", transient=False)
    return Failure(
        f"the reply is not the JSON it should be: {shown(body, 80) or 'empty'}",
        "Look into the server's log.",
        transient=True,
    )


def _unsaid(choice: _Choice) -> Failure | None:
    """Why a well-formed choice says nothing, or None if it says something."""
    spoken = choice.message
    if spoken.refusal or choice.finish_reason == "content_filter":
        cause = shown(spoken.refusal or "its content filter stopped the reply")
        return Failure(f"the model refused: {cause}", "Rephrase the question or use another model.", transient=False)
    if spoken.content is None and not spoken.tool_calls and not _reasoning(spoken):
        return Failure("the reply has no content", "Look into the server's log.", transient=True)
    return None


def _said(choice: _Choice, usage: _Tokens) -> Said:
    spoken = choice.message
    calls = spoken.tool_calls or []
    call_ids = tuple(call.id or f"call_{n}" for n, call in enumerate(calls))
    text = _called(spoken, calls) if calls else _thought_first(spoken)
    return Said(
        text=text,
        echo=_echo(spoken.content or "", calls, call_ids) if calls else {"role": "assistant", "content": text},
        call_ids=call_ids,
        cut_off=choice.finish_reason == "length",
        prompt_tokens=usage.prompt_tokens or 0,
        reply_tokens=usage.completion_tokens or 0,
    )


def _thought_first(spoken: _Spoken) -> str:
    content, reasoning = spoken.content or "", _reasoning(spoken)
    if not reasoning or "<think>" in content:
        return content
    return f"<think>{_untagged(reasoning)}</think>{content.strip()}"


def _called(spoken: _Spoken, calls: list[_Call]) -> str:
    thought = _untagged(spoken.content or "") or _untagged(_reasoning(spoken))
    return f"<think>{thought}</think>" + "".join(f"<tool_call>{_call_json(call.function)}</tool_call>" for call in calls)


def _call_json(function: _Function) -> str:
    arguments: object = function.arguments or ""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return str(function.arguments)
    if not isinstance(arguments, dict):
        return json.dumps(arguments)
    fields = {**cast(Json, arguments), "action": function.name}  # the name of the function called, whatever its arguments say
    return json.dumps({key: fields[key] for key in ("action", *fields) if key in fields}, separators=(",", ":"))


def _echo(content: str, calls: list[_Call], call_ids: tuple[str, ...]) -> Json:
    return {"role": "assistant", "content": content, "tool_calls": [_echoed(*pair) for pair in zip(calls, call_ids, strict=True)]}


def _echoed(call: _Call, call_id: str) -> Json:
    arguments = call.function.arguments or ""
    arguments_json = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"id": call_id, "type": "function", "function": {"name": call.function.name, "arguments": arguments_json}}


def _reasoning(spoken: _Spoken) -> str:
    return spoken.reasoning_content or spoken.reasoning or ""


def _untagged(thought: str) -> str:
    """A thought without think tags of its own, so that it can stand between ours."""
    return re.sub(r"\s*</?think>\s*", " ", thought).strip()
