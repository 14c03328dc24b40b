"""Makes a set: clips, questions and truths in one folder, the same for the same seed and dials.

    set.json         what the set was made with; another seed, sport list or dial makes the clips anew; without it, a folder
                     that has any of the others is somebody else's, and is left alone
    clips/<id>.mp4   finished clips are kept when the set is made again
    questions.jsonl  records.Question
    truth.jsonl      arena.truth.ClipTruth

Sets with different seeds have no clip in common, so a held-out set is a set with another seed.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from deepsport.arena.encode import write_clip
from deepsport.arena.questions import ask
from deepsport.arena.render import frames
from deepsport.arena.script import Dials, write_script
from deepsport.arena.sports import SPORTS, TRAINED
from deepsport.arena.truth import ClipTruth
from deepsport.durable import disk_errors, read_records, write_atomic
from deepsport.errors import BadConfig, BadRecord, RunError
from deepsport.records import Question, Record

T = TypeVar("T")
R = TypeVar("R")

Progress = Callable[[int, int], None]
"""Is told (clips done, clips in all)."""

RENDERING = 4
"""Raised whenever the same script would be drawn, asked about or encoded differently."""

COMMENT = "deepsport-arena/2"
"""How the container comment of every arena clip begins."""


class SetRecipe(Record):
    """What a set was made with."""

    rendering: int = RENDERING
    seed: int
    sports: tuple[str, ...]
    dials: Dials


def make_set(
    folder: Path,
    *,
    n_clips: int,
    seed: int,
    sports: Sequence[str] | None = None,
    dials: Dials | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[Question]:
    """Renders what is missing of a set, and returns its questions.

    Sports take turns; by default those that are trained on. Raises BadConfig for an unknown sport, RunError if the folder holds
    anything else or the disk is full."""
    recipe = SetRecipe(seed=seed, sports=_known(sports), dials=dials or Dials())
    truths = [write_script(SPORTS[name], seed, number, recipe.dials) for name, number in _turns(recipe.sports, n_clips)]
    questions = [q for t, (_, number) in zip(truths, _turns(recipe.sports, n_clips), strict=True) for q in ask(t, number)]
    write_set(folder, recipe, truths, questions, workers=workers, progress=progress)
    return questions


def write_set(
    folder: Path,
    recipe: Record,
    truths: Sequence[ClipTruth],
    questions: Sequence[Question],
    *,
    portable: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> None:
    """Makes a folder hold exactly this set; clips of the same recipe that are finished are kept. `portable`: see `write_clip`.

    Raises RunError if the folder holds anything else or the disk is full."""
    _prepare(folder, recipe)
    missing = [truth for truth in truths if not (folder / truth.video).exists()]
    n_done = len(truths) - len(missing)
    if progress:
        progress(n_done, len(truths))
    for _ in spread(partial(render_clip, folder, portable=portable), missing, workers):
        n_done += 1
        if progress:
            progress(n_done, len(truths))
    _write_lines(folder / "truth.jsonl", truths)
    _write_lines(folder / "questions.jsonl", questions)


def render_clip(folder: Path, truth: ClipTruth, *, portable: bool = False) -> Path:
    """Renders one clip into the folder of its set; returns its path."""
    path = folder / truth.video
    comment = f"{COMMENT} sport={truth.sport} seed={truth.seed}"
    cuts = {cut for action in (truth.event, *truth.attempts) for cut in (action.first_index, action.last_index + 1)}
    write_clip(path, frames(truth), cuts=cuts, comment=comment, portable=portable)
    return path


def spread(work: Callable[[T], R], items: Sequence[T], workers: int) -> Iterator[R]:
    """What `work` makes of each item, in their order, in so many processes."""
    if workers == 1 or len(items) < 2:
        yield from map(work, items)
        return
    # spawned, not forked: the caller may hold threads (torch, an event loop)
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, items, chunksize=4)


def load_truths(folder: Path) -> dict[str, ClipTruth]:
    """The truths of a set, by the path of the clip as it stands in its questions.

    Raises BadRecord for a folder that holds no set, or a line that is not a truth."""
    path = folder / "truth.jsonl"
    if not path.exists():
        raise BadRecord(f"{folder} holds no arena set: truth.jsonl is missing. Make one with `deepsport arena render {folder}`.")
    return {truth.video: truth for truth in read_records(path, ClipTruth)}


def _known(sports: Sequence[str] | None) -> tuple[str, ...]:
    names = tuple(sports) if sports is not None else TRAINED
    if unknown := [name for name in names if name not in SPORTS]:
        raise BadConfig(f"the arena has no sport {unknown[0]!r}; it has {', '.join(SPORTS)}")
    if not names or len(set(names)) != len(names):
        raise BadConfig(f"an arena set needs at least one sport, each once, not {list(names)}")
    return names


def _turns(sports: Sequence[str], n_clips: int) -> Iterator[tuple[str, int]]:
    """(sport, number of the clip within its sport), sports taking turns."""
    for place in range(n_clips):
        number, turn = divmod(place, len(sports))
        yield sports[turn], number


def _prepare(folder: Path, recipe: Record) -> None:
    """Makes the folder; throws away clips that another recipe of its kind made. Raises RunError for a folder of anything else."""
    stamp, clips = folder / "set.json", folder / "clips"
    text = recipe.model_dump_json(indent=1) + "\n"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == text:
        return
    _require_replaceable(folder, type(recipe))
    for stale in clips.glob("*.mp4"):
        stale.unlink()
    with disk_errors(clips):
        clips.mkdir(parents=True, exist_ok=True)
    write_atomic(stamp, text)


def _require_replaceable(folder: Path, kind: type[Record]) -> None:
    """Raises RunError for files that no set left there, and for a set of another kind: neither may be lost to a mistaken path."""
    stamp = folder / "set.json"
    if not stamp.exists():
        texts = [path for path in (folder / "questions.jsonl", folder / "truth.jsonl") if path.exists()]
        for other in (*sorted((folder / "clips").glob("*.mp4")), *texts):
            raise RunError(f"{other.parent} holds {other.name}, which is not of an arena set. Choose another folder.")
        return
    try:
        kind.model_validate_json(stamp.read_bytes())
    except ValidationError:
        advice = "Choose another folder, or remove this one yourself."
        raise RunError(f"{folder} holds another kind of arena set, which would be lost. {advice}") from None


def _write_lines(path: Path, records: Sequence[Record]) -> None:
    write_atomic(path, "".join(record.model_dump_json() + "\n" for record in records))
