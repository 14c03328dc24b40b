"""The layout of OSL JSON 1.0 and 2.0: heads with their labels, items with views, labels and events."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from deepsport.errors import BadAnnotation

VERSIONS = ("1.0", "2.0")


class Head(BaseModel):
    """A question that a file answers for its items."""

    model_config = ConfigDict(frozen=True)

    type: str = "single_label"
    labels: tuple[str, ...]


class Input(BaseModel):
    """One view of an item."""

    model_config = ConfigDict(frozen=True)

    type: str = "video"
    path: str = ""


class Event(BaseModel):
    """Something that happens at one instant of an item."""

    model_config = ConfigDict(frozen=True)

    head: str
    label: str
    position_ms: float = Field(ge=0, allow_inf_nan=False)


class Item(BaseModel):
    """A clip or video with what was annotated in it."""

    model_config = ConfigDict(frozen=True, coerce_numbers_to_str=True)

    id: str = ""
    inputs: tuple[Input, ...]
    labels: dict[str, JsonValue] | None = None
    events: tuple[JsonValue, ...] | None = None
    sport: str = ""
    match: str = ""
    game: str = ""
    metadata: dict[str, JsonValue] | None = None


_HEADS = TypeAdapter(dict[str, Head])


def heads_and_items(file: Path, document: Mapping[str, JsonValue]) -> tuple[dict[str, Head], list[JsonValue]]:
    """The heads and items of a file. Raises BadAnnotation if it has not these, or another version."""
    version, items = document.get("version"), document.get("data")
    if str(version) not in VERSIONS:
        raise BadAnnotation(f"{file} has the version {version!r}, not {' or '.join(VERSIONS)} of OSL JSON. Convert it to one.")
    if not isinstance(items, list):
        raise BadAnnotation(f'{file} has no array "data". Name a file in the layout of OSL JSON.')
    try:
        return _HEADS.validate_python(document.get("labels")), items
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, ("labels", *first["loc"])))
        raise BadAnnotation(f'{file}: {where}: {first["msg"]}. Each head needs an array "labels".') from error
