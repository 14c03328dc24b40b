"""NSVA: captions of basketball plays, several to a clip, each after the task it was made for ("<T1>_" ... "<T4>_").

https://github.com/jackwu502/NSVA. `videoid2gameid_eventid.json` gives the game and the play of a clip; clips are downloaded as
`<game>-<play>.mp4`. A clip without that is left out: nothing would keep its game together. Published splits cut through games, so
that they are not used; nor are the action lists, which say nothing of a clip.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from deepsport.data.annotation import annotation_files, record_of
from deepsport.data.asking import Asker
from deepsport.data.document import json_document
from deepsport.data.source import Drops, Source
from deepsport.errors import BadAnnotation
from deepsport.records import Dimension, Question

LICENCE = ""

PLAYS = "videoid2gameid_eventid.json"

_TASK = re.compile(r"^\s*<T\d>_?\s*")
_PLAY = re.compile(r"(?P<game>\d{6,12})-\d{1,6}", re.ASCII)

_WHAT = (
    "Describe this play as a play-by-play commentator would.",
    "What happens in this play? Answer in one sentence of commentary.",
    "Comment on this play in one sentence.",
)


class Sentence(BaseModel):
    """A caption."""

    model_config = ConfigDict(frozen=True)

    video_id: str = Field(min_length=1)
    caption: str


def read(path: Path, drops: Drops) -> Iterator[Question]:
    """What a commentator says about a play."""
    plays = _plays((path if path.is_dir() else path.parent) / PLAYS)
    n_files = 0
    for file in annotation_files(path, "*.json"):
        sentences = None if file.name == PLAYS else _sentences(file, alone=path.is_file())
        if sentences is not None:
            n_files += 1
            yield from _of_captions(file, sentences, plays, drops)
    if not n_files:
        raise BadAnnotation(f"{path} has no JSON file with sentences. Name the folder with NSVA's captions and {PLAYS}.")


def _plays(path: Path) -> dict[str, JsonValue]:
    if not path.is_file():
        raise BadAnnotation(f"{path} is not there, and with it the games of the clips. Put it beside the captions.")
    return json_document(path)


def _sentences(file: Path, *, alone: bool) -> list[JsonValue] | None:
    """The captions of a file; None for the other files of the folder, which are splits and lists."""
    try:
        sentences = json_document(file).get("sentences")
    except BadAnnotation:
        if alone:
            raise
        return None
    return sentences if isinstance(sentences, list) else None


def _of_captions(file: Path, sentences: list[JsonValue], plays: dict[str, JsonValue], drops: Drops) -> Iterator[Question]:
    said: defaultdict[str, set[str]] = defaultdict(set)
    for place, item in enumerate(sentences):
        name = f"{file.name}[{place}]"
        if (sentence := record_of(Sentence, item, name, drops)) is None:
            continue
        words = " ".join(_TASK.sub("", sentence.caption).split())
        play = plays.get(sentence.video_id)
        if not words:
            drops.add("a caption without words", name)
        elif words.casefold() in said[sentence.video_id]:
            drops.add("a caption that the clip has already", name)
        elif not isinstance(play, str) or not (found := _PLAY.fullmatch(play)):
            drops.add("a clip without a game", name)
        else:
            said[sentence.video_id].add(words.casefold())
            asker = _asker(file, sentence.video_id, found)
            yield asker.free(f"caption-{len(said[sentence.video_id])}", _WHAT, words)


def _asker(file: Path, video_id: str, play: re.Match[str]) -> Asker:
    return Asker(
        source="nsva",
        licence=LICENCE,
        file=file.name,
        record=video_id,
        match=play["game"],
        video=f"{play[0]}.mp4",
        sport="basketball",
    )


SOURCE = Source(
    name="nsva",
    title="NSVA basketball captions",
    sports=("basketball",),
    dimensions=(Dimension.COMMENTARY,),
    licence=LICENCE,
    needs="the folder with NSVA's captions (a JSON object with sentences) and videoid2gameid_eventid.json",
    read=read,
)
