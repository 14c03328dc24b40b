"""The viewer's server: videos and frames, runs that come and go on, events, and how it stops."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deepsport.errors import BadConfig, BadRecord, RunError
from deepsport.lock import holding, release, take
from deepsport.serve.viewer.byte_range import Span, UnsatisfiableError, span_of
from deepsport.serve.viewer.catalogue import Catalogue
from deepsport.serve.viewer.footage import NoFootageError
from deepsport.serve.viewer.routes_events import tell
from deepsport.serve.viewer.serving import serve_viewer
from made_runs import made_run
from viewed_runs import Clip, Visited, add_lines, arena_clips, bench_run, many, training_run, viewing


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    return arena_clips(tmp_path_factory.mktemp("arena"), 2)


def at(seen: Visited, what: str = "", row: int = 0) -> str:
    return f"/api/sets/{seen.the_set()}/episodes/{seen.episodes()['rows'][row]['id']}{what}"


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", Span(0, 1)),
        ("bytes=5-", Span(5, 10)),
        ("bytes=-3", Span(7, 10)),
        ("bytes=-99", Span(0, 10)),
        ("bytes=2-99999999999", Span(2, 10)),
        ("bytes=0-1,4-5", None),
        ("lines=0-1", None),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=x-y", None),
        ("bytes=" + "9" * 5000 + "-", None),
        (None, None),
    ],
)
def test_a_range_is_the_bytes_it_asks_for_or_the_whole_file(header: str | None, span: Span | None) -> None:
    assert span_of(header, 10) == span


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=-0", "bytes=99-100"])
def test_a_range_outside_the_file_cannot_be_had(header: str) -> None:
    with pytest.raises(UnsatisfiableError):
        span_of(header, 10)


def test_a_video_is_served_whole_and_in_parts(tmp_path: Path, clips: list[Clip]) -> None:
    bench_run(tmp_path / "nano", clips[:1])
    content = Path(clips[0].question.video).read_bytes()
    with viewing(tmp_path / "nano") as seen:
        video = at(seen, "/video")
        whole, head = seen.client.get(video), seen.client.head(video)
        assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, content, "video/mp4")
        assert (head.status_code, int(head.headers["content-length"]), head.content) == (200, len(content), b"")
        part = seen.client.get(video, headers={"Range": "bytes=100-299"})
        assert (part.status_code, part.content) == (206, content[100:300])
        assert part.headers["content-range"] == f"bytes 100-299/{len(content)}"
        far = seen.client.get(video, headers={"Range": f"bytes={len(content)}-"})
        assert (far.status_code, far.headers["content-range"]) == (416, f"bytes */{len(content)}")
        tag = whole.headers["etag"]
        assert seen.client.get(video, headers={"If-None-Match": tag}).status_code == 304
        assert seen.client.get(video, headers={"Range": "bytes=0-1", "If-Range": tag}).status_code == 206
        assert seen.client.get(video, headers={"Range": "bytes=0-1", "If-Range": '"other"'}).status_code == 200


def test_a_frame_is_the_one_that_was_shown(tmp_path: Path, clips: list[Clip]) -> None:
    import io

    import numpy as np
    from PIL import Image

    from deepsport.video.source import FrameSource

    run = bench_run(tmp_path / "nano", clips[:1])
    index = run.episodes[0].first_frames[3].index
    with viewing(tmp_path / "nano") as seen:
        reply = seen.client.get(at(seen, f"/frames/{index}.jpg"))
        small = seen.client.get(at(seen, f"/frames/{index}.jpg"), params={"width": 64})
        again = seen.client.get(at(seen, f"/frames/{index}.jpg"), headers={"If-None-Match": reply.headers["etag"]})
    with FrameSource() as source:
        wanted = source.frames(clips[0].question.video, range(clips[0].n_frames))
    shown = np.asarray(Image.open(io.BytesIO(reply.content))).astype(int)
    far = [np.abs(shown - pixels).mean() for pixels in wanted]
    assert np.argmin(far) == index
    assert min(far) < 2
    assert Image.open(io.BytesIO(small.content)).width == 64
    assert again.status_code == 304


@pytest.mark.parametrize("what", ["/frames/99999.jpg", "/frames/2147483647.jpg"])
def test_a_frame_outside_the_video_is_not_there(tmp_path: Path, clips: list[Clip], what: str) -> None:
    bench_run(tmp_path / "nano", clips[:1])
    with viewing(tmp_path / "nano") as seen:
        assert seen.client.get(at(seen, what)).status_code == 404


def test_a_video_that_was_moved_is_found_by_its_name(tmp_path: Path, clips: list[Clip]) -> None:
    video = Path(clips[0].question.video)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / video.name).write_bytes(video.read_bytes())
    gone = Clip(clips[0].question.model_copy(update={"video": f"gone/{video.name}"}), clips[0].n_frames, clips[0].fps)
    bench_run(tmp_path / "nano", [gone])
    with viewing(tmp_path / "nano") as seen:
        missing = seen.get(at(seen))["video"]
        assert (missing["available"], missing["name"]) == (False, video.name)
        assert "--videos" in missing["why"]
        assert seen.client.get(at(seen, "/video")).status_code == 404
    with viewing(tmp_path / "nano", videos=tmp_path / "elsewhere") as seen:
        assert seen.get(at(seen))["video"]["available"]
        assert seen.client.get(at(seen, "/video")).status_code == 200


def test_another_video_under_the_same_name_is_not_taken_for_the_one_that_was_played(tmp_path: Path, clips: list[Clip]) -> None:
    from video_files import Recipe, write

    name = Path(clips[0].question.video).name
    (tmp_path / "videos").mkdir()
    write(tmp_path / "videos" / name, Recipe(n_frames=20))
    gone = Clip(clips[0].question.model_copy(update={"video": f"gone/{name}"}), clips[0].n_frames, clips[0].fps)
    bench_run(tmp_path / "nano", [gone])
    with viewing(tmp_path / "nano", videos=tmp_path / "videos") as seen:
        assert "not the file that was played" in seen.get(at(seen))["video"]["why"]
        assert seen.client.get(at(seen, "/frames/0.jpg")).status_code == 409


def test_a_run_that_begins_below_the_folder_is_shown_and_one_that_is_removed_is_not(tmp_path: Path) -> None:
    import shutil

    made_run(tmp_path / "a", many(2))
    with viewing(tmp_path) as seen:
        made_run(tmp_path / "later" / "b", many(3))
        seen.settled().settled().settled()
        assert [run["name"] for run in seen.get("/api/runs")["runs"]] == ["a", "later/b"]
        assert seen.settled().episodes("b")["n_total"] == 3
        shutil.rmtree(tmp_path / "a")
        seen.settled().settled().settled()
        assert [run["name"] for run in seen.get("/api/runs")["runs"]] == ["later/b"]


def test_a_run_is_live_while_somebody_holds_it(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "a", many(1)).folder
    os.utime(folder / "episodes.jsonl", (1, 1))
    with viewing(folder) as seen:
        assert seen.get("/api/runs")["runs"][0]["live"] is False
        lock = take(folder)
        assert seen.get("/api/runs")["runs"][0]["live"] is True
        release(lock)
        assert seen.get("/api/runs")["runs"][0]["live"] is False
        with holding(tmp_path / "other"):
            assert seen.get("/api/runs")["runs"][0]["live"] is False


def test_a_training_run_shows_its_curves_and_what_was_sampled(tmp_path: Path, clips: list[Clip]) -> None:
    training_run(tmp_path / "train", clips, n_steps=6)
    with viewing(tmp_path / "train") as seen:
        (run,) = seen.get("/api/runs")["runs"]
        stages = seen.get(f"/api/runs/{run['id']}/curves")["stages"]
        rows = seen.episodes(step="4")["rows"]
        detail = seen.get(f"/api/sets/{seen.the_set()}/episodes/{rows[0]['id']}")
    assert (run["kind"], run["has_curves"], run["seconds_per_stage"]) == ("training", True, {"sft": 12.5, "rl": 40.0})
    assert ["rl.name", "demo"] in run["settings"]
    assert [(stage["name"], stage["n_steps"]) for stage in stages] == [("sft", 6), ("rl", 6)]
    assert stages[0]["panels"][0]["curves"][0]["points"][1] == [1, 1.0]
    assert stages[1]["sampled_set"] == run["sets"][0]["id"]
    assert [row["step"] for row in rows] == [4] * 4
    assert detail["advantage"] is not None


def test_what_changes_is_told_to_an_open_page(tmp_path: Path) -> None:
    path = made_run(tmp_path / "a", many(2)).folder / "episodes.jsonl"
    heard: list[str] = []
    with viewing(tmp_path) as seen, seen.client.stream("GET", "/api/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        next(lines)
        threading.Timer(0.2, lambda: add_lines(path, many(3)[2:])).start()
        for line in lines:
            heard.append(line)
            if line.startswith("data:"):
                break
        assert "event: change" in heard
        told = json.loads(heard[-1].removeprefix("data:"))
        assert (told["set"], told["n"]) == (seen.the_set(), 3)


def test_events_end_when_the_server_stops(tmp_path: Path) -> None:
    import asyncio

    made_run(tmp_path / "a", many(1))

    async def heard() -> list[str]:
        stopping = asyncio.Event()
        stopping.set()
        return [event async for event in tell(Catalogue.open([tmp_path]), stopping)]

    assert asyncio.run(heard()) == [": hello\n\n"]


@pytest.mark.parametrize("n_signals", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_gently_with_a_page_open(tmp_path: Path, number: signal.Signals, n_signals: int) -> None:
    made_run(tmp_path / "a", many(1))
    code = (
        "from pathlib import Path; from deepsport.serve.viewer.serving import serve_viewer; "
        f"serve_viewer([Path({str(tmp_path)!r})], on_ready=lambda url: print(url, flush=True)); print('clean')"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    url = process.stdout.readline().strip()
    with httpx2.Client(base_url=url, timeout=20) as client, client.stream("GET", "/api/events") as stream:
        next(stream.iter_lines())
        began = time.monotonic()
        for _ in range(n_signals):
            process.send_signal(number)
            time.sleep(0.05)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "clean\n", "")
    assert time.monotonic() - began < 6


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: None, "does not exist"),
        (lambda folder: folder.mkdir(), "holds no run"),
        (lambda folder: (folder / "a" / "b" / "c").mkdir(parents=True), "holds no run"),
        (lambda folder: folder.write_text("x"), "holds no run"),
    ],
)
def test_a_path_with_nothing_to_view_is_refused(tmp_path: Path, make: Any, told: str) -> None:
    make(tmp_path / "x")
    with pytest.raises(BadRecord, match=told):
        Catalogue.open([tmp_path / "x"])


def test_others_are_let_in_with_a_key_only(tmp_path: Path) -> None:
    made_run(tmp_path / "a", many(1))
    with pytest.raises(BadConfig, match="no key"):
        serve_viewer([tmp_path], host="0.0.0.0")


def test_a_port_that_is_taken_is_an_error_that_says_so(tmp_path: Path) -> None:
    import socket

    made_run(tmp_path / "a", many(1))
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(RunError, match="--port"):
        serve_viewer([tmp_path], port=taken.getsockname()[1])


def test_a_decoder_that_hangs_holds_up_no_list(tmp_path: Path, clips: list[Clip]) -> None:
    bench_run(tmp_path / "nano", clips[:1])
    hanging = threading.Event()
    with viewing(tmp_path / "nano") as seen:
        footage, target = seen.catalogue.footage, at(seen)

        def hang(*_: object) -> None:
            hanging.wait(20)
            raise NoFootageError("it hung")

        footage.clip = hang  # pyright: ignore[reportAttributeAccessIssue]
        askers = [threading.Thread(target=seen.client.get, args=(target,)) for _ in range(50)]
        for each in askers:
            each.start()
        began = time.monotonic()
        assert seen.episodes()["n_total"] == 1
        took_s = time.monotonic() - began
        hanging.set()
        for each in askers:
            each.join()
    assert took_s < 5


def test_a_browser_that_is_waited_for_does_not_hold_up_its_own_page(tmp_path: Path) -> None:
    made_run(tmp_path / "a", many(1))
    browser = tmp_path / "browser"
    browser.write_text("#!/bin/sh\nsleep 30\n")
    browser.chmod(0o700)
    code = (
        "from pathlib import Path; from deepsport.serve.viewer.serving import serve_viewer; "
        f"serve_viewer([Path({str(tmp_path)!r})], on_ready=lambda url: print(url, flush=True), open_browser=True)"
    )
    environment = {**os.environ, "BROWSER": f"{browser} %s"}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout
        assert httpx2.get(f"{process.stdout.readline().strip()}api/runs", timeout=10).status_code == 200
    finally:
        process.terminate()
        process.wait(20)


def test_more_runs_can_be_viewed_than_files_are_usually_open(tmp_path: Path) -> None:
    for number in range(40):
        made_run(tmp_path / f"r{number}", many(1))
    code = (
        "import resource; most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (40, most)); "
        "from pathlib import Path; from deepsport.serve.viewer.serving import serve_viewer; "
        f"serve_viewer([Path({str(tmp_path)!r})], on_ready=lambda url: print(url, flush=True))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        url, n_read, deadline = process.stdout.readline().strip(), 0, time.monotonic() + 20
        while n_read < 40 and time.monotonic() < deadline:
            n_read = sum(run["sets"][0]["n"] for run in httpx2.get(f"{url}api/runs", timeout=10).json()["runs"])
    finally:
        process.terminate()
        process.wait(20)
    assert n_read == 40


def test_a_fault_of_the_viewer_itself_is_answered_in_the_form_of_all_errors(tmp_path: Path) -> None:
    made_run(tmp_path / "a", many(1))
    with viewing(tmp_path) as seen:
        target = at(seen)
        seen.catalogue.footage.clip = None  # pyright: ignore[reportAttributeAccessIssue]
        reply = seen.client.get(target)
    assert (reply.status_code, reply.json()["error"]["type"]) == (500, "internal")
    assert reply.headers["content-security-policy"]
