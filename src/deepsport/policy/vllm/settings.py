"""vLLM servers for rollouts, as a recipe describes them."""

from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from deepsport.config import FREE, Config


class VLLMConfig(Config):
    """Servers that sample, and how far they may lag behind. All but the lag may change while a run is under way."""

    start: list[str] = Field(default=[], json_schema_extra=FREE)
    """Servers to start on this machine, each with the GPUs it may use: ["1", "2,3"] are two, the second on two GPUs; "" is one
    without a GPU."""
    addresses: list[str] = Field(default=[], json_schema_extra=FREE)
    """Servers that run already, such as "http://node7:8000"; used beside those that are started."""
    api_key_env: str = Field(default="", json_schema_extra=FREE)
    """The environment variable that holds the servers' key; empty: they ask for none."""
    python: str = Field(default="python", json_schema_extra=FREE)
    """The Python that has vLLM, for the servers to start: an environment of its own, such as .venv-vllm/bin/python."""
    arguments: list[str] = Field(default=[], json_schema_extra=FREE)
    """Further arguments of vLLM for the servers to start, such as ["--gpu-memory-utilization", "0.85"]."""
    environment: dict[str, str] = Field(default={}, json_schema_extra=FREE)
    """Further environment variables of the servers to start."""
    start_timeout_s: float = Field(default=900.0, gt=0, json_schema_extra=FREE)
    """A server that does not answer by then has failed to start."""
    weights: str = Field(default="", json_schema_extra=FREE)
    """The folder through which new weights go to the servers; every server must see it under this name, and /dev/shm is fast for
    whole models on one machine. Empty: a folder of the run."""
    staleness: int = Field(default=1, ge=0)
    """Steps by which the weights that sampled a batch may be older than those it trains. 0: sampling and training take turns;
    1: the next batch is sampled while this one is learnt from."""
    max_concurrent: int = Field(default=256, ge=1, json_schema_extra=FREE)
    """Requests in flight at one server."""
    timeout_s: float = Field(default=300.0, gt=0, json_schema_extra=FREE)
    """Of one reply; a server that takes longer counts as down, and the reply is asked for elsewhere."""
    episode_timeout_s: float = Field(default=1200.0, gt=0, json_schema_extra=FREE)
    """Of a whole episode; one that takes longer is left out."""
    patience_s: float = Field(default=300.0, ge=0, json_schema_extra=FREE)
    """How long the run waits when no server answers, before it ends; it can go on later."""
    tolerance: float = Field(default=1e-3, gt=0, json_schema_extra=FREE)
    """Most by which the log-probability of a token may differ between a server and the trainer, after new weights were sent. In
    bfloat16 on GPUs 0.3 is usual for unlikely tokens."""

    @field_validator("addresses")
    @classmethod
    def _require_addresses(cls, addresses: list[str]) -> list[str]:
        for address in addresses:
            parts = urlsplit(address)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query:
                raise ValueError(f"{address!r} is no address of a server: it must look like http://node7:8000, without /v1")
        return addresses

    @model_validator(mode="after")
    def _require_a_server(self) -> "VLLMConfig":
        if not self.start and not self.addresses:
            raise ValueError("no server: name those that run in `addresses`, or the GPUs of those to start in `start`")
        return self
