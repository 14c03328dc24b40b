"""The standing test set: 6,700 questions about 1,680 clips, the same on every machine, so that figures can be compared.

Twelve sports, 140 clips each, and one question of every dimension about each clip: 140 for every sport and dimension, less one
in 20 of these 48 cells. Four parts differ in what stands in the way: most clips are as those that nano learnt from; others are
hard, or so long that one look is not enough. Parts and sports take turns, so that the first questions of the file are a small
set of the same kind. What was made is compared by hash: of the two text files, and of the decoded pictures of each part.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

from deepsport.arena.encode import picture_digest
from deepsport.arena.generate import RENDERING, Progress, spread, write_set
from deepsport.arena.questions import ask
from deepsport.arena.script import Dials, deal, write_script
from deepsport.arena.sports import SPORTS, TRAINED
from deepsport.arena.truth import ClipTruth, Difficulty
from deepsport.durable import disk_errors
from deepsport.errors import BadRecord, BadVideo
from deepsport.records import Dimension, Question, Record

SEED = 67_004_812
"""Nobody trains on it: recipes take small seeds, to which the demo adds a million at most, and the stress test seven."""


class Part(Record):
    """Clips of one kind."""

    name: str
    """How the names of its clips and the ids of its questions begin."""
    clips_per_sport: int
    dials: Dials


PARTS = (
    Part(name="standard", clips_per_sport=84, dials=Dials()),
    Part(name="hard", clips_per_sport=28, dials=Dials(difficulty=Difficulty.HARD)),
    Part(name="long", clips_per_sport=21, dials=Dials(shortest=128, longest=512)),
    Part(name="minutes", clips_per_sport=7, dials=Dials(shortest=1500, longest=3000)),
)
"""Numbers of clips are multiples of seven: events lie equally often in each of the seven gaps, in every part."""

N_CLIPS = len(TRAINED) * sum(part.clips_per_sport for part in PARTS)
N_QUESTIONS = 6_700

DIGESTS: Mapping[str, str] = {
    "questions.jsonl": "f3ea8e5d3256755bbb516f70e617e1b5312e8bdefc08db101b7d8e6af7d24021",
    "truth.jsonl": "b8233a449a0f27dc797884f949cfc37118541184aac5c884d774d9177ad27c2f",
    "clips/standard-*": "5a0c1e348a5578bf7e4d16971abf3d995699ced68e4be3041e216a770344ba17",
    "clips/hard-*": "2b2e76c19523247be6ff9e3eb962d78ec253041fc1bbc53c61ce68bf4947491f",
    "clips/long-*": "cc44f4bc003dd2e0f5dca5fba1e31f255de31f4b7f05ebb3ef08a46c2539df21",
    "clips/minutes-*": "01afc68aa2d06e3d2d11643da03990a4e611cd700c81947d309e79d2c7ee78b1",
}
"""SHA-256 of the set as it should be, by what `digests` names."""

LOST = "lost"
"""Stands for the digest of what is not there or cannot be read."""


class StandingRecipe(Record):
    """What the set is made with: another recipe makes the clips anew."""

    rendering: int = RENDERING
    seed: int
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """A clip that is to be drawn, and what is asked about it."""

    part: str
    truth: ClipTruth
    questions: tuple[Question, ...]


def write_scripts(parts: Sequence[Part] = PARTS, seed: int = SEED) -> list[Script]:
    """The set before a pixel is drawn, in the order of its files."""
    placed: list[tuple[Fraction, Part, int]] = []
    n_before = 0
    for part in parts:
        for place in range(part.clips_per_sport):
            placed.append((Fraction(2 * place + 1, 2 * part.clips_per_sport), part, n_before + place))
        n_before += part.clips_per_sport
    placed.sort(key=lambda each: each[0])
    shortened = parts[0].clips_per_sport - 1
    return [
        _script(part, sport, seed, number, _left_out(turn) if number == shortened else ())
        for _, part, number in placed
        for turn, sport in enumerate(TRAINED)
    ]


def make_standing(
    folder: Path, *, parts: Sequence[Part] = PARTS, workers: int = 1, progress: Progress | None = None
) -> list[Question]:
    """Renders what is missing of the set, and returns its questions.

    Raises RunError if the folder holds anything else or the disk is full."""
    scripts = write_scripts(parts)
    questions = [question for script in scripts for question in script.questions]
    recipe = StandingRecipe(seed=SEED, parts=tuple(parts))
    truths = [script.truth for script in scripts]
    write_set(folder, recipe, truths, questions, portable=True, workers=workers, progress=progress)
    return questions


def digests(
    folder: Path, *, parts: Sequence[Part] = PARTS, workers: int = 1, progress: Progress | None = None
) -> tuple[dict[str, str], list[str]]:
    """What a folder holds, by file and by part, and the clips that it should hold and that are not there or cannot be read.

    Raises BadRecord if there is no such folder."""
    if not folder.is_dir():
        raise BadRecord(f"{folder} is not a folder. Give the one that `deepsport arena testset FOLDER` has made.")
    found = {name: _digest_of_file(folder / name) for name in ("questions.jsonl", "truth.jsonl")}
    scripts = write_scripts(parts)
    names = [script.truth.video for script in scripts]
    of_clips: dict[str, str] = {}
    for name, digest in zip(names, spread(partial(_digest_of_clip, folder), names, workers), strict=True):
        of_clips[name] = digest
        if progress:
            progress(len(of_clips), len(names))
    for part in parts:
        lines = "".join(f"{s.truth.video} {of_clips[s.truth.video]}\n" for s in scripts if s.part == part.name)
        found[f"clips/{part.name}-*"] = hashlib.sha256(lines.encode()).hexdigest()
    return found, [name for name, digest in of_clips.items() if digest == LOST]


def require_equal(folder: Path, found: Mapping[str, str], lost: Sequence[str], expected: Mapping[str, str] = DIGESTS) -> None:
    """Raises BadRecord that says what is not as it should be, and what to do."""
    again, wrong = f"`deepsport arena testset {folder}`", f"{folder} is not the standing test set"
    if lost:
        raise BadRecord(
            f"{wrong}: {len(lost)} of its clips are missing or cannot be read, the first of them {lost[0]}. "
            f"Remove those that are damaged; {again} renders what is missing."
        )
    if differing := [name for name, digest in expected.items() if found.get(name) != digest]:
        raise BadRecord(
            f"{wrong}: {', '.join(differing)} are not what they should be. Remove them, and make them again with {again}. "
            "If they differ even then, this machine draws or encodes otherwise: compare `deepsport doctor` with "
            "requirements.lock, and no figures with those of others."
        )


def part_of(question: Question) -> str:
    """The part that a question of the set belongs to."""
    return question.id.partition("-")[0]


def _script(part: Part, sport: str, seed: int, number: int, left_out: Sequence[Dimension]) -> Script:
    truth = write_script(SPORTS[sport], seed, number, part.dials)
    name = Path(truth.video).name
    truth = truth.model_copy(update={"video": f"clips/{part.name}-{name}"})
    asked = _one_of_each_dimension(truth, seed, number)
    return Script(part.name, truth, tuple(question for question in asked if question.dimension not in left_out))


def _one_of_each_dimension(truth: ClipTruth, seed: int, number: int) -> Iterator[Question]:
    """In two clips of eight the question of recognition is an easy one, else by turns how it was done, and who did it."""
    kind, who, rules, assessment, comment, easy = ask(truth, number)
    yield deal(f"{truth.sport}/{seed}/recognition", (kind, kind, kind, who, who, who, easy, easy), number)
    yield from (rules, assessment, comment)


def _left_out(turn: int) -> tuple[Dimension, ...]:
    """What is not asked about the last standard clip of a sport: of 12 sports, five in each dimension, no sport more than two."""
    return tuple(dimension for place, dimension in enumerate(Dimension) if (turn + 3 * place) % len(TRAINED) < 5)


def _digest_of_file(path: Path) -> str:
    with disk_errors(path):
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else LOST


def _digest_of_clip(folder: Path, name: str) -> str:
    try:
        return picture_digest(folder / name)
    except BadVideo:
        return LOST
