"""DeepSport: models that think with sports video.

`ask` a question about a video, `evaluate` a question set, `load_run` what a run has left behind, look at frames with `Video`: see
docs/api.md. Nothing is imported until it is used, so that `import deepsport` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepsport.actor import Actor
    from deepsport.agent.prompt import PromptStyle
    from deepsport.api.asking import ask, ask_async
    from deepsport.api.evaluating import evaluate, evaluate_async
    from deepsport.api.models import ModelLike, load_model
    from deepsport.api.results import Results, load_run
    from deepsport.api.video import Clip, Video
    from deepsport.bench.report import Report, SystemReport
    from deepsport.bench.score import Score
    from deepsport.errors import BadConfig, BadRecord, BadVideo, DeepSportError, PolicyError, RunError, Stopped
    from deepsport.policy.base import Image, Message, Policy, Reply, Sampling, Session
    from deepsport.records import (
        Choice,
        Dimension,
        Episode,
        Fact,
        Frame,
        FreeText,
        Number,
        Question,
        StopReason,
        ToolCall,
        Turn,
        Window,
    )
    from deepsport.video.source import Shown, VideoInfo

__version__ = "0.1.0"

_HOME = {
    "actor": ("Actor",),
    "agent.prompt": ("PromptStyle",),
    "api.asking": ("ask", "ask_async"),
    "api.evaluating": ("evaluate", "evaluate_async"),
    "api.models": ("ModelLike", "load_model"),
    "api.results": ("Results", "load_run"),
    "api.video": ("Clip", "Video"),
    "bench.report": ("Report", "SystemReport"),
    "bench.score": ("Score",),
    "errors": ("BadConfig", "BadRecord", "BadVideo", "DeepSportError", "PolicyError", "RunError", "Stopped"),
    "policy.base": ("Image", "Message", "Policy", "Reply", "Sampling", "Session"),
    "records": (
        *("Choice", "Dimension", "Episode", "Fact", "Frame", "FreeText"),
        *("Number", "Question", "StopReason", "ToolCall", "Turn", "Window"),
    ),
    "video.source": ("Shown", "VideoInfo"),
}
"""The public names by the module they live in."""

_MODULE_OF = {name: f"deepsport.{module}" for module, names in _HOME.items() for name in names}

__all__ = [
    "Actor",
    "BadConfig",
    "BadRecord",
    "BadVideo",
    "Choice",
    "Clip",
    "DeepSportError",
    "Dimension",
    "Episode",
    "Fact",
    "Frame",
    "FreeText",
    "Image",
    "Message",
    "ModelLike",
    "Number",
    "Policy",
    "PolicyError",
    "PromptStyle",
    "Question",
    "Reply",
    "Report",
    "Results",
    "RunError",
    "Sampling",
    "Score",
    "Session",
    "Shown",
    "StopReason",
    "Stopped",
    "SystemReport",
    "ToolCall",
    "Turn",
    "Video",
    "VideoInfo",
    "Window",
    "ask",
    "ask_async",
    "evaluate",
    "evaluate_async",
    "load_model",
    "load_run",
]


def __getattr__(name: str) -> object:
    """A public name, imported when it is first asked for; in a notebook, episodes then show themselves as pages."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'deepsport' has no attribute {name!r}")
    import_module("deepsport.api")
    value = globals()[name] = getattr(import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    """What there is, the names not yet imported included."""
    return sorted({*globals(), *__all__})
