"""Counts of what a split holds, as its questions go by."""

from array import array
from collections import Counter, defaultdict

import numpy as np

from deepsport.data.dataset.leak import n_different
from deepsport.data.dataset.manifest import Part, Shard
from deepsport.data.dataset.traces import key, match_name
from deepsport.records import Question

UNKNOWN = "unknown"

NO_SOURCE = "none"


def source_and_licence(question: Question) -> tuple[str, str]:
    """Where a question comes from and what its record stands under, which is empty if nobody says so."""
    origin = question.provenance
    return (origin.source, origin.licence.strip()) if origin else (NO_SOURCE, "")


class Tally:
    """The counts of one split."""

    def __init__(self) -> None:
        """Nothing counted yet."""
        self.licences: defaultdict[str, set[str]] = defaultdict(set)
        """Of each source."""
        self._sources: Counter[str] = Counter()
        self._licences: Counter[str] = Counter()
        self._answers: Counter[str] = Counter()
        self._sports: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._matches = array("Q")
        self._videos = array("Q")

    def add(self, question: Question) -> None:
        """Counts one question."""
        source, licence = source_and_licence(question)
        self.licences[source].add(licence)
        self._sources[source] += 1
        self._licences[licence] += 1
        self._answers[question.gold.kind if question.gold else "none"] += 1
        self._sports[question.sport or UNKNOWN][question.dimension or UNKNOWN] += 1
        self._matches.append(key(match_name(question, "")))
        self._videos.append(key(question.video))

    def part(self, shards: tuple[Shard, ...]) -> Part:
        """What was counted, in the order of names."""
        return Part(
            shards=shards,
            n_questions=len(self._videos),
            n_matches=n_different(np.asarray(self._matches)),
            n_clips=n_different(np.asarray(self._videos)),
            by_source=dict(sorted(self._sources.items())),
            by_licence=dict(sorted(self._licences.items())),
            by_answer=dict(sorted(self._answers.items())),
            by_sport={sport: dict(sorted(counts.items())) for sport, counts in sorted(self._sports.items())},
        )
