"""Accuracy of episodes that no rule can score, by a model behind an endpoint: what RL on open questions learns from.

Verdicts are kept in the run: a resumed run asks again only for what it has not been told. An episode that the judge could not
score stays unscored, and is left out of its group.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from deepsport.policy.openai import EndpointConfig, open_endpoint
from deepsport.policy.openai.reply_cache import ReplyCache
from deepsport.records import Episode
from deepsport.reward.gated import answer_accuracy
from deepsport.reward.judge import judged_accuracy
from deepsport.reward.model_judge import ModelJudge

Accuracies = Callable[[Sequence[Episode]], list[float | None]]
"""[B] episodes -> accuracy of each in [0, 1]; None where nobody could say."""


def by_rule(episodes: Sequence[Episode]) -> list[float | None]:
    """What can be said without a judge."""
    return [answer_accuracy(episode) for episode in episodes]


def by_judge(config: EndpointConfig, replies: Path) -> Accuracies:
    """By rule where that is possible, else by the model; `replies` is the file of what it said. Raises BadConfig."""
    open_endpoint(config)  # so that a fault of the recipe shows at the start

    async def judged(episodes: Sequence[Episode]) -> list[float | None]:
        with ReplyCache(replies) as cache:
            endpoint = open_endpoint(config, cache=cache)
            try:
                judge = ModelJudge(endpoint, max_tokens=config.max_reply_tokens)
                return await asyncio.gather(*(judged_accuracy(episode, judge) for episode in episodes))
            finally:
                await endpoint.aclose()

    def accuracies(episodes: Sequence[Episode]) -> list[float | None]:
        known = by_rule(episodes)
        return asyncio.run(judged(episodes)) if None in known else known

    return accuracies
