"""Who states the facts, acts and judges: models behind endpoints, or, for an arena set, its oracle and its checker."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from deepsport.arena.checker import ArenaChecker
from deepsport.arena.generate import load_truths
from deepsport.arena.oracle import Oracle
from deepsport.arena.truth import ClipTruth
from deepsport.bench.endpoints import Endpoints, Tables, open_endpoints
from deepsport.data.distill.footage import Footage
from deepsport.data.distill.recipe import DistillRecipe
from deepsport.errors import BadConfig
from deepsport.policy.base import Policy
from deepsport.policy.openai import OpenAIPolicy
from deepsport.policy.openai.allowance import Allowance
from deepsport.records import Question
from deepsport.reward.judge import Judge
from deepsport.reward.model_judge import ModelJudge
from deepsport.reward.offline_judge import OfflineJudge


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Everybody who takes part in a run."""

    teacher: Policy
    judge: Judge
    writer: OpenAIPolicy | None
    endpoints: Endpoints
    footage: Footage

    @property
    def allowance(self) -> Allowance:
        """Of all of them together."""
        return self.endpoints.allowance


def tables_of(recipe: DistillRecipe) -> Tables:
    """The endpoints that take part."""
    return {"teacher": recipe.teacher, "writer": recipe.writer, "judge": recipe.judge}


@asynccontextmanager
async def open_cast(
    recipe: DistillRecipe, questions: Sequence[Question], folder: Path, max_usd: float | None
) -> AsyncGenerator[Cast]:
    """Opens everybody, and closes all connections at the end. Raises BadConfig."""
    async with open_endpoints(folder, tables_of(recipe), max_usd) as endpoints:
        truths = truths_for(recipe)
        yield Cast(
            teacher=teacher_of(recipe, questions, truths, endpoints.open),
            judge=_judge(recipe, truths, endpoints.open),
            writer=endpoints.open(recipe.writer) if recipe.writer else None,
            endpoints=endpoints,
            footage=Footage(),
        )


def truths_for(recipe: DistillRecipe) -> Mapping[str, ClipTruth] | None:
    """Of the arena set that the questions are of, if they are and somebody is wanted who knows them."""
    folder = Path(recipe.questions).parent
    wanted = not (recipe.teacher and recipe.judge)
    return load_truths(folder) if wanted and (folder / "truth.jsonl").exists() else None


def _oracle(recipe: DistillRecipe, questions: Sequence[Question], truths: Mapping[str, ClipTruth] | None) -> Oracle:
    if truths is None:
        raise BadConfig(
            f"{recipe.questions} is not of an arena set, so the arena's oracle cannot be the teacher. "
            "Name one: a [teacher] table with model and base_url."
        )
    return Oracle(truths, questions, haste=recipe.haste)


def teacher_of(
    recipe: DistillRecipe,
    questions: Sequence[Question],
    truths: Mapping[str, ClipTruth] | None,
    opened: Callable[..., OpenAIPolicy],
) -> Policy:
    """Who acts; `opened` opens an endpoint. Raises BadConfig if there is nobody."""
    config = recipe.teacher
    return opened(config, native_tools=config.native_tools) if config else _oracle(recipe, questions, truths)


def _judge(recipe: DistillRecipe, truths: Mapping[str, ClipTruth] | None, opened: Callable[..., OpenAIPolicy]) -> Judge:
    if recipe.judge:
        return ModelJudge(opened(recipe.judge), max_tokens=recipe.judge.max_reply_tokens)
    return ArenaChecker(truths) if truths is not None else OfflineJudge()
