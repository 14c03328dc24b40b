"""The addresses of lists and episodes: runs, rows under filters, an episode, its neighbours and record, two sets compared."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from deepsport import __version__
from deepsport.errors import BadConfig
from deepsport.serve.viewer.comparison import FLIPS, Wanted
from deepsport.serve.viewer.comparison_json import compare_json
from deepsport.serve.viewer.episode_json import episode_json, raw_json, rows_json
from deepsport.serve.viewer.episode_table import NONE
from deepsport.serve.viewer.filters import CLOSED, FACETS, Filters, Sort, words_of
from deepsport.serve.viewer.neighbours import beside
from deepsport.serve.viewer.responses import answer, catalogue_of, found_of, set_of, viewed_run_of
from deepsport.serve.viewer.run_json import curves_json, runs_json

MOST_ROWS = 500
FAR = 2**31 - 1
lists = APIRouter(prefix="/api")
Values = Annotated[list[str], Field(max_length=200)]
Text = Annotated[str, Field(max_length=500)]


class Asked(BaseModel):
    """The filters of a list, as they stand in an address. An empty value is none."""

    model_config = ConfigDict(frozen=True)
    sport: Values = []
    dimension: Values = []
    outcome: Values = []
    stop: Values = []
    failure: Values = []
    cause: Values = []
    label: Values = []
    step: Values = []
    easy: Values = []
    text: Text = ""
    sort: Sort = Sort.ORDER

    def filters(self) -> Filters:
        """Raises BadConfig for a value that there cannot be."""
        given = {name: frozenset(value for value in getattr(self, name) if value) for name in FACETS}
        for name, values in given.items():
            if unknown := sorted(values - set(CLOSED.get(name, values))):
                raise BadConfig(f"{name}: {unknown[0][:40]!r} is none of {', '.join(CLOSED[name])}")
        if wrong := sorted(step for step in given["step"] if step != NONE and not (step.isascii() and step.isdigit())):
            raise BadConfig(f"step: {wrong[0][:40]!r} is no step")
        return Filters(tuple((name, values) for name, values in given.items() if values), words_of(self.text), self.sort)


class Page(Asked):
    """A list, and which part of it."""

    offset: int = Field(default=0, ge=0, le=FAR)
    limit: int = Field(default=100, ge=1, le=MOST_ROWS)


class Compared(BaseModel):
    """Two sets, and which of their pairs."""

    model_config = ConfigDict(frozen=True)
    left: Text
    right: Text
    flip: Values = []
    sport: Values = []
    dimension: Values = []
    text: Text = ""
    offset: int = Field(default=0, ge=0, le=FAR)
    limit: int = Field(default=100, ge=1, le=MOST_ROWS)
    key: Text = ""
    """Only the pair of that key."""

    def wanted(self) -> Wanted:
        """Raises BadConfig for a flip that there cannot be."""
        if unknown := sorted(set(self.flip) - {*FLIPS, ""}):
            raise BadConfig(f"flip: {unknown[0][:40]!r} is none of {', '.join(FLIPS)}")
        flips, sports, dimensions = (frozenset(filter(None, values)) for values in (self.flip, self.sport, self.dimension))
        return Wanted(flips, sports, dimensions, words_of(self.text))


@lists.get("/runs")
def all_runs(request: Request) -> Response:
    """Every run and its sets."""
    catalogue = catalogue_of(request)
    return answer({"runs": runs_json(catalogue.runs.values()), "labeller": catalogue.labeller, "version": __version__})


@lists.get("/runs/{run_id}/curves")
def curves_of_run(request: Request, run_id: str) -> Response:
    """What a training run logged."""
    return answer(curves_json(viewed_run_of(request, run_id)))


@lists.get("/sets/{set_id}/episodes")
def rows(request: Request, set_id: str, page: Annotated[Page, Query()]) -> Response:
    """A part of a list."""
    one = set_of(request, set_id)
    version, indexed = one.version, one.index.share_read
    chosen = one.choose(page.filters())
    wanted = chosen.rows[page.offset : page.offset + page.limit].tolist()
    return answer(
        {
            "n_total": chosen.n_total,
            "n_found": len(chosen.rows),
            "indexed": indexed,
            "version": version,
            "facets": chosen.facets,
            "rows": rows_json(one, chosen.view, wanted),
        }
    )


@lists.get("/sets/{set_id}/episodes/{episode_id}")
async def one_episode(request: Request, set_id: str, episode_id: str) -> Response:
    """All of an episode. Its video is looked at, so that it waits among its like: lists must not wait for a film that hangs."""

    def told() -> Response:
        one = set_of(request, set_id)
        return answer(episode_json(catalogue_of(request), one, found_of(one, episode_id)))

    return await to_thread.run_sync(told, limiter=request.app.state.opening)


@lists.get("/sets/{set_id}/episodes/{episode_id}/neighbours")
def neighbours(request: Request, set_id: str, episode_id: str, asked: Annotated[Asked, Query()]) -> Response:
    """The episodes before and after it in a list; its place is None if the filters leave it out."""
    one = set_of(request, set_id)
    found_of(one, episode_id)
    chosen = one.choose(asked.filters())
    keys = chosen.view.rows_F["key"][chosen.rows]
    return answer({**beside(keys, episode_id), "n_found": len(keys)})


@lists.get("/sets/{set_id}/episodes/{episode_id}/raw")
def raw(request: Request, set_id: str, episode_id: str, tokens: bool = False) -> Response:
    """The record as it is stored."""
    found = found_of(set_of(request, set_id), episode_id)
    return answer(raw_json(found.content, tokens=tokens))


@lists.get("/compare")
def compare(request: Request, compared: Annotated[Compared, Query()]) -> Response:
    """Two sets, question by question."""
    left, right = set_of(request, compared.left), set_of(request, compared.right)
    wanted = compared.wanted()
    return answer(compare_json(left, right, wanted, key=compared.key, offset=compared.offset, limit=compared.limit))
