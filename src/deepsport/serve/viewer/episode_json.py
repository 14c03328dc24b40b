"""What a page gets to see of an episode: one row of a list, and all of it. Of every path only the file name is told."""

from codecs import BOM_UTF8
from math import isnan
from pathlib import PurePath
from typing import Any, cast

from pydantic import JsonValue
from pydantic_core import from_json

from deepsport.bench.diagnosis.record import Diagnosis
from deepsport.bench.result import Judged, scores_of
from deepsport.bench.score import Score, answered, reference_of, score
from deepsport.records import Choice, Episode, Gold, Number, Question
from deepsport.reward.choice import named_options
from deepsport.serve.viewer.annotations import label_json, window_json
from deepsport.serve.viewer.catalogue import Catalogue, EpisodeSet
from deepsport.serve.viewer.comparison import key_of_pair
from deepsport.serve.viewer.episode_index import Found
from deepsport.serve.viewer.episode_table import CAUSES, FAILURES, NO_STEP, NONE, OUTCOMES, View, spelt
from deepsport.serve.viewer.footage import ChangedFootageError, Footage, NoFootageError
from deepsport.serve.viewer.line_to_row import Entry, found_of, said_of

Json = dict[str, Any]

LONGEST = 400
"""Characters of a text in a row."""
_TEXTS = ("text", "answer", "reference")


def rows_json(one: EpisodeSet, view: View, rows: list[int]) -> list[Json]:
    """Rows of a list, in this order; long texts are cut, since a list shows a line of each."""
    return [_short(row_json(one, found)) for row in rows if (found := one.index.again(view, row))]


def _short(row: Json) -> Json:
    return row | {name: text[:LONGEST] + "…" for name in _TEXTS if isinstance(text := row[name], str) and len(text) > LONGEST}


def row_json(one: EpisodeSet, found: Found) -> Json:
    """One row."""
    episode, question, facts = found.entry.episode, found.entry.episode.question, found.view.rows_F[found.row]
    label = next(iter(one.annotations.labels_of(episode)), None)
    return {
        "id": spelt(int(facts["key"])),
        "question_id": question.id,
        "text": question.text,
        "video": PurePath(question.video).name,
        "sport": question.sport,
        "dimension": question.dimension,
        "outcome": OUTCOMES[facts["outcome"]],
        "accuracy": _known(facts["accuracy"]),
        "stop": episode.stop,
        "failure": _named(FAILURES, facts["failure"]),
        "cause": _named(CAUSES, facts["cause"]),
        "answer": answered(episode),
        "reference": reference_of(question.gold),
        "n_calls": int(facts["n_calls"]),
        "n_turns": int(facts["n_turns"]),
        "n_frames": int(facts["n_frames"]),
        "run": int(facts["run"]),
        "step": None if facts["step"] == NO_STEP else int(facts["step"]),
        "reward": _known(facts["reward"]),
        "advantage": found.entry.advantage,
        "easy": question.easy,
        "label": label_json(label) if label else None,
    }


def episode_json(catalogue: Catalogue, one: EpisodeSet, found: Found) -> Json:
    """All of an episode."""
    entry, episode, question = found.entry, found.entry.episode, found.entry.episode.question
    judged = one.index.judged(found.entry)
    verdict, figures = said_of(entry, judged), score_of(one, entry, judged)
    diagnosis = found_of(entry, figures.reward, one.index.diagnosis(entry))
    return {
        "row": row_json(one, found),
        "episode": told(episode),
        "options": options_json(question, episode.answer),
        "gold_text": gold_text(question.gold),
        "score": _named_only(figures),
        "verdict": verdict.model_dump(mode="json") if verdict else None,
        "diagnosis": _named_only(diagnosis) if diagnosis else None,
        "diagnosis_text": list(diagnosis.evidence) if diagnosis else [],
        "video": video_json(catalogue.footage, one, episode),
        "labels": [label_json(each) for each in one.annotations.labels_of(episode)],
        "window": question.window.model_dump() if question.window else None,
        "windows": [window_json(each) for each in one.annotations.windows_of(question.id)],
        "elsewhere": elsewhere(catalogue, one, found),
        "advantage": entry.advantage,
    }


def score_of(one: EpisodeSet, entry: Entry, judged: Judged | None) -> Score:
    """The figures of an answer; of a sampled one the reward is what training paid."""
    if one.config is not None and entry.reward is None:
        return scores_of([entry.episode], [judged] if judged else [], one.config)[0]
    made = score(entry.episode, said_of(entry, judged))
    if entry.reward is None:
        return made
    return made.model_copy(update={"reward": entry.reward, "accuracy": entry.reward.accuracy})


def told(episode: Episode) -> Json:
    """The record without its tokens, and with names for paths."""
    return cast(Json, _without_paths(episode.model_dump(mode="json", exclude={"tokens"})))


def raw_json(content: bytes, *, tokens: bool) -> object:
    """The line as it is stored, paths included; without tokens, which only training reads, unless they are asked for."""
    found: object = from_json(content.removeprefix(BOM_UTF8))
    for record in _records_in(found):
        if not tokens:
            record.pop("tokens", None)
    return found


def options_json(question: Question, answer: str | None) -> list[Json]:
    """The options of a closed question."""
    gold = question.gold
    if not isinstance(gold, Choice):
        return []
    given = named_options(gold.options, answer) if answer else set[int]()
    return [
        {"letter": _letter(place), "text": text, "is_right": text == gold.answer, "is_given": place in given}
        for place, text in enumerate(gold.options)
    ]


def gold_text(gold: Gold | None) -> str | None:
    """The right answer, as a person writes it."""
    if not isinstance(gold, Number):
        return gold.answer if gold else None
    return f"{gold.answer:g} {gold.unit}".strip() + (f" ± {gold.tolerance:g}" if gold.tolerance else "")


def video_json(footage: Footage, one: EpisodeSet, episode: Episode) -> Json:
    """What is known of the video; why it cannot be shown, if so."""
    name = PurePath(episode.question.video).name
    try:
        clip = footage.clip(episode, one.place.path)
    except (NoFootageError, ChangedFootageError) as error:
        return {"name": name, "available": False, "why": str(error)}
    info = clip.info
    return {
        "name": name,
        "available": True,
        "why": "",
        "duration_s": info.duration_s,
        "n_frames": info.n_frames,
        "fps": float(info.fps),
        "width": info.width,
        "height": info.height,
        "start_s": info.start_s,
        "mime": clip.mime,
    }


def elsewhere(catalogue: Catalogue, one: EpisodeSet, found: Found) -> list[Json]:
    """What other sets, or other runs in this one, answered to the same question; with the key of the pair, if they are one."""
    here, question = found.view.rows_F[found.row], found.entry.episode.question
    key = key_of_pair(found.view, found.row)
    others: list[Json] = []
    for other in catalogue.sets.values():
        view, run = other.index.view(), catalogue.run_of(other)
        rows = view.rows_F
        same = (rows["question"] == here["question"]) & (rows["asked"] == here["asked"]) & rows["shown"]
        keep = [row for row in same.nonzero()[0].tolist() if (other, int(rows[row]["key"])) != (one, int(here["key"]))][:20]
        others += [
            {
                "set": other.id,
                "set_name": other.name,
                "run_name": run.place.name if run else "",
                "id": spelt(int(rows[each.row]["key"])),
                "key": spelt(key) if key is not None and other is not one and key == key_of_pair(view, each.row) else None,
                "outcome": OUTCOMES[rows[each.row]["outcome"]],
                "answer": answered(each.entry.episode),
            }
            for each in (other.index.again(view, row) for row in keep)
            if each and each.entry.episode.question.id == question.id
        ]
    return others


def _letter(place: int) -> str:
    return chr(ord("A") + place) if place < 26 else str(place + 1)


def _known(value: float) -> float | None:
    return None if isnan(value) else round(float(value), 6)


def _named(names: tuple[str, ...], number: int) -> str | None:
    return None if names[number] == NONE else names[number]


def _named_only(found: Score | Diagnosis) -> Json:
    name = PurePath(found.video).name
    cluster = name if found.cluster == found.video else found.cluster
    return found.model_dump(mode="json") | {"video": name, "cluster": cluster}


def _without_paths(value: JsonValue) -> JsonValue:
    """Every `video` of a record, however deep, by its file name."""
    if isinstance(value, list):
        return [_without_paths(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: PurePath(inner).name if name == "video" and isinstance(inner, str) else _without_paths(inner)
        for name, inner in value.items()
    }


def _records_in(found: object) -> list[dict[str, object]]:
    """The record itself, and the episode in a sample."""
    if not isinstance(found, dict):
        return []
    record = cast(dict[str, object], found)
    inner = record.get("episode")
    return [record, cast(dict[str, object], inner)] if isinstance(inner, dict) else [record]
