"""What goes out: completions and chunks in the form of the API, the trace as `reasoning`, and the whole episode as an extension.

`reasoning` is where vLLM and OpenRouter put thoughts, and what clients look for; its older name `reasoning_content` is not sent
too, because a client that joins both would show every thought twice. The path of a medium is one of this machine, and stands in
no reply: an episode calls it `video` or `images`.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic_core import to_json

from deepsport.records import Episode, StopReason, Turn
from deepsport.serve.chat.asked import Terms
from deepsport.serve.chat.refusal import Json
from deepsport.serve.media.brought import Album, Brought


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """What stands over every part of one reply."""

    request_id: str
    model: str
    created: int

    @classmethod
    def now(cls, request_id: str, model: str) -> "Letterhead":
        """With the present second."""
        return cls(request_id=request_id, model=model, created=int(time.time()))

    def over(self, kind: str, **rest: object) -> Json:
        """The object of the API with its head."""
        head: Json = {"id": f"chatcmpl-{self.request_id}", "object": kind, "created": self.created, "model": self.model}
        return head | rest

    def chunk(self, index: int, delta: Json, finish: str | None = None) -> Json:
        """One piece of a stream."""
        choice: Json = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}
        return self.over("chat.completion.chunk", choices=[choice])


def shown_episode(episode: Episode, brought: Brought, model: str) -> Episode:
    """An episode as a client may have it: without tokens, and without the names of this machine."""
    name = "images" if isinstance(brought, Album) else "video"
    bare = episode.model_copy(update={"tokens": None, "policy": model}).model_dump_json()
    return Episode.model_validate_json(bare.replace(_quoted(brought.path), name))


def _quoted(path: str) -> str:
    """A path as it stands in JSON, without the quotes."""
    return to_json(path).decode()[1:-1]


def reasoning_of(turn: Turn) -> str:
    """What a turn thought, and what it looked at."""
    return "".join(f"{line}\n" for line in (turn.thought, _looked(turn)) if line)


def _looked(turn: Turn) -> str:
    if turn.call is None:
        return f"[{turn.note}]" if turn.note else ""
    span = f"frames {turn.call.start_index} to {turn.call.end_index}"
    if turn.frames:
        shown = ", ".join(str(frame.index) for frame in turn.frames)
        return f"[looked at {span}, {turn.frames[0].time_s:.2f} to {turn.frames[-1].time_s:.2f} s: {shown}]"
    return f"[asked for {span}: {turn.note}]"


def finish_of(episode: Episode) -> str:
    """`length` where a limit ended the episode, else `stop`; the extension has the stop reason itself."""
    return "length" if episode.stop in (StopReason.MAX_TOKENS, StopReason.MAX_TURNS) else "stop"


def extension(episodes: Sequence[Episode], terms: Terms, warnings: Sequence[str]) -> Json:
    """What only this server tells: the limits that were used, and an episode for each choice."""
    plain = [episode.model_dump(mode="json") for episode in episodes]
    return {"limits": terms.model_dump(mode="json"), "warnings": list(warnings), "episodes": plain}


def usage_of(episodes: Sequence[Episode]) -> Json:
    """Tokens of all replies, each with the whole conversation before it, as they are computed or billed."""
    prompt = sum(episode.usage.prompt_tokens for episode in episodes)
    reply = sum(episode.usage.reply_tokens for episode in episodes)
    return {"prompt_tokens": prompt, "completion_tokens": reply, "total_tokens": prompt + reply}


def completion(head: Letterhead, episodes: Sequence[Episode], told: Json) -> Json:
    """The whole reply at once; an episode without an answer has an empty one, and its stop reason in the extension."""
    choices = [_choice(index, episode) for index, episode in enumerate(episodes)]
    return head.over("chat.completion", choices=choices, usage=usage_of(episodes), deepsport=told)


def _choice(index: int, episode: Episode) -> Json:
    reasoning = "".join(map(reasoning_of, episode.turns))
    message: Json = {"role": "assistant", "content": episode.answer or "", "refusal": None, "reasoning": reasoning}
    return {"index": index, "message": message, "finish_reason": finish_of(episode), "logprobs": None}


def turn_chunk(head: Letterhead, index: int, turn: Turn) -> Json:
    """A turn as soon as it is over; the last one brings the answer too."""
    answer: Json = {"content": turn.answer} if turn.answer is not None else {}
    return head.chunk(index, {"reasoning": reasoning_of(turn), **answer})


def closing_chunks(head: Letterhead, episodes: Sequence[Episode], told: Json, *, with_usage: bool) -> Iterator[Json]:
    """The ends of the choices, then the usage if it was asked for; the last chunk has the extension."""
    chunks = [head.chunk(index, {}, finish_of(episode)) for index, episode in enumerate(episodes)]
    if with_usage:
        chunks = [chunk | {"usage": None} for chunk in chunks]
        chunks.append(head.over("chat.completion.chunk", choices=[], usage=usage_of(episodes)))
    yield from chunks[:-1]
    yield chunks[-1] | {"deepsport": told}
