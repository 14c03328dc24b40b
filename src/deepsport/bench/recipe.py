"""What a benchmark measures: which questions, which system, how it is let to look, and who judges.

Five protocols over the same questions, so that their scores can be compared: an agent that may look again, the same model with a
fixed number of frames, the same model blind, and the most frequent answer, which needs no model. A training-free agent is an
agent behind an endpoint: it is told the rules in the prompt, or given the tool as a function.
"""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from pydantic import Field

from deepsport.agent.prompt import PromptStyle
from deepsport.agent.rollout import Limits
from deepsport.config import FREE, Config, leaves, load
from deepsport.errors import BadConfig
from deepsport.policy.base import Sampling
from deepsport.policy.openai.allowance import Price
from deepsport.policy.openai.settings import EndpointConfig


class Protocol(StrEnum):
    """How a system is let to look."""

    AGENT = "agent"
    """The sparse frames, then the tool."""
    PASSIVE = "passive"
    """A fixed number of frames, spread over the video, and no tool."""
    BLIND = "blind"
    """The question alone: what a model knows, or guesses, without seeing."""
    MAJORITY = "majority"
    """No model: the answer that is right most often elsewhere."""
    IMPORTED = "imported"
    """Answers that were given somewhere else: nobody knows what the system was shown."""


class BenchConfig(Config):
    """What determines the figures of a measurement."""

    questions: str
    """A `.jsonl` file of questions, or a split of a dataset."""
    system: str = ""
    """What the system is called in reports; empty: by its model and the protocol."""
    protocol: Protocol = Protocol.AGENT
    model: str = "nano"
    """nano, a checkpoint folder, a hub id, arena-oracle (an arena set's own teacher); with an endpoint, the name it serves."""
    endpoint: EndpointConfig | None = None
    """None: the model runs here."""
    native_tools: bool = False
    """Offer the tool as a function of the endpoint's API instead of in the prompt alone."""
    judge: EndpointConfig | None = None
    """Who judges free answers that no rule can score; None: the judge that works offline by rule, and abstains often."""
    majority_of: str = ""
    """Questions from which the majority protocol learns; empty: those asked, without the ones about the same video or match."""
    limit: int | None = Field(default=None, ge=1)
    """Only the first so many questions."""
    first_frames: int = Field(default=8, ge=1)
    """Frames shown at the start; under the passive protocol, all that are shown."""
    frames_per_call: int = Field(default=8, ge=2)
    max_turns: int = Field(default=5, ge=1)
    """Replies, the answer included."""
    max_reply_tokens: int = Field(default=1024, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    runs: int = Field(default=1, ge=1)
    """How often each question is asked, each time with another seed: for temperatures above 0."""
    seed: int = 0
    """Of sampling and of resampling."""
    concurrency: int = Field(default=64, ge=1, json_schema_extra=FREE)
    """Questions under way at once."""

    @property
    def with_tool(self) -> bool:
        """Whether the frame tool is offered."""
        return self.protocol is Protocol.AGENT

    @property
    def sampling(self) -> Sampling:
        """How replies are drawn, but for the seed."""
        return Sampling(temperature=self.temperature, max_tokens=self.max_reply_tokens)

    @property
    def price(self) -> Price:
        """Of the system's tokens."""
        return self.endpoint.price if self.endpoint else Price()

    def limits(self, style: PromptStyle) -> Limits:
        """The size of an episode under the protocol."""
        return Limits(
            first_frames=self.first_frames if self.protocol in (Protocol.AGENT, Protocol.PASSIVE) else 0,
            frames_per_call=self.frames_per_call,
            max_turns=self.max_turns if self.with_tool else 1,
            style=style,
        )


def recipe_of(recipe: Path | None, given: Sequence[str], *, model: str | None, endpoint: str | None) -> BenchConfig:
    """A recipe, settings that come before it, and the model and the address named apart from them, as a run writes it down.

    Behind an address, be it named here or in the recipe, the model is the one that is served there. Raises BadConfig."""
    given = [*given, *as_settings({"endpoint.base_url": endpoint})]
    if model is not None:
        is_served = endpoint is not None or load(BenchConfig, recipe, given).endpoint is not None
        given += as_settings({"endpoint.model" if is_served else "model": model})
    config = load(BenchConfig, recipe, given)
    if config.native_tools and not config.endpoint:
        raise BadConfig("native_tools is for servers: give an endpoint too, or leave it out")
    return settled(config)


def as_settings(values: Mapping[str, object]) -> list[str]:
    """As `dotted.key=value`, the value in TOML; what is None was not given, and is left out."""
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in leaves(values) if value is not None]


def settled(config: BenchConfig) -> BenchConfig:
    """The configuration as a run writes it down: what stands in it twice agrees, what the protocol has no use for is off, and the
    system has a name. Raises BadConfig for a protocol by which nobody can be asked."""
    if config.protocol is Protocol.IMPORTED:
        raise BadConfig("protocol = imported: `deepsport bench import` makes such a run, from answers that were given elsewhere")
    endpoint, found = config.endpoint, dict[str, object](native_tools=config.native_tools and config.with_tool, majority_of="")
    if config.protocol is Protocol.MAJORITY:
        found |= {"model": Protocol.MAJORITY.value, "endpoint": None, "runs": 1, "majority_of": config.majority_of}
    elif endpoint:
        bound = endpoint if "max_reply_tokens" in endpoint.model_fields_set - config.model_fields_set else config
        most = {"max_reply_tokens": bound.max_reply_tokens}
        found |= {"model": endpoint.model, "endpoint": endpoint.model_copy(update=most), **most}
    made = config.model_copy(update=found)
    return made.model_copy(update={"system": config.system or _name(made)})


def _name(config: BenchConfig) -> str:
    """Model and protocol, as in "nano, 16 frames, no tool". Of a folder the last two parts: a run may move."""
    model = "/".join(Path(config.model).parts[-2:]) if Path(config.model).is_dir() else config.model
    match config.protocol:
        case Protocol.AGENT:
            return f"{model}, native tools" if config.native_tools else model
        case Protocol.PASSIVE:
            return f"{model}, {config.first_frames} frame{'s' * (config.first_frames != 1)}, no tool"
        case Protocol.BLIND:
            return f"{model}, blind"
        case Protocol.MAJORITY | Protocol.IMPORTED:
            return config.protocol.value
