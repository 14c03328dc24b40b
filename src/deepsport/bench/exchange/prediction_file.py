"""Answers that a system gave somewhere else, as a file of JSON: a list of records, an object from id to answer, or JSON lines.

Under which keys id and answer stand is told by the caller, or is the one key of a record that is usual for it; where two of the
usual ones stand in one record (a right answer beside a prediction, say) nothing is guessed. What cannot be read is an error with
its place: a prediction that goes missing in silence is a wrong answer that nobody gave.
"""

import json
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TextIO

from pydantic import JsonValue

from deepsport.data.document import LONGEST_DOCUMENT, is_object, open_text, refuse_constant, storable
from deepsport.durable import disk_errors
from deepsport.errors import BadRecord

ID_KEYS = ("id", "question_id", "qid")
ANSWER_KEYS = ("answer", "prediction", "pred", "response", "output")
LONGEST_LINE = 16 * 2**20
"""Characters of one of several lines."""
LONGEST_NAMED = 80
"""Characters of an id in a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a system said of one question."""

    place: str
    """`answers.jsonl:3`, or the number of the record in its list."""
    question_id: str
    answer: str
    """As it was written; empty if there is none."""


def read_predictions(path: Path, *, id_key: str = "", answer_key: str = "") -> dict[str, Prediction]:
    """The predictions of a file by the id of their question; the keys: where id and answer stand, if not under a usual name.

    Raises BadRecord with the place of what is no prediction, and for an id that stands twice; RunError if it cannot be read."""
    found: dict[str, Prediction] = {}
    for place, value in _entries(path, id_key, answer_key):
        prediction = _prediction(place, value, id_key, answer_key)
        before = found.setdefault(prediction.question_id, prediction)
        if before is not prediction:
            raise BadRecord(
                f"{place}: question {short(prediction.question_id)} was answered at {before.place} already. Keep one answer."
            )
    if not found:
        raise BadRecord(f"{path} holds no prediction")
    return found


def short(name: str) -> str:
    """A name as it stands in a message, quoted, however long it is."""
    return repr(name if len(name) <= LONGEST_NAMED else f"{name[:LONGEST_NAMED]}...")


def _entries(path: Path, id_key: str, answer_key: str) -> Iterator[tuple[str, JsonValue]]:
    """Every record with its place; of an object from id to answer, a record for each pair."""
    with _told(path), disk_errors(path), open_text(path) as file:
        if path.suffix.casefold() in (".jsonl", ".ndjson") or _of_many_lines(file):
            yield from _lines(file, path.name)
            return
        text = file.read(LONGEST_DOCUMENT + 1)
        if len(text) > LONGEST_DOCUMENT:
            raise ValueError(f"it has over {LONGEST_DOCUMENT:,} characters")
        document = _value(text)
        if isinstance(document, list):
            yield from ((f"{path.name}, record {number}", value) for number, value in enumerate(document, start=1))
        elif is_object(document) and _is_record(document, id_key, answer_key):
            yield path.name, document
        elif is_object(document):
            of_id, of_answer = id_key or ID_KEYS[0], answer_key or ANSWER_KEYS[0]
            yield from ((f"{path.name}, {short(name)}", {of_id: name, of_answer: value}) for name, value in document.items())
        else:
            raise ValueError("it is neither a list of records, nor an object from id to answer, nor JSON lines")


def _of_many_lines(file: TextIO) -> bool:
    """Whether a file that begins with an object has it on a line of its own, and more behind it. Ends where it began."""
    first = file.readline(LONGEST_LINE)
    more = any(line.strip() for line in iter(lambda: file.readline(LONGEST_LINE), ""))
    file.seek(0)
    try:
        return more and first.lstrip().startswith("{") and is_object(_value(first))
    except (ValueError, RecursionError):
        return False


def _lines(file: TextIO, name: str) -> Iterator[tuple[str, JsonValue]]:
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE and not line.endswith("\n"):
            raise BadRecord(f"{name}:{number} has over {LONGEST_LINE:,} characters. Leave out what is neither id nor answer.")
        if line.strip():
            try:
                value = _value(line)
            except (ValueError, RecursionError) as error:
                raise BadRecord(f"{name}:{number} is not JSON: {_why(error)}. Mend or remove the line.") from None
            yield f"{name}:{number}", value


def _is_record(document: Mapping[str, JsonValue], id_key: str, answer_key: str) -> bool:
    """Whether an object is one record and not a list of answers by id."""
    return any(key in document for key in _wanted(id_key, ID_KEYS)) and any(
        key in document for key in _wanted(answer_key, ANSWER_KEYS)
    )


def _wanted(given: str, usual: tuple[str, ...]) -> tuple[str, ...]:
    return (given,) if given else usual


def _prediction(place: str, value: JsonValue, id_key: str, answer_key: str) -> Prediction:
    if not is_object(value):
        raise BadRecord(f"{place} is not an object with an id and an answer, but {json.dumps(value)[:80]}")
    name = value[_key(place, value, id_key, ID_KEYS, "--id-key")]
    if not isinstance(name, str | int) or isinstance(name, bool) or name == "":
        raise BadRecord(f"{place}: {json.dumps(name)[:80]} is not the id of a question")
    answer = value[_key(place, value, answer_key, ANSWER_KEYS, "--answer-key")]
    return Prediction(place=place, question_id=str(name), answer=_text(place, answer))


def _key(place: str, record: Mapping[str, JsonValue], given: str, usual: tuple[str, ...], option: str) -> str:
    """The key to read. Raises BadRecord where there is none, or more than one that is usual."""
    present = [key for key in _wanted(given, usual) if key in record]
    if len(present) == 1:
        return present[0]
    if present:
        raise BadRecord(f"{place} has {' and '.join(map(repr, present))}. Say which is meant: {option} {present[-1]}.")
    known = ", ".join(map(short, list(record)[:10])) or "nothing"
    raise BadRecord(f"{place} has no {' or '.join(map(repr, _wanted(given, usual)))}, but {known}. Name the key: {option} KEY.")


def _text(place: str, answer: JsonValue) -> str:
    """An answer as text: a number as it is written in JSON, nothing for null."""
    if answer is None:
        return ""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, bool) or not isinstance(answer, int | float) or answer in (inf, -inf):
        raise BadRecord(f"{place}: the answer is {json.dumps(answer)[:80]}; give a text or a number")
    return json.dumps(answer)


def _value(text: str) -> JsonValue:
    """A JSON text. Raises ValueError or RecursionError."""
    return storable(json.loads(text, parse_constant=refuse_constant, object_pairs_hook=_distinct), text)


def _distinct(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{short(twice)} stands in one object twice")
    return fields


@contextmanager
def _told(path: Path) -> Generator[None]:
    """Turns what reading may raise into a BadRecord that names the file."""
    try:
        yield
    except (ValueError, RecursionError) as error:
        if isinstance(error, BadRecord):
            raise
        raise BadRecord(f"{path} cannot be read as predictions: {_why(error)}") from None


def _why(error: ValueError | RecursionError) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
