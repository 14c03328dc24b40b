"""Who states the facts, acts and judges: models behind endpoints, or, for an arena set, its oracle and its checker.

All endpoints of a run share one allowance and one file of replies, so that a limit of cost holds for all of them together, and no
request that was answered is sent again, whichever step it belongs to.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from deepsport.arena.checker import ArenaChecker
from deepsport.arena.generate import load_truths
from deepsport.arena.oracle import Oracle
from deepsport.data.distill.recipe import DistillRecipe
from deepsport.errors import BadConfig
from deepsport.policy.base import Policy
from deepsport.policy.openai import EndpointConfig, OpenAIPolicy, open_endpoint
from deepsport.policy.openai.allowance import Allowance
from deepsport.policy.openai.reply_cache import ReplyCache
from deepsport.records import Question
from deepsport.reward.judge import Judge
from deepsport.reward.model_judge import ModelJudge
from deepsport.reward.offline_judge import OfflineJudge

REPLIES = "replies.sqlite"

ALONE = 8
"""Jobs at once where nobody is waited for: decoding then runs in threads of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Everybody who takes part in a run."""

    teacher: Policy
    judge: Judge
    writer: OpenAIPolicy | None
    allowance: Allowance


@asynccontextmanager
async def open_cast(
    recipe: DistillRecipe, questions: Sequence[Question], folder: Path, max_usd: float | None
) -> AsyncGenerator[Cast]:
    """Opens everybody, and closes all connections at the end. Raises BadConfig."""
    endpoints: list[OpenAIPolicy] = []
    with ReplyCache(folder / REPLIES) as cache:
        allowance = Allowance(max_usd, cache.spent_usd())

        def opened(config: EndpointConfig) -> OpenAIPolicy:
            endpoints.append(open_endpoint(config, allowance=allowance, cache=cache))
            return endpoints[-1]

        try:
            yield Cast(
                teacher=opened(recipe.teacher) if recipe.teacher else _oracle(recipe, questions),
                judge=ModelJudge(opened(recipe.judge)) if recipe.judge else _rules(recipe),
                writer=opened(recipe.writer) if recipe.writer else None,
                allowance=allowance,
            )
        finally:
            for endpoint in endpoints:
                await endpoint.aclose()


def n_workers(endpoint: EndpointConfig | None) -> int:
    """Jobs at once for so many requests at once: a few more, since a job also decodes between two requests."""
    return endpoint.max_concurrent + max(2, endpoint.max_concurrent // 2) if endpoint else ALONE


def _arena_of(recipe: DistillRecipe) -> Path | None:
    """The folder of the arena set that the questions are of, if they are."""
    folder = Path(recipe.questions).parent
    return folder if (folder / "truth.jsonl").exists() else None


def _oracle(recipe: DistillRecipe, questions: Sequence[Question]) -> Oracle:
    folder = _arena_of(recipe)
    if folder is None:
        raise BadConfig(
            f"{recipe.questions} is not of an arena set, so the arena's oracle cannot be the teacher. "
            "Name one: a [teacher] table with model and base_url."
        )
    return Oracle(load_truths(folder), questions, haste=recipe.haste)


def _rules(recipe: DistillRecipe) -> Judge:
    folder = _arena_of(recipe)
    return ArenaChecker(load_truths(folder)) if folder else OfflineJudge()
