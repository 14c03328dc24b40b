"""Anybody's CSV, JSON array or JSON lines, by a TOML file that says which field is what (see field_mapping.py for its keys).

A record is asked as it stands: nothing is rephrased, and no wrong options are made up. One without a clip or a sport is dropped,
and so is each of its questions that has no words or no answer.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from pydantic import JsonValue

from deepsport.agent.prompt import with_options
from deepsport.data.annotation import json_items
from deepsport.data.asking import Asker
from deepsport.data.clip_path import clip_path
from deepsport.data.document import is_object
from deepsport.data.rows import csv_rows, json_lines
from deepsport.data.source import Drops, Source
from deepsport.data.sources.field_mapping import Asked, FixedOrField, Mapping, Options, read_mapping
from deepsport.errors import BadAnnotation
from deepsport.records import Choice, Dimension, FreeText, Gold, Number, Question, Window
from deepsport.reward.wording import plain

Row = dict[str, JsonValue]

DIMENSIONS = {dimension.value: dimension for dimension in Dimension}

MOST_VALUES = 26
"""Different values of a field that can be the options of a choice."""

Values = dict[str, tuple[str, ...]]
"""What occurs in a field, by its name."""

Event = tuple[tuple[int, int] | None, Window | None]
"""Frames or a window, whichever the records count in; neither where a record has no event."""


class _UnfitRecordError(Exception):
    """A record that cannot become a question; its text is the reason."""


def read(path: Path, drops: Drops) -> Iterator[Question]:
    """The questions that a mapping makes of the records of its file."""
    mapping, annotation = read_mapping(path)
    values = _values(mapping, annotation)
    for place, (name, row) in enumerate(_rows(mapping, annotation, drops)):
        if mapping.form == "csv" and place == 0:
            _require_columns(mapping, row, path)
        try:
            asker, event = _asker(mapping, annotation.name, name, row), _event(mapping, row)
        except _UnfitRecordError as reason:
            drops.add(str(reason), name)
            continue
        for asked in mapping.questions:
            try:
                yield _question(asker, asked, row, event, values)
            except _UnfitRecordError as reason:
                drops.add(str(reason), f"{name}: {asked.answer}" if asked.text else name)


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


def _values(mapping: Mapping, file: Path) -> Values:
    """What occurs in each field whose question has no options of its own. Raises BadAnnotation."""
    found: dict[str, set[str]] = {asked.answer: set() for asked in mapping.questions if asked.options_occur}
    for _, row in _rows(mapping, file, Drops()) if found else ():
        for field, values in found.items():
            if value := _text(row, field):
                values.add(value)
            if len(values) > MOST_VALUES:
                raise BadAnnotation(
                    f"{file}: {field!r} has more than {MOST_VALUES} different values, too many to choose from. "
                    'Give that question `options`, or kind = "text" or "number".'
                )
    return {field: _distinct(values, f"{file}: {field!r}") for field, values in found.items()}


def _distinct(values: set[str], where: str) -> tuple[str, ...]:
    """In the order of the alphabet. Raises BadAnnotation if two of them are one answer, written in two ways."""
    in_order = sorted(values, key=lambda value: (plain(value), value))
    for one, other in pairwise(in_order):
        if plain(one) == plain(other):
            raise BadAnnotation(f"{where} has {one!r} and {other!r}, which count as the same answer. Write them alike.")
    return tuple(in_order)


def _asker(mapping: Mapping, file: str, name: str, row: Row) -> Asker:
    """Raises _UnfitRecordError."""
    video = clip_path(_needed(row, mapping.video, "a record without a clip"))
    if video is None:
        raise _UnfitRecordError("a clip outside the folder of clips")
    return Asker(
        source=mapping.source,
        licence=mapping.licence,
        file=file,
        record=_text(row, mapping.id) or name,
        match=_text(row, mapping.match) or video,
        video=video,
        sport=_one(row, mapping.sport, "a record without a sport"),
    )


def _question(asker: Asker, asked: Asked, row: Row, event: Event, values: Values) -> Question:
    """Raises _UnfitRecordError."""
    text = asked.text.strip() or _needed(row, asked.question, "a record without a question")
    dimension = DIMENSIONS.get(_one(row, asked.dimension, "an unknown dimension"))
    if dimension is None:
        raise _UnfitRecordError("an unknown dimension")
    gold = _gold(asked, row, values)
    if isinstance(gold, Choice):
        text = with_options(text, gold.options)
    frames, window = event
    return asker.given(asked.topic, text, gold, dimension, frames=frames, window=window)


def _gold(asked: Asked, row: Row, values: Values) -> Gold:
    answer = _needed(row, asked.answer, "a record without an answer")
    match asked.kind:
        case "text":
            return FreeText(answer=answer)
        case "number":
            number = _number(answer, "an answer that is no number")
            return Number(answer=number, unit=asked.unit, tolerance=asked.tolerance)
        case "choice":
            slots = _options(asked.options, row) if asked.options else values[asked.answer]
            options = tuple(option for option in slots if option)
            if len(options) < 2 or len(set(options)) < len(options):
                raise _UnfitRecordError("options that are not two or more distinct ones")
            return Choice(options=options, answer=_chosen(asked, answer, slots))


def _options(options: Options, row: Row) -> tuple[str, ...]:
    """The options in order; one that is empty still counts as a place, for letters and indices."""
    if options.fixed:
        given = options.fixed
    elif options.fields:
        given = [_text(row, name) for name in options.fields]
    else:
        value = row.get(options.field)
        if isinstance(value, str):
            given = value.split(options.separator) if options.separator else [value]
        else:
            items = value.values() if is_object(value) else value if isinstance(value, list) else ()
            given = [_said(option) for option in items]
    return tuple(option.strip() for option in given)


def _chosen(asked: Asked, answer: str, options: tuple[str, ...]) -> str:
    """Raises _UnfitRecordError."""
    match asked.answer_is:
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
