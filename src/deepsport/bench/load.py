"""What a model will be asked for, before anything is sent: requests, images, tokens, cost, time at its limits of pace.

Images are counted as Qwen2.5-VL counts them, one token for 28 x 28 pixels; texts at four characters a token. Every turn sends the
whole conversation again. Attempts that fail are not foreseen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from deepsport.agent.rollout import Limits
from deepsport.errors import BadVideo
from deepsport.policy.openai import EndpointConfig
from deepsport.records import FreeText, Question
from deepsport.video.source import FrameSource

PROBED = 16
"""Videos that are looked at for the size of their frames."""

RULES_TOKENS, ANSWER_RULES_TOKENS, FUNCTION_TOKENS, LABEL_TOKENS, JUDGE_TOKENS = 350, 130, 130, 12, 750
"""Of prompts: the rules of the game, those where there is no tool, the tool as a function, the label of a frame, the rubric."""

LOOKED, SAID, JUDGED = 3, 120, 120
"""Likely: turns of an episode, tokens of a reply and of a verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one model is asked for."""

    step: str
    model: str
    n_requests: int
    n_images: int = 0
    """Sent, an image as often as the conversation it stands in."""
    prompt_tokens: int
    reply_tokens: int
    usd: float
    shortest_s: float
    """At its limits of pace; 0 if there are none."""


class EpisodeLoad(NamedTuple):
    """What one episode asks for."""

    n_images: int
    prompt_tokens: int
    reply_tokens: int


def episode_load(
    limits: Limits, frame_tokens: int, question_tokens: float, turns: int, reply: int, rules: int = RULES_TOKENS
) -> EpisodeLoad:
    """An episode of so many turns, with replies of so many tokens."""
    n_shown, n_images = limits.first_frames, 0
    context, prompt = rules + question_tokens + n_shown * (frame_tokens + LABEL_TOKENS), 0.0
    for _ in range(turns):
        prompt, n_images = prompt + context, n_images + n_shown
        context += reply + question_tokens + limits.frames_per_call * (frame_tokens + LABEL_TOKENS)
        n_shown += limits.frames_per_call
    return EpisodeLoad(n_images, round(prompt), turns * reply)


def load_on(step: str, config: EndpointConfig, n_requests: int, prompt: int, reply: int, n_images: int = 0) -> Load:
    """So many requests with so many tokens, at the prices and the pace of an endpoint."""
    by_requests_s = 60 * n_requests / config.requests_per_minute if config.requests_per_minute else 0.0
    by_tokens_s = 60 * (prompt + reply) / config.tokens_per_minute if config.tokens_per_minute else 0.0
    return Load(
        step=step,
        model=config.model,
        n_requests=n_requests,
        n_images=n_images,
        prompt_tokens=prompt,
        reply_tokens=reply,
        usd=config.price.of(prompt, reply),
        shortest_s=max(by_requests_s, by_tokens_s),
    )


def image_tokens(size_wh: tuple[int, int], max_side_px: int | None) -> int:
    """Of one frame, shrunk as the endpoint wants it."""
    shrink = min(1.0, max_side_px / max(size_wh)) if max_side_px else 1.0
    return ceil(size_wh[0] * shrink / 28) * ceil(size_wh[1] * shrink / 28)


def text_tokens(questions: Sequence[Question]) -> float:
    """Of a question, on average."""
    return sum(len(question.text) for question in questions) / max(1, len(questions)) / 4


def n_open(questions: Sequence[Question]) -> int:
    """Questions whose answers no rule can score."""
    return sum(isinstance(question.gold, FreeText) and not question.gold.facts for question in questions)


def frame_size(questions: Sequence[Question], source: FrameSource) -> tuple[int, int]:
    """The largest of a few videos, spread over the questions. Raises BadVideo if none of them can be read."""
    sizes: list[tuple[int, int]] = []
    fault = BadVideo("there is no question, and so no video to look at")
    for question in questions[:: max(1, len(questions) // PROBED)][:PROBED]:
        try:
            known = source.info(question.video)
        except BadVideo as error:
            fault = error
            continue
        sizes.append((known.width, known.height))
    if not sizes:
        raise fault
    return max(sizes, key=lambda size: size[0] * size[1])
