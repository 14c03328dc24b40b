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
    r"\b(?:hints?\b(?! of\b)|(?:private )?notes? (?:says?|states?|tells?)|private note|annotations?|ground[- ]truth|"
    r"(?:reference|gold(?:en)?|given|provided|known) (?:answer|facts?)|the facts|i (?:was|am|have been) (?:told|given)|"
    r"according to the (?:note|facts?|information|label)|as (?:stated|provided) in)\b",
    re.IGNORECASE,
)
_SECONDS = re.compile(r"\d+(?:\.\d+)?(?=\s*(?:s\b|sec|seconds))")


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
    question_words = words(episode.question.text)
    known = _runs(words(facts), n_words) - _runs(question_words, n_words)
    allowed = _SPEAKS_OF_IT.findall(episode.question.text.casefold())
    for number, turn in enumerate(episode.turns, start=1):
        if _runs(words(turn.thought), n_words) & known:
            return f"thought {number} quotes the facts"
        spoken = next((found for found in _SPEAKS_OF_IT.findall(turn.thought) if found.casefold() not in allowed), "")
        if spoken:
            return f"thought {number} speaks of what it was told ({spoken!r})"
        if early := _knows_too_early(episode, number - 1, facts):
            return f"thought {number} knows the time {early} s, which no frame had shown"
    return ""


def _knows_too_early(episode: Episode, n_turns: int, facts: str) -> str:
    """A time of the facts that a thought names although no frame shown before it, nor the prompt, has that time."""
    shown = [f"{frame.time_s:.2f}" for frame in _shown_before(episode, n_turns)]
    known = {*_SECONDS.findall(facts)} - {*_SECONDS.findall(episode.question.text)} - {*shown}
    named = _SECONDS.findall(episode.turns[n_turns].thought)
    return next((time_s for time_s in named if time_s in known and "." in time_s), "")


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
