"""Answers as they lie on disk, read one by one with their scores, so that a large run need not fit into memory.

A finished benchmark run has a score on record for each episode, in the same order: then only little of each episode is read,
which takes a twentieth of the time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel

from deepsport.bench.recipe import BenchConfig
from deepsport.bench.result import EPISODES, SCORES, VERDICTS, Judged, last_of_each, scores_of
from deepsport.bench.score import Score, score
from deepsport.config import load
from deepsport.durable import disk_errors, read_records
from deepsport.errors import BadRecord
from deepsport.records import SCHEMA_VERSION, Episode, Usage, Window


class BriefQuestion(BaseModel):
    """What a table says of a question beyond its score."""

    id: str
    text: str
    window: Window | None = None


class Brief(BaseModel):
    """What a table says of an episode beyond its score; the rest of the line is passed over."""

    id: str
    question: BriefQuestion
    policy: str
    detail: str = ""
    usage: Usage = Usage()
    schema_version: int = SCHEMA_VERSION


class Answers(Protocol):
    """The answers of one system."""

    @property
    def system(self) -> str:
        """What it is called."""
        ...

    def episodes(self) -> list[Episode]:
        """All, in order. Raises BadRecord."""
        ...

    def scored(self) -> Iterator[tuple[Brief, Score]]:
        """The same with their scores. Raises BadRecord."""
        ...


@dataclass(frozen=True)
class PlainAnswers:
    """A file of episodes; the rules alone score them."""

    system: str
    path: Path

    def episodes(self) -> list[Episode]:
        """All, in order. Raises BadRecord."""
        return last_of_each(read_records(self.path, Episode))

    def scored(self) -> Iterator[tuple[Brief, Score]]:
        """The same with their scores. Raises BadRecord."""
        made = {episode.id: (_brief(episode), score(episode)) for episode in read_records(self.path, Episode)}
        return iter(made.values())


@dataclass(frozen=True)
class BenchAnswers:
    """A benchmark run, finished or not."""

    folder: Path

    @property
    def system(self) -> str:
        """What the run calls it."""
        return self.config.system

    @cached_property
    def config(self) -> BenchConfig:
        """The recipe. Raises BadConfig if it is that of something else."""
        return load(BenchConfig, self.folder / "config.toml")

    def episodes(self) -> list[Episode]:
        """All, in the order of the questions once the run is finished. Raises BadRecord."""
        return last_of_each(read_records(self.folder / EPISODES, Episode))

    def scored(self) -> Iterator[tuple[Brief, Score]]:
        """The same with their scores. Raises BadRecord."""
        return self._stored() if self._is_scored() else iter(self._made().values())

    def _is_scored(self) -> bool:
        """Whether every episode has its score on record: a run that went on since has more episodes."""
        scores = self.folder / SCORES
        return scores.is_file() and _n_lines(scores) == _n_lines(self.folder / EPISODES)

    def _stored(self) -> Iterator[tuple[Brief, Score]]:
        played = zip(read_records(self.folder / EPISODES, Brief), read_records(self.folder / SCORES, Score), strict=True)
        for brief, stored in played:
            if brief.question.id != stored.question_id:
                raise BadRecord(
                    f"{self.folder}: {SCORES} and {EPISODES} name different questions ({stored.question_id!r}, "
                    f"{brief.question.id!r}). Remove {SCORES}: scores are made anew from the episodes."
                )
            yield brief, stored

    def _made(self) -> dict[str, tuple[Brief, Score]]:
        path, config = self.folder / VERDICTS, self.config
        said = {one.episode_id: one for one in read_records(path, Judged)} if path.is_file() else {}
        made: dict[str, tuple[Brief, Score]] = {}
        for episode in read_records(self.folder / EPISODES, Episode):
            judged = [said[episode.id]] if episode.id in said else []
            made[episode.id] = _brief(episode), scores_of([episode], judged, config)[0]
        return made


def _brief(episode: Episode) -> Brief:
    question = episode.question
    asked = BriefQuestion(id=question.id, text=question.text, window=question.window)
    return Brief(id=episode.id, question=asked, policy=episode.policy, detail=episode.detail, usage=episode.usage)


def _n_lines(path: Path) -> int:
    with disk_errors(path), path.open("rb") as file:
        return sum(1 for _ in file)
