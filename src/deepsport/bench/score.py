"""One answered question in figures: what every table, interval and comparison of a benchmark is made of.

A score follows from the recorded episode, from what a judge said of its answer, and from a price, by nothing else: it can be made
again at any time, and holds no clock. A question that was asked in several runs has one score for each.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Literal

from deepsport.bench.diagnose import Failure, event_seen, failure, sight_of, window_met
from deepsport.policy.openai.allowance import Price
from deepsport.records import (
    Choice,
    Dimension,
    Episode,
    FreeText,
    Gold,
    Number,
    Question,
    Record,
    Reward,
    StopReason,
    Turn,
    Window,
)
from deepsport.reward.gated import GatedReward
from deepsport.reward.judge import Verdict
from deepsport.reward.numerals import read_number
from deepsport.reward.temporal import temporal_iou, window_iou

FREE = Price()
HIGHEST_NUMBER = 1e100
"""Nobody counts further: an answer beyond it names no number, rather than making every mean infinite."""


class Score(Record):
    """How one question was answered in one run."""

    question_id: str
    run: int = 0
    """Which of several runs, from 0."""
    video: str
    cluster: str
    """What is resampled as one: the match the clip was cut from, where the source tells it, else the video."""
    clip_s: float | None
    """Time of the last sparse frame, which is the clip's last one; None if no frame was shown at the start."""
    sport: str | None
    dimension: Dimension | None
    kind: Literal["choice", "number", "text"] | None
    """Of the right answer; None if nobody knows it."""
    easy: bool
    chance: float
    """What a blind guess scores on average; 0 where there is nothing to choose from."""
    stop: StopReason
    answer: str | None
    """None unless the episode ended in one."""
    reference: str | None
    value: float | None = None
    """The number that the answer names, where one is asked for."""
    reference_value: float | None = None
    unit: str = ""
    accuracy: float | None
    """In [0, 1]; None: unscored, and left out of every rate of right answers."""
    verdict: Verdict | None = None
    """What a judge said, where no rule could tell."""
    failure: Failure | None
    reward: Reward
    n_turns: int
    n_valid_turns: int
    """Turns that answered, or whose call brought frames."""
    n_calls: int
    """Refused ones included."""
    n_redundant: int
    """Calls that could teach nothing new; see `redundant_calls`."""
    n_frames: int
    """Shown, the sparse ones included."""
    hit: bool | None
    """A window met the event; no call is a miss. None for easy questions, and where nobody knows when the event is: so are the
    next four."""
    seen: bool | None
    """A frame of the event was shown."""
    seen_at: int | None
    """The turn whose call first showed it, from 1; 0: a sparse frame did; None too if none was shown."""
    iou: float | None
    """Temporal IoU of the best window with the event, 0 without a call; None too for an instant, which has no length to share."""
    offset_s: float | None
    """Centre of that window minus centre of the event; None too without an accepted call."""
    prompt_tokens: int
    reply_tokens: int
    usd: float


def score(
    episode: Episode,
    verdict: Verdict | None = None,
    *,
    run: int = 0,
    reward: GatedReward | None = None,
    price: Price = FREE,
) -> Score:
    """The figures of one episode."""
    question, gold, usage = episode.question, episode.question.gold, episode.usage
    made = (reward or GatedReward()).score(episode, verdict.accuracy if verdict else None)
    sought = question.window is not None and not question.easy
    return Score(
        question_id=question.id,
        run=run,
        video=question.video,
        cluster=cluster_of(question),
        clip_s=episode.first_frames[-1].time_s if episode.first_frames else None,
        sport=question.sport,
        dimension=question.dimension,
        kind=gold.kind if gold else None,
        easy=question.easy,
        chance=chance_of(gold),
        stop=episode.stop,
        answer=answered(episode),
        reference=reference_of(gold),
        value=_value(answered(episode)) if isinstance(gold, Number) else None,
        reference_value=gold.answer if isinstance(gold, Number) else None,
        unit=gold.unit if isinstance(gold, Number) else "",
        accuracy=made.accuracy,
        verdict=verdict,
        failure=failure(episode, made),
        reward=made,
        n_turns=len(episode.turns),
        n_valid_turns=sum(turn.answer is not None or bool(turn.frames) for turn in episode.turns),
        n_calls=len(episode.calls),
        n_redundant=len(list(redundant_calls(episode))),
        n_frames=len(episode.frames_seen),
        hit=window_met(episode) if sought else None,
        seen=event_seen(episode) if sought else None,
        seen_at=_seen_at(episode) if sought else None,
        iou=temporal_iou(episode) if sought and not _is_instant(question) else None,
        offset_s=_offset_s(episode) if sought else None,
        prompt_tokens=usage.prompt_tokens,
        reply_tokens=usage.reply_tokens,
        usd=price.of(usage.prompt_tokens, usage.reply_tokens),
    )


def scores(
    episodes: Sequence[Episode],
    verdicts: Mapping[str, Verdict] | None = None,
    *,
    run: int = 0,
    reward: GatedReward | None = None,
    price: Price = FREE,
) -> list[Score]:
    """One score for each episode of one run, in their order; `verdicts` by the id of the episode."""
    known = verdicts or {}
    return [score(episode, known.get(episode.id), run=run, reward=reward, price=price) for episode in episodes]


def cluster_of(question: Question) -> str:
    """The match that its clip was cut from, where the source tells it, else the video."""
    return (question.provenance and question.provenance.match) or question.video


def answered(episode: Episode) -> str | None:
    """The final answer; None if the episode ended otherwise."""
    return episode.answer if episode.stop is StopReason.ANSWERED else None


def chance_of(gold: Gold | None) -> float:
    """What a blind guess among the options scores on average; numbers and free wording cannot be guessed."""
    match gold:
        case Choice(options=options):
            return 1 / len(options)
        case FreeText(facts=facts) if facts:
            return fmean(1 / len(fact.options) for fact in facts)
        case _:
            return 0.0


def reference_of(gold: Gold | None) -> str | None:
    """The right answer as a text; None if nobody knows it."""
    return f"{gold.answer:.15g}" if isinstance(gold, Number) else gold and gold.answer


def redundant_calls(episode: Episode) -> Iterator[Turn]:
    """Turns whose accepted call taught nothing: all its frames had been shown, the sparse frames were enough, or the event had
    been seen and no further frame of it came."""
    event = sight_of(episode.question.window)
    shown = set(episode.first_frames)

    def of_event(turn: Turn) -> bool:
        return event is not None and any(event.contains(frame.time_s) for frame in turn.frames if frame not in shown)

    for turn in (turn for turn in episode.turns if turn.call and turn.frames):
        was_seen = event is not None and any(event.contains(frame.time_s) for frame in shown)
        if episode.question.easy or shown.issuperset(turn.frames) or (was_seen and not of_event(turn)):
            yield turn
        shown.update(turn.frames)


def _value(answer: str | None) -> float | None:
    value = read_number(answer or "")
    return value if value is not None and abs(value) <= HIGHEST_NUMBER else None


def _is_instant(question: Question) -> bool:
    return question.window is not None and question.window.start_s == question.window.end_s


def _seen_at(episode: Episode) -> int | None:
    event = sight_of(episode.question.window)
    shown = [episode.first_frames, *(turn.frames for turn in episode.turns)]
    places = (place for place, frames in enumerate(shown) if event and any(event.contains(frame.time_s) for frame in frames))
    return next(places, None)


def _offset_s(episode: Episode) -> float | None:
    """Of the window with the highest IoU, of several the nearest."""
    event, windows = episode.question.window, [call.window for call in episode.calls if call.window]
    if event is None or not windows:
        return None
    best = max(windows, key=lambda window: (window_iou(window, event), -abs(_centre_s(window) - _centre_s(event))))
    return _centre_s(best) - _centre_s(event)


def _centre_s(window: Window) -> float:
    return (window.start_s + window.end_s) / 2
