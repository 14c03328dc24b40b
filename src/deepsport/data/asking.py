"""From a fact of an annotation to a question: one of several phrasings, plausible wrong options, the event's frames.

Which phrasing and which options is a function of the question's id, so that an import made again is the same. Wrong options come
from the family of the right one (the jumps of figure skating, the vaults of gymnastics): another sport's would give it away.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from zlib import crc32

from deepsport.agent.prompt import with_options
from deepsport.records import Choice, Dimension, Fact, FreeText, Gold, Number, Provenance, Question, Window

N_OPTIONS = 4

NO_WORDS: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Makes the questions of one annotated clip."""

    source: str
    licence: str
    file: str
    record: str
    """Its id or place in the file."""
    match: str
    video: str
    sport: str
    fps: float | None = None
    """Frames a second, if the annotation states them and can be believed."""

    def choice(
        self,
        topic: str,
        phrasings: Sequence[str],
        right: str,
        family: Sequence[str],
        *,
        dimension: Dimension = Dimension.RECOGNITION,
        frames: tuple[int, int] | None = None,
        window: Window | None = None,
        easy: bool = False,
        words: Mapping[str, object] = NO_WORDS,
    ) -> Question:
        """A closed question; `family` holds what the right answer could be taken for, `words` what the phrasings leave open.

        Raises ValueError if the family holds nothing else."""
        options = options_of(f"{self.source}/{self.record}/{topic}", right, family)
        text = with_options(self._phrase(topic, phrasings, words), options)
        return self.given(topic, text, Choice(options=options, answer=right), dimension, frames=frames, window=window, easy=easy)

    def number(
        self,
        topic: str,
        phrasings: Sequence[str],
        right: float,
        *,
        unit: str = "",
        tolerance: float = 0.0,
        dimension: Dimension = Dimension.RECOGNITION,
        frames: tuple[int, int] | None = None,
        window: Window | None = None,
        words: Mapping[str, object] = NO_WORDS,
    ) -> Question:
        """A question whose answer is a number."""
        gold = Number(answer=right, unit=unit, tolerance=tolerance)
        return self.given(topic, self._phrase(topic, phrasings, words), gold, dimension, frames=frames, window=window)

    def free(
        self,
        topic: str,
        phrasings: Sequence[str],
        reference: str,
        *,
        facts: Sequence[Fact] = (),
        dimension: Dimension = Dimension.COMMENTARY,
        frames: tuple[int, int] | None = None,
        window: Window | None = None,
        words: Mapping[str, object] = NO_WORDS,
    ) -> Question:
        """An open question with a reference, and the facts in it that can be checked in any wording."""
        gold = FreeText(answer=reference, facts=tuple(facts))
        return self.given(topic, self._phrase(topic, phrasings, words), gold, dimension, frames=frames, window=window)

    def given(
        self,
        topic: str,
        text: str,
        gold: Gold,
        dimension: Dimension,
        *,
        frames: tuple[int, int] | None = None,
        window: Window | None = None,
        easy: bool = False,
    ) -> Question:
        """A question in words of its own; its event is `frames` where the source counts frames, `window` if it has seconds."""
        origin = Provenance(
            source=self.source,
            file=self.file,
            record=self.record,
            match=self.match,
            licence=self.licence,
            event_frames=frames,
        )
        if frames and self.fps:
            window = Window(start_s=frames[0] / self.fps, end_s=frames[1] / self.fps)
        return Question(
            id=f"{self.source}/{self.record}/{topic}",
            video=self.video,
            text=text,
            gold=gold,
            window=window,
            sport=self.sport,
            dimension=dimension,
            easy=easy,
            provenance=origin,
        )

    def _phrase(self, topic: str, phrasings: Sequence[str], words: Mapping[str, object]) -> str:
        return phrasings[crc32(f"{self.record}/{topic}".encode()) % len(phrasings)].format(**words)


def options_of(key: str, right: str, family: Sequence[str], n_options: int = N_OPTIONS) -> tuple[str, ...]:
    """The right answer among some others of its family, shuffled by a key. Raises ValueError if the family holds no other."""
    others = sorted(set(family) - {right})
    if not others:
        raise ValueError(f"{right!r} has nothing to be taken for")
    draw = random.Random(key)
    options = [right, *draw.sample(others, min(len(others), n_options - 1))]
    draw.shuffle(options)
    return tuple(options)


ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


def ordinal(index: int) -> str:
    """The word for a place that is counted from 0: "first", "second", ... "11th"."""
    if index < len(ORDINALS):
        return ORDINALS[index]
    n = index + 1
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
