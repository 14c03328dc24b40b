"""`deepsport arena`: rendered sports clips whose truth is known to the frame."""

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from deepsport.cli.plain import fail, plain_errors

if TYPE_CHECKING:
    from deepsport.arena.generate import Progress
    from deepsport.arena.script import Dials

app = typer.Typer(help="Rendered sports clips with known truth.", no_args_is_help=True)

Sports = Annotated[list[str] | None, typer.Option("--sport", help="Only this sport; may be given several times.")]


@app.command()
def render(
    folder: Annotated[Path, typer.Argument(help="Where the set is made.", show_default=False)],
    clips: Annotated[int, typer.Option(min=1, help="How many; all sports but fencing take turns.")] = 48,
    seed: Annotated[int, typer.Option(help="Sets of different seeds have no clip in common.")] = 0,
    sport: Sports = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 1,
    difficulty: Annotated[
        Literal["easy", "normal", "hard"],
        typer.Option(help="How many attempts distract, how the camera moves, who walks through."),
    ] = "normal",
    shortest: Annotated[int, typer.Option(help="Fewest frames of a clip, 25 a second.")] = 64,
    longest: Annotated[int, typer.Option(help="Most frames of a clip; 15000 are ten minutes.")] = 112,
    event_shortest: Annotated[int, typer.Option(help="Fewest frames of an event.")] = 3,
    event_longest: Annotated[int, typer.Option(help="Most frames of an event.")] = 6,
) -> None:
    """Render clips, with questions.jsonl and truth.jsonl beside them.

    \b
    deepsport arena render clips
    deepsport arena render heldout --clips 120 --seed 7 --workers 2
    deepsport arena render two --sport soccer --sport fencing
    deepsport arena render hard --difficulty hard --shortest 500 --longest 750
    """
    from deepsport.arena.generate import make_set

    with plain_errors():
        _require_known(sport or ())
        lengths = {"shortest": shortest, "longest": longest, "event_shortest": event_shortest, "event_longest": event_longest}
        dials = _dials({**lengths, "difficulty": difficulty})
        with _progress("arena") as show:
            questions = make_set(folder, n_clips=clips, seed=seed, sports=sport, dials=dials, workers=workers, progress=show)
    typer.echo(f"{folder}: {clips} clips, {len(questions)} questions")


@app.command("testset")
def standing(
    folder: Annotated[Path, typer.Argument(help="Where the set is made, or stands.", show_default=False)],
    workers: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 2,
    check: Annotated[bool, typer.Option("--check", help="Render nothing: only compare what is there.")] = False,
) -> None:
    """Render the standing test set, 6,700 questions, and compare it by hash with what it should be (exit code 2 if it differs).

    \b
    deepsport arena testset testset
    deepsport arena testset testset --check
    """
    from deepsport.arena.standing import N_CLIPS, N_QUESTIONS, digests, make_standing, require_equal

    with plain_errors():
        if not check:
            with _progress("arena") as show:
                make_standing(folder, workers=workers, progress=show)
        with _progress("compare") as show:
            found, lost = digests(folder, workers=workers, progress=show)
        for name, digest in found.items():
            typer.echo(f"{name:<16} {digest}")
        require_equal(folder, found, lost)
    typer.echo(f"{folder}: {N_CLIPS:,} clips, {N_QUESTIONS:,} questions, as they should be")


@app.command()
def gallery(
    image: Annotated[Path, typer.Argument(help="The picture to write, such as gallery.png.", show_default=False)],
    sport: Sports = None,
    seed: Annotated[int, typer.Option(help="Of the looks.")] = 0,
) -> None:
    """Draw a contact sheet: every kind of event, with the play before and after it.

    \b
    deepsport arena gallery gallery.png
    deepsport arena gallery soccer.png --sport soccer
    """
    from deepsport.arena.gallery import contact_sheet

    with plain_errors():
        _require_known(sport or ())
        sheet = contact_sheet(sport, seed=seed)
    try:
        sheet.save(image)
    except (OSError, ValueError) as error:
        fail(f"{image} cannot be written ({error}). Give a path such as gallery.png in an existing folder.")
    typer.echo(str(image))


@contextmanager
def _progress(title: str) -> "Generator[Progress]":
    """What is told how many clips are done, and shows it; those that stood there at the start do not count for the rate."""
    from contextlib import ExitStack

    from deepsport.progress import track

    with ExitStack() as shown:
        tick, n_done = None, 0

        def show(done: int, total: int) -> None:
            nonlocal tick, n_done
            if tick is None:
                tick, n_done = shown.enter_context(track(title, total=total, unit="clips", done=done)), done
            tick(done - n_done)
            n_done = done

        yield show


def _require_known(sports: Iterable[str]) -> None:
    from deepsport.arena.sports import SPORTS
    from deepsport.errors import BadConfig

    for name in sports:
        if name not in SPORTS:
            raise BadConfig(f"the arena has no sport {name!r}; it has {', '.join(SPORTS)}")


def _dials(values: Mapping[str, int | str]) -> "Dials":
    """Raises BadConfig for a length out of bounds and for lengths that do not fit together."""
    from pydantic import ValidationError

    from deepsport.arena.script import Dials
    from deepsport.errors import BadConfig

    try:
        return Dials.model_validate(values)
    except ValidationError as error:
        raise BadConfig("; ".join(_say(fault["loc"], fault["msg"]) for fault in error.errors())) from None


def _say(place: tuple[int | str, ...], message: str) -> str:
    """`--longest: Input should be less than or equal to 15000`; a fault of several options together names them itself."""
    option = "--" + str(place[0]).replace("_", "-") + ": " if place else ""
    return option + message.removeprefix("Value error, ")
