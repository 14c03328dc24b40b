"""A judge without a model: it says what follows by rule, always the same, and abstains from the rest.

Answers: choices, numbers and stated facts by `accuracy`; free text only where it equals the reference, negates it, or shares no
word with it. Thoughts: a fault is proved if a thought names a frame that nobody had been shown and that it does not ask for, or a
call has no thought. That no fault is proved does not make thoughts sound, so they never get points for it.
"""

import re
from collections.abc import Iterator

from deepsport.records import FreeText, Turn
from deepsport.reward.accuracy import accuracy
from deepsport.reward.judge import FULL_POINTS, Case, Matter, Unscored, Verdict, scored, unscored
from deepsport.reward.numerals import read_number
from deepsport.reward.unread import verdict_unread
from deepsport.reward.wording import plain

# fmt: off
_NEGATING = frozenset({"not", "no", "never", "without", "neither", "cannot", "cant", "none", "nobody", "nothing",
                       "false", "untrue", "wrong", "incorrect"})
_LIGHT = frozenset({"a", "an", "the", "nor", "is", "was", "are", "were", "be", "been", "did", "do", "does", "has", "have", "had",
                    "will", "would", "can", "could", "should", "it", "that", "this", "there", "true", "yes", "case", "of", "in",
                    "on", "at", "to", "and", "or", "for", "by", "with", "as", "so", "he", "she", "they", "his", "her", "their",
                    "its"})
# fmt: on
_CONTRACTED = re.compile(r"\b(is|was|are|were|do|does|did|has|have|had|wo|would|could|should)nt\b")
_NAMED_FRAMES = re.compile(
    r"\bframe(?P<plural>s?)\s+(?P<listed>\d{1,18}(?:\s*(?:,\s*and|,|;|-|–|to|and|or|through|&)\s*\d{1,18})*)", re.IGNORECASE
)
_DENIED = re.compile(r"\b(?:not|no|never|without|unseen|n't)\b[^.;:]{0,40}$", re.IGNORECASE)


class OfflineJudge:
    """The judge by rule."""

    name: str = "offline/2"

    async def judge(self, case: Case) -> Verdict:
        """Judges one case; see `Judge`."""
        settled = verdict_unread(case, self.name)
        if settled is not None:
            return settled
        return self._judge_thoughts(case) if case.matter is Matter.THOUGHTS else self._judge_answer(case)

    def _judge_answer(self, case: Case) -> Verdict:
        gold, answer = case.question.gold, case.answer or ""
        by_rule = accuracy(gold, answer) if gold is not None else None
        if by_rule is not None:
            return scored(round(FULL_POINTS * by_rule), "by rule, from what the answer names", self.name)
        wrong = why_wrong(gold.answer, answer) if isinstance(gold, FreeText) else None
        if wrong is not None:
            return scored(0, wrong, self.name)
        return unscored(
            Unscored.ABSTAINED, "neither equal to the reference nor plainly different: only a reader can say", self.name
        )

    def _judge_thoughts(self, case: Case) -> Verdict:
        shown = {frame.index for frame in case.first_frames}
        for number, turn in enumerate(case.turns, start=1):
            if (fault := fault_of(turn, shown)) is not None:
                return scored(0, f"turn {number}: {fault}", self.name)
            shown |= {frame.index for frame in turn.frames}
        return unscored(Unscored.ABSTAINED, "no fault that shows without reading: only a reader can say", self.name)


def why_wrong(reference: str, answer: str) -> str | None:
    """Why a free answer cannot be right: it negates the reference or shares no word with it; None if neither is plain."""
    (meant, n_negations), (said, n_said) = _content(reference), _content(answer)
    if said == meant:
        return "the answer negates the reference" if {n_negations, n_said} == {0, 1} else None
    if meant and not meant & said and _latin(reference) == _latin(answer):
        return "the answer has no word of the reference"
    return None


def fault_of(turn: Turn, shown: set[int]) -> str | None:
    """What is provably wrong with the thought of a turn, given the indices shown before it; None if nothing is."""
    if turn.call is not None and not turn.thought.strip():
        return "it asks for frames without a thought"
    asked = range(turn.call.start_index, turn.call.end_index + 1) if turn.call else range(0)
    unseen = [index for index in named_frames(turn.thought) if index not in shown and index not in asked]
    return f"it speaks of frame {unseen[0]}, which it has not been shown" if unseen else None


def named_frames(thought: str) -> Iterator[int]:
    """Indices of frames that a thought speaks of as seen: "frame 7", "frames 3, 9 and 12:". A span ("frames 40 to 55"), a denial
    ("not seen frame 20") and a number that belongs to the next word ("in frame 14, 2 players") claim nothing for certain."""
    for found in _NAMED_FRAMES.finditer(thought):
        numbers = re.findall(r"\d+", found["listed"])
        if _DENIED.search(thought[: found.start()]) or re.search(r"-|–|\bto\b|\bthrough\b", found["listed"]):
            continue
        after = thought[found.end() :].lstrip()
        closed = not after or after[0] in ".:;!?)" or after.startswith(("show", "is ", "are "))
        if closed or not (found["plural"] and len(numbers) == 1):  # "every 5 frames 2 players pass" names none
            yield from map(int, numbers if closed else numbers[:1])


def _content(text: str) -> tuple[frozenset[str], int]:
    """The words that carry meaning, by their stems, numbers as digits; and how often something is negated."""
    found = _CONTRACTED.sub(r"\1 not", plain(text)).split()
    meaning = frozenset(_stem(word) for word in found if word not in _NEGATING and word not in _LIGHT)
    return meaning, sum(word in _NEGATING for word in found)


def _stem(word: str) -> str:
    """ "scored", "scores" and "scoring" as one, and "two" as "2"."""
    if (number := read_number(word)) is not None:
        return f"{number:g}"
    return re.sub(r"(?<=\w{3})(?:ing|ed|es|(?<!s)s|e)$", "", word)


def _latin(text: str) -> bool:
    """Whether a text has letters or digits of ours: words of another script cannot be compared."""
    return re.search(r"[a-z0-9]", plain(text)) is not None
