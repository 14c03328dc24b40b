"""What a training run says while it goes on: metrics.jsonl always; on a terminal a live table; TensorBoard if wanted.

Every step is one flat record of numbers. `seconds_*` are the phases of a step, `stop_*` shares of stop reasons.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (torch's TensorBoard writer is only partly typed)

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from deepsport.errors import BadConfig
from deepsport.progress import track
from deepsport.run import Run

if TYPE_CHECKING:
    from rich.console import RenderableType
    from torch.utils.tensorboard import SummaryWriter

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 40
"""Steps shown in a line of the table."""

PRIMARY = ("reward", "accuracy", "tool", "format_penalty", "tool_calls", "valid_action_rate", "hit", "loss", "grad_norm")
SECONDARY = ("groups_flat", "groups_phantom", "mismatch", "clipped", "tokens_per_second")


class LogStep(Protocol):
    """Notes the numbers of a finished step."""

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        """`step` counts from 0."""
        ...


@contextmanager
def follow(
    run: Run, stage: str, *, n_steps: int, first: int, shown: bool = True, tensorboard: bool = False
) -> Generator[LogStep]:
    """Shows and keeps the steps of a stage. Raises BadConfig if TensorBoard is wanted and not installed."""
    board = _board(run, stage) if tensorboard and shown else None
    history: list[Mapping[str, float]] = []
    try:
        with track(stage, total=n_steps, unit="steps", done=first, shown=shown) as tick:

            def log(step: int, metrics: Mapping[str, float]) -> None:
                metrics = {**metrics, "tokens_per_second": metrics.get("tokens", 0.0) / max(metrics["seconds"], 1e-9)}
                run.append("metrics.jsonl", {"stage": stage, "step": step, **metrics})
                history.append(metrics)
                if board:
                    for name, value in metrics.items():
                        board.add_scalar(f"{stage}/{name}", value, step)
                tick(extra=headline(metrics), panel=lambda: table(history))

            yield log
    finally:
        if board:
            board.close()


def headline(metrics: Mapping[str, float]) -> str:
    """The few numbers that fit behind a progress line."""
    names = ("reward", "accuracy", "tool_calls") if "reward" in metrics else ("loss",)
    return "  ".join(f"{name.replace('_', ' ')} {metrics[name]:.2f}" for name in names if name in metrics)


def table(history: Sequence[Mapping[str, float]]) -> "RenderableType":
    """The last steps at a glance: curves, stop reasons, and where the time goes."""
    from rich.table import Table

    latest, grid = history[-1], Table.grid(padding=(0, 2))
    for name in (*PRIMARY, *SECONDARY):
        values = [metrics[name] for metrics in history if name in metrics]
        if values:
            grid.add_row(name.replace("_", " "), f"{values[-1]:.3g}", sparkline(values[-WIDTH:]))
    if stops := shares(latest, "stop_"):
        grid.add_row("stop reasons", "", stops)
    if phases := shares(latest, "seconds_"):
        grid.add_row("time", f"{latest['seconds']:.1f} s", phases)
    return grid


def shares(metrics: Mapping[str, float], prefix: str) -> str:
    """`answered 92 %, format error 8 %`, the largest first, of all numbers whose names begin so."""
    parts = {name.removeprefix(prefix): value for name, value in metrics.items() if name.startswith(prefix) and value > 0}
    whole = sum(parts.values())
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    return ", ".join(f"{name.replace('_', ' ')} {100 * value / whole:.0f} %" for name, value in ordered)


def sparkline(values: Sequence[float]) -> str:
    """One character per value, from the lowest to the highest of them."""
    low, high = min(values), max(values)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in values)


def _board(run: Run, stage: str) -> "SummaryWriter":
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise BadConfig(
            "tensorboard is not installed. `pip install tensorboard`, or do without: metrics.jsonl holds all."
        ) from error
    return SummaryWriter(str(run.path(f"tensorboard/{stage}")))
