"""What a set of questions holds: sports by dimensions, sources, clips, windows, and whether an answer could be guessed.

One pass, and memory does not grow with the number of questions: lengths are counted to three digits, and of question texts only
the most frequent are kept, so that in a set of very many different texts their counts are lower bounds.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

from deepsport.data.dataset.tally import source_and_licence
from deepsport.data.fingerprint import Clip, load_clips
from deepsport.data.question_lines import LineFault, questions_at
from deepsport.records import Choice, Dimension, Question, Record

UNKNOWN = "none"

MOST_TEXTS = 10

MOST_OPTIONS = 26
"""That have a letter."""

_TEXTS_HELD = 20_000
"""When twice as many are held, the rarer half is forgotten."""


class SourceStats(Record):
    """A source, and what it gave."""

    n_questions: int
    licences: tuple[str, ...]
    """An empty one: none is stated."""


class DatasetStats(Record):
    """What a set of questions holds."""

    n_questions: int
    n_broken: int
    """Lines that are no question; `deepsport data check` says which."""
    by_sport: Mapping[str, Mapping[str, int]]
    """Questions by dimension within each sport."""
    by_answer: Mapping[str, int]
    by_source: Mapping[str, SourceStats]
    n_clips: int
    n_matches: int
    hours: float
    """Of the clips whose length is known."""
    n_clips_timed: int
    n_with_window: int
    window_quartiles_s: tuple[float, float, float] | None
    """Lengths that a quarter, a half and three quarters of the windows do not exceed, to three digits."""
    right_option: Mapping[str, tuple[int, ...]]
    """By number of options: how often the right one is the first, the second and so on."""
    frequent_texts: tuple[tuple[str, int], ...]
    """Without their options."""

    def shares(self, n_options: str) -> tuple[float, ...]:
        """How often the right option is the first, the second and so on, of 1."""
        counts = self.right_option[n_options]
        return tuple(count / sum(counts) for count in counts)


def stats(paths: Sequence[Path], on_question: Callable[[], None] = lambda: None) -> DatasetStats:
    """Counts the questions of files, import folders and datasets, all together.

    Raises BadRecord for a path without questions, RunError for a file that cannot be read."""
    counting = _Counting()
    for path in paths:
        questions = questions_at(path)
        counting.know(load_clips(questions.home).values())
        for line in questions.lines():
            on_question()
            if line.question:
                counting.add(line.question, questions.home)
            elif line.fault is not LineFault.UTF_16:
                counting.n_broken += 1
    return counting.result()


class _Counting:
    def __init__(self) -> None:
        self.n_broken = 0
        self._cells: Counter[tuple[str, str]] = Counter()
        self._answers: Counter[str] = Counter()
        self._sources: Counter[str] = Counter()
        self._licences: dict[str, set[str]] = {}
        self._matches: set[bytes] = set()
        self._clips: set[bytes] = set()
        self._durations: dict[bytes, float] = {}
        self._lengths: Counter[float] = Counter()
        self._places: Counter[tuple[int, int]] = Counter()
        self._texts: Counter[str] = Counter()

    def know(self, clips: Iterable[Clip]) -> None:
        """Lengths of clips, under whatever a question may name them by."""
        for clip in clips:
            self._durations[_key(clip.sha256)] = self._durations[_key(clip.video)] = clip.duration_s

    def add(self, question: Question, home: Path) -> None:
        self._cells[question.sport or UNKNOWN, question.dimension or UNKNOWN] += 1
        self._answers[question.gold.kind if question.gold else UNKNOWN] += 1
        self._texts[_without_options(question)] += 1
        if len(self._texts) > 2 * _TEXTS_HELD:
            self._texts = Counter(dict(self._texts.most_common(_TEXTS_HELD)))
        if question.window and math.isfinite(length_s := question.window.end_s - question.window.start_s):
            self._lengths[float(f"{length_s:.3g}")] += 1
        if isinstance(question.gold, Choice) and len(question.gold.options) <= MOST_OPTIONS:
            self._places[len(question.gold.options), question.gold.options.index(question.gold.answer)] += 1
        self._add_origin(question, home)

    def _add_origin(self, question: Question, home: Path) -> None:
        origin = question.provenance
        source, licence = source_and_licence(question)
        self._sources[source] += 1
        self._licences.setdefault(source, set()).add(licence)
        if origin and origin.match:
            self._matches.add(_key(f"{source}/{origin.match}"))
        by_content = _key(origin.video_sha256) if origin and origin.video_sha256 else None
        self._clips.add(by_content or _key(str(home / question.video)))

    def result(self) -> DatasetStats:
        timed = [self._durations[clip] for clip in self._clips if clip in self._durations]
        return DatasetStats(
            n_questions=self._cells.total(),
            n_broken=self.n_broken,
            by_sport=_by_sport(self._cells),
            by_answer=dict(self._answers.most_common()),
            by_source={
                name: SourceStats(n_questions=n, licences=tuple(sorted(self._licences[name])))
                for name, n in self._sources.most_common()
            },
            n_clips=len(self._clips),
            n_matches=len(self._matches),
            hours=sum(timed) / 3600,
            n_clips_timed=len(timed),
            n_with_window=self._lengths.total(),
            window_quartiles_s=_quartiles(self._lengths),
            right_option=_right_option(self._places),
            frequent_texts=tuple(self._texts.most_common(MOST_TEXTS)),
        )


def _by_sport(cells: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """The largest sport first, dimensions in their own order."""
    order = [*map(str, Dimension), UNKNOWN]
    totals: Counter[str] = Counter()
    for (sport, _), n in cells.items():
        totals[sport] += n
    return {sport: {each: cells[sport, each] for each in order if cells[sport, each]} for sport, _ in totals.most_common()}


def _right_option(places: Counter[tuple[int, int]]) -> dict[str, tuple[int, ...]]:
    return {
        str(n_options): tuple(places[n_options, place] for place in range(n_options))
        for n_options in sorted({n_options for n_options, _ in places})
    }


def _quartiles(lengths: Counter[float]) -> tuple[float, float, float] | None:
    if not lengths:
        return None
    return _quantile(lengths, 0.25), _quantile(lengths, 0.5), _quantile(lengths, 0.75)


def _quantile(lengths: Counter[float], share: float) -> float:
    """The smallest length that so large a share does not exceed."""
    seen, wanted = 0, share * lengths.total()
    for length in sorted(lengths):
        seen += lengths[length]
        if seen >= wanted:
            return length
    return max(lengths)


def _without_options(question: Question) -> str:
    """The text as it was asked, without what may be answered; no more of it than a line."""
    text = question.text.split(" Options: ", 1)[0] if isinstance(question.gold, Choice) else question.text
    return text[:200]


def _key(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=12).digest()
