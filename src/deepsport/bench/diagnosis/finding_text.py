"""Reads an examiner's reply: one JSON object with a reason and a finding, or it is none. As strict as the reader of verdicts."""

from deepsport.bench.diagnosis.record import Finding
from deepsport.reward.verdict import Unreadable, read_reasoned


def read_finding(text: str) -> tuple[Finding | None, str] | Unreadable:
    """The finding, None if the examiner cannot tell, and its reason. Never raises."""
    found = read_reasoned(text, "finding")
    if isinstance(found, Unreadable):
        return found
    reason, finding = found
    if finding is None:
        return None, reason
    if not isinstance(finding, str) or finding not in set(Finding):
        return Unreadable(f'"finding" is none of {", ".join(Finding)} and null')
    return Finding(finding), reason
