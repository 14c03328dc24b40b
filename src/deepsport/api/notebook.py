"""How things show themselves in a notebook: an episode as its page, a run as a table, frames as a strip.

Whatever a model, a question or a file name says is text here and never markup. An episode's page stands in a frame of its own,
which may run no script and keeps its style inside.
"""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from markupsafe import Markup

from deepsport.records import Episode

if TYPE_CHECKING:
    from deepsport.api.results import Results
    from deepsport.api.video import Clip

THUMBNAIL_PX = 160
"""Width of a picture in a strip."""

FRAME = Markup(
    '<iframe sandbox="" title="{title}" srcdoc="{page}" '
    'style="width:100%;height:{height}px;border:1px solid #8884;border-radius:6px;resize:vertical"></iframe>'
)
PICTURE = Markup(
    '<figure style="display:inline-block;margin:2px 4px 2px 0;font:12px sans-serif">'
    '<img src="{src}" alt="frame {index} at {time_s:.2f} s" style="display:block;width:{width}px">'
    "<figcaption>{index} · {time_s:.2f} s</figcaption></figure>"
)
ROW = Markup("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>")
TABLE = Markup(
    "<table><thead><tr><th>system</th><th>score, 0-100</th><th>95 %</th><th>questions</th><th>not scored</th></tr></thead>"
    "<tbody>{}</tbody></table>"
)


class _Printer(Protocol):
    def text(self, text: str) -> None: ...


class _Formatter(Protocol):
    def for_type(self, typ: type, func: Callable[..., object]) -> object: ...


def show_in_notebooks() -> None:
    """Tells IPython how to show an episode, if this is a session of it."""
    if "IPython" not in sys.modules:
        return
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is not None:
        formatters = cast("dict[str, _Formatter]", getattr(shell.display_formatter, "formatters"))  # noqa: B009 - traits
        formatters["text/html"].for_type(Episode, episode_html)
        formatters["text/plain"].for_type(Episode, _print)


def episode_html(episode: Episode) -> str:
    """The page of an episode in a frame of its own, with its pictures if the video is still there."""
    from deepsport.api.desk import desk
    from deepsport.bench.reporting.episode_html import episode_page

    looks = 1 + sum(bool(turn.frames) for turn in episode.turns)
    height = min(1200, 430 + 130 * len(episode.turns) + 230 * looks)
    return str(FRAME.format(title=f"Episode {episode.id}", page=episode_page(episode, desk().source), height=height))


def episode_text(episode: Episode) -> str:
    """Question, turns and answer, for a terminal."""
    lines = [f"Episode {episode.id}: {episode.question.text}", f"  {os.path.basename(episode.question.video)}, {episode.policy}"]
    for number, turn in enumerate(episode.turns, start=1):
        lines.append(f"  {number}. {turn.thought or turn.note or turn.text}")
        if turn.call is not None:
            lines.append(f"     looks at frames {turn.call.start_index} to {turn.call.end_index}")
    ended = f"answer: {episode.answer}" if episode.answer is not None else f"{episode.stop.value}: {episode.detail}"
    return "\n".join([*lines, f"  {ended}"])


def results_html(results: "Results") -> str:
    """Score, interval and counts of every system."""
    rows = [
        ROW.format(
            name,
            "none" if one.score is None else f"{one.score:.1f}",
            f"{one.ci95[0]:.1f} to {one.ci95[1]:.1f}" if one.ci95 else "",
            one.n_questions,
            one.unscored,
        )
        for name, one in results.report.systems.items()
    ]
    return str(TABLE.format(Markup("").join(rows)))


def clip_html(clip: "Clip") -> str:
    """The frames in a row, each with its index and time."""
    from deepsport.bench.reporting.thumbnails import data_uri

    pictures = [
        PICTURE.format(src=data_uri(frame.pixels, 2 * THUMBNAIL_PX), index=frame.index, time_s=frame.time_s, width=THUMBNAIL_PX)
        for frame in clip
    ]
    name = Markup("<div>{}</div>").format(os.path.basename(clip.video))
    return str(Markup("<div>{}{}</div>").format(name, Markup("").join(pictures)))


def _print(episode: Episode, printer: _Printer, cycle: bool) -> None:
    printer.text(_plain(episode_text(episode)))


def _plain(text: str) -> str:
    """Without control characters, by which a text could drive the terminal."""
    return "".join(each if each.isprintable() or each == "\n" else "?" for each in text)
