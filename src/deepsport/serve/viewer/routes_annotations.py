"""The addresses at which a person says something: labels and windows; and the files these stand in."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from deepsport.serve.viewer.annotation_csv import Form
from deepsport.serve.viewer.annotations import LABEL_FORM, LONGEST_NAME, WINDOW_FORM, NewLabel, NewWindow, label_json, window_json
from deepsport.serve.viewer.catalogue import EpisodeSet
from deepsport.serve.viewer.responses import answer, found_of, set_of

saying = APIRouter(prefix="/api/sets/{set_id}")
Name = Annotated[str, Query(max_length=LONGEST_NAME)]


@saying.put("/episodes/{episode_id}/label")
def label(request: Request, set_id: str, episode_id: str, said: NewLabel) -> Response:
    """Says whether an answer is right; with nothing to say, takes it back."""
    return _label(set_of(request, set_id), episode_id, said.labeller, said)


@saying.delete("/episodes/{episode_id}/label")
def unlabel(request: Request, set_id: str, episode_id: str, labeller: Name = "") -> Response:
    """Takes back what somebody said of an answer."""
    return _label(set_of(request, set_id), episode_id, labeller.strip(), NewLabel())


@saying.put("/episodes/{episode_id}/window")
def correct(request: Request, set_id: str, episode_id: str, said: NewWindow) -> Response:
    """Says when the event is."""
    return _correct(set_of(request, set_id), episode_id, said.labeller, said)


@saying.delete("/episodes/{episode_id}/window")
def uncorrect(request: Request, set_id: str, episode_id: str, labeller: Name = "") -> Response:
    """Takes back what somebody said of the event."""
    return _correct(set_of(request, set_id), episode_id, labeller.strip(), None)


@saying.get("/labels.csv")
def labels_file(request: Request, set_id: str) -> Response:
    """The file of labels, as it stands."""
    return _file(set_of(request, set_id).annotations.labels.path, LABEL_FORM)


@saying.get("/windows.csv")
def windows_file(request: Request, set_id: str) -> Response:
    """The file of windows, as it stands."""
    return _file(set_of(request, set_id).annotations.windows.path, WINDOW_FORM)


def _label(one: EpisodeSet, episode_id: str, labeller: str, said: NewLabel) -> Response:
    found = found_of(one, episode_id)
    rows = found.view.rows_F
    same = (rows["question"] == rows[found.row]["question"]) & rows["shown"]
    one.annotations.label(found.entry.episode, labeller, said, alone=int(same.sum()) == 1)
    return answer([label_json(each) for each in one.annotations.labels_of(found.entry.episode)])


def _correct(one: EpisodeSet, episode_id: str, labeller: str, said: NewWindow | None) -> Response:
    question_id = found_of(one, episode_id).entry.episode.question.id
    one.annotations.correct(question_id, labeller, said)
    return answer([window_json(each) for each in one.annotations.windows_of(question_id)])


def _file(path: Path, form: Form) -> Response:
    """As a download: a browser must not show it as anything else."""
    content = path.read_bytes() if path.is_file() else f"{','.join(form.columns)}\n".encode()
    headers = {"content-disposition": "attachment", "cache-control": "no-store"}
    return Response(content, 200, headers, "text/csv; charset=utf-8")
