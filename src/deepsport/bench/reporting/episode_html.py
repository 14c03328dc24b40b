"""An episode as something a person can look at: a card, and a page of its own that can be shared.

Shows what the model was shown, what it asked for and what it said, against the right answer and the time of the event where they
are known. Of the video's path only the file name is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from markupsafe import Markup

from deepsport.bench.diagnose import sight_of
from deepsport.bench.reporting.page import render
from deepsport.bench.reporting.thumbnails import thumbnails
from deepsport.bench.reporting.timeline import timeline
from deepsport.bench.score import Score
from deepsport.records import Choice, Episode, Frame, Gold, Number, Question, Reward, StopReason, Turn
from deepsport.reward.choice import named_options
from deepsport.reward.gated import GatedReward
from deepsport.video.source import FrameSource

STOPS = {
    StopReason.ANSWERED: "answered",
    StopReason.FORMAT_ERROR: "stopped: a turn outside the grammar, or a window asked for twice",
    StopReason.MAX_TURNS: "stopped: no answer within the turns",
    StopReason.MAX_TOKENS: "stopped: a reply ran into its token limit",
    StopReason.CONTEXT_OVERFLOW: "stopped: the conversation outgrew the context",
    StopReason.POLICY_ERROR: "lost: the model could not be reached",
    StopReason.VIDEO_ERROR: "lost: the video could not be read",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an episode came out: `kind` is the style class, `text` what a reader sees."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame as the page shows it; `src` is None if its pixels cannot be had."""

    frame: Frame
    src: str | None
    in_event: bool


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a closed question."""

    letter: str
    text: str
    is_right: bool
    is_given: bool


def episode_page(episode: Episode, source: FrameSource, *, reward: GatedReward | None = None) -> str:
    """A self-contained page of one episode."""
    return str(render("episode.html", title=episode.question.text, card=episode_card(episode, source, reward=reward, width=320)))


def episode_card(
    episode: Episode,
    source: FrameSource,
    *,
    score: Score | None = None,
    reward: GatedReward | None = None,
    width: int = 200,
) -> Markup:
    """One episode as an element of a page, its pictures at most `width` pixels wide. The page brings the style sheet.

    `score`: its figures where they are known, a judge's verdict among them; None: what rules can tell, by `reward`."""
    question = episode.question
    pictures = thumbnails(question.video, episode.frames_seen, source, width=width)
    parts = score.reward if score else (reward or GatedReward()).score(episode)
    return render(
        "card.html",
        episode=episode,
        question=question,
        video=PurePath(question.video).name,
        verdict=verdict(parts, question.gold),
        stop=STOPS[episode.stop],
        reward=parts,
        options=_options(question, episode.answer),
        gold=_gold_text(question.gold),
        timeline=timeline(episode),
        first=_pictures(episode.first_frames, pictures, question),
        turns=[(turn, _pictures(turn.frames, pictures, question), _asked(turn)) for turn in episode.turns],
        n_seen=len(episode.frames_seen),
        judged=score.verdict if score else None,
        without_pictures=bool(episode.frames_seen) and not pictures,
    )


def verdict(reward: Reward, gold: Gold | None) -> Verdict:
    """Right, partly right, wrong, or not scored."""
    if reward.accuracy is None:
        return Verdict("open", "not scored" if gold is not None or not reward.well_formed else "no right answer known")
    if reward.accuracy >= 1:
        return Verdict("right", "right")
    return Verdict("partly", f"{100 * reward.accuracy:.0f} % right") if reward.accuracy > 0 else Verdict("wrong", "wrong")


def _options(question: Question, answer: str | None) -> list[Option]:
    gold = question.gold
    if not isinstance(gold, Choice):
        return []
    given = named_options(gold.options, answer) if answer else set[int]()
    return [
        Option(chr(ord("A") + index), text, is_right=text == gold.answer, is_given=index in given)
        for index, text in enumerate(gold.options)
    ]


def _gold_text(gold: Gold | None) -> str | None:
    if not isinstance(gold, Number):
        return gold.answer if gold else None
    return f"{gold.answer:g} {gold.unit}".strip() + (f" ± {gold.tolerance:g}" if gold.tolerance else "")


def _pictures(frames: Sequence[Frame], pictures: dict[int, str], question: Question) -> list[Picture]:
    event = sight_of(question.window)
    return [Picture(frame, pictures.get(frame.index), event is not None and event.contains(frame.time_s)) for frame in frames]


def _asked(turn: Turn) -> str | None:
    """The call in words, with its seconds if it was accepted."""
    if turn.call is None:
        return None
    frames = f"frames {turn.call.start_index} to {turn.call.end_index}"
    span = turn.call.window
    return f"{frames} ({span.start_s:.2f} to {span.end_s:.2f} s)" if span else frames
