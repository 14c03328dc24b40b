"""Anybody's CSV, JSON array or JSON lines, by a TOML file that says which field is what (see field_mapping.py for its keys).

A record is asked as it stands: nothing is rephrased, and no wrong options are added. One without a question, an answer, a clip or
a sport is dropped.
"""

import math
from collections.abc import Iterator
from pathlib import Path

from pydantic import JsonValue

from deepsport.agent.prompt import with_options
from deepsport.data.annotation import json_items
from deepsport.data.asking import Asker
from deepsport.data.clip_path import clip_path
from deepsport.data.document import is_object
from deepsport.data.rows import csv_rows, json_lines
from deepsport.data.source import Drops, Source
from deepsport.data.sources.field_mapping import FixedOrField, Mapping, read_mapping
from deepsport.errors import BadAnnotation
from deepsport.records import Choice, Dimension, FreeText, Gold, Number, Question, Window

Row = dict[str, JsonValue]

DIMENSIONS = {dimension.value: dimension for dimension in Dimension}

Event = tuple[tuple[int, int] | None, Window | None]
"""Frames or a window, whichever the records count in; neither where a record has no event."""


class _UnfitRecordError(Exception):
    """A record that cannot become a question; its text is the reason."""


def read(path: Path, drops: Drops) -> Iterator[Question]:
    """The questions that a mapping makes of the records of its file."""
    mapping, annotation = read_mapping(path)
    for place, (name, row) in enumerate(_rows(mapping, annotation, drops)):
        if mapping.form == "csv" and place == 0:
            _require_columns(mapping, row, path)
        try:
            yield _question(mapping, annotation.name, name, row)
        except _UnfitRecordError as reason:
            drops.add(str(reason), name)


def _rows(mapping: Mapping, file: Path, drops: Drops) -> Iterator[tuple[str, Row]]:
    match mapping.form:
        case "csv":
            for name, cells in csv_rows(file, drops, delimiter=mapping.delimiter):
                yield name, dict(cells)
        case "jsonl":
            yield from json_lines(file, drops)
        case "json":
            for place, item in enumerate(json_items(file)):
                name = f"{file.name}[{place}]"
                if is_object(item):
                    yield name, item
                else:
                    drops.add("an item that is no JSON object", name)


def _require_columns(mapping: Mapping, row: Row, path: Path) -> None:
    if missing := [name for name in mapping.named_fields() if name not in row]:
        raise BadAnnotation(f"{path} names the field {missing[0]!r}, but {mapping.file} has only {', '.join(row)}.")


def _question(mapping: Mapping, file: str, name: str, row: Row) -> Question:
    """Raises _UnfitRecordError."""
    text = _needed(row, mapping.question, "a record without a question")
    video = clip_path(_needed(row, mapping.video, "a record without a clip"))
    if video is None:
        raise _UnfitRecordError("a clip outside the folder of clips")
    asker = Asker(
        source=mapping.source,
        licence=mapping.licence,
        file=file,
        record=_text(row, mapping.id) or name,
        match=_text(row, mapping.match) or video,
        video=video,
        sport=_one(row, mapping.sport, "a record without a sport"),
    )
    dimension = DIMENSIONS.get(_one(row, mapping.dimension, "an unknown dimension"))
    if dimension is None:
        raise _UnfitRecordError("an unknown dimension")
    gold = _gold(mapping, row)
    if isinstance(gold, Choice):
        text = with_options(text, gold.options)
    frames, window = _event(mapping, row)
    return asker.given("question", text, gold, dimension, frames=frames, window=window)


def _gold(mapping: Mapping, row: Row) -> Gold:
    answer = _needed(row, mapping.answer, "a record without an answer")
    match mapping.kind:
        case "text":
            return FreeText(answer=answer)
        case "number":
            number = _number(answer, "an answer that is no number")
            return Number(answer=number, unit=mapping.unit, tolerance=mapping.tolerance)
        case "choice":
            slots = _options(mapping, row)
            options = tuple(option for option in slots if option)
            if len(options) < 2 or len(set(options)) < len(options):
                raise _UnfitRecordError("options that are not two or more distinct ones")
            return Choice(options=options, answer=_chosen(mapping, answer, slots))


def _options(mapping: Mapping, row: Row) -> tuple[str, ...]:
    """The options in order; one that is empty still counts as a place, for letters and indices."""
    if mapping.options is None:
        return ()
    if mapping.options.fields:
        given = [_text(row, name) for name in mapping.options.fields]
    else:
        value = row.get(mapping.options.field)
        if isinstance(value, str):
            given = value.split(mapping.options.separator) if mapping.options.separator else [value]
        else:
            values = value.values() if is_object(value) else value if isinstance(value, list) else ()
            given = [_said(option) for option in values]
    return tuple(option.strip() for option in given)


def _chosen(mapping: Mapping, answer: str, options: tuple[str, ...]) -> str:
    """Raises _UnfitRecordError."""
    match mapping.answer_is:
        case "text":
            place = options.index(answer) if answer in options else -1
        case "letter":
            place = ord(answer.upper()) - ord("A") if answer.isascii() and len(answer) == 1 else -1
        case "index":
            place = int(answer) if answer.isascii() and answer.isdigit() and len(answer) < 4 else -1
    if not 0 <= place < len(options) or not options[place]:
        raise _UnfitRecordError("an answer that is none of the options")
    return options[place]


def _event(mapping: Mapping, row: Row) -> Event:
    if mapping.event is None or not (start_text := _text(row, mapping.event.start)):
        return None, None
    reason = "an event whose times are no span"
    start = _number(start_text, reason)
    end = _number(end_text, reason) if (end_text := _text(row, mapping.event.end)) else start
    if not 0 <= start <= end:
        raise _UnfitRecordError(reason)
    if mapping.event.unit == "frame":
        return (math.floor(start), math.ceil(end)), None
    scale = 1000 if mapping.event.unit == "ms" else 1
    return None, Window(start_s=start / scale, end_s=end / scale)


def _number(text: str, reason: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise _UnfitRecordError(reason) from None
    if not math.isfinite(number):
        raise _UnfitRecordError(reason)
    return number


def _one(row: Row, given: FixedOrField, reason: str) -> str:
    """A name in small letters with underscores, as sports and dimensions have it."""
    name = given.fixed or _needed(row, given.field, reason)
    return "_".join(name.lower().replace("-", " ").split())


def _needed(row: Row, field: str, reason: str) -> str:
    if text := _text(row, field):
        return text
    raise _UnfitRecordError(reason)


def _text(row: Row, field: str) -> str:
    return _said(row.get(field)).strip()


def _said(value: JsonValue) -> str:
    """A text, without what no file can hold, or a number in words; empty for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).encode("utf-8", "replace").decode()


SOURCE = Source(
    name="mapping",
    title="Any CSV, JSON array or JSON lines",
    sports=(),
    dimensions=tuple(Dimension),
    licence="",
    needs="a TOML file that names an annotation file beside it, and which of its fields is what",
    read=read,
)
