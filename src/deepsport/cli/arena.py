"""`deepsport arena`: rendered sports clips whose truth is known to the frame."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepsport.cli.plain import fail, plain_errors

if TYPE_CHECKING:
    from deepsport.arena.script import Dials

app = typer.Typer(help="Rendered sports clips with known truth.", no_args_is_help=True)

Sports = Annotated[list[str] | None, typer.Option("--sport", help="Only this sport; may be given several times.")]


@app.command()
def render(
    folder: Annotated[Path, typer.Argument(help="Where the set is made.", show_default=False)],
    clips: Annotated[int, typer.Option(min=1, help="How many; the sports take turns.")] = 48,
    seed: Annotated[int, typer.Option(help="Sets of different seeds have no clip in common.")] = 0,
    sport: Sports = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 1,
    shortest: Annotated[int, typer.Option(help="Fewest frames of a clip.")] = 64,
    longest: Annotated[int, typer.Option(help="Most frames of a clip.")] = 112,
    event_shortest: Annotated[int, typer.Option(help="Fewest frames of an event.")] = 3,
    event_longest: Annotated[int, typer.Option(help="Most frames of an event.")] = 6,
) -> None:
    """Render clips, with questions.jsonl and truth.jsonl beside them.

    \b
    deepsport arena render clips
    deepsport arena render heldout --clips 120 --seed 7 --sport soccer --sport diving --workers 2
    deepsport arena render hard --event-shortest 1 --event-longest 2 --shortest 300 --longest 400
    """
    from deepsport.arena.generate import make_set
    from deepsport.progress import track

    with plain_errors():
        _require_known(sport or ())
        dials = _dials(shortest, longest, event_shortest, event_longest)
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


def _dials(shortest: int, longest: int, event_shortest: int, event_longest: int) -> "Dials":
    """Raises BadConfig for lengths that do not fit together."""
    from pydantic import ValidationError

    from deepsport.arena.script import Dials
    from deepsport.errors import BadConfig

    try:
        return Dials(shortest=shortest, longest=longest, event_shortest=event_shortest, event_longest=event_longest)
    except ValidationError as error:
        raise BadConfig("; ".join(fault["msg"].removeprefix("Value error, ") for fault in error.errors())) from None
