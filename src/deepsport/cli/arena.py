"""`deepsport arena`: rendered sports clips whose truth is known to the frame."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from deepsport.cli.plain import fail, plain_errors

if TYPE_CHECKING:
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
    from deepsport.progress import track

    with plain_errors():
        _require_known(sport or ())
        lengths = {"shortest": shortest, "longest": longest, "event_shortest": event_shortest, "event_longest": event_longest}
        dials = _dials({**lengths, "difficulty": difficulty})
        with track("arena", total=clips, unit="clips") as tick:
            n_done = 0

            def show(done: int, total: int) -> None:
                nonlocal n_done
                tick(done - n_done)
                n_done = done

            questions = make_set(folder, n_clips=clips, seed=seed, sports=sport, dials=dials, workers=workers, progress=show)
    typer.echo(f"{folder}: {clips} clips, {len(questions)} questions")


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
