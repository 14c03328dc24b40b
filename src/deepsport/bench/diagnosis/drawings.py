"""The drawings of the page as inline SVG: windows against events row by row, and how far off windows are.

As everywhere: no script, no colour of their own, places across in percent. Each drawing says in words what it shows.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from deepsport.bench.diagnose import Failure
from deepsport.bench.diagnosis.record import Diagnosis
from deepsport.bench.reporting.charts import nice_ticks
from deepsport.bench.reporting.plot import Axis, Plot, axis_of, frame
from deepsport.records import Window

ROW_PX = 30
BAR_PX = 30
STYLE: Mapping[Failure, str] = {Failure.TOOL_GROUNDING: "grounding", Failure.HALLUCINATION: "seeing", Failure.OTHER: "rest"}
"""Class of the style sheet."""
N_BINS = 21
"""Of the histogram, from a whole clip too early to a whole clip too late; the middle one is on the event."""
HISTOGRAM_PX = 150


def share_bar(shares: Mapping[Failure, float], title: str) -> Markup:
    """The classes as parts of one bar."""
    parts: list[Markup] = []
    start = 0.0
    for failure, share in shares.items():
        parts.append(
            Markup('<rect class="{}" x="{:.2f}%" y="0" width="{:.2f}%" height="{}"><title>{}: {:.1f} %</title></rect>').format(
                STYLE[failure], 100 * start, 100 * share, BAR_PX, failure.replace("_", " "), 100 * share
            )
        )
        if share >= 0.08:
            parts.append(
                Markup('<text x="{:.2f}%" y="{}" text-anchor="middle">{:.0f} %</text>').format(
                    100 * (start + share / 2), BAR_PX / 2 + 4, 100 * share
                )
            )
        start += share
    return _svg("shares", title, BAR_PX, parts)


def window_rows(diagnoses: Sequence[Diagnosis]) -> Markup:
    """One row per failure, each clip drawn to the same width: the event, and what was asked for."""
    parts: list[Markup] = []
    for place, each in enumerate(diagnoses):
        parts += _row(each, ROW_PX * place)
    title = f"Windows asked for against the event, {len(diagnoses)} failures, each clip from its start to its end"
    return _svg("rows", title, ROW_PX * len(diagnoses), parts)


def offsets(diagnoses: Sequence[Diagnosis]) -> Markup:
    """Seconds between window and event over the length of the clip; empty if no failure has both."""
    known = [(each.clip_s, each.offset_s, each) for each in diagnoses if each.clip_s and each.offset_s is not None]
    if not known:
        return Markup()
    reach = max(abs(offset) for _, offset, _ in known)
    plot = Plot(axis_of([clip_s for clip_s, _, _ in known]), Axis(nice_ticks([-reach, reach, 0.0], 6)))
    dots = [_dot(plot, clip_s, offset, each) for clip_s, offset, each in known]
    title = f"Offset of the best window from the event in seconds, by length of the clip, {len(known)} failures"
    return frame(plot, "seconds of the clip", "offsets", title, dots)


def histogram(diagnoses: Sequence[Diagnosis]) -> Markup:
    """How many windows lie how far from the event, as a share of the clip; empty if there is none."""
    shares = [each.offset_s / each.clip_s for each in diagnoses if each.clip_s and each.offset_s is not None]
    if not shares:
        return Markup()
    counts = Counter(min(N_BINS - 1, max(0, int((share + 1) / 2 * N_BINS))) for share in shares)
    highest, base = max(counts.values()), HISTOGRAM_PX - 22
    bars = [
        Markup('<rect class="bar" x="{:.2f}%" y="{:.1f}" width="{:.2f}%" height="{:.1f}"><title>{}</title></rect>').format(
            100 * place / N_BINS + 0.3, base - (base - 16) * n / highest, 100 / N_BINS - 0.6, (base - 16) * n / highest, n
        )
        for place, n in counts.items()
    ]
    middle = Markup('<line class="middle" x1="50%" x2="50%" y1="8" y2="{}"/>').format(base)
    title = f"Offset of the best window from the event as a share of the clip, {len(shares)} failures"
    return _svg("histogram", title, HISTOGRAM_PX, [*bars, middle, *_below(base + 16)])


def _below(top: float) -> list[Markup]:
    words = ((0, "start", "a clip too early"), (50, "middle", "on the event"), (100, "end", "a clip too late"))
    return [
        Markup('<text x="{}%" y="{}" text-anchor="{}">{}</text>').format(left, top, anchor, said) for left, anchor, said in words
    ]


def _row(diagnosis: Diagnosis, top: int) -> list[Markup]:
    end_s = max([diagnosis.clip_s or 0.0, *(window.end_s for window in (diagnosis.window, *diagnosis.asked) if window)]) or 1.0
    middle = top + 21
    label = Markup('<text class="label" x="0" y="{}">{} <tspan class="cause">{}</tspan></text>').format(
        top + 11, diagnosis.question_id, diagnosis.cause.replace("_", " ")
    )
    track = Markup('<line class="track" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(middle)
    asked = [_span("window", window, end_s, middle - 4, 8) for window in diagnosis.asked]
    return [label, track, *asked, *([_span("event", diagnosis.window, end_s, middle - 7, 14)] if diagnosis.window else [])]


def _span(kind: str, window: Window, end_s: float, top: float, height: int) -> Markup:
    left, width = 100 * window.start_s / end_s, 100 * (window.end_s - window.start_s) / end_s
    return Markup(
        '<rect class="{}" x="{:.2f}%" y="{}" width="{:.2f}%" height="{}"><title>{}, {:.2f} to {:.2f} s</title></rect>'
    ).format(kind, min(left, 99.2), top, max(0.8, width), height, kind, window.start_s, window.end_s)


def _dot(plot: Plot, clip_s: float, offset_s: float, diagnosis: Diagnosis) -> Markup:
    return Markup('<circle class="{}" cx="{:.2f}%" cy="{:.1f}" r="4"><title>{}: {:+.2f} s of {:.1f} s</title></circle>').format(
        STYLE[diagnosis.failure], plot.left(clip_s), plot.top(offset_s), diagnosis.question_id, offset_s, clip_s
    )


def _svg(kind: str, title: str, height: int, parts: Sequence[Markup]) -> Markup:
    return Markup('<svg class="{}" role="img" aria-label="{}" width="100%" height="{}">{}</svg>').format(
        kind, title, height, Markup("").join(parts)
    )
