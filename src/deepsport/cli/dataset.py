"""`deepsport data split`: files of questions in, one dataset out, split by match."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepsport.cli.plain import plain, plain_errors
from deepsport.errors import BadConfig

if TYPE_CHECKING:
    from deepsport.data.dataset.manifest import Manifest, Split


def split(
    questions: Annotated[list[Path], typer.Argument(help="Files of questions, such as imports write.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder of the dataset.", show_default=False)],
    shares: Annotated[str, typer.Option(help="Of train, val and test; splits that are given are not counted.")] = "80,10,10",
    seed: Annotated[int, typer.Option(help="Another seed places equal matches otherwise.")] = 0,
    test: Annotated[list[Path] | None, typer.Option(help="A file that is the test split as it is; may be repeated.")] = None,
    val: Annotated[list[Path] | None, typer.Option(help="A file that is the val split as it is; may be repeated.")] = None,
) -> None:
    """Make a dataset: Parquet shards, a manifest and a card, split by match and checked for leaks before it is written.

    A match, a video, clips that look alike and nearly equal questions stay in one split. If a split is given (--test, --val) and
    shares any of these but looks with the rest, nothing is written, and the leaks are listed in a file beside.

    \b
    deepsport data split sets/*/questions.jsonl -o dataset
    deepsport data split sets/matchtime/questions.jsonl --test sets/official/questions.jsonl -o dataset --shares 90,10,0
    """
    from deepsport.data.dataset.gathering import QuestionFile
    from deepsport.data.dataset.making import make_dataset, watched

    with plain_errors():
        files = [
            *(QuestionFile(path) for path in questions),
            *(QuestionFile(path, "test") for path in test or ()),
            *(QuestionFile(path, "val") for path in val or ()),
        ]
        manifest = make_dataset(files, out, shares=_shares(shares), seed=seed, watch=watched)
    _say(manifest, out)


def _shares(text: str) -> "dict[Split, float]":
    """Raises BadConfig if these are not three numbers."""
    from math import isfinite

    from deepsport.data.dataset.manifest import SPLITS

    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(SPLITS) or not all(isfinite(number) and number >= 0 for number in numbers) or not sum(numbers):
        raise BadConfig(f"--shares {text} is not three numbers for {', '.join(SPLITS)}. Use three like 80,10,10.")
    return dict(zip(SPLITS, numbers, strict=True))


def _say(manifest: "Manifest", out: Path) -> None:
    total = sum(part.n_questions for part in manifest.parts.values())
    for name, part in manifest.parts.items():
        share = 100 * part.n_questions / total
        typer.echo(f"{out / name}: {part.n_questions} questions ({share:.1f}%) of {part.n_matches} matches")
    for reason, n in manifest.left_out.items():
        typer.echo(plain(f"  left out {n} x {reason}"))
    splitting, leaks = manifest.splitting, manifest.leaks
    if splitting:
        typer.echo(f"  {splitting.n_groups} groups stay together, the largest of {splitting.n_largest} questions")
        for name in (name for name, share in splitting.shares.items() if share and name not in manifest.parts):
            typer.echo(f"  warning: {name} got nothing: too few groups, or too large ones. Add matches or change --shares")
    if leaks and leaks.n_lookalikes:
        typer.echo(f"  warning: {leaks.n_lookalikes} pairs of clips of different splits look alike; watch them:")
        for each in leaks.lookalikes[:3]:
            typer.echo(plain(f"    {each.clip} ({each.split}) and {each.other_clip} ({each.other_split})"))
