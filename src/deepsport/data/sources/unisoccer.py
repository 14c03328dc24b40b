"""UniSoccer's event classes, with MatchTime's comments where it has them: one clip of a match for each record.

https://github.com/jyrao/UniSoccer, `train_data/json/{MatchTime,SoccerNet-v2}/classification_*.json`. A clip is
named `<league>_<season>/<game>/<half>_<MM>_<SS>.mp4` after the instant it was cut at; where in the clip that lies is not stated.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, Field

from deepsport.data.annotation import annotation_files, json_records
from deepsport.data.asking import Asker
from deepsport.data.clip_path import clip_path
from deepsport.data.source import Drops, Source
from deepsport.data.sources.soccer import SPORT, commentary, which_event
from deepsport.records import Dimension, Question

LICENCE = "MIT"

WHEN = "in this clip"


class SoccerClip(BaseModel):
    """A clip with its event class, and from MatchTime also its comment."""

    model_config = ConfigDict(frozen=True)

    video: str = Field(min_length=1)
    caption: str
    comments_text_anonymized: str | None = None


def read(path: Path, drops: Drops) -> Iterator[Question]:
    """Which event it is, and a comment without names."""
    for file in annotation_files(path, "*.json"):
        for name, clip in json_records(file, SoccerClip, drops):
            video = clip_path(clip.video)
            if video is None or "/" not in video:
                drops.add("a video path that is not <game>/<clip>", name)
            else:
                yield from _of_clip(file, clip, PurePosixPath(video), drops)


def _of_clip(file: Path, clip: SoccerClip, video: PurePosixPath, drops: Drops) -> Iterator[Question]:
    asker = Asker(
        source="unisoccer",
        licence=LICENCE,
        file=file.name,
        record=video.with_suffix("").as_posix(),
        match=video.parent.as_posix(),
        video=str(video),
        sport=SPORT,
    )
    if question := which_event(asker, "event", clip.caption, WHEN, drops):
        yield question
    if clip.comments_text_anonymized and clip.comments_text_anonymized.strip():
        yield commentary(asker, "comment", clip.comments_text_anonymized.strip(), WHEN)
    elif clip.comments_text_anonymized is not None:
        drops.add("a comment without words", clip.video)


SOURCE = Source(
    name="unisoccer",
    title="UniSoccer event classes (MatchTime, SoccerNet-v2)",
    sports=(SPORT,),
    dimensions=(Dimension.RECOGNITION, Dimension.COMMENTARY),
    licence=LICENCE,
    needs="classification_*.json of train_data/json/MatchTime or train_data/json/SoccerNet-v2, or their folder",
    read=read,
)
