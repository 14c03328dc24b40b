"""How the viewer answers: JSON that any text can stand in, and errors of one form."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from deepsport.errors import BadConfig, BadRecord, RunError
from deepsport.serve.viewer.catalogue import Catalogue, EpisodeSet, ViewedRun
from deepsport.serve.viewer.episode_index import Found
from deepsport.serve.viewer.episode_table import unspelt
from deepsport.serve.viewer.footage import ChangedFootageError, NoFootageError

NOT_KEPT = {"cache-control": "no-store"}
KINDS = {404: "not_found", 405: "not_allowed", 416: "bad_range"}
TOLD = (
    (BadConfig, 422, "bad_request"),
    (NoFootageError, 404, "no_footage"),
    (ChangedFootageError, 409, "changed_footage"),
    (BadRecord, 409, "unreadable_file"),
    (RunError, 507, "not_written"),
)
"""Errors whose own words are for whoever asked: what each is answered as."""


def answer(content: object, status: int = 200, headers: Mapping[str, str] = NOT_KEPT) -> Response:
    """JSON. What is no number of JSON becomes null."""
    return Response(to_json(content, inf_nan_mode="null"), status, dict(headers), "application/json")


def refuse(status: int, kind: str, message: str, headers: Mapping[str, str] = NOT_KEPT) -> Response:
    """An error, in words for a person."""
    return answer({"error": {"message": message, "type": kind}}, status, headers)


def catalogue_of(request: Request) -> Catalogue:
    """What the app was made for."""
    found = request.app.state.catalogue
    assert isinstance(found, Catalogue)
    return found


def set_of(request: Request, name: str) -> EpisodeSet:
    """The set of that id. Answers 404 if there is none."""
    one = catalogue_of(request).sets.get(name)
    if one is None:
        raise HTTPException(404, "there is no such set of episodes here, or no longer")
    return one


def viewed_run_of(request: Request, name: str) -> ViewedRun:
    """The run of that id. Answers 404 if there is none."""
    run = catalogue_of(request).runs.get(name)
    if run is None:
        raise HTTPException(404, "there is no such run here, or no longer")
    return run


def found_of(one: EpisodeSet, name: str) -> Found:
    """The episode of that id. Answers 404 if there is none."""
    key = unspelt(name)
    found = one.index.find(key) if key is not None else None
    if found is None:
        raise HTTPException(404, "there is no such episode in this set, or no longer")
    return found


def with_errors(app: FastAPI) -> None:
    """Has every error answered in one form, with nothing in it that a page could take for its own."""

    @app.exception_handler(HTTPException)
    async def by_status(_: Request, error: HTTPException) -> Response:  # pyright: ignore[reportUnusedFunction]
        headers = {**NOT_KEPT, **(error.headers or {})}
        return refuse(error.status_code, KINDS.get(error.status_code, "refused"), str(error.detail), headers)

    @app.exception_handler(RequestValidationError)
    async def bad_request(_: Request, error: RequestValidationError) -> Response:  # pyright: ignore[reportUnusedFunction]
        return refuse(422, "bad_request", "; ".join(_fault(each) for each in list(error.errors())[:5]))

    for error, status, kind in TOLD:
        app.add_exception_handler(error, partial(_tell, status, kind))

    @app.exception_handler(Exception)
    async def broken(_: Request, error: Exception) -> Response:  # pyright: ignore[reportUnusedFunction]
        return refuse(500, "internal", f"the viewer failed ({type(error).__name__}). Its terminal says where.")


async def _tell(status: int, kind: str, _: Request, error: Exception) -> Response:
    return refuse(status, kind, str(error))


def _fault(fault: Any) -> str:
    """`offset: Input should be greater than or equal to 0`, without the value that was sent."""
    return f"{'.'.join(str(part) for part in fault['loc'][1:])[:80]}: {fault['msg']}"
