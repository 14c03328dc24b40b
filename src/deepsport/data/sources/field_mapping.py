"""The TOML file by which a person says which field of somebody's annotation file is what. Unknown keys are refused.

file = "questions.csv"        # beside or below this file
form = "csv"                  # csv, json (one array) or jsonl
source = "my-set"
licence = "CC-BY-4.0"
question = "question"         # these four name fields
answer = "answer"
video = "clip"
sport = { fixed = "soccer" }  # or { field = "sport" }
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


class OptionFields(Part):
    """Where the options of a closed question are."""

    field: str = ""
    """A list, an object whose values are the options, or a text with a separator."""
    fields: tuple[FieldName, ...] = ()
    """One field for each option, in order; one that is empty is no option."""
    separator: str = ""
    """Between the options of a text."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.field) == bool(self.fields):
            raise ValueError('give either { field = "..." } or { fields = ["...", "..."] }')
        return self


class EventFields(Part):
    """When the event asked about happens."""

    start: FieldName
    end: str = ""
    """Empty for events of one instant."""
    unit: Literal["s", "ms", "frame"]
    """Frames count from 0."""


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
    kind: Literal["choice", "number", "text"] = "choice"
    question: FieldName
    answer: FieldName
    video: FieldName
    sport: FixedOrField
    dimension: FixedOrField = FixedOrField(fixed="recognition")
    options: OptionFields | None = None
    answer_is: Literal["text", "letter", "index"] = "text"
    """How the answer names an option: as it stands there, A for the first, or 0 for the first."""
    unit: str = ""
    tolerance: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    id: str = ""
    """Empty: the place of the record in its file."""
    match: str = ""
    """What splits keep together; empty: the video."""
    event: EventFields | None = None

    @model_validator(mode="after")
    def _options_of_choices(self) -> Self:
        if (self.kind == "choice") != (self.options is not None):
            raise ValueError('`options` belongs to kind = "choice" and to no other')
        return self

    def named_fields(self) -> list[str]:
        """Every field that the annotation file is expected to have."""
        options = (self.options.field, *self.options.fields) if self.options else ()
        event = (self.event.start, self.event.end) if self.event else ()
        own = (self.question, self.answer, self.video, self.sport.field, self.dimension.field, self.id, self.match)
        return [name for name in (*own, *options, *event) if name]


def read_mapping(path: Path) -> tuple[Mapping, Path]:
    """A mapping and the annotation file it names. Raises BadAnnotation, saying which key is wrong."""
    with told_where(path, "a TOML mapping", _REMEDY), open_text(path) as file:
        text = file.read(LONGEST_MAPPING + 1)
        if len(text) > LONGEST_MAPPING:
            raise ValueError(f"it has over {LONGEST_MAPPING:,} characters")
        fields = tomllib.loads(text)
    try:
        mapping = Mapping.model_validate(fields)
    except ValidationError as error:
        raise BadAnnotation(f"{path}: {_said(error)}") from error
    with told_where(path, "a TOML mapping", _REMEDY):
        return mapping, _annotation(path, mapping)


def _annotation(path: Path, mapping: Mapping) -> Path:
    """Raises BadAnnotation, or what a path that no system has may raise."""
    folder = path.parent.resolve()
    annotation = (folder / mapping.file).resolve()
    if not annotation.is_relative_to(folder):
        raise BadAnnotation(f"{path}: file = {mapping.file!r} is outside {folder}. Put it beside the mapping or below.")
    if not annotation.is_file():
        raise BadAnnotation(f"{path}: file = {mapping.file!r} is not there. Name a file beside the mapping or below.")
    return annotation


def _said(error: ValidationError) -> str:
    """The error to correct first: a key that does not exist, since another one is then missing for it."""
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    where = ".".join(map(str, first["loc"]))
    if first["type"] != "extra_forbidden":
        said = first["msg"].removeprefix("Value error, ")
        return f"{where}: {said}" if where else said
    near = get_close_matches(str(first["loc"][-1]), _KEYS, n=1)
    return f"there is no key {where!r}. " + (f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(_KEYS)}.")


_KEYS = [*Mapping.model_fields]
