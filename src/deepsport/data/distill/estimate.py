"""What a distillation will ask for and cost, before anything is sent.

How many turns a teacher takes is not known beforehand: `likely` takes two looks and an answer, `at most` every turn, every frame,
every token of a reply that the recipe allows, and a judge that has to be asked twice. The arithmetic is that of `bench.load`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deepsport.bench.load import (
    JUDGE_TOKENS,
    JUDGED,
    LOOKED,
    SAID,
    Load,
    episode_load,
    frame_size,
    image_tokens,
    load_on,
    n_open,
    text_tokens,
)
from deepsport.data.distill.recipe import DistillRecipe
from deepsport.records import Question
from deepsport.video.source import FrameSource

FACTS_TOKENS = 250
"""Of a prompt: the task of stating facts."""


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
class Estimate:
    """What a run will ask for."""

    n_questions: int
    frame_wh: tuple[int, int]
    likely: tuple[Load, ...]
    most: tuple[Load, ...]


def estimate(recipe: DistillRecipe, questions: Sequence[Question], source: FrameSource) -> Estimate:
    """Probes a few videos; sends nothing. Raises BadVideo if none of them can be read."""
    size_wh = frame_size(questions, source)
    most_turns, teacher, writer, judge = recipe.limits.max_turns, recipe.teacher, recipe.writer, recipe.judge
    likely = Habits(turns=min(LOOKED, most_turns), reply=SAID, facts=80, verdict=JUDGED, judged_turn=250, asks=1)
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


def _loads(recipe: DistillRecipe, questions: Sequence[Question], size_wh: tuple[int, int], habits: Habits) -> Iterator[Load]:
    n_questions, n_samples = len(questions), len(questions) * recipe.samples
    if recipe.writer:
        yield load_on("facts", recipe.writer, n_questions, n_questions * FACTS_TOKENS, n_questions * habits.facts)
    if recipe.teacher:
        frame_tokens = image_tokens(size_wh, recipe.teacher.max_side_px)
        each = episode_load(recipe.limits, frame_tokens, text_tokens(questions), habits.turns, habits.reply)
        prompt, said = n_samples * each.prompt_tokens, n_samples * each.reply_tokens
        yield load_on("acting", recipe.teacher, n_samples * habits.turns, prompt, said, n_samples * each.n_images)
    if recipe.judge:
        n_asked = habits.asks * (n_samples + recipe.samples * n_open(questions))  # thoughts, and answers that no rule can score
        prompt = n_asked * (JUDGE_TOKENS + habits.turns * habits.judged_turn)
        yield load_on("judging", recipe.judge, n_asked, prompt, n_asked * habits.verdict)
