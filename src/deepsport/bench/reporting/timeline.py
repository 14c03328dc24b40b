"""The timeline of an episode as inline SVG: where the model looked, row by row, against when the event was.

Horizontal places are percentages, so one drawing fits a phone and a desk without scaling its text. Colours come from the page's
style sheet by class.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from deepsport.records import Episode, Frame, Window

ROW_PX = 34
AXIS_PX = 22
N_TICKS = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One look: the frames shown, and the window asked for."""

    label: str
    frames: Sequence[Frame]
    window: Window | None = None


def timeline(episode: Episode) -> Markup:
    """The drawing; times run from 0 to the last instant that occurs in the episode."""
    rows, end_s = _rows(episode), _end_s(episode)
    height = ROW_PX * len(rows) + AXIS_PX
    drawn = [_event(episode.question.window, end_s, height - AXIS_PX), *_axis(end_s, height)]
    drawn += [_row(row, end_s, ROW_PX * number) for number, row in enumerate(rows)]
    label = f"Timeline of {end_s:.2f} seconds with {len(rows)} looks"
    return Markup('<svg class="timeline" role="img" aria-label="{}" width="100%" height="{}">{}</svg>').format(
        label, height, Markup("").join(drawn)
    )


def _rows(episode: Episode) -> list[Row]:
    rows = [Row(f"{len(episode.first_frames)} sparse frames", episode.first_frames)]
    for number, turn in enumerate(episode.turns, start=1):
        if turn.call is not None:
            asked = f"turn {number}: frames {turn.call.start_index} to {turn.call.end_index}"
            rows.append(Row(asked if turn.frames else f"{asked} (refused)", turn.frames, turn.call.window))
    return rows


def _end_s(episode: Episode) -> float:
    windows = [episode.question.window, *(call.window for call in episode.calls)]
    instants = [frame.time_s for frame in episode.frames_seen] + [window.end_s for window in windows if window]
    return max(instants, default=0.0) or 1.0


def _x(time_s: float, end_s: float) -> str:
    """Place of an instant; a margin of 1 % at both ends keeps marks whole."""
    return f"{1 + 98 * time_s / end_s:.3f}%"


def _width(window: Window, end_s: float) -> str:
    """Width of a span, never so small that it cannot be seen."""
    return f"{max(0.4, 98 * (window.end_s - window.start_s) / end_s):.3f}%"


def _event(window: Window | None, end_s: float, height: int) -> Markup:
    if window is None:
        return Markup()
    return Markup(
        '<rect class="event" x="{}" y="0" width="{}" height="{}"><title>event, {:.2f} to {:.2f} s</title></rect>'
    ).format(_x(window.start_s, end_s), _width(window, end_s), height, window.start_s, window.end_s)


def _row(row: Row, end_s: float, top: int) -> Markup:
    middle = top + 23
    parts = [Markup('<text class="label" x="1%" y="{}">{}</text>').format(top + 11, row.label)]
    parts.append(Markup('<line class="track" x1="1%" x2="99%" y1="{0}" y2="{0}"/>').format(middle))
    if row.window:
        parts.append(
            Markup('<rect class="window" x="{}" y="{}" width="{}" height="12" rx="3"/>').format(
                _x(row.window.start_s, end_s), middle - 6, _width(row.window, end_s)
            )
        )
    parts += [
        Markup('<circle class="seen" cx="{}" cy="{}" r="3"><title>frame {}, {:.2f} s</title></circle>').format(
            _x(frame.time_s, end_s), middle, frame.index, frame.time_s
        )
        for frame in row.frames
    ]
    return Markup("").join(parts)


def clock(time_s: float, end_s: float) -> str:
    """An instant as a reader of a video of `end_s` seconds says it: seconds, or minutes and seconds."""
    if end_s < 120:
        return f"{time_s:.1f} s"
    minutes, seconds = divmod(round(time_s), 60)
    return f"{minutes}:{seconds:02d}"


def _axis(end_s: float, height: int) -> list[Markup]:
    """Times under the rows; the first and the last are set inwards so that they are not cut."""
    anchors = ["start", *["middle"] * (N_TICKS - 2), "end"]
    times_s = [end_s * number / (N_TICKS - 1) for number in range(N_TICKS)]
    return [
        Markup('<text class="tick" x="{}" y="{}" text-anchor="{}">{}</text>').format(
            _x(t, end_s), height - 5, anchor, clock(t, end_s)
        )
        for t, anchor in zip(times_s, anchors, strict=True)
    ]
