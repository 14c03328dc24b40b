"""Question sets: a file of one Question per line, video paths counted from its folder, or a split of a dataset.

A run belongs to its questions, word for word, wherever their videos lie.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from deepsport.data.dataset.manifest import MANIFEST_NAME
from deepsport.data.importing import QUESTIONS_NAME
from deepsport.data.question_lines import dataset_at
from deepsport.durable import read_records, read_share
from deepsport.errors import BadRecord, RunError
from deepsport.records import Episode, Question
from deepsport.run import Run

T = TypeVar("T", Question, Episode)


def load_questions(path: Path) -> list[Question]:
    """The questions of a `.jsonl` file, or of a split such as `dataset/train`, with usable video paths. Raises BadRecord."""
    if (path.name == MANIFEST_NAME or not path.is_file()) and dataset_at(path):
        from deepsport.data.dataset.folder import load_split  # pyarrow is loaded where there is Parquet to read

        return load_split(path)
    if (path / QUESTIONS_NAME).is_file():
        raise BadRecord(f"{path} is a folder. Give the path of its questions: {path / QUESTIONS_NAME}.")
    questions = [question.model_copy(update={"video": _from(path, question.video)}) for question in _read(path, Question)]
    if not questions:
        raise BadRecord(f"{path} holds no question. `deepsport arena render FOLDER` makes a set with a questions.jsonl.")
    return questions


def hold_to(run: Run, questions: Sequence[Question]) -> None:
    """Notes what a run asks, and refuses to go on with anything else. Raises RunError."""
    digest = hashlib.sha256()
    for question in questions:
        digest.update(question.model_copy(update={"video": ""}).model_dump_json().encode())
    before = run.stage_record("questions").facts.get("sha256")
    if before not in (None, digest.hexdigest()):
        raise RunError(
            f"{run.folder} was begun with other questions. Use another folder, or start afresh (--fresh), which deletes what "
            "this run has made."
        )
    run.mark_done("questions", sha256=digest.hexdigest())


def load_episodes(path: Path) -> list[Episode]:
    """The episodes of a `.jsonl` file. Raises BadRecord."""
    episodes = _read(path, Episode)
    if not episodes:
        raise BadRecord(f"{path} holds no episode.")
    return episodes


def load_episodes_share(path: Path, first: int, step: int) -> dict[int, Episode]:
    """Every `step`-th episode of a `.jsonl` file from the `first` on, by its place in the file. Raises BadRecord."""
    _require_file(path, Episode)
    return dict(read_share(path, Episode, first, step))


def _read(path: Path, model: type[T]) -> list[T]:
    _require_file(path, model)
    return list(read_records(path, model))


def _require_file(path: Path, model: type[T]) -> None:
    if not path.is_file():
        raise BadRecord(f"{path} is not a file. Give the path of a .jsonl file of {model.__name__.lower()} records.")


def _from(path: Path, video: str) -> str:
    return video if Path(video).is_absolute() else str(path.parent / video)
