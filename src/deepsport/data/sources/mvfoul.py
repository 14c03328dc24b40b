"""SoccerNet-MVFoul: what a referee would decide about an action that several cameras filmed.

An action is asked about in one clip: the first that is not of a main camera, since replays from close by show the contact; if
there is none, its first clip. All clips of an action share its labels. What "Replay speed" counts is not said, so it decides
nothing, nor is where in a clip the action lies, so no window is given. "Between" and the severities 2 and 4 are borderline
cases of which the source itself gives no answer: they are dropped.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deepsport.data.annotation import annotation_files, first_fault
from deepsport.data.asking import Asker
from deepsport.data.document import is_object, json_document
from deepsport.data.source import Drops, Source
from deepsport.errors import BadAnnotation
from deepsport.records import Dimension, Question

LICENCE = ""
"""Under a non-disclosure agreement with SoccerNet, which is no licence to pass anything on."""

OFFENCES = {"Offence": "a foul", "No offence": "no foul"}
SANCTIONS = {"1": "no card", "3": "a yellow card", "5": "a red card"}
BORDERLINE = ("2", "4")
CHALLENGES = {
    "Tackling": "a sliding tackle",
    "Standing tackling": "a standing tackle",
    "High leg": "a high leg",
    "Holding": "holding",
    "Pushing": "pushing",
    "Elbowing": "elbowing",
    "Challenge": "a challenge with the body",
    "Dive": "a dive",
}
CONTACTS = {"With contact": "with contact", "Without contact": "without contact"}
BODY_PARTS = {"Upper body": "the upper body", "Under body": "the lower body"}
UPPER_PARTS = {"Use of arms": "the arms", "Use of shoulder": "the shoulder", "Use of shoulders": "the shoulder"}

_CLIP = re.compile(r"(?:^|/)(action_\d+/clip_\d+)(?:\.mp4)?$")

_WHETHER_FOUL = (
    "Is this action a foul?",
    "Has a player committed an offence here, or is it fair play?",
    "What should the referee decide about this action: foul or no foul?",
)
_WHICH_SANCTION = (
    "This action is a foul. Which card does it deserve?",
    "The referee has given a foul. How should it be sanctioned?",
    "Which sanction is right for this foul?",
)
_WHICH_CHALLENGE = (
    "What kind of action is this?",
    "How does the player go against the opponent?",
    "Which kind of challenge do we see?",
)
_WHETHER_CONTACT = ("Is there contact between the two players?", "Does the player touch the opponent, or not?")
_WHICH_BODY_PART = (
    "Which part of the body does the player use against the opponent?",
    "With which part of the body is the action made?",
)
_WHICH_UPPER_PART = (
    "The player uses the upper body: what of it?",
    "With which part of the upper body is the action made?",
)


class Clip(BaseModel):
    """An action as one camera saw it."""

    model_config = ConfigDict(frozen=True)

    url: str = Field(alias="Url")
    camera: str = Field(default="", alias="Camera type")


class Action(BaseModel):
    """What is known about an action; a field that is empty was not annotated."""

    model_config = ConfigDict(frozen=True)

    game: str = Field(alias="UrlLocal", min_length=1)
    offence: str = Field(default="", alias="Offence")
    severity: str | float = Field(default="", alias="Severity")
    action_class: str = Field(default="", alias="Action class")
    contact: str = Field(default="", alias="Contact")
    body_part: str = Field(default="", alias="Bodypart")
    upper_part: str = Field(default="", alias="Upper body part")
    clips: tuple[Clip, ...] = Field(alias="Clips")


def read(path: Path, drops: Drops) -> Iterator[Question]:
    """Foul or not, which sanction, which kind of challenge, contact and body part where annotated."""
    for file in annotation_files(path, "annotations.json"):
        document = json_document(file)
        actions = document.get("Actions")
        if not is_object(actions):
            raise BadAnnotation(f'{file} has no object "Actions". Point at annotations.json of one set of SoccerNet-MVFoul.')
        part = str(document.get("Set", file.parent.name)).lower()
        for number, fields in actions.items():
            record = f"{part}/action_{number}"
            try:
                yield from _of_file(file, record, Action.model_validate(fields), drops)
            except ValidationError as error:
                drops.add("not in the layout", f"{record}: {first_fault(error)}")


def _of_file(file: Path, record: str, action: Action, drops: Drops) -> Iterator[Question]:
    if (video := _video(action)) is None:
        drops.add("an action without a clip", record)
        return
    asker = Asker(
        source="soccernet-mvfoul",
        licence=LICENCE,
        file=file.name,
        record=record,
        match=action.game.replace("\\", "/").strip("/"),
        video=video,
        sport="soccer",
    )
    yield from _ruling(asker, action, drops)
    yield from _kind(asker, action, drops)


def _video(action: Action) -> str | None:
    close_first = sorted(action.clips, key=lambda clip: clip.camera.strip().lower().startswith("main"))
    found = [_CLIP.search(clip.url.replace("\\", "/")) for clip in close_first]
    return next((f"{clip[1]}.mp4" for clip in found if clip), None)


def _ruling(asker: Asker, action: Action, drops: Drops) -> Iterator[Question]:
    """Foul or not and, if it is one, the sanction."""
    offence = OFFENCES.get(action.offence.strip())
    if offence is None:
        drops.add("undecided whether it is a foul", f"{asker.record}: {action.offence}")
        return
    yield asker.choice("foul", _WHETHER_FOUL, offence, [*OFFENCES.values()], dimension=Dimension.RULES)
    if offence != OFFENCES["Offence"]:
        return
    severity = str(action.severity).strip().removesuffix(".0")
    if severity in SANCTIONS:
        yield asker.choice("sanction", _WHICH_SANCTION, SANCTIONS[severity], [*SANCTIONS.values()], dimension=Dimension.RULES)
    elif severity in BORDERLINE:
        drops.add("a borderline sanction", f"{asker.record}: {severity}")
    else:
        drops.add("a foul without a sanction", f"{asker.record}: {severity}")


def _kind(asker: Asker, action: Action, drops: Drops) -> Iterator[Question]:
    if (challenge := CHALLENGES.get(action.action_class.strip())) is None:
        drops.add("an unknown kind of challenge", f"{asker.record}: {action.action_class}")
    else:
        yield asker.choice("challenge", _WHICH_CHALLENGE, challenge, [*CHALLENGES.values()])
    yield from _detail(asker, "contact", _WHETHER_CONTACT, action.contact, CONTACTS, drops)
    yield from _detail(asker, "body-part", _WHICH_BODY_PART, action.body_part, BODY_PARTS, drops)
    yield from _detail(asker, "upper-part", _WHICH_UPPER_PART, action.upper_part, UPPER_PARTS, drops)


def _detail(
    asker: Asker, topic: str, phrasings: tuple[str, ...], value: str, meanings: Mapping[str, str], drops: Drops
) -> Iterator[Question]:
    """A question about a field that may be empty."""
    if meaning := meanings.get(value.strip()):
        yield asker.choice(topic, phrasings, meaning, [*meanings.values()])
    elif value.strip():
        drops.add(f"an unknown {topic.replace('-', ' ')}", f"{asker.record}: {value}")


SOURCE = Source(
    name="soccernet-mvfoul",
    title="SoccerNet-MVFoul",
    sports=("soccer",),
    dimensions=(Dimension.RULES, Dimension.RECOGNITION),
    licence=LICENCE,
    needs="annotations.json of one set of SoccerNet-MVFoul, or its folder",
    read=read,
)
