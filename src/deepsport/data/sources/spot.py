"""The layout of E2E-Spot, which four sources share: a JSON array of clips, each with events at single frames.

https://github.com/jhong93/spot, `data/*/{train,val,test}.json`. The frame rate may be -1, and is then not known.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from deepsport.data.annotation import annotation_files, json_records
from deepsport.data.asking import Asker
from deepsport.data.source import Drops


class SpotEvent(BaseModel):
    """Something that happens at one frame of a clip."""

    model_config = ConfigDict(frozen=True)

    frame: int
    label: str
    comment: str = ""


class SpotClip(BaseModel):
    """A clip cut from a broadcast, with its events."""

    model_config = ConfigDict(frozen=True)

    video: str = Field(min_length=1)
    num_frames: int = Field(ge=1)
    fps: float = -1
    events: tuple[SpotEvent, ...]

    @property
    def rate(self) -> float | None:
        """Frames a second, if they are stated."""
        return self.fps if self.fps > 0 else None


C = TypeVar("C", bound=SpotClip)


def spot_clips(path: Path, layout: type[C], drops: Drops) -> Iterator[tuple[Path, C]]:
    """The clips of a file, or of the JSON files of a folder, less events that lie outside their clip. Raises BadAnnotation."""
    for file in annotation_files(path, "*.json"):
        for _, clip in json_records(file, layout, drops):
            inside = tuple(event for event in clip.events if 0 <= event.frame < clip.num_frames)
            for _ in range(len(clip.events) - len(inside)):
                drops.add("an event outside its clip", clip.video)
            yield file, clip.model_copy(update={"events": tuple(sorted(inside, key=lambda event: event.frame))})


def spot_asker(file: Path, clip: SpotClip, *, source: str, licence: str, sport: str, match: str, fps: float | None) -> Asker:
    """Who asks about a clip, which is its own record and names its video."""
    return Asker(
        source=source,
        licence=licence,
        file=file.name,
        record=clip.video,
        match=match,
        video=f"{clip.video}.mp4",
        sport=sport,
        fps=fps,
    )
