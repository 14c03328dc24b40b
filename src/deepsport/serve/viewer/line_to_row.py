"""From a line of a file to a row of the list: what kind of file it is decides how a line is read. Pure."""

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from dataclasses import dataclass
from enum import StrEnum
from math import nan

from pydantic import ValidationError

from deepsport.bench.diagnose import failure
from deepsport.bench.diagnosis.record import Diagnosis
from deepsport.bench.result import Judged
from deepsport.bench.score import answered, reference_of
from deepsport.data.annotation import first_fault
from deepsport.durable import is_json, version_in
from deepsport.records import SCHEMA_VERSION, Episode, Reward
from deepsport.reward.gated import GatedReward
from deepsport.reward.judge import Verdict, case_of_answer
from deepsport.serve.viewer.episode_table import (
    CAUSES,
    DIMENSIONS,
    FAILURES,
    NO_STEP,
    OUTCOMES,
    STOPS,
    Facts,
    Outcome,
    Table,
    key_of,
    searchable,
)
from deepsport.serve.viewer.growing_file import Line
from deepsport.train.samples import Sample

REWARD = GatedReward()
_NUMBERS = {part: {name: number for number, name in enumerate(names)} for part, names in (
    ("outcome", OUTCOMES), ("stop", STOPS), ("dimension", DIMENSIONS), ("failure", FAILURES), ("cause", CAUSES)
)}  # fmt: skip


class SetKind(StrEnum):
    """What the lines of a file are."""

    EPISODES = "episodes"
    SAMPLES = "samples"
    """What RL sampled, step by step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line that was read."""

    episode: Episode
    step: int | None = None
    reward: Reward | None = None
    """What training paid; None: it follows from the episode."""
    advantage: float | None = None


def read_entry(kind: SetKind, content: bytes) -> Entry:
    """Reads a line. Raises ValueError that says what is wrong, in words without the line."""
    content = content.removeprefix(BOM_UTF8)
    if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise ValueError("the file is UTF-16. Save it as UTF-8")
    try:
        if kind is SetKind.EPISODES:
            return _checked(Entry(episode=Episode.model_validate_json(content)))
        sample = Sample.model_validate_json(content)
    except ValidationError as error:
        raise ValueError(_wrong(error, content)) from None
    return _checked(Entry(episode=sample.episode, step=sample.step, reward=sample.reward, advantage=sample.advantage))


def paid(entry: Entry, verdict: Verdict | None) -> Reward:
    """The parts of the reward: as training paid them, else as a benchmark counts them."""
    return entry.reward or REWARD.score(entry.episode, verdict.accuracy if verdict else None)


def said_of(entry: Entry, judged: Judged | None) -> Verdict | None:
    """A verdict on this answer; one on another answer, or on another reference, does not count."""
    if judged is None:
        return None
    episode = entry.episode
    return judged.verdict if judged.case == case_of_answer(episode.question, episode.answer).content_key else None


def found_of(entry: Entry, reward: Reward, diagnosis: Diagnosis | None) -> Diagnosis | None:
    """A diagnosis of this failure; one of another answer, or of one that counts as right by now, does not count."""
    if diagnosis is None or diagnosis.answer != answered(entry.episode):
        return None
    return diagnosis if failure(entry.episode, reward) else None


def facts_of(
    entry: Entry, line: Line, table: Table, *, run: int, verdict: Verdict | None = None, diagnosis: Diagnosis | None = None
) -> Facts:
    """The row of an episode."""
    episode, question = entry.episode, entry.episode.question
    reward = paid(entry, verdict)
    found = found_of(entry, reward, diagnosis)
    wrong = found.failure if found else failure(episode, reward)
    return Facts(
        key=key_of(episode.id),
        question=key_of(question.id),
        asked=key_of(f"{question.text}\n{question.gold and question.gold.model_dump_json()}"),
        offset=line.place.offset,
        length=line.place.length,
        step=NO_STEP if entry.step is None else entry.step,
        run=run,
        sport=table.sport(question.sport),
        n_calls=len(episode.calls),
        n_turns=len(episode.turns),
        n_frames=len(episode.frames_seen),
        accuracy=nan if reward.accuracy is None else reward.accuracy,
        reward=reward.total,
        advantage=nan if entry.advantage is None else entry.advantage,
        dimension=_NUMBERS["dimension"][question.dimension or "none"],
        outcome=_NUMBERS["outcome"][outcome_of(reward.accuracy)],
        stop=_NUMBERS["stop"][episode.stop],
        failure=_NUMBERS["failure"][wrong or "none"],
        cause=_NUMBERS["cause"][found.cause if found else "none"],
        easy=question.easy,
    )


def outcome_of(accuracy: float | None) -> Outcome:
    """In one word."""
    if accuracy is None:
        return Outcome.UNSCORED
    if accuracy >= 1:
        return Outcome.RIGHT
    return Outcome.PARTLY if accuracy > 0 else Outcome.WRONG


def text_of(episode: Episode) -> str:
    """What a search looks through; thoughts come last, where too much is cut off."""
    question = episode.question
    short = (question.text[:800], (episode.answer or "")[:300], (reference_of(question.gold) or "")[:300])
    names = (question.id[:200], episode.id[:200], question.video.rpartition("/")[2][:200], episode.detail[:300])
    return searchable((*short, *names, *(turn.thought[:1000] for turn in episode.turns)))


def _checked(entry: Entry) -> Entry:
    if entry.episode.schema_version != SCHEMA_VERSION:
        raise ValueError(_version(entry.episode.schema_version))
    return entry


def _wrong(error: ValidationError, content: bytes) -> str:
    """Where and what, without the value: it may be long, and is somebody's."""
    if not is_json(content):
        return "it is not JSON"
    version = version_in(content)
    return _version(version) if version != SCHEMA_VERSION else first_fault(error).removeprefix(": ")[:300]


def _version(version: object) -> str:
    return f"it was written with record schema {str(version)[:20]}; this deepsport reads schema {SCHEMA_VERSION}"
