"""The viewer against the web and against strange files: group P of FAULTS.md, and of group K what a run's folder may hold."""

import ast
import http.client
import json
import os
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import deepsport
from deepsport.records import Choice
from made_episodes import episode, question
from made_runs import made_run
from viewed_runs import Visited, many, viewing, write_lines
from visited_pages import EVIL

POLICY = "default-src 'none'"


def asked(seen: Visited, target: str, *, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """A request whose target goes out exactly as written, which no client of good manners sends."""
    address = urlsplit(seen.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    connection.putrequest(method, target, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    return reply.status, {name.lower(): value for name, value in reply.getheaders()}, content


def first(seen: Visited, what: str = "") -> str:
    return f"/api/sets/{seen.the_set()}/episodes/{seen.episodes()['rows'][0]['id']}{what}"


@pytest.fixture
def nano(tmp_path: Path) -> Path:
    return made_run(tmp_path / "nano", many(3)).folder


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Generator[Visited]:
    """One viewer for all who only ask, or must be refused."""
    with viewing(made_run(tmp_path_factory.mktemp("asked") / "nano", many(3)).folder) as seen:
        yield seen


def test_hostile_texts_leave_as_json_and_nothing_else(tmp_path: Path) -> None:
    hostile = question(EVIL, video=f"{EVIL.replace('/', '')}.mp4", sport=EVIL, gold=Choice(options=(EVIL, "b"), answer="b"))
    made_run(tmp_path / "nano", [episode(EVIL, [], hostile).model_copy(update={"detail": EVIL})])
    with viewing(tmp_path / "nano") as seen:
        name = seen.the_set()
        targets = ["/api/runs", f"/api/sets/{name}/episodes", first(seen), first(seen, "/raw"), f"/api/sets/{EVIL}/episodes"]
        replies = [seen.client.get(target) for target in targets]
        assert seen.get(first(seen))["episode"]["answer"] == EVIL
    assert {reply.headers["content-type"] for reply in replies} == {"application/json"}
    assert {reply.headers["x-content-type-options"] for reply in replies} == {"nosniff"}


@pytest.mark.parametrize(
    "target",
    ["/", "/static/main.js", "/api/runs", "/nothing", "/api/sets/x/episodes", "/api/events?x", "/static/nothing", "/docs"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_every_answer_carries_the_content_policy(seen: Visited, target: str, method: str) -> None:
    with seen.client.stream(method, target) as reply:
        assert reply.headers["content-security-policy"].startswith(POLICY)
        assert "unsafe" not in reply.headers["content-security-policy"]
        assert reply.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "", "[::1", "a@localhost.x"]
)
def test_a_name_that_was_bound_to_this_address_is_refused(seen: Visited, host: str) -> None:
    status, headers, content = asked(seen, "/api/runs", Host=host)
    assert status in (400, 421)
    assert b"nano" not in content
    assert status == 400 or headers["content-security-policy"].startswith(POLICY)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1", "[::1]:80"])
def test_the_names_of_this_machine_are_answered(seen: Visited, host: str) -> None:
    assert asked(seen, "/api/runs", Host=host)[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-DeepSport": "1", "Origin": "http://evil.example"},
        {"X-DeepSport": "1", "Origin": "null"},
        {"X-DeepSport": "1", "Sec-Fetch-Site": "cross-site"},
        {"X-DeepSport": "1", "Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize(("method", "what"), [("PUT", "label"), ("DELETE", "label"), ("PUT", "window"), ("DELETE", "window")])
def test_a_page_of_others_cannot_say_anything(seen: Visited, headers: dict[str, str], method: str, what: str) -> None:
    status, _, content = asked(seen, first(seen, f"/{what}"), method=method, **headers)
    assert (status, json.loads(content)["error"]["type"]) == (403, "foreign_page")
    (run,) = seen.catalogue.runs.values()
    assert sorted(path.name for path in run.place.path.parent.iterdir()) == ["nano"]


def test_nothing_is_answered_to_other_origins(seen: Visited) -> None:
    status, headers, _ = asked(seen, "/api/runs", method="OPTIONS", Origin="http://evil.example")
    assert status == 403
    assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "path",
    [
        "../../../../etc/passwd",
        "..%2f..%2f..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "....//....//etc/passwd",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "..\\..\\etc\\passwd",
        "%00",
        "x" * 5000,
        "",
        ".",
    ],
)
@pytest.mark.parametrize(
    "prefix", ["/", "/static/", "/api/sets/", "/api/sets/SID/episodes/", "/api/sets/SID/episodes/EID/frames/", "/api/runs/"]
)
def test_no_path_leads_to_a_file(seen: Visited, prefix: str, path: str) -> None:
    eid = first(seen).rpartition("/")[2]
    target = (prefix + path).replace("SID", seen.the_set()).replace("EID", eid)
    status, headers, content = asked(seen, target)
    assert b"root:" not in content
    if target not in ("/", "/api/sets/" + "."):
        assert status in (301, 307, 400, 404, 422), (target, content[:200])
    assert "location" not in headers or urlsplit(headers["location"]).netloc in ("", urlsplit(seen.url).netloc)


@pytest.mark.parametrize("target", ["/static", "/static/", "/api", "/api/", "/docs", "/redoc", "/openapi.json"])
def test_there_is_no_listing_and_no_description_of_the_api(seen: Visited, target: str) -> None:
    reply = seen.client.get(target, follow_redirects=True)
    assert reply.status_code == 404
    assert "main.js" not in reply.text


@pytest.mark.parametrize("kind", ["secret", "link", "fifo", "folder", "socket", "gone", "nul", "device"])
def test_only_videos_are_served_as_videos(tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret.mp4"
    secret.write_text("root: the secret\n" * 50)
    (tmp_path / "link.mp4").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "fifo.mp4")
    (tmp_path / "folder.mp4").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.mp4"))
        video = {"nul": "a\0b.mp4", "device": "/dev/zero"}.get(kind, str(tmp_path / f"{kind}.mp4"))
        path = write_lines(tmp_path / "e.jsonl", [episode("volley", [], question("q", video=video))])
        with viewing(path) as seen:
            replies = [seen.client.get(first(seen, what)) for what in ("/video", "/frames/0.jpg")]
            told = seen.get(first(seen))["video"]
    assert [reply.status_code for reply in replies] == [404, 404]
    assert not [reply for reply in replies if "root" in reply.text or str(tmp_path) in reply.text]
    assert told["available"] is False


def test_no_answer_but_the_raw_record_names_a_folder(tmp_path: Path) -> None:
    private = "/home/somebody/private/clip.mp4"
    path = write_lines(tmp_path / "e.jsonl", [episode("volley", [], question("q", video=private))])
    with viewing(path) as seen:
        texts = [seen.client.get(target).text for target in ("/api/runs", f"/api/sets/{seen.the_set()}/episodes", first(seen))]
    assert not [text for text in texts if "somebody" in text or str(tmp_path) in text]


@pytest.mark.parametrize(
    "query",
    [
        {"outcome": "good"},
        {"stop": "STOP"},
        {"failure": "x"},
        {"cause": "x"},
        {"label": "x"},
        {"dimension": "x"},
        {"easy": "maybe"},
        {"step": "-1"},
        {"step": "1e3"},
        {"sort": "random"},
        {"offset": "-1"},
        {"offset": "9" * 400},
        {"offset": "9" * 5000},
        {"limit": "0"},
        {"limit": "100000"},
        {"limit": "x"},
        {"text": "x" * 501},
        {"sport": ["x"] * 201},
    ],
)
def test_a_filter_that_cannot_be_is_refused_in_words(seen: Visited, query: dict[str, Any]) -> None:
    reply = seen.client.get(f"/api/sets/{seen.the_set()}/episodes", params=query)
    assert (reply.status_code, reply.json()["error"]["type"]) == (422, "bad_request")
    assert next(iter(query)) in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    "query", [{"offset": 2**31 - 1}, {"sport": EVIL}, {"text": '"""'}, {"text": "\x00"}, {"step": "99999999999"}]
)
def test_a_filter_that_finds_nothing_is_an_empty_list(seen: Visited, query: dict[str, Any]) -> None:
    found = seen.episodes(**query)
    assert found["n_total"] == 3
    assert found["rows"] == [] or query.get("text") == '"""'


@pytest.mark.parametrize(
    "what",
    [
        "/frames/-1.jpg",
        "/frames/1e3.jpg",
        "/frames/99999999999999999999.jpg",
        "/frames/0.jpg?width=0",
        "/frames/0.jpg?width=99999",
    ],
)
def test_a_frame_that_cannot_be_is_refused(seen: Visited, what: str) -> None:
    reply = seen.client.get(first(seen, what))
    assert (reply.status_code, reply.json()["error"]["type"]) == (422, "bad_request")


@pytest.mark.parametrize(
    "target",
    [
        "/api/runs/0000000000000000/curves",
        "/api/sets/0000000000000000/episodes",
        "/api/sets/SID/episodes/0000000000000000",
        "/api/sets/SID/episodes/0000000000000000/raw",
        "/api/sets/SID/episodes/ZZZ/video",
        "/api/sets/SID/episodes/+1/label",
        "/api/compare?left=SID&right=none",
    ],
)
def test_an_unknown_id_is_not_found(seen: Visited, target: str) -> None:
    reply = seen.client.get(target.replace("SID", seen.the_set()))
    assert reply.status_code in (404, 405)
    assert set(reply.json()["error"]) == {"message", "type"}


def test_with_a_key_nobody_is_answered_without_it(nano: Path) -> None:
    with viewing(nano, key="open sesame") as seen:
        for target in ("/", "/static/main.js", "/api/runs", "/api/events"):
            assert asked(seen, target)[0] == 401
        assert asked(seen, "/?key=open%20sesame")[0] == 303
        assert asked(seen, "/?key=sesame")[0] == 401


def test_a_body_that_is_too_large_is_refused(nano: Path) -> None:
    with viewing(nano) as seen:
        headers = {"X-DeepSport": "1", "Content-Length": str(2**21)}
        assert asked(seen, first(seen, "/label"), method="PUT", **headers)[0] == 413


def test_labels_are_not_written_to_a_folder_that_takes_nothing(nano: Path) -> None:
    if os.geteuid() == 0:
        (nano.parent / "nano.labels.csv").mkdir()  # root may write anywhere, but not a file where a folder is
    else:
        nano.parent.chmod(0o500)
    try:
        with viewing(nano) as seen:
            reply = seen.put(first(seen, "/label"), {"right": True})
    finally:
        nano.parent.chmod(0o700)
    assert reply.status_code in (409, 507)
    assert "nano.labels.csv" in reply.json()["error"]["message"]


def test_numbers_that_are_none_in_json_become_null(tmp_path: Path) -> None:
    from deepsport.records import Usage

    odd = episode("volley").model_copy(update={"usage": Usage(seconds=float("inf"))})
    with viewing(write_lines(tmp_path / "e.jsonl", [odd])) as seen:
        assert seen.get(first(seen))["episode"]["usage"]["seconds"] is None
        assert "Infinity" not in seen.client.get(first(seen, "/raw")).text


@pytest.mark.parametrize("name", ["config.toml", "stages.json", "metrics.jsonl", "verdicts.jsonl", "diagnoses.jsonl"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[" * 100_000, b'{"a": 1}\n', b"seed = 'x'\n"])
def test_strange_files_of_a_run_cost_no_more_than_what_they_hold(nano: Path, name: str, content: bytes) -> None:
    (nano / name).write_bytes(content)
    with viewing(nano) as seen:
        (run,) = seen.get("/api/runs")["runs"]
        assert seen.get(f"/api/runs/{run['id']}/curves")["stages"] == []
        assert seen.episodes()["n_total"] == 3


def test_the_viewer_opens_no_connection_of_its_own() -> None:
    package = Path(deepsport.__file__).parent / "serve" / "viewer"
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module or ""
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not {
        name for name in imported if name.split(".")[0] in {"httpx2", "urllib3", "requests", "openai"} or name == "urllib.request"
    }
