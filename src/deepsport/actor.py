"""Which policy acts: from the options of a command to a policy and the prompt it was made for."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deepsport.errors import BadConfig, PolicyError

if TYPE_CHECKING:
    from deepsport.agent.prompt import PromptStyle
    from deepsport.bench.recipe import BenchConfig
    from deepsport.policy.base import Policy

ORACLE = "arena-oracle"
"""The name of a model that needs no weights: it knows an arena set."""

ARENA_MARK = "deepsport-arena/"
"""How the container comment of every clip of the arena begins."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A policy, and what has to be known to use it well."""

    policy: "Policy"
    style: "PromptStyle"
    arena_only: bool = False
    """It has seen nothing but the arena."""

    def is_out_of_place(self, comment: str) -> bool:
        """Whether a video with this container comment is footage that the policy knows nothing of."""
        return self.arena_only and not comment.startswith(ARENA_MARK)


def remote_actor(endpoint: str, model: str, native_tools: bool) -> Actor:
    """A model behind an OpenAI-compatible address. Raises BadConfig."""
    from deepsport.agent.prompt import PromptStyle
    from deepsport.policy.openai import OpenAIPolicy

    return Actor(OpenAIPolicy(model, endpoint, native_tools=native_tools), PromptStyle.FULL)


def oracle_actor(folder: Path) -> Actor:
    """The teacher of the arena set in a folder. Raises BadConfig if there is none."""
    from deepsport.agent.prompt import PromptStyle
    from deepsport.arena.oracle import open_oracle

    return Actor(open_oracle(folder), PromptStyle.FULL, arena_only=True)


def model_of_run(config: "BenchConfig") -> "tuple[Policy, PromptStyle]":
    """What runs here in a benchmark, and the prompt it was made for. Raises BadConfig or PolicyError."""
    actor = oracle_actor(Path(config.questions).parent) if config.model == ORACLE else local_actor(config.model)
    return actor.policy, actor.style


def require_known(model: str) -> None:
    """Whether a name can be that of a model that runs here, without loading anything. Raises BadConfig."""
    is_place = bool(model) and Path(model).exists()
    if model not in ("nano", ORACLE) and not is_place and model.count("/") != 1:
        names = f"nano, {ORACLE}, the folder of a checkpoint or a run, or a hub id (OWNER/NAME)"
        raise BadConfig(f"there is no model {model!r}: give {names}")


def local_actor(model: str) -> Actor:
    """`nano`, a checkpoint folder or a hub id. Raises PolicyError."""
    from deepsport.agent.prompt import PromptStyle

    try:
        from deepsport.policy.local.checkpoint import load_policy
    except ModuleNotFoundError as error:
        advice = "Install them with `pip install 'deepsport[train]'`, or name the endpoint of a server."
        raise PolicyError(f"local models need torch and transformers ({error.name} is missing). {advice}") from None
    policy = load_policy(model)
    return Actor(policy, PromptStyle.BRIEF if policy.brief else PromptStyle.FULL, policy.arena_only)
