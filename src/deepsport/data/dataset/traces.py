"""What of a question decides with whom it must stay when a dataset is split, as numbers: some seventy bytes a question.

match      the match, competition or broadcast. A soccer match named by its date, its kick-off and its teams is the same match in
           every source; any other name counts within its source; a question without provenance has its video for a match
file       the video file
footage    the content of the video, where it is known
text       the text without its options, and `answer` the reference, each without its numbers: what recurs is a formula
template   the source and the text of a closed question, which an importer may have phrased; `label` the source and its answer

Names are kept as 64 bits of their hash: two names in a million records are confused once in forty million datasets.
"""

import os
import re
from array import array
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from deepsport.agent.prompt import with_options
from deepsport.records import Choice, Number, Question
from deepsport.reward.wording import plain

Keys = NDArray[np.uint64]

_BROADCAST = re.compile(r"(?P<date>\d{4}-\d{2}-\d{2})[ _-]+(?P<kick_off>\d{2}-\d{2})[ _]+(?P<teams>[^/\\]*\w[^/\\]*)")
_NO_WORD = re.compile(r"[\W_]+")
_NUMBER = re.compile(r"\S*\d\S*")


def _keys() -> "array[int]":
    return array("Q")


@dataclass(slots=True)
class Traces:
    """A row for each question, in the order they were added."""

    folder: str
    """What relative video paths count from."""
    ids: "array[int]" = field(default_factory=_keys)
    matches: "array[int]" = field(default_factory=_keys)
    files: "array[int]" = field(default_factory=_keys)
    footage: "array[int]" = field(default_factory=_keys)
    texts: "array[int]" = field(default_factory=_keys)
    answers: "array[int]" = field(default_factory=_keys)
    templates: "array[int]" = field(default_factory=_keys)
    """0 for an open question, as in `labels`."""
    labels: "array[int]" = field(default_factory=_keys)
    strata: "array[int]" = field(default_factory=lambda: array("I"))
    """Index into `names`."""
    names: dict[str, int] = field(default_factory=dict[str, int])
    """sport and dimension, numbered as they came."""

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, question: Question) -> None:
        """One more row."""
        text, answer = map(plain, wording(question))
        self.ids.append(key(question.id))
        self.matches.append(key(match_name(question, self.folder)))
        self.files.append(key(os.path.normpath(os.path.join(self.folder, question.video))))
        self.footage.append(key(content) if (content := footage_of(question)) else 0)
        self.texts.append(_skeleton(text))
        self.answers.append(_skeleton(answer))
        self.templates.append(_of_source(question, text))
        self.labels.append(_of_source(question, answer))
        stratum = f"{question.sport or 'unknown'}/{question.dimension or 'unknown'}"
        self.strata.append(self.names.setdefault(stratum, len(self.names)))


def column(values: "array[int]") -> Keys:
    """A column of traces as a numpy array."""
    return np.asarray(values, dtype=np.uint64)


def key(name: str) -> int:
    """A name as a number that is not 0."""
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()) or 1


def match_name(question: Question, folder: str) -> str:
    """The match that a question is of, told apart from the matches of other sources."""
    origin = question.provenance
    if origin is None or not origin.match.strip():
        return os.path.normpath(os.path.join(folder, question.video))
    if found := _BROADCAST.search(origin.match):
        return _NO_WORD.sub(" ", f"{found['date']} {found['kick_off']} {found['teams']}").casefold().strip()
    return f"{origin.source}: {origin.match}"


def footage_of(question: Question) -> str:
    """The hash of the video's content, empty if it is not known."""
    return question.provenance.video_sha256.lower() if question.provenance else ""


def wording(question: Question) -> tuple[str, str]:
    """The text without its options, and the reference answer."""
    match question.gold:
        case None:
            text, answer = question.text, ""
        case Choice(options=options, answer=answer):
            text = question.text.removesuffix(with_options("", options))
        case Number(answer=number, unit=unit):
            text, answer = question.text, f"{number:g} {unit}"
        case gold:
            text, answer = question.text, gold.answer
    return text, answer


def _of_source(question: Question, words: str) -> int:
    if not isinstance(question.gold, Choice | Number):
        return 0
    source = question.provenance.source if question.provenance else ""
    return key(f"{source}: {_NUMBER.sub('#', words)}")


def _skeleton(words: str) -> int:
    return key(_NUMBER.sub("#", words)) if words else 0
