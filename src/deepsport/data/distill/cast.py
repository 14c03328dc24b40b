"""Who states the facts, acts and judges: models behind endpoints, or, for an arena set, its oracle and its checker.

All endpoints of a run share one allowance and one file of replies, so that a limit of cost holds for all of them together, and no
request that was answered is sent again, whichever step it belongs to.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from deepsport.arena.checker import ArenaChecker
from deepsport.arena.generate import load_truths
from deepsport.arena.oracle import Oracle
from deepsport.arena.truth import ClipTruth
from deepsport.data.distill.footage import Footage
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
    footage: Footage


@asynccontextmanager
async def open_cast(
    recipe: DistillRecipe, questions: Sequence[Question], folder: Path, max_usd: float | None
) -> AsyncGenerator[Cast]:
    """Opens everybody, and closes all connections at the end. Raises BadConfig."""
    if max_usd is not None:
        _require_prices(recipe)
    truths = _truths_for(recipe)
    endpoints: list[OpenAIPolicy] = []
    with ReplyCache(folder / REPLIES) as cache:
        allowance = Allowance(max_usd, cache.spent_usd())

        def opened(config: EndpointConfig, *, native_tools: bool = False) -> OpenAIPolicy:
            endpoints.append(open_endpoint(config, native_tools=native_tools, allowance=allowance, cache=cache))
            return endpoints[-1]

        try:
            yield Cast(
                teacher=_teacher(recipe, questions, truths, opened),
                judge=_judge(recipe, truths, opened),
                writer=opened(recipe.writer) if recipe.writer else None,
                allowance=allowance,
                footage=Footage(),
            )
        finally:
            for endpoint in endpoints:
                await endpoint.aclose()


def n_workers(endpoint: EndpointConfig | None) -> int:
    """Jobs at once for so many requests at once: a few more, since a job also decodes between two requests."""
    return endpoint.max_concurrent + max(2, endpoint.max_concurrent // 2) if endpoint else ALONE


def _require_prices(recipe: DistillRecipe) -> None:
    """Raises BadConfig if a limit of cost would limit nothing."""
    for table, config in (("teacher", recipe.teacher), ("writer", recipe.writer), ("judge", recipe.judge)):
        if config and not (config.prompt_usd or config.reply_usd):
            raise BadConfig(
                f"--max-cost limits nothing at [{table}], which has no price. Give it prompt_usd and reply_usd, for a million "
                "tokens, or leave --max-cost out."
            )


def _truths_for(recipe: DistillRecipe) -> Mapping[str, ClipTruth] | None:
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


def _teacher(
    recipe: DistillRecipe,
    questions: Sequence[Question],
    truths: Mapping[str, ClipTruth] | None,
    opened: Callable[..., OpenAIPolicy],
) -> Policy:
    config = recipe.teacher
    return opened(config, native_tools=config.native_tools) if config else _oracle(recipe, questions, truths)


def _judge(recipe: DistillRecipe, truths: Mapping[str, ClipTruth] | None, opened: Callable[..., OpenAIPolicy]) -> Judge:
    if recipe.judge:
        return ModelJudge(opened(recipe.judge), max_tokens=recipe.judge.max_reply_tokens)
    return ArenaChecker(truths) if truths is not None else OfflineJudge()
