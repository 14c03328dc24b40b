"""A question set put to a model, measured as `deepsport bench run` measures it: the same run directory, the same figures.

In a script it runs where it is called, and Ctrl-C lets what is in flight end. Where an event loop runs already, as in a notebook,
it runs in a thread of its own. Without a directory to keep, the run lies in a temporary one that goes away with the result.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from pydantic import JsonValue

from deepsport.api.measuring import Measuring, Plan
from deepsport.api.models import ModelLike
from deepsport.api.results import Results
from deepsport.records import Question

ProtocolName = Literal["agent", "passive", "blind", "majority"]


class Settings(TypedDict, total=False):
    """Settings of a recipe that have no argument of their own; see docs/recipes.md."""

    system: str
    """What the system is called in reports."""
    first_frames: int
    """Frames shown at the start; under the passive protocol, all that are shown."""
    frames_per_call: int
    max_turns: int
    """Replies, the answer included."""
    max_reply_tokens: int
    temperature: float
    """0 always takes the likeliest token."""
    runs: int
    """How often each question is asked, each time with another seed."""
    seed: int
    concurrency: int
    """Questions under way at once."""
    native_tools: bool
    """Offer the tool as a function of the endpoint."""
    majority_of: str
    """Questions that the majority protocol learns from."""
    judge: dict[str, JsonValue]
    """Who judges what no rule can score: `{"model": ..., "base_url": ...}`."""


def evaluate(
    questions: str | Path | Sequence[Question],
    *,
    model: ModelLike | None = None,
    endpoint: str | None = None,
    out: str | Path | None = None,
    protocol: ProtocolName | None = None,
    limit: int | None = None,
    recipe: str | Path | None = None,
    max_usd: float | None = None,
    fail_on_error: bool = False,
    fresh: bool = False,
    **settings: Unpack[Settings],
) -> Results:
    """Puts every question to the model, scores the answers, and returns what `load_run` would.

    questions: a `.jsonl` file of questions, a split of a dataset such as `data/test`, or `Question` records.
    model: who answers; see `load_model`. Without one, nano or the recipe's.
    out: the run directory. A run that was stopped goes on there, a finished one is only read. None: nothing is kept.
    protocol: `agent` may look again; `passive` sees `first_frames` frames and has no tool; `blind` sees nothing; `majority` is no
        model but the most frequent answer. None: the recipe's, or `agent`.
    limit: only the first so many questions.
    recipe: a TOML recipe, as `deepsport bench run --recipe` takes it; the arguments here come before it.
    max_usd: US dollars that all attempts together may spend at an endpoint.
    fail_on_error: end at the first answer lost to a fault.
    fresh: delete what an earlier run left in `out`.
    settings: further settings of a recipe, such as `first_frames=16` or `runs=3`; see `Settings`.

    Raises BadConfig, BadRecord, RunError if `out` holds something else, PolicyError for a model that is not there or an endpoint
    that is broken, and Stopped if the run was interrupted: what is finished is kept in `out`, and the same call goes on."""
    given = {"protocol": protocol, "limit": limit, **settings}
    plan = Plan(questions, model, endpoint, out, recipe, given, max_usd=max_usd, fail_on_error=fail_on_error, fresh=fresh)
    measuring = Measuring(plan)
    return measuring.wait() if _in_a_loop() else measuring.run()


async def evaluate_async(
    questions: str | Path | Sequence[Question],
    *,
    model: ModelLike | None = None,
    endpoint: str | None = None,
    out: str | Path | None = None,
    protocol: ProtocolName | None = None,
    limit: int | None = None,
    recipe: str | Path | None = None,
    max_usd: float | None = None,
    fail_on_error: bool = False,
    fresh: bool = False,
    **settings: Unpack[Settings],
) -> Results:
    """`evaluate`, awaited; it runs in a thread of its own. When it is cancelled, what is finished is kept in `out`."""
    given = {"protocol": protocol, "limit": limit, **settings}
    plan = Plan(questions, model, endpoint, out, recipe, given, max_usd=max_usd, fail_on_error=fail_on_error, fresh=fresh)
    return await Measuring(plan).awaited()


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
