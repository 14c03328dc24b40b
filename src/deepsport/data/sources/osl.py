"""OSL JSON, versions 1.0 and 2.0: the interchange format of OpenSportsLab, for classified clips and for spotted events.

`labels` names heads, each with its labels; an item of `data` has videos and either labels, one head after the other, or
events with a position in milliseconds. Of several views the first is asked about. The format names no sport, so that one is
expected in a field `sport` of the file or the item. Items of one `match`, `game` or `UrlLocal` stay together, else those of
one video.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue, ValidationError

from deepsport.data.annotation import annotation_files, first_fault
from deepsport.data.asking import Asker
from deepsport.data.clip_path import clip_path
from deepsport.data.document import is_object, json_document
from deepsport.data.source import Drops, Source
from deepsport.data.sources.osl_layout import Event, Head, Item, heads_and_items
from deepsport.records import Dimension, Question, Window

AROUND_S = 1.0
"""An event is one instant of the annotation; its window reaches this far to both sides."""

_WHICH_LABEL = ("Which {head} does this clip show?", "What is the {head} in this clip?", "Name the {head} of this clip.")
_WHICH_OF_SEVERAL = ("Which of these holds of this clip ({head})?", "Considering {head}: which of these is right?")
_WHICH_EVENT = (
    "Which {head} is to be seen {time:.1f} s into this video?",
    "At {time:.1f} s of this video: which {head} is it?",
    "Name the {head} that happens at {time:.1f} s.",
)


def read(path: Path, drops: Drops) -> Iterator[Question]:
    """Which of a head's labels holds of a clip, or of an instant of it."""
    for file in annotation_files(path, "*.json"):
        document = json_document(file)
        heads, items = heads_and_items(file, document)
        for place, fields in enumerate(items):
            name = f"{file.name}[{place}]"
            try:
                item = Item.model_validate(fields)
                if not item.labels and not item.events:
                    drops.add("an item without labels or events", name)
                elif asker := _asker(file, document, item, name, drops):
                    yield from _of_labels(asker, item, heads, drops)
                    yield from _of_events(asker, item, heads, drops)
            except ValidationError as error:
                drops.add("not in the layout", f"{name}: {first_fault(error)}")


def _asker(file: Path, document: Mapping[str, JsonValue], item: Item, name: str, drops: Drops) -> Asker | None:
    video = next((clip_path(view.path) for view in item.inputs if view.type == "video"), None)
    sport = item.sport or _text(document, "sport")
    about = item.metadata or {}
    if video is None:
        drops.add("no video, or one outside the folder of clips", name)
    elif not sport.strip():
        drops.add("no sport named", name)
    else:
        about_file = document.get("metadata")
        return Asker(
            source="osl-json",
            licence=_text(about_file, "license") if is_object(about_file) else "",
            file=file.name,
            record=f"{file.stem}/{item.id or name}",
            match=(item.match or item.game or _text(about, "UrlLocal") or video).replace("\\", "/"),
            video=video,
            sport="_".join(sport.lower().replace("-", " ").split()),
        )
    return None


def _text(fields: Mapping[str, JsonValue], key: str) -> str:
    value = fields.get(key)
    return value if isinstance(value, str) else ""


def _of_labels(asker: Asker, item: Item, heads: Mapping[str, Head], drops: Drops) -> Iterator[Question]:
    for name, given in (item.labels or {}).items():
        rights = _labels(given)
        for right in rights:
            family = _family(asker, name, right, rights, heads, drops)
            if family:
                several = heads[name].type == "multi_label"
                topic = f"{name}-{right}" if several else name
                phrasings = _WHICH_OF_SEVERAL if several else _WHICH_LABEL
                yield asker.choice(topic, phrasings, right, family, words={"head": _words(name)})
        if not rights:
            drops.add("a head without a label", f"{asker.record}: {name}")


def _labels(given: JsonValue) -> list[str]:
    """What a head of an item says: a label, `{label}`, a list, or `{labels}`."""
    if is_object(given):
        given = given.get("labels", given.get("label"))
    several = given if isinstance(given, list) else [given]
    return [label for label in several if isinstance(label, str) and label]


def _of_events(asker: Asker, item: Item, heads: Mapping[str, Head], drops: Drops) -> Iterator[Question]:
    events = list(_events(asker, item, drops))
    for place, event in events:
        beside = [other.label for _, other in events if other.head == event.head and _overlap(event, other)]
        family = _family(asker, event.head, event.label, beside, heads, drops)
        if not family:
            continue
        time_s = event.position_ms / 1000
        window = Window(start_s=max(0.0, time_s - AROUND_S), end_s=time_s + AROUND_S)
        words = {"head": _words(event.head), "time": time_s}
        yield asker.choice(f"{event.head}-{place}", _WHICH_EVENT, event.label, family, window=window, words=words)


def _events(asker: Asker, item: Item, drops: Drops) -> Iterator[tuple[int, Event]]:
    """The events of an item with their places, less those without a head, a label or a position."""
    for place, fields in enumerate(item.events or ()):
        try:
            yield place, Event.model_validate(fields)
        except ValidationError:
            drops.add("an event without head, label or position", f"{asker.record} event {place}")


def _overlap(event: Event, other: Event) -> bool:
    return abs(event.position_ms - other.position_ms) <= 2000 * AROUND_S


def _family(
    asker: Asker, head: str, right: str, also: Sequence[str], heads: Mapping[str, Head], drops: Drops
) -> list[str] | None:
    """The labels among which one is to be told, without others that are right as well; None, counted, if that cannot be asked."""
    if head not in heads:
        drops.add("an unknown head", f"{asker.record}: {head}")
        return None
    if right not in heads[head].labels:
        drops.add("a label that its head does not have", f"{asker.record}: {head}: {right}")
        return None
    family = [label for label in heads[head].labels if label == right or label not in also]
    if len(set(family)) < 2:
        drops.add("a head with nothing to choose between", f"{asker.record}: {head}")
        return None
    return family


def _words(head: str) -> str:
    return head.replace("_", " ")


SOURCE = Source(
    name="osl-json",
    title="OSL JSON",
    sports=(),
    dimensions=(Dimension.RECOGNITION,),
    licence="",
    needs="a file of OSL JSON 1.0 or 2.0 that names its sport in a field `sport`, or a folder of such files",
    read=read,
)
