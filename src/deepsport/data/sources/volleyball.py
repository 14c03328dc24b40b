"""The volleyball dataset of Ibrahim et al.: the group activity at one frame of each of 4,830 clips.

`<video>/annotations.txt` has lines `<frame>.jpg <activity> (x y w h action)*`. The clip of a line is the folder `<video>/<frame>`
of 41 frames, 20 before and 20 after the named one; we take it as a video `<video>/<frame>` of those frames, in which the event is
frame 20. What single players do is left out: a box on an image is no answer to give in words.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from deepsport.data.annotation import annotation_files
from deepsport.data.asking import Asker
from deepsport.data.document import open_text, told_where
from deepsport.data.source import Drops, Source
from deepsport.errors import BadAnnotation
from deepsport.records import Dimension, Question

LICENCE = ""

CLIP_FRAMES = 41

EVENT = (CLIP_FRAMES // 2 - 5, CLIP_FRAMES // 2 + 5)
"""Frames of the clip: the annotated one is in the middle, and an action is about ten long."""

LONGEST_LINE = 2**16
"""Characters."""

TEAMS = {"l": "the left team", "r": "the right team"}
ACTIVITIES = {"set": "sets", "spike": "spikes", "pass": "passes", "winpoint": "wins the point"}
ANSWERS = tuple(f"{team} {does}" for team in TEAMS.values() for does in ACTIVITIES.values())

_LINE = re.compile(r"(?P<frame>\d{1,9})\.jpe?g\s+(?P<team>[lr])[_-](?P<activity>[a-z]+)(?=\s|$)", re.ASCII)

_WHAT = (
    "What does which team do in the middle of this clip?",
    "Which team acts in the middle of this clip, and how?",
    "Name the team activity in the middle of the clip.",
)


def read(path: Path, drops: Drops) -> Iterator[Question]:
    """Which team does what."""
    for file in annotation_files(path, "**/annotations.txt"):
        match = file.absolute().parent.name
        n_clips = 0
        for name, line in _lines(file, drops):
            found = _LINE.match(line)
            if found is None:
                drops.add("a line that is not <frame>.jpg <activity>", name)
            elif found["activity"] not in ACTIVITIES:
                drops.add("an unknown activity", f"{name}: {found['activity']}")
            else:
                n_clips += 1
                yield _question(file, match, found)
        if not n_clips:
            raise BadAnnotation(f"{file} has no line <frame>.jpg <activity>. Name a folder of the volleyball dataset.")


def _lines(file: Path, drops: Drops) -> Iterator[tuple[str, str]]:
    with told_where(file, "text"), open_text(file, errors="replace") as opened:
        place = 0
        while line := opened.readline(LONGEST_LINE):
            place += 1
            if line.strip():
                yield f"{file.parent.name}/{file.name}:{place}", line.strip()


def _question(file: Path, match: str, found: re.Match[str]) -> Question:
    clip = f"{match}/{found['frame']}"
    asker = Asker(
        source="volleyball",
        licence=LICENCE,
        file=f"{match}/{file.name}",
        record=clip,
        match=match,
        video=clip,
        sport="volleyball",
    )
    right = f"{TEAMS[found['team']]} {ACTIVITIES[found['activity']]}"
    return asker.choice("activity", _WHAT, right, _alike(right, found), frames=EVENT)


def _alike(right: str, found: re.Match[str]) -> Sequence[str]:
    """The other activities of the team, and the same one of the other."""
    team, does = TEAMS[found["team"]], ACTIVITIES[found["activity"]]
    return [answer for answer in ANSWERS if answer.startswith(team) or answer.endswith(does)]


SOURCE = Source(
    name="volleyball",
    title="Volleyball group activities (Ibrahim et al.)",
    sports=("volleyball",),
    dimensions=(Dimension.RECOGNITION,),
    licence=LICENCE,
    needs="the folder that holds <video>/annotations.txt, or one such file",
    read=read,
)
