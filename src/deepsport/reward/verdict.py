"""Reads a model judge's reply: one JSON object with a reason and points, or it is no verdict.

Strict on purpose. A verdict that is quoted inside prose may be the candidate's; of two verdicts nobody knows which is meant; and
a number that had to be mended is a guess. Thoughts in front and one fence around the object are allowed, nothing more.
"""

import json
from dataclasses import dataclass
from typing import cast

from deepsport.reward.judge import FULL_POINTS
from deepsport.reward.judged_text import neutralise

MAX_REPLY_CHARS = 100_000
MAX_REASON_CHARS = 500


@dataclass(frozen=True, slots=True)
class Graded:
    """What the judge said; points are None if it abstained."""

    points: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A reply that is not what was asked for. What is wrong is in our words only: it goes back to who replied."""

    wrong: str


def read_verdict(text: str) -> Graded | Unreadable:
    """Reads one reply. Never raises."""
    found = read_reasoned(text, "points")
    if isinstance(found, Unreadable):
        return found
    reason, points = found
    if points is None or (type(points) is int and 0 <= points <= FULL_POINTS):  # bool is an int, and 7.5 is off the scale
        return Graded(points, reason)
    return Unreadable(f'"points" is neither a whole number from 0 to {FULL_POINTS} nor null')


def read_reasoned(text: str, name: str) -> tuple[str, object] | Unreadable:
    """The reason, made harmless, and what stands under `name`: a reply is an object of these two and no more. Never raises."""
    if len(text) > MAX_REPLY_CHARS:
        return Unreadable(f"it has more than {MAX_REPLY_CHARS} characters")
    text = text.strip()
    if text.startswith("<think>"):
        _, closed, text = text.partition("</think>")
        if not closed:
            return Unreadable("<think> is not closed")
    return _read_object(_unfenced(text.strip()), name)


def _unfenced(text: str) -> str:
    """What stands between one fence and its end, each on a line of its own; the text itself where there is none."""
    first, _, rest = text.partition("\n")
    inside, _, last = rest.rpartition("\n")
    return inside if first.strip() in ("```", "```json") and last.strip() == "```" else text


def _read_object(text: str, name: str) -> tuple[str, object] | Unreadable:
    if not text.strip():
        return Unreadable("it is empty")
    try:
        said: object = json.loads(text, object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        return Unreadable("it is not one JSON object and nothing else")
    if not isinstance(said, dict) or set(fields := cast(dict[str, object], said)) != {"reason", name}:
        return Unreadable(f'it is not an object with exactly the keys "reason" and "{name}"')
    reason = fields["reason"]
    if not isinstance(reason, str) or not (reason := neutralise(reason, MAX_REASON_CHARS)):
        return Unreadable('"reason" is not a text')
    return reason, fields[name]


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON; of two values under one key nobody knows which is meant. Raises ValueError."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a key stands in it twice")
    return fields
