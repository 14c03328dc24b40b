"""The TOML file by which a person says which field of somebody's annotation file is what. Unknown keys are refused.

file = "touches.csv"          # beside or below this file
form = "csv"                  # csv, json (one array) or jsonl
source = "club"
video = "clip"                # the field with the clip
sport = { fixed = "fencing" } # or { field = "sport" }
[[questions]]                 # one for each question of a record; the keys of a single one may stand above instead
text = "Which lamps light up?"
answer = "lamps"
"""

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from deepsport.data.document import open_text, told_where
from deepsport.errors import BadAnnotation

LONGEST_MAPPING = 2**20
"""Characters."""

_REMEDY = "Correct it; `deepsport data sources` says what is needed."

FieldName = Annotated[str, StringConstraints(min_length=1)]


class Part(BaseModel):
    """Base of all parts of a mapping."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FixedOrField(Part):
    """Something that is the same for all records, or in a field of each."""

    fixed: str = ""
    field: str = ""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.fixed) == bool(self.field):
            raise ValueError('give either { fixed = "..." } or { field = "..." }')
        return self


class Options(Part):
    """The options of a closed question, or where they are."""

    fixed: tuple[str, ...] = ()
    """The same for all records."""
    field: str = ""
    """A list, an object whose values are the options, or a text with a separator."""
    fields: tuple[FieldName, ...] = ()
    """One field for each option, in order; one that is empty is no option."""
    separator: str = ""
    """Between the options of a text."""

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        if sum(map(bool, (self.fixed, self.field, self.fields))) != 1:
            raise ValueError('give one of { fixed = ["...", "..."] }, { field = "..." } and { fields = ["...", "..."] }')
        return self


class EventFields(Part):
    """When the event asked about happens."""

    start: FieldName
    end: str = ""
    """Empty for events of one instant."""
    unit: Literal["s", "ms", "frame"]
    """Frames count from 0."""


class Asked(Part):
    """A question that is asked of every record that answers it."""

    text: str = ""
    """In these words, of all records."""
    question: str = ""
    """The field with the words, where each record has its own."""
    answer: FieldName
    """The field with the answer; where it is empty, the question is not asked."""
    kind: Literal["choice", "number", "text"] = "choice"
    dimension: FixedOrField = FixedOrField(fixed="recognition")
    options: Options | None = None
    """None: whatever occurs in the field of the answer."""
    answer_is: Literal["text", "letter", "index"] = "text"
    """How the answer names an option: as it stands there, A for the first, or 0 for the first."""
    unit: str = ""
    tolerance: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _text_or_field(self) -> Self:
        if bool(self.text.strip()) == bool(self.question):
            raise ValueError('give either text = "the question itself" or question = "the field that it is in"')
        return self

    @model_validator(mode="after")
    def _options_of_choices(self) -> Self:
        if self.kind != "choice" and self.options is not None:
            raise ValueError('`options` belongs to kind = "choice" and to no other')
        if self.kind == "choice" and self.options is None and (self.question or self.answer_is != "text"):
            raise ValueError('`options` may be left out only of a choice with a `text` and answer_is = "text"')
        return self

    @property
    def topic(self) -> str:
        """The last part of the question's id."""
        return self.answer if self.text else "question"

    @property
    def options_occur(self) -> bool:
        """Whether the options are what occurs in the field of the answer."""
        return self.kind == "choice" and self.options is None

    def named_fields(self) -> list[str]:
        """Every field that it needs."""
        options = (self.options.field, *self.options.fields) if self.options else ()
        return [name for name in (self.question, self.answer, self.dimension.field, *options) if name]


class Mapping(Part):
    """A whole TOML file."""

    file: FieldName
    """The annotation file, relative to the TOML file and not outside its folder."""
    form: Literal["csv", "json", "jsonl"]
    delimiter: Literal[",", ";", "\t", "|"] = ","
    """Between the cells of a CSV file."""
    source: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
    """The name that ids and provenance carry."""
    licence: str = ""
    video: FieldName
    sport: FixedOrField
    id: str = ""
    """Empty: the place of the record in its file."""
    match: str = ""
    """What splits keep together; empty: the video."""
    event: EventFields | None = None
    questions: Annotated[tuple[Asked, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_answer_once(self) -> Self:
        topics = [asked.topic for asked in self.questions]
        if twice := [topic for place, topic in enumerate(topics) if topic in topics[:place]]:
            raise ValueError(f"two of [[questions]] ask for {twice[0]!r}: their ids would be the same")
        return self

    def named_fields(self) -> list[str]:
        """Every field that the annotation file is expected to have."""
        event = (self.event.start, self.event.end) if self.event else ()
        own = [name for name in (self.video, self.sport.field, self.id, self.match, *event) if name]
        return own + [name for asked in self.questions for name in asked.named_fields()]


def read_mapping(path: Path) -> tuple[Mapping, Path]:
    """A mapping and the annotation file it names. Raises BadAnnotation, saying which key is wrong."""
    with told_where(path, "a TOML mapping", _REMEDY), open_text(path) as file:
        text = file.read(LONGEST_MAPPING + 1)
        if len(text) > LONGEST_MAPPING:
            raise ValueError(f"it has over {LONGEST_MAPPING:,} characters")
        fields = tomllib.loads(text)
    try:
        mapping = Mapping.model_validate(_spelt_out(fields))
    except ValidationError as error:
        raise BadAnnotation(f"{path}: {_said(error, fields)}") from error
    with told_where(path, "a TOML mapping", _REMEDY):
        return mapping, _annotation(path, mapping)


def _spelt_out(fields: dict[str, object]) -> dict[str, object]:
    """With the keys of a single question, which may stand at the top, as the one of [[questions]]."""
    if "questions" in fields:
        return fields
    single = {key: value for key, value in fields.items() if key in Asked.model_fields}
    return {**{key: value for key, value in fields.items() if key not in single}, "questions": [single]}


def _annotation(path: Path, mapping: Mapping) -> Path:
    """Raises BadAnnotation, or what a path that no system has may raise."""
    folder = path.parent.resolve()
    annotation = (folder / mapping.file).resolve()
    if not annotation.is_relative_to(folder):
        raise BadAnnotation(f"{path}: file = {mapping.file!r} is outside {folder}. Put it beside the mapping or below.")
    if not annotation.is_file():
        raise BadAnnotation(f"{path}: file = {mapping.file!r} is not there. Name a file beside the mapping or below.")
    return annotation


def _said(error: ValidationError, fields: dict[str, object]) -> str:
    """The error to correct first: a key that does not exist, since another one is then missing for it."""
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    place = [part + 1 if isinstance(part, int) else part for part in first["loc"]]  # a person counts from 1
    if place[:1] == ["questions"] and "questions" not in fields:
        del place[:2]
    where = ".".join(map(str, place))
    if first["type"] == "extra_forbidden":
        return _no_such_key(where, "questions" in fields)
    said = first["msg"].removeprefix("Value error, ")
    return f"{where}: {said}" if where else said


def _no_such_key(where: str, several: bool) -> str:
    *parts, key = where.split(".")
    if several and not parts and key in Asked.model_fields:
        return f"{key!r} belongs below each of [[questions]], if there are any."
    part = next((name for name in reversed(parts) if name in _PARTS), "")
    keys = [*_PARTS[part].model_fields, *(() if part or several else Asked.model_fields)]
    near = get_close_matches(key, keys, n=1)
    return f"there is no key {where!r}. " + (f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(keys)}.")


_PARTS: dict[str, type[Part]] = {
    "": Mapping,
    "questions": Asked,
    "options": Options,
    "event": EventFields,
    "sport": FixedOrField,
    "dimension": FixedOrField,
}
"""By the key that holds it."""
