"""What a row of verl's parquet says about its episode: the question, its rules, and where its video lies.

`data export --as verl` writes it into `extra_info`, as JSON text where a value has many shapes: a column of parquet has one. A
video is named from the folder of the footage, never by a path of the machine that wrote the row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from deepsport.agent.rollout import Limits
from deepsport.data.formats.frame_reference import is_inside
from deepsport.errors import BadConfig, BadRecord
from deepsport.records import Question

AGENT = "deepsport"
"""The agent loop that plays rows which bring no pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be played."""

    question: Question
    limits: Limits
    with_tool: bool


def extra_info(question: Question, limits: Limits, *, with_tool: bool) -> dict[str, str | bool]:
    """The part of a row's `extra_info` that `read_row` reads."""
    return {"question": question.model_dump_json(), "limits": limits.model_dump_json(), "with_tool": with_tool}


def read_row(extra: object, videos: Path) -> Asked:
    """The episode that a row asks for, its video found in the folder. Raises BadRecord for a row that was not written here."""
    fields = cast(Mapping[str, object], extra if isinstance(extra, Mapping) else {})
    texts = fields.get("question"), fields.get("limits")
    if not isinstance(texts[0], str) or not isinstance(texts[1], str) or not isinstance(fields.get("with_tool"), bool):
        raise BadRecord("a row without question and limits in its extra_info. Write it with: deepsport data export --as verl")
    try:
        question, limits = Question.model_validate_json(texts[0]), Limits.model_validate_json(texts[1])
    except ValidationError as error:
        raise BadRecord(f"a row whose question or limits cannot be read: {error}. Export it again.") from error
    located = question.model_copy(update={"video": str(video_place(question.video, videos))})
    return Asked(question=located, limits=limits, with_tool=fields["with_tool"] is True)


def video_place(name: str, videos: Path) -> Path:
    """Where a video lies in the folder of the footage. Raises BadRecord for a name that leads out of it."""
    if not is_inside(name):
        raise BadRecord(f"the video {name!r} is not named from the folder of the footage. Export the rows with --videos.")
    return videos / name


def footage(videos: str) -> Path:
    """The folder of the footage. Raises BadConfig where it is not: else every episode would be lost without a word."""
    folder = Path(videos)
    if not folder.is_dir():
        raise BadConfig(f"videos: {videos!r} is not a folder here. It must be there on every node that plays episodes.")
    return folder
