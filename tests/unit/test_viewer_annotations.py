"""What people say in the viewer: labels and windows, in files that other commands read and other programs change."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deepsport.bench.judged.labels import labelled, read_labels
from deepsport.bench.judged.windows import read_windows
from deepsport.errors import BadRecord
from made_episodes import episode, look, question
from made_runs import made_run
from viewed_runs import Visited, many, viewing, write_lines

HEADER = "episode_id,question_id,right,points,failure,labeller\n"


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Generator[Visited]:
    """One viewer for all who must be refused."""
    with viewing(made_run(tmp_path_factory.mktemp("refusing") / "nano", many(1)).folder) as seen:
        yield seen


def address(seen: Visited, row: int = 0, what: str = "label") -> str:
    return f"/api/sets/{seen.the_set()}/episodes/{seen.episodes()['rows'][row]['id']}/{what}"


def test_a_label_can_be_read_by_the_commands_that_compare_with_people(tmp_path: Path) -> None:
    run = made_run(tmp_path / "nano", many(3))
    with viewing(tmp_path / "nano", labeller="anna") as seen:
        reply = seen.put(address(seen), {"right": False, "points": 2, "failure": "other", "labeller": "anna"})
        assert reply.json() == [{"labeller": "anna", "right": False, "points": 2, "failure": "other"}]
        assert seen.put(address(seen, 1), {"right": True, "labeller": "anna"}).status_code == 200
    found = labelled(read_labels(tmp_path / "nano.labels.csv").labels, run.episodes)
    said = {name: (label.right, label.points, label.failure) for name, label in found.by_labeller["anna"].items()}
    assert said == {run.episodes[0].id: (False, 2, "other"), run.episodes[1].id: (True, None, None)}


def test_a_label_shows_in_the_list_and_can_be_filtered_by(tmp_path: Path) -> None:
    made_run(tmp_path / "nano", many(4))
    with viewing(tmp_path / "nano", labeller="anna") as seen:
        seen.put(address(seen, 0), {"right": False, "labeller": "ben"})
        seen.put(address(seen, 0), {"right": True, "labeller": "anna"})
        seen.put(address(seen, 1), {"failure": "other", "labeller": "anna"})
        found = seen.settled().episodes(label="right")
        assert dict(found["facets"]["label"]) == {"none": 2, "right": 1, "classed": 1}
        assert found["rows"][0]["label"] == {"labeller": "anna", "right": True, "points": None, "failure": None}


OTHERS_DIFFER = "q0/0,,yes,anna\nq0/0,,no,ben\n"
OWN_BY_QUESTION = "q0/0,,yes,anna\n,q0,no,me\n"
NONE_OWN = ",q0,no,anna\nq0/0,,yes,ben\n"


@pytest.mark.parametrize(("rows", "first"), [(OTHERS_DIFFER, "right"), (OWN_BY_QUESTION, "wrong"), (NONE_OWN, "right")])
def test_of_several_labels_the_list_shows_and_filters_by_the_same_one(tmp_path: Path, rows: str, first: str) -> None:
    made_run(tmp_path / "nano", many(1))
    (tmp_path / "nano.labels.csv").write_text(f"episode_id,question_id,right,labeller\n{rows}")
    with viewing(tmp_path / "nano", labeller="me") as seen:
        found = seen.episodes()
    assert dict(found["facets"]["label"]) == {first: 1}
    assert found["rows"][0]["label"]["right"] is (first == "right")


def test_saying_nothing_takes_a_label_back_and_deleting_does_too(tmp_path: Path) -> None:
    made_run(tmp_path / "nano", many(2))
    with viewing(tmp_path / "nano") as seen:
        for row in (0, 1):
            seen.put(address(seen, row), {"right": True, "labeller": "anna"})
        assert seen.put(address(seen, 0), {"labeller": "anna"}).json() == []
        assert seen.delete(address(seen, 1) + "?labeller=anna").json() == []
    assert (tmp_path / "nano.labels.csv").read_text() == HEADER


def test_rows_columns_and_cells_of_others_stay_as_they_are(tmp_path: Path) -> None:
    episodes = many(2)
    made_run(tmp_path / "nano", episodes)
    file = tmp_path / "nano.labels.csv"
    file.write_text(f"Note;question_id;Right;labeller\nsee tape;{episodes[1].question.id};no;anna\n;gone;yes;ben\nlater;;;\n")
    with viewing(tmp_path / "nano") as seen:
        assert seen.put(address(seen, 1), {"right": True, "labeller": "anna"}).status_code == 200
        assert seen.put(address(seen, 0), {"right": True, "labeller": "anna"}).status_code == 200
        assert seen.delete(address(seen, 1) + "?labeller=anna").status_code == 200
    assert file.read_text().splitlines() == [
        "Note;question_id;Right;labeller;episode_id;points;failure",
        f"see tape;{episodes[1].question.id};;anna;;;",
        ";gone;yes;ben;;;",
        "later;;;;;;",
        f";{episodes[0].question.id};yes;anna;{episodes[0].id};;",
    ]


def test_a_file_that_somebody_else_changes_is_seen_and_not_lost(tmp_path: Path) -> None:
    episodes = many(3)
    made_run(tmp_path / "nano", episodes)
    with viewing(tmp_path / "nano") as seen:
        seen.put(address(seen, 0), {"right": True, "labeller": "anna"})
        with (tmp_path / "nano.labels.csv").open("a") as file:
            file.write(f"{episodes[1].id},,no,,,ben\n")
        assert seen.put(address(seen, 2), {"right": True, "labeller": "anna"}).status_code == 200
        rows = seen.settled().episodes()["rows"]
    assert [row["label"]["right"] for row in rows] == [True, False, True]


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "episode_id,right\nq0/0,perhaps\n", "episode_id,right\nq0/0\n", "x\n1\n"])
def test_a_file_that_cannot_be_read_is_told_and_never_written_over(tmp_path: Path, content: str) -> None:
    made_run(tmp_path / "nano", many(1))
    file = tmp_path / "nano.labels.csv"
    file.write_text(content)
    with viewing(tmp_path / "nano") as seen:
        reply = seen.put(address(seen), {"right": True})
        (problem,) = seen.get("/api/runs")["runs"][0]["sets"][0]["problems"]
    assert (reply.status_code, reply.json()["error"]["type"]) == (409, "unreadable_file")
    assert "nano.labels.csv" in problem
    assert str(tmp_path) not in problem
    assert file.read_text() == content


def test_labels_that_many_save_at_once_are_all_kept(tmp_path: Path) -> None:
    made_run(tmp_path / "nano", many(24))
    with viewing(tmp_path / "nano") as seen:
        at = [address(seen, row) for row in range(24)]
        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda one: seen.put(one, {"right": True, "labeller": "anna"}), at))
    assert {reply.status_code for reply in replies} == {200}
    assert len(read_labels(tmp_path / "nano.labels.csv").labels) == 24


@pytest.mark.parametrize(
    "body",
    [
        {"right": True, "points": 2},
        {"points": 11},
        {"points": 2.5},
        {"points": True},
        {"failure": "bad luck"},
        {"right": "maybe"},
        {"labeller": "=cmd()"},
        {"labeller": "a\nb"},
        {"labeller": "x" * 81},
        {"wright": True},
        [],
        "right",
    ],
)
def test_a_label_that_cannot_be_is_refused_and_nothing_is_written(refusing: Visited, body: object) -> None:
    reply = refusing.put(address(refusing), body)
    assert (reply.status_code, reply.json()["error"]["type"]) == (422, "bad_request")
    (one,) = refusing.catalogue.sets.values()
    assert not one.annotations.labels.path.exists()


def test_a_window_can_be_set_right_and_taken_back(tmp_path: Path) -> None:
    asked = question("q7")
    made_run(tmp_path / "nano", [episode("header", [look(30, 34)], asked)])
    with viewing(tmp_path / "nano", labeller="anna") as seen:
        at = address(seen, what="window")
        assert seen.put(at, {"start_s": 1.25, "end_s": 1.5, "labeller": "anna"}).json() == [
            {"labeller": "anna", "start_s": 1.25, "end_s": 1.5}
        ]
        (said,) = read_windows(tmp_path / "nano.windows.csv")
        assert (said.question_id, said.window.start_s, said.window.end_s, said.labeller) == ("q7", 1.25, 1.5, "anna")
        detail = seen.get(at.removesuffix("/window"))
        assert (detail["window"], len(detail["windows"])) == ({"start_s": 1.2, "end_s": 1.36}, 1)
        assert detail["score"]["hit"] is True
        assert seen.delete(f"{at}?labeller=anna").json() == []
    assert (tmp_path / "nano.windows.csv").read_text() == "question_id,start_s,end_s,labeller\n"


@pytest.mark.parametrize(
    "body",
    [
        {"start_s": 2, "end_s": 1},
        {"start_s": -1, "end_s": 1},
        {"start_s": 0, "end_s": 1e309},
        {"start_s": 0},
        {"start_s": "x", "end_s": 1},
    ],
)
def test_a_window_that_cannot_be_is_refused(refusing: Visited, body: object) -> None:
    content = str(body).replace("'", '"').replace("inf", "1e309")
    at = address(refusing, what="window")
    reply = refusing.client.put(at, content=content, headers={"X-DeepSport": "1", "Content-Type": "application/json"})
    assert (reply.status_code, reply.json()["error"]["type"]) == (422, "bad_request")
    (one,) = refusing.catalogue.sets.values()
    assert not one.annotations.windows.path.exists()


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("question_id,start_s\nq,1\n", "no column end_s"),
        ("question_id,start_s,end_s\nq,1,x\n", "w.csv:2: end_s = 'x'"),
        ("question_id,start_s,end_s\nq,2,1\n", "before its start"),
        ("question_id,start_s,end_s\nq,nan,1\n", "start_s = 'nan'"),
        ("question_id,start_s,end_s\nq,1,\n", "end_s = ''"),
        ("question_id,start_s,end_s\n,1,2\n", "which question"),
        ("question_id,start_s,end_s\nq,1,2\nq,1,3\n", "two windows of question 'q'"),
        ("question_id,start_s,end_s\nq,1\n", "more or fewer cells"),
        ("question_id,start_s,Start_s,end_s\nq,1,2,3\n", "names differ in capitals only"),
        ("", "empty"),
    ],
)
def test_a_file_of_windows_with_a_row_that_is_none_is_refused_with_its_line(tmp_path: Path, rows: str, told: str) -> None:
    path = tmp_path / "w.csv"
    path.write_text(rows)
    with pytest.raises(BadRecord, match=told):
        read_windows(path)


def test_windows_of_a_spreadsheet_are_read_and_empty_rows_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_text("\ufeffStart_s;END_S;question_id;note\r\n1;2.5;q;seen\r\n;;r;\r\n", encoding="utf-8")
    (said,) = read_windows(path)
    assert (said.question_id, said.window.end_s) == ("q", 2.5)


def test_a_run_with_several_sets_has_a_file_of_labels_for_each(tmp_path: Path) -> None:
    for name in ("sft", "rl"):
        write_lines(tmp_path / "demo" / "episodes" / f"{name}.jsonl", many(1))
    with viewing(tmp_path / "demo") as seen:
        for name in ("sft", "rl"):
            at = f"/api/sets/{seen.the_set(name)}/episodes/{seen.episodes(name)['rows'][0]['id']}/label"
            assert seen.put(at, {"right": name == "sft"}).status_code == 200
        told = {each["name"]: each["labels_file"] for each in seen.get("/api/runs")["runs"][0]["sets"]}
    assert told == {"sft": "demo.sft.labels.csv", "rl": "demo.rl.labels.csv"}
    assert [read_labels(tmp_path / told[name]).labels[0].right for name in ("sft", "rl")] == [True, False]


def test_labels_and_windows_can_be_downloaded(tmp_path: Path) -> None:
    made_run(tmp_path / "nano", many(1))
    with viewing(tmp_path / "nano") as seen:
        at = f"/api/sets/{seen.the_set()}"
        assert seen.client.get(f"{at}/labels.csv").text == HEADER
        seen.put(address(seen), {"right": True})
        reply = seen.client.get(f"{at}/labels.csv")
        assert reply.text == (tmp_path / "nano.labels.csv").read_text()
        assert reply.headers["content-disposition"].startswith("attachment")
        assert seen.client.get(f"{at}/windows.csv").text == "question_id,start_s,end_s,labeller\n"
