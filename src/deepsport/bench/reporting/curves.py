"""Learning curves, as a run logs them in `metrics.jsonl`: one line per step, `{"stage", "step", name: value, ...}`.

A run that was killed between checkpoints repeats some steps; of a step's lines the last one counts, as it is the one training
went on from. Which curves share a panel is decided here, by name; a name nobody expected gets a panel of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite

from pydantic import BaseModel, ConfigDict

from deepsport.run import Run

Curve = list[tuple[int, float]]
Curves = dict[str, dict[str, Curve]]
"""Stage -> name of the metric -> (step, value) in the order of the steps."""

METRICS_FILE = "metrics.jsonl"


class MetricLine(BaseModel):
    """One logged step; what else stands on the line are its metrics."""

    model_config = ConfigDict(frozen=True, extra="allow")
    stage: str
    step: int


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves that are read together."""

    title: str
    about: str
    labels: dict[str, str]
    """Name of the metric -> what the legend says."""


PANELS = (
    Panel("Loss", "lower is better in supervised stages; in RL its level means little", {"loss": "loss"}),
    Panel(
        "Reward and its parts",
        "mean over the sampled episodes of a step",
        {"reward": "reward", "accuracy": "accuracy", "tool": "tool part", "format_penalty": "format penalty"},
    ),
    Panel("Tool calls", "per episode", {"tool_calls": "calls"}),
    Panel(
        "Valid actions and hits",
        "share of turns that acted, share of episodes whose window met the event",
        {"valid_action_rate": "valid actions", "hit": "window on the event"},
    ),
    Panel(
        "Episodes without an answer",
        "share of episodes, by how they stopped",
        {"stop_format_error": "format error", "stop_max_turns": "out of turns", "stop_max_tokens": "reply too long"},
    ),
    Panel(
        "Groups that teach nothing",
        "equally right or wrong throughout; phantom: apart only by the exploration bonus",
        {"groups_flat": "dropped", "groups_phantom": "phantom"},
    ),
    Panel("Sampler against trainer", "difference of the log-probabilities of the same tokens", {"mismatch": "mismatch"}),
    Panel("Gradient norm", "before clipping", {"grad_norm": "norm"}),
)


def read_curves(run: Run) -> Curves:
    """The curves of a run, none if it logged nothing. Raises BadRecord for a broken line."""
    return curves(run.read(METRICS_FILE, MetricLine))


def curves(lines: Iterable[MetricLine]) -> Curves:
    """Sorted by step; values that are no finite number are left out."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for line in lines:
        for name, value in (line.model_extra or {}).items():
            if isinstance(value, int | float) and isfinite(value):
                found.setdefault(line.stage, {}).setdefault(name, {})[line.step] = float(value)
    return {stage: {name: sorted(points.items()) for name, points in by_name.items()} for stage, by_name in found.items()}


def panels_of(names: Iterable[str]) -> tuple[list[Panel], list[Panel]]:
    """The known panels that have a curve among `names`, and a panel for each other name."""
    left = list(dict.fromkeys(names))
    known = [Panel(p.title, p.about, {name: label for name, label in p.labels.items() if name in left}) for p in PANELS]
    placed = {name for panel in PANELS for name in panel.labels}
    others = [Panel(name.replace("_", " "), "", {name: name}) for name in left if name not in placed]
    return [panel for panel in known if panel.labels], others


def smooth(curve: Sequence[tuple[int, float]]) -> Curve:
    """A centred moving mean over a fifteenth of the curve: what the eye would draw through the noise."""
    reach = len(curve) // 30
    values = [value for _, value in curve]
    windows = ((step, values[max(0, i - reach) : i + reach + 1]) for i, (step, _) in enumerate(curve))
    return [(step, sum(window) / len(window)) for step, window in windows]


def thin(curve: Sequence[tuple[int, float]], most: int = 240) -> Curve:
    """At most about `most` points, each the mean of its neighbours: a page cannot show more."""
    size = -(-len(curve) // most) or 1
    chunks = [curve[start : start + size] for start in range(0, len(curve), size)]
    return [(chunk[-1][0], sum(value for _, value in chunk) / len(chunk)) for chunk in chunks]
