"""An endpoint as a recipe describes it. The key of the account is never in a recipe: only the variable that holds it is named."""

import os

from pydantic import Field, JsonValue

from deepsport.config import FREE, Config
from deepsport.errors import BadConfig
from deepsport.policy.openai.allowance import Allowance, Price
from deepsport.policy.openai.endpoint import OpenAIPolicy
from deepsport.policy.openai.pace import Pace
from deepsport.policy.openai.reply_cache import Replies


class EndpointConfig(Config):
    """A model behind an OpenAI-compatible address. Address, pace and prices may change while a run is under way."""

    model: str
    base_url: str = Field(json_schema_extra=FREE)
    """Usually ends in /v1."""
    api_key_env: str = Field(default="", json_schema_extra=FREE)
    """The environment variable that holds the key; empty: OPENAI_API_KEY, and where that is unset too, no key."""
    max_reply_tokens: int = Field(default=2048, ge=1)
    """Thoughts included."""
    max_concurrent: int = Field(default=64, ge=1, json_schema_extra=FREE)
    """Requests in flight."""
    timeout_s: float = Field(default=120.0, gt=0, json_schema_extra=FREE)
    """Of one attempt."""
    max_retries: int = Field(default=6, ge=0, json_schema_extra=FREE)
    requests_per_minute: float | None = Field(default=None, gt=0, json_schema_extra=FREE)
    tokens_per_minute: float | None = Field(default=None, gt=0, json_schema_extra=FREE)
    prompt_usd: float = Field(default=0.0, ge=0, json_schema_extra=FREE)
    """US dollars for a million tokens of prompts."""
    reply_usd: float = Field(default=0.0, ge=0, json_schema_extra=FREE)
    """US dollars for a million tokens of replies."""
    max_side_px: int | None = Field(default=768, ge=28)
    """Larger frames are shrunk until their longer side fits."""
    extra_body: dict[str, JsonValue] = Field(default_factory=dict)
    """Further fields of every request, such as vLLM's chat_template_kwargs."""

    @property
    def price(self) -> Price:
        """Of a million tokens."""
        return Price(self.prompt_usd, self.reply_usd)


def open_endpoint(
    config: EndpointConfig,
    *,
    native_tools: bool = False,
    allowance: Allowance | None = None,
    cache: Replies | None = None,
) -> OpenAIPolicy:
    """The policy that a recipe describes; `native_tools` offers the frame tool as a function instead of in the prompt alone.

    Raises BadConfig for an address or a key that cannot be used."""
    return OpenAIPolicy(
        config.model,
        config.base_url,
        key_in(config.api_key_env, "api_key_env"),
        native_tools=native_tools,
        max_concurrent=config.max_concurrent,
        timeout_s=config.timeout_s,
        max_retries=config.max_retries,
        max_side_px=config.max_side_px,
        extra_body=config.extra_body,
        price=config.price,
        pace=Pace(config.requests_per_minute, config.tokens_per_minute),
        allowance=allowance or Allowance(),
        cache=cache,
    )


def key_in(variable: str, setting: str) -> str | None:
    """The key in the environment variable that a setting names; None if it names none. Raises BadConfig if the variable is not
    set."""
    if not variable:
        return None
    if not (key := os.environ.get(variable)):
        raise BadConfig(f"{setting} names {variable}, which is not set. Export it, or leave {setting} empty.")
    return key
