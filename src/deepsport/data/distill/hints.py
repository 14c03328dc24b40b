"""Facts given to a teacher as a private note, and thoughts that give away that they were.

A thought that quotes the note, speaks of it, or knows when the event happens before any frame of it was shown teaches a student
to pretend. Such trajectories are refused, whether or not their answer is right.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deepsport.policy.base import Message, Policy, Reply, Sampling, Session
from deepsport.records import Episode, Frame, TokenRecord
from deepsport.reward.wording import words

_SPEAKS_OF_IT = re.compile(
    r"\b(?:the hints?|hints? (?:says?|states?|tells?|told)|private notes?|(?:the|per|your|given) notes?|ground[- ]truth|"
    r"(?:the|per|given) annotations? (?:says?|states?|tells?|is|are)|according to the (?:annotations?|facts?|information|label)|"
    r"(?:right|correct|supplied|reference|gold(?:en)?|given|provided|known) answer|(?:the|given|provided|known|supplied) facts?|"
    r"i (?:was|am|have been) (?:told|given)|as (?:stated|provided|given) in)\b",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"(?P<at>\b(?:second|t ?=|at|around|about|near|to|and|from) ?)?(?P<time>\d+(?:\.\d+)?)(?P<unit> ?(?:s|secs?|seconds?)\b)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Hinted:
    """A policy that is told the facts with its first frames. Episodes carry its name and not the note."""

    policy: Policy
    facts: str

    @property
    def name(self) -> str:
        """The name of the policy."""
        return self.policy.name

    def session(self, sampling: Sampling) -> Session:
        """Opens a conversation that begins with the note."""
        return _HintedSession(self.policy.session(sampling), _note(self.facts))


@dataclass(slots=True)
class _HintedSession:
    session: Session
    note: str
    """Not yet given; empty afterwards."""

    async def reply(self, messages: Sequence[Message]) -> Reply:
        """Answers, having read the note behind the first messages. Raises what the policy raises."""
        if self.note:
            last = messages[-1]
            messages = [*messages[:-1], Message(last.role, (*last.parts, self.note))]
        reply = await self.session.reply(messages)
        self.note = ""
        return reply

    def tokens(self) -> TokenRecord | None:
        """None: the tokens would hold the note, which a student is not shown."""
        return None


def gives_away(episode: Episode, facts: str, n_words: int) -> str:
    """How a thought gives the facts away; empty if none does. `n_words` in a row make a quotation."""
    asked = episode.question.text
    known = _runs(words(facts), n_words) - _runs(words(asked), n_words)
    allowed = {found.casefold() for found in _SPEAKS_OF_IT.findall(asked)}
    for number, turn in enumerate(episode.turns, start=1):
        if _runs(words(turn.thought), n_words) & known:
            return f"thought {number} quotes the facts"
        spoken = next((found for found in _SPEAKS_OF_IT.findall(turn.thought) if found.casefold() not in allowed), "")
        if spoken:
            return f"thought {number} speaks of what it was told ({spoken!r})"
        if early := _knows_too_early(episode, number - 1):
            return f"thought {number} knows the time {early} s, which no frame had shown"
    return ""


def _knows_too_early(episode: Episode, n_turns: int) -> str:
    """A time within the event that a thought names although no frame shown before it, nor the prompt, has that time."""
    event = episode.question.window
    if event is None:
        return ""
    known = [frame.time_s for frame in _shown_before(episode, n_turns)]
    known += [float(found["time"]) for found in _times(episode.question.text)]
    for found in _times(episode.turns[n_turns].thought):
        time_s, slack_s = float(found["time"]), 0.5 * 10.0 ** -len(found["time"].partition(".")[2])
        within = event.start_s - slack_s <= time_s <= event.end_s + slack_s
        if within and not any(abs(time_s - shown_s) <= slack_s + 1e-9 for shown_s in known):
            return found["time"]
    return ""


def _times(text: str) -> Iterator[re.Match[str]]:
    """Numbers that are times: with a unit, or with decimals behind a word such as "at"."""
    return (found for found in _TIME.finditer(text) if found["unit"] or (found["at"] and "." in found["time"]))


def _shown_before(episode: Episode, n_turns: int) -> Iterator[Frame]:
    yield from episode.first_frames
    for turn in episode.turns[:n_turns]:
        yield from turn.frames


def _runs(text: Sequence[str], n: int) -> set[tuple[str, ...]]:
    return {tuple(text[at : at + n]) for at in range(len(text) - n + 1)}


def _note(facts: str) -> str:
    return (
        f"\n\nPrivate note, for you alone: {facts} Work as one who does not have this note: look where the frames give reason to "
        "look, think only of what the frames show, and answer when you have seen it. Never mention or quote the note, and never "
        "name a time or a fact before a frame has shown it."
    )
