"""Reads an examiner's reply: one JSON object with a reason and a finding, or it is none.

As strict as the reader of verdicts, for the same reasons: what had to be mended or chosen among several is a guess.
"""

import json
from dataclasses import dataclass
from typing import cast

from deepsport.bench.diagnosis.record import Finding
from deepsport.reward.judged_text import neutralise
from deepsport.reward.verdict import MAX_REASON_CHARS, MAX_REPLY_CHARS


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A reply that is no finding. What is wrong is in our words only: it goes back to the examiner."""

    wrong: str


def read_finding(text: str) -> tuple[Finding | None, str] | Unreadable:
    """The finding, None if the examiner cannot tell, and its reason. Never raises."""
    if len(text) > MAX_REPLY_CHARS:
        return Unreadable(f"it has more than {MAX_REPLY_CHARS} characters")
    thought, closed, rest = text.strip().partition("</think>")
    if thought.startswith("<think>") and not closed:
        return Unreadable("<think> is not closed")
    said = rest if thought.startswith("<think>") else text
    try:
        found: object = json.loads(_unfenced(said.strip()), object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        return Unreadable("it is not one JSON object and nothing else")
    return _read_object(found)


def _read_object(found: object) -> tuple[Finding | None, str] | Unreadable:
    if not isinstance(found, dict) or set(fields := cast(dict[str, object], found)) != {"reason", "finding"}:
        return Unreadable('it is not an object with exactly the keys "reason" and "finding"')
    finding, reason = fields["finding"], fields["reason"]
    if not isinstance(reason, str) or not (reason := neutralise(reason, MAX_REASON_CHARS)):
        return Unreadable('"reason" is not a text')
    if finding is None:
        return None, reason
    if not isinstance(finding, str) or finding not in set(Finding):
        return Unreadable(f'"finding" is none of {", ".join(Finding)} and null')
    return Finding(finding), reason


def _unfenced(text: str) -> str:
    """What stands between one fence and its end, each on a line of its own; the text itself where there is none."""
    first, _, rest = text.partition("\n")
    inside, _, last = rest.rpartition("\n")
    return inside if first.strip() in ("```", "```json") and last.strip() == "```" else text


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON; of two values under one key nobody knows which is meant. Raises ValueError."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a key stands in it twice")
    return fields
