"""Pictures of ablations and stress tests, by matplotlib, for docs/evidence.md."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (matplotlib is only partly typed)

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

from deepsport.ablate import VARIANTS, Outcome
from deepsport.stress import Stress

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_ablation(outcomes: Sequence[Outcome], path: Path) -> None:
    """Scores of all variants, one mark per seed, the mean as a bar."""
    shown = [variant for variant in VARIANTS if any(outcome.variant == variant.name for outcome in outcomes)]
    figure, axes = pyplot.subplots(figsize=(8, 0.42 * len(shown) + 1), layout="constrained")
    for place, variant in enumerate(reversed(shown)):
        scores = [o.measured.score for o in outcomes if o.variant == variant.name and o.measured.score is not None]
        axes.barh(place, fmean(scores), color="#9db8d2")
        axes.plot(scores, [place] * len(scores), "o", color="#1f3b57", markersize=5)
    axes.set_yticks(range(len(shown)), [variant.what for variant in reversed(shown)])
    axes.set_xlabel("score on held-out questions; a dot is a seed")
    axes.set_xlim(0, 100)
    _save(figure, path)


def draw_stress(results: Sequence[Stress], path: Path) -> None:
    """Hit rate and accuracy over the length of the clip, a line for each duration; means over policies, the range shaded."""
    figure, both = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    for axes, name, title in zip(both, ("hit", "accuracy"), ("window on the event", "right answers"), strict=True):
        _curves(axes, results, name)
        axes.set_title(title)
        axes.set_xlabel("frames of the clip")
        axes.set_xscale("log", base=2)
        axes.set_ylim(0, 102)
    both[0].set_ylabel("%")
    both[1].legend(title="frames of the event", fontsize="small")
    _save(figure, path)


def _curves(axes: "Axes", results: Sequence[Stress], name: str) -> None:
    durations = sorted({cell.duration for result in results for cell in result.cells})
    for number, duration in enumerate(durations):
        lengths = sorted({cell.length for result in results for cell in result.cells if cell.duration == duration})
        values = [
            [100 * getattr(c, name) for r in results for c in r.cells if (c.duration, c.length) == (duration, length)]
            for length in lengths
        ]
        color = matplotlib.colormaps["viridis"](number / max(1, len(durations) - 1))
        axes.plot(lengths, [fmean(each) for each in values], "o-", color=color, label=str(duration), markersize=4)
        axes.fill_between(lengths, [min(each) for each in values], [max(each) for each in values], color=color, alpha=0.12)
    axes.grid(alpha=0.3)


def _save(figure: "Figure", path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)
