"""MTL-AQA: dives with their scores and what commentators said, from pickles that are read without unpickling.

https://github.com/ParitoshParmar/MTL-AQA, `Ready_2_Use/MTL-AQA_split_0_data`: `final_annotations_dict.pkl` and, where there is
one, `final_captions_dict*.pkl`, keyed by (video, sample). Frames are counted in the broadcast; a clip of a dive is a video of its
own to us, `<video>_<sample>` with two digits each, so that nothing is said of when in it something happens. Codes of positions
and rotations are those that readers of these files use; none says what the codes of somersaults and twists count: left out.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from deepsport.data.annotation import annotation_files, record_of
from deepsport.data.asking import Asker
from deepsport.data.pickled_scalar import is_row, is_table
from deepsport.data.plain_pickle import plain_pickle
from deepsport.data.source import Drops, Source
from deepsport.data.sources.finediving import SCORE, SCORE_TOLERANCE
from deepsport.errors import BadAnnotation
from deepsport.records import Dimension, Question

LICENCE = ""

POSITIONS = ("free", "tuck", "pike")
ROTATIONS = ("inward", "reverse", "backward", "forward")
STANDS = ("from the feet", "from an armstand")
"""By their codes, from 0 on."""

_POSITION = ("In which position is this dive made?", "What is the body position of this dive?")
_ROTATION = ("In which direction does the diver rotate?", "Which rotation does this dive have?")
_STAND = ("How does the diver start?", "What does the diver take off from: the feet or an armstand?")
_COMMENT = (
    "Comment on this dive as a live commentator would.",
    "What would a commentator say about this dive?",
    "Give live commentary on this dive in a few sentences.",
)


class Dive(BaseModel):
    """A dive as annotated."""

    model_config = ConfigDict(frozen=True, strict=True)

    difficulty: float = Field(gt=0, lt=10)
    final_score: float = Field(ge=0, le=200)
    position: int
    armstand: int
    rotation_type: int


def read(path: Path, drops: Drops) -> Iterator[Question]:
    """Score, position, rotation and start of each dive, and what was said of it."""
    [file] = annotation_files(path, "final_annotations_dict.pkl")
    for key, value in _table(file).items():
        if (asker := _asker(file, key)) is None:
            drops.add("a key that is not (video, sample)", repr(key)[:80])
        elif dive := record_of(Dive, value, asker.record, drops):
            yield from _of_dive(asker, dive, drops)
    for captions in sorted(file.parent.glob("final_captions_dict*.pkl")):
        yield from _of_captions(captions, drops)


def _table(file: Path) -> Mapping[object, object]:
    table = plain_pickle(file)
    if not is_table(table):
        raise BadAnnotation(
            f"{file} holds no dict of dives. Name the folder MTL-AQA_split_0_data, or its final_annotations_dict.pkl."
        )
    return table


def _asker(file: Path, key: object) -> Asker | None:
    match key:
        case (int(video), int(sample)) if 0 <= video < 1000 and 0 <= sample < 10_000:
            return Asker(
                source="mtl-aqa",
                licence=LICENCE,
                file=file.name,
                record=f"{video:02d}_{sample:02d}",
                match=f"{video:02d}",
                video=f"{video:02d}_{sample:02d}.mp4",
                sport="diving",
            )
        case _:
            return None


def _of_dive(asker: Asker, dive: Dive, drops: Drops) -> Iterator[Question]:
    yield asker.number(
        "score",
        SCORE,
        dive.final_score,
        unit="points",
        tolerance=SCORE_TOLERANCE,
        dimension=Dimension.ASSESSMENT,
        words={"difficulty": dive.difficulty},
    )
    for topic, phrasings, code, names in (
        ("position", _POSITION, dive.position, POSITIONS),
        ("rotation", _ROTATION, dive.rotation_type, ROTATIONS),
        ("start", _STAND, dive.armstand, STANDS),
    ):
        if 0 <= code < len(names):
            yield asker.choice(topic, phrasings, names[code], names)
        else:
            drops.add(f"an unknown code of the {topic}", f"{asker.record}: {code}")


def _of_captions(file: Path, drops: Drops) -> Iterator[Question]:
    for key, tokens in _table(file).items():
        asker = _asker(file, key)
        words = _words(tokens)
        if asker is None:
            drops.add("a key that is not (video, sample)", repr(key)[:80])
        elif not words:
            drops.add("a caption without words", asker.record)
        else:
            yield asker.free("caption", _COMMENT, words)


def _words(tokens: object) -> str:
    """The words of a caption, without `<sos>`, `<eos>` and the like."""
    if not is_row(tokens):
        return ""
    words = [token for token in tokens if isinstance(token, str) and not (token.startswith("<") and token.endswith(">"))]
    text = " ".join(" ".join(words).split())
    for mark in ",.!?;:":
        text = text.replace(f" {mark}", mark)
    return text


SOURCE = Source(
    name="mtl-aqa",
    title="MTL-AQA dives",
    sports=("diving",),
    dimensions=(Dimension.RECOGNITION, Dimension.ASSESSMENT, Dimension.COMMENTARY),
    licence=LICENCE,
    needs="the folder MTL-AQA_split_0_data, with final_annotations_dict.pkl and final_captions_dict.pkl",
    read=read,
)
