"""What a distillation will ask for and cost, before anything is sent.

Images are counted as Qwen2.5-VL counts them, one token for 28 x 28 pixels; texts at four characters a token. How many turns a
teacher takes is not known beforehand: `likely` takes two looks and an answer, `at most` every turn, every frame and every token
allowed. Where trajectories of the run are on record, what they used stands beside it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from deepsport.data.distill.recipe import DistillRecipe
from deepsport.errors import BadVideo
from deepsport.policy.openai import EndpointConfig
from deepsport.policy.openai.allowance import Price
from deepsport.records import Question
from deepsport.video.source import FrameSource

PROBED = 16
"""Videos that are looked at for the size of their frames."""

RULES_TOKENS, LABEL_TOKENS, REPLY_TOKENS, LIKELY_TURNS = 350, 12, 120, 3
FACTS_TOKENS, FACTS_REPLY = 250, 80
JUDGE_TOKENS, JUDGE_PER_TURN, JUDGE_REPLY = 900, 250, 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one model is asked for."""

    step: str
    model: str
    n_requests: int
    prompt_tokens: int
    reply_tokens: int
    usd: float
    shortest_s: float
    """At its limits of pace; 0 if there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run will ask for."""

    n_questions: int
    frame_wh: tuple[int, int]
    likely: tuple[Load, ...]
    most: tuple[Load, ...]


def estimate(recipe: DistillRecipe, questions: Sequence[Question], source: FrameSource) -> Estimate:
    """Probes a few videos; sends nothing. Raises BadVideo if none of them can be read."""
    size_wh = _frame_size(questions, source)
    text = sum(len(question.text) for question in questions) / max(1, len(questions)) / 4
    turns = min(LIKELY_TURNS, recipe.limits.max_turns)
    likely = _loads(recipe, len(questions), size_wh, text, turns, REPLY_TOKENS)
    most_reply = recipe.teacher.max_reply_tokens if recipe.teacher else REPLY_TOKENS
    most = _loads(recipe, len(questions), size_wh, text, recipe.limits.max_turns, most_reply)
    return Estimate(n_questions=len(questions), frame_wh=size_wh, likely=tuple(likely), most=tuple(most))


def episode_tokens(recipe: DistillRecipe, frame_tokens: int, question_tokens: float, turns: int, reply: int) -> tuple[int, int]:
    """Prompt and reply tokens of one trajectory: every turn sends the whole conversation again."""
    limits = recipe.limits
    context = RULES_TOKENS + question_tokens + limits.first_frames * (frame_tokens + LABEL_TOKENS)
    prompt = 0.0
    for _ in range(turns):
        prompt += context
        context += reply + question_tokens + limits.frames_per_call * (frame_tokens + LABEL_TOKENS)
    return round(prompt), turns * reply


def _loads(
    recipe: DistillRecipe, n_questions: int, size_wh: tuple[int, int], text: float, turns: int, reply: int
) -> Iterator[Load]:
    n_samples = n_questions * recipe.samples
    if recipe.writer:
        yield _load("facts", recipe.writer, n_questions, n_questions * FACTS_TOKENS, n_questions * FACTS_REPLY)
    if recipe.teacher:
        frame_tokens = _image_tokens(size_wh, recipe.teacher.max_side_px)
        prompt, said = episode_tokens(recipe, frame_tokens, text, turns, reply)
        yield _load("acting", recipe.teacher, n_samples * turns, n_samples * prompt, n_samples * said)
    if recipe.judge:
        prompt = n_samples * (JUDGE_TOKENS + turns * JUDGE_PER_TURN)
        yield _load("judging", recipe.judge, n_samples, prompt, n_samples * JUDGE_REPLY)


def _load(step: str, config: EndpointConfig, n_requests: int, prompt: int, reply: int) -> Load:
    by_requests_s = 60 * n_requests / config.requests_per_minute if config.requests_per_minute else 0.0
    by_tokens_s = 60 * (prompt + reply) / config.tokens_per_minute if config.tokens_per_minute else 0.0
    return Load(
        step=step,
        model=config.model,
        n_requests=n_requests,
        prompt_tokens=prompt,
        reply_tokens=reply,
        usd=Price(config.prompt_usd, config.reply_usd).of(prompt, reply),
        shortest_s=max(by_requests_s, by_tokens_s),
    )


def _image_tokens(size_wh: tuple[int, int], max_side_px: int | None) -> int:
    shrink = min(1.0, max_side_px / max(size_wh)) if max_side_px else 1.0
    return ceil(size_wh[0] * shrink / 28) * ceil(size_wh[1] * shrink / 28)


def _frame_size(questions: Sequence[Question], source: FrameSource) -> tuple[int, int]:
    """The largest of a few videos, spread over the questions."""
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
