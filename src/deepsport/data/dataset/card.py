"""The card of a dataset, README.md: what is in it, under which licences, how it was split and checked; from the manifest alone.

Its head is what the Hugging Face Hub reads. Names come from records that others wrote, so they are quoted in the head, and in the
tables what Markdown or HTML would take for its own is replaced.
"""

import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence

from deepsport.data.dataset.manifest import LeakReport, Manifest, Part, Sharing, Split, Splitting

_SHARED: Mapping[Sharing, str] = {
    Sharing.MATCH: "the same match",
    Sharing.FILE: "the same video file",
    Sharing.FOOTAGE: "the same video content (sha256)",
    Sharing.WORDING: "nearly the same question (of those in words of their own)",
}

_HUB_LICENCES = frozenset(
    {
        "apache-2.0",
        "bsd-3-clause",
        "mit",
        "cc0-1.0",
        "cc-by-4.0",
        "cc-by-sa-4.0",
        "cc-by-nc-4.0",
        "cc-by-nc-sa-4.0",
        "cc-by-nc-nd-4.0",
        "odc-by",
    }
)
"""Names that the Hub knows; anything else is "other" to it."""

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"))

_ROWS = (
    "Every row is one question; the columns are flat and typed. `answer` is the reference as text; a closed question has its "
    "`options`, a numeric one its `number`, `unit` and `tolerance`, an open one its `facts`. `start_s` and `end_s` are "
    "seconds of the video; `source`, `file`, `record`, `match` and `licence` say where a row comes from."
)

_LINES = (
    "Every line is one question, a JSON object. `gold` is the reference: its `answer`, and by its `kind` the `options` of a "
    "closed question, the `unit` and `tolerance` of a number, or the `facts` of an open answer. `window` is in seconds of the "
    "video; `provenance` says where a line comes from, and under which licence."
)


def card(manifest: Manifest) -> str:
    """The card as Markdown."""
    sections = (
        _head(manifest),
        "# Questions about sports video\n",
        f"{_n_questions(manifest):,} questions with reference answers, made by DeepSport {_safe(manifest.deepsport)}. "
        "The footage is not part of it: a question names its video and, where it was known, the sha256 of its content.\n",
        "## What is in it\n",
        _sports(manifest),
        _splits(manifest),
        "## Where it comes from\n",
        _sources(manifest),
        "## What is not in it\n",
        "Footage. Questions that cannot be asked or scored, as counted here:\n\n" + _left_out(manifest),
        "## How it was split and checked\n",
        _splitting(manifest.splitting, manifest.parts) + _leaks(manifest.leaks),
        "## How to read it\n",
        (_LINES if _is_lines(manifest) else _ROWS) + " `manifest.json` holds the sha256 of every file; "
        "`deepsport.data.dataset.folder.read_questions(folder, split)` compares every hash.\n",
    )
    return "\n".join(sections)


def _head(manifest: Manifest) -> str:
    found = sorted({licence for licences in manifest.licences.values() for licence in licences})
    licences = sorted({licence.lower() if licence.lower() in _HUB_LICENCES else "other" for licence in found})
    n = _n_questions(manifest)
    size = next((name for limit, name in _SIZES if n < limit), "n>1T")
    files = "".join(
        f"  - split: {_quoted(split)}\n    path:\n" + "".join(f"    - {_quoted(shard.path)}\n" for shard in part.shards)
        for split, part in manifest.parts.items()
    )
    return (
        f"---\npretty_name: Questions about sports video\nlicense:\n{_items(licences)}language:\n{_items(['en'])}"
        f"task_categories:\n{_items(['visual-question-answering', 'video-text-to-text'])}tags:\n{_items(['sports', 'video'])}"
        f"size_categories:\n{_items([size])}configs:\n- config_name: default\n  data_files:\n{files}---\n"
    )


def _items(values: Iterable[str]) -> str:
    return "".join(f"- {_quoted(value)}\n" for value in values)


def _quoted(text: str) -> str:
    """A JSON string is a YAML string."""
    return json.dumps(text)


def _sports(manifest: Manifest) -> str:
    splits = list(manifest.parts)
    kinds = sorted({(sport, dim) for part in manifest.parts.values() for sport, dims in part.by_sport.items() for dim in dims})
    rows = [
        [sport, dimension, *(f"{manifest.parts[split].by_sport.get(sport, {}).get(dimension, 0):,}" for split in splits)]
        for sport, dimension in kinds
    ]
    return _table(["sport", "dimension", *splits], rows)


def _splits(manifest: Manifest) -> str:
    rows = [
        [split, f"{part.n_questions:,}", f"{part.n_matches:,}", f"{part.n_clips:,}", _counts(part.by_answer)]
        for split, part in manifest.parts.items()
    ]
    return _table(["split", "questions", "matches", "videos", "answers"], rows)


def _sources(manifest: Manifest) -> str:
    splits = list(manifest.parts)
    rows = [
        [
            source,
            ", ".join(licence or "none stated" for licence in licences),
            *(f"{manifest.parts[split].by_source.get(source, 0):,}" for split in splits),
        ]
        for source, licences in manifest.licences.items()
    ]
    stated = "Licences are those of the annotations, as their sources state them. What states none may not be passed on.\n"
    return f"{_table(['source', 'licence', *splits], rows)}\n{stated}"


def _left_out(manifest: Manifest) -> str:
    if not manifest.left_out:
        return "None were given.\n"
    return _table(["reason", "questions"], [[reason, f"{n:,}"] for reason, n in manifest.left_out.items()])


def _splitting(splitting: Splitting | None, parts: Mapping[Split, Part]) -> str:
    if splitting is None:
        return "It is not split: everything stands in one part.\n"
    shares = ", ".join(f"{split} {100 * share:.0f}%" for split, share in splitting.shares.items())
    given = f" Given, and not chosen: {', '.join(splitting.fixed)}." if splitting.fixed else ""
    empty = [split for split, share in splitting.shares.items() if share and split not in parts]
    nothing = f" Nothing went to {', '.join(empty)}: too few groups, or too large ones." if empty else ""
    chosen = f"shares aimed at: {shares}; seed {splitting.seed}; as even as possible over sports and dimensions" if shares else ""
    return (
        f"Split by match, not by clip: {splitting.n_groups:,} groups of questions that share a match, a video or a wording, the "
        f"largest of {splitting.n_largest:,} questions{'; ' if chosen else ''}{chosen}.{given}{nothing}\n"
    )


def _leaks(leaks: LeakReport | None) -> str:
    if leaks is None:
        return ""
    rows = [[_SHARED[what], f"{leaks.n_compared.get(what, 0):,}", f"{leaks.n_leaks.get(what, 0):,}"] for what in Sharing]
    rows.append(["clips that look alike (for a person to judge)", f"{leaks.n_fingerprints:,}", f"{leaks.n_lookalikes:,}"])
    found = "".join(
        f"- {_safe(each.clip)} ({each.split}) and {_safe(each.other_clip)} ({each.other_split})\n" for each in leaks.lookalikes
    )
    return f"\n{_table(['compared between splits', 'different ones', 'shared'], rows)}" + (f"\n{found}" if found else "")


def _is_lines(manifest: Manifest) -> bool:
    return any(shard.path.endswith(".jsonl") for part in manifest.parts.values() for shard in part.shards)


def _n_questions(manifest: Manifest) -> int:
    return sum(part.n_questions for part in manifest.parts.values())


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items())


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(_safe, line))} |\n" for line in lines)


def _safe(text: str) -> str:
    """One line of plain text in Markdown."""
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", html.escape(" ".join(text.split()), quote=False))
