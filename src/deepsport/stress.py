"""The temporal grounding stress test: does a policy find an event, however short it is and however long the clip?

Event duration x clip length x sport, on clips rendered for the purpose. From 128 frames on, one look at a gap of the first eight
frames does not show every frame: a short event needs a second look and, in the longest clips, a third, each within the last.
It can always be found, for the board changes once. Where an event is too long to hide between two of the first frames, it lies
anywhere, and has been found if one of them shows it.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean

from pydantic import Field

from deepsport.agent.prompt import PromptStyle
from deepsport.agent.rollout import Limits
from deepsport.arena.generate import make_set
from deepsport.arena.questions import Topic, topic_of
from deepsport.arena.script import Dials
from deepsport.bench.diagnose import event_seen, window_met
from deepsport.bench.evaluate import ask
from deepsport.bench.stats import Interval, mean_interval
from deepsport.bench.tasks import load_questions
from deepsport.config import Config
from deepsport.policy.base import Policy, Sampling
from deepsport.records import Episode, Question, Record
from deepsport.reward.gated import answer_accuracy
from deepsport.run import Run
from deepsport.video.source import FrameSource

GAPS = 7
"""Between the eight frames shown first."""


class StressConfig(Config):
    """The grid, and how a cell is measured."""

    system: str = "nano"
    """Name of the policy."""
    durations: tuple[int, ...] = (2, 3, 4, 6, 8, 12)
    """Frames of an event, 25 a second."""
    lengths: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048)
    """Frames of a clip."""
    clips_per_cell: int = Field(default=24, ge=1)
    """The sports take turns."""
    max_turns: int = 6
    max_reply_tokens: int = 128
    seed: int = 0


class Cell(Record):
    """What a policy did at one duration and length."""

    duration: int
    length: int
    n_questions: int
    hit: float
    """Share of the questions in which a window met the event, or the first frames showed it."""
    hit_ci95: Interval | None
    seen: float
    """Share in which a frame of the event was shown."""
    accuracy: float
    accuracy_ci95: Interval | None
    calls: float
    """Per question."""
    zooms: float
    """Share in which a call lay within the window of the call before it."""


class SportCell(Record):
    """What a policy did in one sport and at one length, over all durations."""

    sport: str
    length: int
    n_questions: int
    hit: float
    accuracy: float


class Stress(Record):
    """The whole grid."""

    system: str
    cells: tuple[Cell, ...]
    sports: tuple[SportCell, ...]
    by_calls: dict[str, float]
    """Share of the questions, by number of calls."""


def run_stress(folder: Path, config: StressConfig, policy: Policy, style: PromptStyle) -> Stress:
    """Renders what is missing, asks what is not on record, and writes `stress.json`."""
    with Run.open(folder, config) as run, FrameSource(max_open=64) as source:
        cells = [(duration, length) for duration in config.durations for length in config.lengths]
        episodes = {cell: _ask(run, config, cell, policy, style, source) for cell in cells}
        whole = [episode for made in episodes.values() for episode in made]
        stress = Stress(
            system=config.system,
            cells=tuple(_cell(*cell, made, config.seed) for cell, made in episodes.items()),
            sports=tuple(_sport_cells(episodes)),
            by_calls={str(n): fmean(len(e.calls) == n for e in whole) for n in range(config.max_turns)},
        )
        run.write("stress.json", stress.model_dump_json(indent=1) + "\n")
    return stress


def can_hide(duration: int, length: int) -> bool:
    """Whether an event fits between two of the first eight frames."""
    return (length - 1) // GAPS >= duration + 3


def _ask(
    run: Run, config: StressConfig, cell: tuple[int, int], policy: Policy, style: PromptStyle, source: FrameSource
) -> list[Episode]:
    """Who did it, and how: two questions on every clip of a cell."""
    name = f"{cell[0]}-in-{cell[1]}"
    questions = _questions(run.path(f"arena/{name}"), config, cell)
    with run.stage(name):
        return ask(
            questions,
            policy,
            source,
            run,
            f"episodes/{name}.jsonl",
            shown_as=name.replace("-", " "),
            limits=Limits(style=style, max_turns=config.max_turns),
            sampling=Sampling(max_tokens=config.max_reply_tokens),
            seed=config.seed,
        )


def _questions(folder: Path, config: StressConfig, cell: tuple[int, int]) -> list[Question]:
    duration, length = cell
    hidden = can_hide(duration, length)
    dials = Dials(shortest=length, longest=length, event_shortest=duration, event_longest=duration, hidden=hidden)
    make_set(folder, n_clips=config.clips_per_cell, seed=config.seed + 7_000_003, dials=dials, workers=2)
    return [asked for asked in load_questions(folder / "questions.jsonl") if topic_of(asked) in (Topic.KIND, Topic.ACTOR)]


def _cell(duration: int, length: int, episodes: Sequence[Episode], seed: int) -> Cell:
    videos = [episode.question.video for episode in episodes]
    hits = [float(found(episode)) for episode in episodes]
    rights = [answer_accuracy(episode) or 0.0 for episode in episodes]
    return Cell(
        duration=duration,
        length=length,
        n_questions=len(episodes),
        hit=fmean(hits),
        hit_ci95=mean_interval(hits, videos, seed=seed),
        seen=fmean(event_seen(episode) for episode in episodes),
        accuracy=fmean(rights),
        accuracy_ci95=mean_interval(rights, videos, seed=seed),
        calls=fmean(len(episode.calls) for episode in episodes),
        zooms=fmean(zoomed_on(episode) for episode in episodes),
    )


def found(episode: Episode) -> bool:
    """Whether a window met the event or a frame showed it."""
    return window_met(episode) or event_seen(episode)


def zoomed_on(episode: Episode) -> bool:
    """Whether a call lay strictly within the one before it."""
    spans = [(call.start_index, call.end_index) for call in episode.calls if call.window]
    return any(a <= c and d <= b and (a, b) != (c, d) for (a, b), (c, d) in pairwise(spans))


def _sport_cells(episodes: Mapping[tuple[int, int], Sequence[Episode]]) -> Iterator[SportCell]:
    by_place: dict[tuple[str, int], list[Episode]] = {}
    for (_, length), made in episodes.items():
        for episode in made:
            by_place.setdefault((episode.question.sport or "", length), []).append(episode)
    for (sport, length), asked in sorted(by_place.items()):
        yield SportCell(
            sport=sport,
            length=length,
            n_questions=len(asked),
            hit=fmean(map(found, asked)),
            accuracy=fmean(answer_accuracy(episode) or 0.0 for episode in asked),
        )


def rows(results: Sequence[Stress], figure: str) -> list[list[str]]:
    """A table of one figure in per cent, durations down and lengths across; of several policies the mean and the range."""
    cells = [(f"{c.duration} frames", c.length, getattr(c, figure)) for result in results for c in result.cells]
    return _table("event", cells)


def sport_rows(results: Sequence[Stress], figure: str) -> list[list[str]]:
    """The same with the sports down."""
    cells = [(c.sport.replace("_", " "), c.length, getattr(c, figure)) for result in results for c in result.sports]
    return _table("sport", cells)


def _table(heading: str, cells: Sequence[tuple[str, int, float]]) -> list[list[str]]:
    """Of (row, length, share), in the order of the rows."""
    lengths = sorted({length for _, length, _ in cells})
    table = [[f"{heading} \\ clip", *(f"{length} frames" for length in lengths)]]
    for row in dict.fromkeys(row for row, _, _ in cells):
        table.append([row, *(_per_cent([v for r, n, v in cells if (r, n) == (row, length)]) for length in lengths)])
    return table


def _per_cent(values: Sequence[float]) -> str:
    """`97`, of several `92 (81-97)`, of none a dash."""
    if not values:
        return "-"
    mean = f"{100 * fmean(values):.0f}"
    return mean if len(values) == 1 else f"{mean} ({100 * min(values):.0f}-{100 * max(values):.0f})"
