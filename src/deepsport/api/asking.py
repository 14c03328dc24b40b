"""One question about one video, asked of any model.

The video is untrusted: it is decoded in a process of its own. A file that is no video is an error of the caller; what fails later
is part of the episode, which then says so.
"""

import asyncio
import os
import warnings
from collections.abc import Sequence
from math import inf
from pathlib import Path

from pydantic import ValidationError

from deepsport.actor import Actor
from deepsport.agent.prompt import with_options
from deepsport.agent.rollout import Limits, OnTurn, run_episode
from deepsport.api.desk import desk
from deepsport.api.models import ModelLike, actor_of
from deepsport.config import load
from deepsport.errors import BadConfig
from deepsport.policy.base import Sampling
from deepsport.records import Episode, Question
from deepsport.video.source import VideoInfo


def ask(
    video: str | Path,
    question: str,
    *,
    model: ModelLike | None = None,
    endpoint: str | None = None,
    options: Sequence[str] = (),
    sport: str | None = None,
    max_turns: int = 5,
    max_tokens: int = 1024,
    temperature: float = 0.0,
    seed: int = 0,
    on_turn: OnTurn | None = None,
) -> Episode:
    """Asks a question about a video and waits for the episode: `.answer`, `.turns`, `.frames_seen`, `.stop`.

    video: path of any video file.
    model: who answers; nano if nobody is named. See `load_model`.
    endpoint: address of an OpenAI-compatible server that serves the model.
    options: possible answers, two or more; none is an open question.
    sport: told to the model.
    max_turns: replies, the answer included.
    max_tokens: longest reply, in tokens.
    temperature: 0 always takes the likeliest token.
    seed: of the sampling, where the temperature is not 0.
    on_turn: told of every turn as it happens, in another thread.

    Raises BadVideo for a file that cannot be read, BadConfig, and PolicyError for a model that is not there. A model that fails
    while it answers ends the episode: `.answer` is None then, `.stop` says why and `.detail` by what."""
    asked, limits = _asked(video, question, options, sport), _limits(max_turns)
    sampling = _sampling(max_tokens, temperature, seed)
    info = desk().source.info(asked.video)  # a bad file is told before a model is loaded
    actor = actor_of(model, endpoint)
    _warn_if_out_of_place(actor, info)
    return desk().wait_for(_episode(asked, actor, limits, sampling, on_turn))


async def ask_async(
    video: str | Path,
    question: str,
    *,
    model: ModelLike | None = None,
    endpoint: str | None = None,
    options: Sequence[str] = (),
    sport: str | None = None,
    max_turns: int = 5,
    max_tokens: int = 1024,
    temperature: float = 0.0,
    seed: int = 0,
    on_turn: OnTurn | None = None,
) -> Episode:
    """`ask`, awaited. Of many at once, say with `asyncio.gather`, the model answers the replies that are due together.

    A policy of your own replies on your event loop. Raises as `ask`."""
    asked, limits = _asked(video, question, options, sport), _limits(max_turns)
    sampling = _sampling(max_tokens, temperature, seed)
    info = await asyncio.to_thread(desk().source.info, asked.video)
    actor = await asyncio.to_thread(actor_of, model, endpoint)
    _warn_if_out_of_place(actor, info)
    return await _episode(asked, actor, limits, sampling, on_turn)


async def _episode(asked: Question, actor: Actor, limits: Limits, sampling: Sampling, on_turn: OnTurn | None) -> Episode:
    limits = limits.model_copy(update={"style": actor.style})
    return await run_episode(asked, actor.policy, desk().source, limits=limits, sampling=sampling, on_turn=on_turn)


def _limits(max_turns: int) -> Limits:
    return load(Limits, None, [f"max_turns={max_turns}"])


def _sampling(max_tokens: int, temperature: float, seed: int) -> Sampling:
    if max_tokens < 1 or not 0 <= temperature < inf:
        raise BadConfig(
            f"max_tokens = {max_tokens} and temperature = {temperature}: at least 1 token, at least a temperature of 0"
        )
    return Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed)


def _asked(video: str | Path, question: str, options: Sequence[str], sport: str | None) -> Question:
    """The question as it is put. Raises BadConfig for words that cannot be told, and for options that leave no choice."""
    if not question.strip():
        raise BadConfig("the question is empty: ask something, such as 'How was the goal scored?'")
    names = [str(option).strip() for option in options]
    if isinstance(options, str) or len(names) == 1 or len(set(names)) < len(names) or not all(names):
        raise BadConfig(f"options {options!r} must be two or more different answers, such as ['goal', 'save', 'miss']")
    text = with_options(question, names) if names else question
    try:
        return Question(id="ask", video=os.path.abspath(video), text=text, sport=sport)
    except ValidationError as error:
        raise BadConfig(f"this cannot be asked: {error.errors()[0]['msg']}") from None


def _warn_if_out_of_place(actor: Actor, video: VideoInfo) -> None:
    if actor.is_out_of_place(video.metadata.get("comment", "")):
        text = (
            f"{actor.policy.name} knows only the arena's rendered clips, and this video is not one: expect a guess. For real "
            "footage name a real model, such as model='Qwen/Qwen2.5-VL-7B-Instruct', or a server with endpoint=..., model=..."
        )
        warnings.warn(text, stacklevel=3)
