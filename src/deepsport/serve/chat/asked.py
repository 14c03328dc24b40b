"""From a conversation to one question about one medium.

The agent loop answers one question. The last message asks it; what was said before it is put before the question as text, and the
last medium of the conversation is the one that is looked at. Ceilings are laid over what was asked for; what came out is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from deepsport.agent.prompt import PromptStyle, with_options
from deepsport.agent.rollout import Limits
from deepsport.policy.base import Sampling
from deepsport.records import Question, Record
from deepsport.serve.chat.body import ChatBody, ImagePart, Said, VideoPart, Wanted
from deepsport.serve.chat.refusal import bad_request, unknown_model
from deepsport.serve.chat.settings import Ceilings
from deepsport.serve.media.brought import Album, Brought, MediaPart

USUAL = Limits()
USUAL_REPLY_TOKENS = Sampling().max_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that can be answered, if its medium can be looked at."""

    text: str
    media: tuple[MediaPart, ...]
    wanted: Wanted
    temperature: float
    max_reply_tokens: int
    seed: int
    n: int
    stream: bool
    with_usage: bool


class Terms(Record):
    """Under which limits a request was answered, after the server's ceilings."""

    max_turns: int
    first_frames: int
    frames_per_call: int
    max_reply_tokens: int
    with_tool: bool

    def limits(self, style: PromptStyle) -> Limits:
        """As the agent loop has them."""
        return Limits(first_frames=self.first_frames, frames_per_call=self.frames_per_call, max_turns=self.max_turns, style=style)


def asked_of(body: ChatBody, ceilings: Ceilings, models: Sequence[str]) -> Asked:
    """What a request asks; `models` are the names that the model goes by. Raises Refused."""
    if body.model not in models:
        raise unknown_model(body.model, models[0])
    n = body.n or 1
    if n > ceilings.n:
        raise bad_request(f"n is {n}; this server gives at most {ceilings.n} answers to a request", "n", "invalid_value")
    text = _question(body.messages, body.deepsport)
    if len(text) > ceilings.text_chars:
        message = f"the texts of the conversation have {len(text)} characters; this server takes {ceilings.text_chars}"
        raise bad_request(message, "messages", "string_above_max_length")
    tokens = body.max_completion_tokens or body.max_tokens or USUAL_REPLY_TOKENS
    return Asked(
        text=text,
        media=_media(body.messages),
        wanted=body.deepsport,
        temperature=body.temperature or 0.0,
        max_reply_tokens=min(tokens, ceilings.max_reply_tokens),
        seed=body.seed or 0,
        n=n,
        stream=bool(body.stream),
        with_usage=bool(body.stream_options and body.stream_options.include_usage),
    )


def terms_of(asked: Asked, ceilings: Ceilings, brought: Brought) -> Terms:
    """The limits of a request. Pictures are all shown at once where they are not too many; then there is nothing to look for."""
    wanted, is_album = asked.wanted, isinstance(brought, Album)
    first_frames = min(wanted.first_frames or (ceilings.first_frames if is_album else USUAL.first_frames), ceilings.first_frames)
    all_shown = isinstance(brought, Album) and len(brought.pictures) <= first_frames
    return Terms(
        max_turns=min(wanted.max_turns or USUAL.max_turns, ceilings.max_turns),
        first_frames=first_frames,
        frames_per_call=min(wanted.frames_per_call or USUAL.frames_per_call, ceilings.frames_per_call),
        max_reply_tokens=asked.max_reply_tokens,
        with_tool=wanted.with_tool and not all_shown,
    )


def question_of(asked: Asked, request_id: str, brought: Brought) -> Question:
    """The question as the agent loop has it."""
    return Question(id=request_id, video=brought.path, text=asked.text, sport=asked.wanted.sport or None)


def samplings_of(asked: Asked) -> list[Sampling]:
    """One for each answer, a seed apart."""
    return [
        Sampling(temperature=asked.temperature, max_tokens=asked.max_reply_tokens, seed=asked.seed + number)
        for number in range(asked.n)
    ]


def _question(messages: Sequence[Said], wanted: Wanted) -> str:
    last = messages[-1]
    if last.role != "user":
        raise bad_request("the last message must be the user's: it asks the question", "messages", "invalid_value")
    if not last.text:
        raise bad_request("the last message has no text: say what you want to know", "messages", "invalid_value")
    told = [message.text for message in messages if message.role in ("system", "developer") and message.text]
    earlier = [
        f"{'Asked' if message.role == 'user' else 'Answered'}: {message.text}"
        for message in messages[:-1]
        if message.role in ("user", "assistant") and message.text
    ]
    before = [*told, *(["Earlier in this conversation:", *earlier, "Now:"] if earlier else [])]
    return "\n".join([*before, _with_options(last.text, wanted.options)])


def _with_options(text: str, options: tuple[str, ...] | None) -> str:
    if options is None:
        return text
    if len(set(options)) < len(options) or not all(option.strip() for option in options):
        raise bad_request("deepsport.options must be different answers, none of them empty", "deepsport.options", "invalid_value")
    return with_options(text, options)


def _media(messages: Sequence[Said]) -> tuple[MediaPart, ...]:
    """Those of the last message that has any. Raises Refused if there is none."""
    for message in reversed(messages):
        if parts := [part for part in message.parts if isinstance(part, ImagePart | VideoPart)]:
            return tuple(map(_part, parts))
    advice = "Send a video_url part, or image_url parts, with a question about it."
    raise bad_request(f"there is nothing to look at. {advice}", "messages", "no_media")


def _part(part: ImagePart | VideoPart) -> MediaPart:
    if isinstance(part, ImagePart):
        return MediaPart(kind="image", url=part.image_url.url)
    return MediaPart(kind="video", url=part.video_url.url)
