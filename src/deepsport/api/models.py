"""Who answers: what a caller names as its model, loaded once and kept while it is the one named last.

A model that runs here, or behind an endpoint, replies at the desk. A policy of the caller's own is used as it is.
"""

import os
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from deepsport.actor import Actor, local_actor, remote_actor
from deepsport.agent.prompt import PromptStyle
from deepsport.api.desk import AtDesk
from deepsport.errors import BadConfig
from deepsport.policy.base import Policy

if TYPE_CHECKING:
    from deepsport.policy.local.policy import LocalPolicy

ModelLike: TypeAlias = str | Path | Actor | Policy
"""`nano`, the folder of a checkpoint or of a training run, a hub id (OWNER/NAME); with an endpoint, the name it serves; or what
`load_model` returned; or a policy of your own."""

_Key = tuple[object, ...]


@dataclass(slots=True)
class _Kept:
    """The model named last."""

    key: _Key = ()
    actor: Actor | None = None


_kept = _Kept()
_loading = threading.Lock()


def load_model(model: str | Path = "nano", *, endpoint: str | None = None, native_tools: bool = False) -> Actor:
    """Loads a model, to ask it often.

    model: `nano`, the folder of a checkpoint or of a training run, or a hub id of the Qwen2.5-VL or Qwen3-VL family; with an
        endpoint, the name of a model that it serves.
    endpoint: address of an OpenAI-compatible server, such as http://localhost:8000/v1; its key is read from OPENAI_API_KEY.
    native_tools: offer the frame tool as a function of the endpoint, not in the prompt alone.

    The model loaded last stays loaded: named again, it is the same one. Raises BadConfig, and PolicyError for a model that is not
    there."""
    if not str(model):
        raise BadConfig("model = '': name one, such as 'nano', or leave it out")
    key = _key(str(model), endpoint, native_tools)
    with _loading:
        if _kept.actor is None or _kept.key != key:
            _kept.key, _kept.actor = (), None  # before the next one needs its memory
            actor = _loaded(str(model), endpoint, native_tools)
            _kept.key, _kept.actor = key, actor
        return _kept.actor


def actor_of(model: ModelLike | None, endpoint: str | None = None) -> Actor:
    """Who is meant; None is nano. Raises as `load_model`."""
    if endpoint is not None:
        require_served(model)
    if model is None or isinstance(model, str | Path):
        return load_model("nano" if model is None else model, endpoint=endpoint)
    if isinstance(model, Actor):
        return model
    if not hasattr(model, "session"):
        what = "give a name, what `load_model` returns, or a policy of your own"
        raise BadConfig(f"model = {type(model).__name__}: nobody can ask that; {what}")
    return Actor(model, PromptStyle.FULL)


def require_served(model: ModelLike | None) -> None:
    """Refuses what no endpoint can serve. Raises BadConfig."""
    if model is None:
        raise BadConfig("an endpoint needs the name of a model that it serves: model=...")
    if not isinstance(model, str | Path):
        raise BadConfig("an endpoint needs the name of a model that it serves, and not a model that is loaded already")


def _loaded(model: str, endpoint: str | None, native_tools: bool) -> Actor:
    if native_tools and endpoint is None:
        raise BadConfig("native_tools is for servers: give an endpoint too, or leave it out")
    if endpoint is not None:
        actor = remote_actor(endpoint, model, native_tools)
        return replace(actor, policy=AtDesk(actor.policy))
    actor = local_actor(model)
    return replace(actor, policy=AtDesk(actor.policy, cast("LocalPolicy", actor.policy).features.forget))


def _key(model: str, endpoint: str | None, native_tools: bool) -> _Key:
    """Equal for what would be loaded alike: a folder may hold other weights by now, an account another key."""
    if endpoint is not None:
        return model, endpoint, native_tools, os.environ.get("OPENAI_API_KEY")
    return model, os.path.abspath(model), _newest_ns(Path(model)) if model != "nano" else 0


def _newest_ns(folder: Path) -> int:
    """When weights were last written there; 0 if there are none."""
    return max((path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")), default=0) if folder.is_dir() else 0
