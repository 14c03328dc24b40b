"""What a distillation will ask for and cost, before anything is sent.

Images are counted as Qwen2.5-VL counts them, one token for 28 x 28 pixels; texts at four characters a token. How many turns a
teacher takes is not known beforehand: `likely` takes two looks and an answer, `at most` every turn, every frame, every token of
a reply that the recipe allows, and a judge that has to be asked twice. Attempts that fail are not foreseen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from deepsport.data.distill.recipe import DistillRecipe
from deepsport.errors import BadVideo
from deepsport.policy.openai import EndpointConfig
from deepsport.policy.openai.allowance import Price
from deepsport.records import FreeText, Question
from deepsport.video.source import FrameSource

PROBED = 16
"""Videos that are looked at for the size of their frames."""

RULES_TOKENS, LABEL_TOKENS, FACTS_TOKENS, JUDGE_TOKENS = 350, 12, 250, 1000
"""Of prompts: the rules of the game, the label of a frame, the task of stating facts, the rubric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How the models behave. Tokens."""

    turns: int
    reply: int
    facts: int
    verdict: int
    judged_turn: int
    """Of a turn, as the judge is shown it."""
    asks: int
    """Requests for one verdict."""


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
    most_turns, teacher, writer, judge = recipe.limits.max_turns, recipe.teacher, recipe.writer, recipe.judge
    likely = Habits(turns=min(3, most_turns), reply=120, facts=80, verdict=120, judged_turn=250, asks=1)
    most = Habits(
        turns=most_turns,
        reply=teacher.max_reply_tokens if teacher else 0,
        facts=writer.max_reply_tokens if writer else 0,
        verdict=judge.max_reply_tokens if judge else 0,
        judged_turn=1300,
        asks=2,
    )
    loads = [tuple(_loads(recipe, questions, size_wh, habits)) for habits in (likely, most)]
    return Estimate(n_questions=len(questions), frame_wh=size_wh, likely=loads[0], most=loads[1])


def episode_tokens(recipe: DistillRecipe, frame_tokens: int, question_tokens: float, turns: int, reply: int) -> tuple[int, int]:
    """Prompt and reply tokens of one trajectory: every turn sends the whole conversation again."""
    limits = recipe.limits
    context = RULES_TOKENS + question_tokens + limits.first_frames * (frame_tokens + LABEL_TOKENS)
    prompt = 0.0
    for _ in range(turns):
        prompt += context
        context += reply + question_tokens + limits.frames_per_call * (frame_tokens + LABEL_TOKENS)
    return round(prompt), turns * reply


def _loads(recipe: DistillRecipe, questions: Sequence[Question], size_wh: tuple[int, int], habits: Habits) -> Iterator[Load]:
    n_questions, n_samples = len(questions), len(questions) * recipe.samples
    text = sum(len(question.text) for question in questions) / max(1, n_questions) / 4
    if recipe.writer:
        yield _load("facts", recipe.writer, n_questions, n_questions * FACTS_TOKENS, n_questions * habits.facts)
    if recipe.teacher:
        frame_tokens = _image_tokens(size_wh, recipe.teacher.max_side_px)
        prompt, said = episode_tokens(recipe, frame_tokens, text, habits.turns, habits.reply)
        yield _load("acting", recipe.teacher, n_samples * habits.turns, n_samples * prompt, n_samples * said)
    if recipe.judge:
        n_open = recipe.samples * sum(isinstance(question.gold, FreeText) and not question.gold.facts for question in questions)
        n_asked = habits.asks * (n_samples + n_open)  # thoughts, and answers that no rule can score
        prompt = n_asked * (JUDGE_TOKENS + habits.turns * habits.judged_turn)
        yield _load("judging", recipe.judge, n_asked, prompt, n_asked * habits.verdict)


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
