"""A question as a row of a table: flat columns with types that anybody can query, and back again without loss.

A column is null where the question does not say: no gold, no window, no provenance. `answer` is the answer as text in every case;
options are those of a closed question, number, unit and tolerance those of a numeric one, facts those of an open one. Each row
has the hash of its question, as JSON with its keys in order, without blanks and without what stands at its default.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportUnknownParameterType=false
# (pyarrow is not typed)

import hashlib
import json
import math
from collections.abc import Mapping

import pyarrow as pa
from pydantic import ValidationError

from deepsport.errors import BadRecord
from deepsport.records import Choice, FreeText, Number, Question

Row = Mapping[str, object]

_TEXTS = pa.list_(pa.string())

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("video", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("answer_kind", pa.string()),
        pa.field("answer", pa.string()),
        pa.field("number", pa.float64()),
        pa.field("options", _TEXTS),
        pa.field("unit", pa.string()),
        pa.field("tolerance", pa.float64()),
        pa.field("facts", pa.list_(pa.struct([pa.field("options", _TEXTS), pa.field("answer", pa.string())]))),
        pa.field("start_s", pa.float64()),
        pa.field("end_s", pa.float64()),
        pa.field("sport", pa.string()),
        pa.field("dimension", pa.string()),
        pa.field("easy", pa.bool_(), nullable=False),
        pa.field("source", pa.string()),
        pa.field("file", pa.string()),
        pa.field("record", pa.string()),
        pa.field("match", pa.string()),
        pa.field("licence", pa.string()),
        pa.field("event_first_index", pa.int64()),
        pa.field("event_last_index", pa.int64()),
        pa.field("video_sha256", pa.string()),
        pa.field("record_sha256", pa.string(), nullable=False),
    ]
)

_ALWAYS = tuple(field.name for field in SCHEMA if not field.nullable)
_FINITE = ("number", "tolerance", "start_s", "end_s")
_ORIGIN = ("source", "file", "record", "match", "licence", "video_sha256")


def row_of(question: Question) -> dict[str, object]:
    """A question as a row."""
    window, origin = question.window, question.provenance
    first_last = (origin and origin.event_frames) or (None, None)
    return {
        "id": question.id,
        "video": question.video,
        "text": question.text,
        **_gold_columns(question),
        "start_s": window and window.start_s,
        "end_s": window and window.end_s,
        "sport": question.sport,
        "dimension": question.dimension and question.dimension.value,
        "easy": question.easy,
        **{name: origin and getattr(origin, name) for name in _ORIGIN},
        "event_first_index": first_last[0],
        "event_last_index": first_last[1],
        "record_sha256": content_hash(question),
    }


def question_of(row: Row) -> Question:
    """The question of a row. Raises BadRecord, with what is wrong, if it is none or not the one that was written."""
    if missing := [name for name in _ALWAYS if row[name] is None]:
        raise BadRecord(f"its {missing[0]} is null")
    for name in _FINITE:
        value = row[name]
        if isinstance(value, float) and not math.isfinite(value):
            raise BadRecord(f"its {name} is {value}, which is no number")
    try:
        question = Question.model_validate({**{name: row[name] for name in _PLAIN}, **_nested(row)})
    except ValidationError as error:
        first = error.errors()[0]
        raise BadRecord(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if content_hash(question) != row["record_sha256"]:
        raise BadRecord("its content is not what record_sha256 says")
    return question


def content_hash(question: Question) -> str:
    """The sha256 of a question. What it leaves at its default does not count, so that a later deepsport finds the same."""
    fields = question.model_dump(mode="json", exclude_defaults=True)
    return hashlib.sha256(_CANONICAL.encode(fields).encode()).hexdigest()


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
_ANSWER: tuple[str, ...] = ("answer", "number", "options", "unit", "tolerance", "facts")
_PLAIN = ("id", "video", "text", "sport", "dimension", "easy")


def _gold_columns(question: Question) -> dict[str, object]:
    columns: dict[str, object] = {"answer_kind": question.gold and question.gold.kind}
    columns |= dict.fromkeys(_ANSWER)
    match question.gold:
        case None:
            return columns
        case Choice(options=options, answer=answer):
            return columns | {"answer": answer, "options": list(options)}
        case Number(answer=number, unit=unit, tolerance=tolerance):
            return columns | {"answer": f"{number:.15g}", "number": number, "unit": unit, "tolerance": tolerance}
        case FreeText(answer=answer, facts=facts):
            return columns | {
                "answer": answer,
                "facts": [{"options": list(fact.options), "answer": fact.answer} for fact in facts],
            }


def _nested(row: Row) -> dict[str, object]:
    """What a question holds in records of their own."""
    window = {"start_s": row["start_s"], "end_s": row["end_s"]}
    frames = (row["event_first_index"], row["event_last_index"])
    origin = {name: row[name] for name in _ORIGIN} | {"event_frames": None if frames == (None, None) else frames}
    return {
        "gold": _gold(row),
        "window": None if row["start_s"] is None and row["end_s"] is None else window,
        "provenance": None if row["source"] is None else origin,
    }


def _gold(row: Row) -> dict[str, object] | None:
    match row["answer_kind"]:
        case None:
            return None
        case "choice":
            parts = {"answer": row["answer"], "options": row["options"]}
        case "number":
            parts = {"answer": row["number"], "unit": row["unit"], "tolerance": row["tolerance"]}
        case _:
            parts = {"answer": row["answer"], "facts": row["facts"]}
    return {"kind": row["answer_kind"], **parts}
