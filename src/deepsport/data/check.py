"""What is wrong with questions before anything is trained or measured on them: every kind of fault, how often, and where first.

A fault is an error if a result would be false with it, and a warning if it is only left out somewhere; which is which stands in
SEVERITY, and nowhere else. A broken line is one fault, and the next line is read. Whether a clip is there is always looked up; it
is opened, or read whole for its hash, only if that is asked for.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import assert_never

from deepsport.arena.sports import SPORTS
from deepsport.data.clip_facts import ClipFacts, Lookup
from deepsport.data.clips import outside
from deepsport.data.fingerprint import load_clips
from deepsport.data.question_lines import LineFault, missing_beside, questions_at
from deepsport.durable import disk_errors
from deepsport.executor.cluster import Cluster
from deepsport.records import Choice, FreeText, Number, Question, Record
from deepsport.video.source import FrameSource

MOST_EXAMPLES = 5

_RESERVED = re.compile(r"</?\s*(?:think|answer|tool[_ ](?:call|response))\b[^<>]*>|<\|[^<>|]{1,64}\|>", re.IGNORECASE)
"""Tags of the reply grammar, and special tokens of chat templates."""


class Severity(StrEnum):
    """How bad a fault is."""

    ERROR = "error"
    """A result would be false, or the question cannot be read."""
    WARNING = "warning"
    """The question is not exported, not grouped or not asked."""


class Fault(StrEnum):
    """What can be wrong with a question."""

    DUPLICATE_ID = "an id that was there before"
    EMPTY_QUESTION = "an empty question"
    EMPTY_ANSWER = "an empty answer, or none"
    FEW_OPTIONS = "a choice of fewer than two options"
    UNLISTED_OPTION = "a choice whose text does not list its options"
    NOT_FINITE = "a number that is not finite"
    OUTSIDE = "a window outside the clip"
    INSTANT = "a window of no length, where its source has longer ones"
    RESERVED_TAG = "a reserved tag in the question, an option or the answer"
    CLIP_CHANGED = "a clip with another content than when it was imported"
    CLIP_UNREADABLE = "a clip that cannot be read"
    CLIP_MISSING = "a clip that is not there"
    UNKNOWN_SPORT = "no sport, or an unknown one"
    NO_DIMENSION = "no dimension"
    NO_PROVENANCE = "no provenance"
    NO_LICENCE = "no licence, so it is not exported"


SEVERITY: Mapping[LineFault | Fault, Severity] = MappingProxyType(
    {
        **dict.fromkeys(LineFault, Severity.ERROR),
        **dict.fromkeys(Fault, Severity.ERROR),
        Fault.INSTANT: Severity.WARNING,
        Fault.CLIP_MISSING: Severity.WARNING,
        Fault.UNKNOWN_SPORT: Severity.WARNING,
        Fault.NO_DIMENSION: Severity.WARNING,
        Fault.NO_PROVENANCE: Severity.WARNING,
        Fault.NO_LICENCE: Severity.WARNING,
    }
)


class Finding(Record):
    """A kind of fault that was found."""

    fault: str
    severity: Severity
    n_times: int
    examples: tuple[str, ...]
    """The first few: ids of questions, or places of lines."""


class CheckReport(Record):
    """What a check found."""

    n_questions: int
    n_missing: int
    """Questions set apart because their clip was not found."""
    findings: tuple[Finding, ...]
    """Errors first."""

    @property
    def n_errors(self) -> int:
        """How many faults must be mended."""
        return sum(found.n_times for found in self.findings if found.severity is Severity.ERROR)


def check(
    path: Path,
    *,
    open_clips: bool = False,
    hash_clips: bool = False,
    on_question: Callable[[], None] = lambda: None,
    on_clip: Callable[[], None] = lambda: None,
    cluster: Cluster | None = None,
) -> CheckReport:
    """Reads a file of questions, an import folder or a dataset to its end. With a cluster, clips are opened and read there first,
    and `on_clip` is called for each.

    Raises BadRecord if it is none of them, RunError if it cannot be read, ExecutorError if the cluster fails."""
    questions, found = questions_at(path), _Found()
    ids: set[bytes] = set()
    spans = _Spans()
    lookup = Lookup(home=questions.home, open_clips=open_clips, hash_clips=hash_clips)
    videos = dict.fromkeys(line.question.video for line in questions.lines() if line.question) if cluster else {}
    known = lookup.ahead(list(videos), cluster, on_clip) if cluster else {}
    with FrameSource() as source:
        clips = _ClipFaults(lookup, source, known)
        for line in questions.lines():
            on_question()
            if line.fault:
                found.add(line.fault, f"{line.place}: {line.detail}")
            if question := line.question:
                spans.add(question)
                for fault in (*_faults(question, ids), *clips.of(question)):
                    found.add(fault, question.id or line.place)
                found.n_questions += 1
    for question_id, n_times in spans.odd():
        found.add(Fault.INSTANT, question_id, n_times)
    missing = missing_beside(questions.file) if questions.file else None
    return found.report(_n_lines(missing) if missing and missing.exists() else 0)


@dataclass(slots=True)
class _Found:
    n_questions: int = 0
    counts: Counter[LineFault | Fault] = field(default_factory=Counter[LineFault | Fault])
    examples: dict[LineFault | Fault, list[str]] = field(default_factory=dict[LineFault | Fault, list[str]])

    def add(self, fault: LineFault | Fault, example: str, n_times: int = 1) -> None:
        self.counts[fault] += n_times
        examples = self.examples.setdefault(fault, [])
        if len(examples) < MOST_EXAMPLES:
            examples.append(example)

    def report(self, n_missing: int) -> CheckReport:
        findings = [
            Finding(fault=str(fault), severity=SEVERITY[fault], n_times=n, examples=tuple(self.examples[fault]))
            for fault, n in self.counts.most_common()
        ]
        findings.sort(key=lambda finding: finding.severity is Severity.WARNING)
        return CheckReport(n_questions=self.n_questions, n_missing=n_missing, findings=tuple(findings))


def _faults(question: Question, ids: set[bytes]) -> Iterator[Fault]:
    """What a question shows by itself; its id is added to those seen."""
    key = blake2b(question.id.encode(), digest_size=12).digest()
    if key in ids:
        yield Fault.DUPLICATE_ID
    ids.add(key)
    if not question.text.strip():
        yield Fault.EMPTY_QUESTION
    yield from _gold_faults(question)
    if any(_RESERVED.search(text) for text in (question.text, *_answers(question))):
        yield Fault.RESERVED_TAG
    if question.sport not in SPORTS:
        yield Fault.UNKNOWN_SPORT
    if question.dimension is None:
        yield Fault.NO_DIMENSION
    if question.provenance is None:
        yield Fault.NO_PROVENANCE
    elif not question.provenance.licence.strip():
        yield Fault.NO_LICENCE


def _gold_faults(question: Question) -> Iterator[Fault]:
    gold = question.gold
    match gold:
        case None:
            yield Fault.EMPTY_ANSWER
        case Number():
            if not (math.isfinite(gold.answer) and math.isfinite(gold.tolerance)):
                yield Fault.NOT_FINITE
        case FreeText():
            if not gold.answer.strip():
                yield Fault.EMPTY_ANSWER
        case Choice():
            if not gold.answer.strip():
                yield Fault.EMPTY_ANSWER
            if sum(bool(option.strip()) for option in gold.options) < 2:
                yield Fault.FEW_OPTIONS
            if any(option not in question.text for option in gold.options):
                yield Fault.UNLISTED_OPTION
        case _:
            assert_never(gold)


def _answers(question: Question) -> tuple[str, ...]:
    match question.gold:
        case Choice():
            return question.gold.options
        case FreeText():
            return (question.gold.answer,)
        case _:
            return ()


class _Spans:
    """Windows of no length by source: they are odd only where the same source has others that are longer."""

    def __init__(self) -> None:
        self._with_length: set[str] = set()
        self._instants: dict[str, tuple[str, int]] = {}

    def add(self, question: Question) -> None:
        source, window = question.provenance.source if question.provenance else "", question.window
        if window and window.end_s > window.start_s:
            self._with_length.add(source)
        elif window:
            first, n_times = self._instants.get(source, (question.id, 0))
            self._instants[source] = (first, n_times + 1)

    def odd(self) -> list[tuple[str, int]]:
        """For each such source its first question with a window of no length, and how many there are."""
        return [first for source, first in self._instants.items() if source in self._with_length]


class _ClipFaults:
    """What is wrong with the clips of questions; each clip is looked up once."""

    def __init__(self, lookup: Lookup, source: FrameSource, known: dict[str, ClipFacts]) -> None:
        """`known`: clips that were looked up already."""
        self._lookup, self._source, self._facts = lookup, source, known
        self._by_hash = load_clips(lookup.home)
        self._by_video = {clip.video: clip for clip in self._by_hash.values()}

    def of(self, question: Question) -> Iterator[Fault]:
        """Its clip, its window within it."""
        facts = self._facts.get(question.video)
        if facts is None:
            facts = self._facts[question.video] = self._lookup.facts(question.video, self._source)
        if not facts.is_there:
            yield Fault.CLIP_MISSING
        if not facts.is_readable:
            yield Fault.CLIP_UNREADABLE
        expected = question.provenance.video_sha256 if question.provenance else ""
        if expected and facts.sha256 and facts.sha256 != expected:
            yield Fault.CLIP_CHANGED
        window = question.window
        if window and not (math.isfinite(window.start_s) and math.isfinite(window.end_s)):
            yield Fault.NOT_FINITE
            return
        known = self._by_hash.get(expected) or self._by_video.get(question.video)
        duration_s = facts.duration_s if facts.duration_s is not None else known and known.duration_s
        if window and duration_s is not None and outside(window, duration_s):
            yield Fault.OUTSIDE


def _n_lines(file: Path) -> int:
    with disk_errors(file), file.open("rb") as opened:
        return sum(piece.count(b"\n") for piece in iter(lambda: opened.read(1 << 20), b""))
