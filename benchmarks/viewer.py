"""The viewer's server over 100,000 episodes: how soon a list can be seen, how long a filter takes, how much memory is held.

A made run of 100,000 episodes (about 2.5 kB a line, every one of them different) is served by a process of its own, as `deepsport
view` serves it. Visited in Chromium, where there is one, and asked over HTTP from here: the page, the runs and the first list as
soon as the server answers, then a mix of filters, once while the file is still being read and once after. Server time is what the
process itself takes from request to answer, measured around it as an ASGI app; its CPU time for the same is told too, for a
machine that is busy with other things.
Exit code 1 above 1.5 s to a first list, 200 ms for a filter (95th percentile) or 500 MB.

    python benchmarks/viewer.py [episodes]
    python benchmarks/viewer.py --serve [episodes]     the same run, to point a browser at
"""

import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
import numpy as np

from deepsport.agent.grammar import write_answer, write_call
from deepsport.bench.recipe import BenchConfig
from deepsport.config import dump
from deepsport.records import Choice, Dimension, Episode, Frame, Question, StopReason, ToolCall, Turn, Window
from deepsport.versions import versions
from deepsport.video.sample import uniform, window

MOST_FIRST_S, MOST_FILTER_MS, MOST_MB = 1.5, 200.0, 500.0
SPORTS = ("soccer", "basketball", "tennis", "volleyball", "diving", "fencing", "ice hockey", "gymnastics")
ACTIONS = ("header", "volley", "free kick", "slide tackle", "backheel", "bicycle kick", "own goal", "penalty")
# fmt: off
WORDS = ("the", "player", "moves", "left", "and", "then", "passes", "before", "keeper", "turns", "so", "that", "nobody", "sees",
         "who", "was", "there", "at", "time", "again")
# fmt: on
MIX: tuple[dict[str, Any], ...] = (
    {},
    {"sport": "soccer"},
    {"sport": ["tennis", "diving"], "outcome": "wrong"},
    {"text": "bicycle"},
    {"text": '"free kick" keeper', "outcome": "wrong"},
    {"text": "number 77123"},
    {"text": "nothing says this"},
    {"sort": "worst"},
    {"sort": "frames", "dimension": "rules", "offset": 5000},
    {"sort": "question", "stop": "answered"},
    {"failure": "tool_grounding", "easy": "no", "text": "player moves"},
)
ROUNDS = 4


def main() -> None:
    """Measures, prints a table and one JSON line."""
    numbers = [int(each) for each in sys.argv[1:] if each.isdigit()]
    n = numbers[0] if numbers else 100_000
    with tempfile.TemporaryDirectory() as name:
        run = made(Path(name) / "made", n)
        if "--serve" in sys.argv:
            serve(run)
            return
        measured = measure(run, n)
    told(measured, n)


def serve(run: Path) -> None:
    """Serves with a clock around the app; every answer says in a header how long the server took."""
    from deepsport.serve.graceful_server import GracefulServer
    from deepsport.serve.viewer import serving

    plain = GracefulServer.__init__

    def timed(self: Any, app: Any, *rest: Any, **named: Any) -> None:
        plain(self, clocked(app), *rest, **named)

    GracefulServer.__init__ = timed  # type: ignore[method-assign]
    serving.serve_viewer([run], on_ready=lambda url: print(url, flush=True))


def clocked(app: Any) -> Any:
    """The app, with the milliseconds from request to the head of its answer in a header."""

    async def with_clock(scope: Any, receive: Any, send: Any) -> None:
        began, cpu = time.perf_counter(), time.process_time()

        async def told(message: Any) -> None:
            if message["type"] == "http.response.start":
                took = f"{1000 * (time.perf_counter() - began):.3f} {1000 * (time.process_time() - cpu):.3f}".encode()
                message = {**message, "headers": [*message["headers"], (b"x-took-ms", took)]}
            await send(message)

        await app(scope, receive, told)

    return with_clock


def measure(run: Path, n: int) -> dict[str, Any]:
    """Starts the server on a run and asks."""
    command = [sys.executable, __file__, "--serve-at", str(run)]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert process.stdout
    try:
        url = process.stdout.readline().strip()
        start_s = time.perf_counter() - began
        with httpx2.Client(base_url=url, timeout=60) as client:
            paint = painted(url, "#/")
            first_s, name = first_list(client)
            paint |= {f"{key}_while": value for key, value in painted(url, f"#/set/{name}").items()}
            while_ms = list(asked(client, name, rounds=1, until=n))
            index_s = indexed(client, name, n) - began
            after_s, _ = first_list(client)
            after_ms = list(asked(client, name, rounds=ROUNDS))
            paint |= {f"{key}_list": value for key, value in painted(url, f"#/set/{name}").items()}
        return {
            "start_s": start_s,
            **paint,
            "first_list_s": first_s,
            "first_list_after_s": after_s,
            "index_s": index_s,
            "filters_while_ms": [wall for wall, _ in while_ms],
            "filters_ms": [wall for wall, _ in after_ms],
            "filters_cpu_ms": [cpu for _, cpu in after_ms],
            "peak_mb": peak_mb(process.pid),
        }
    finally:
        process.terminate()
        process.wait(10)


def first_list(client: httpx2.Client) -> tuple[float, str]:
    """Seconds for what a page needs before it can show something: itself, the runs, the first rows; and the set's id."""
    began = time.perf_counter()
    client.get("/").raise_for_status()
    name = client.get("/api/runs").raise_for_status().json()["runs"][0]["sets"][0]["id"]
    rows = client.get(f"/api/sets/{name}/episodes").raise_for_status().json()["rows"]
    while not rows:
        rows = client.get(f"/api/sets/{name}/episodes").raise_for_status().json()["rows"]
    return time.perf_counter() - began, name


def asked(client: httpx2.Client, name: str, *, rounds: int, until: int | None = None) -> Iterator[tuple[float, float]]:
    """Milliseconds and CPU milliseconds of the server for each list of the mix; `until` so many rows are indexed."""
    for number in range(rounds if until is None else 1000):
        for filters in MIX:
            text = " ".join(filter(None, (filters.get("text", ""), WORDS[number % len(WORDS)][:1])))
            reply = client.get(f"/api/sets/{name}/episodes", params={**filters, "text": text, "limit": 100 - number % 50})
            wall_ms, cpu_ms = reply.raise_for_status().headers["x-took-ms"].split()
            yield float(wall_ms), float(cpu_ms)
            if until is not None and reply.json()["n_total"] >= until:
                return


def painted(url: str, place: str) -> dict[str, float]:
    """Seconds in Chromium from a visit to the first paint, and of a list to its first row; nothing without a browser."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        return {}
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        began = time.perf_counter()
        page.goto(url + place, wait_until="commit")
        page.wait_for_selector("main a[href*='#/set/']")
        rows_s = time.perf_counter() - began
        paint_ms = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN")
        browser.close()
    return {"paint_s": paint_ms / 1000, "rows_s": rows_s}


def indexed(client: httpx2.Client, name: str, n: int) -> float:
    """When all rows were there."""
    while client.get(f"/api/sets/{name}/episodes", params={"limit": 1}).json()["n_total"] < n:
        time.sleep(0.05)
    return time.perf_counter()


def peak_mb(pid: int) -> float:
    """Highest resident memory of a process so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1000


def made(folder: Path, n: int) -> Path:
    """A benchmark run of n made episodes, the same every time."""
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(dump(BenchConfig(questions="made.jsonl", system="made")))
    rng = random.Random(5)
    with (folder / "episodes.jsonl").open("w") as file:
        for number in range(n):
            print(episode(number, rng).model_dump_json(), file=file)
    return folder


def episode(number: int, rng: random.Random) -> Episode:
    """One of several looks, right about half of the time."""
    video, options = f"clips/{number // 4:06d}.mp4", tuple(rng.sample(ACTIONS, 4))
    start_s = rng.uniform(1, 30)
    asked = Question(
        id=f"made-{number:06d}",
        video=video,
        text=f"Which action is number {number}, {' '.join(rng.choices(WORDS, k=8))}? Options: {', '.join(options)}.",
        gold=Choice(options=options, answer=options[0]),
        window=Window(start_s=start_s, end_s=start_s + 0.4),
        sport=SPORTS[number % len(SPORTS)],
        dimension=list(Dimension)[number % 4],
        easy=number % 10 == 0,
    )
    turns = [look(video, asked, rng) for _ in range(rng.choice((0, 1, 1, 2)))]
    answer = options[0] if rng.random() < 0.5 else rng.choice(options)
    is_lost = number % 23 == 0
    thought = " ".join(rng.choices(WORDS, k=30))
    if not is_lost:
        turns.append(Turn(text=write_answer(thought, answer), thought=thought, answer=answer))
    return Episode(
        id=f"made-{number:06d}/{number}",
        question=asked,
        policy="made",
        first_frames=tuple(Frame(video=video, index=index, time_s=index / 25) for index in uniform(800, 8)),
        turns=tuple(turns),
        answer=None if is_lost else answer,
        stop=StopReason.MAX_TURNS if is_lost else StopReason.ANSWERED,
    )


def look(video: str, asked: Question, rng: random.Random) -> Turn:
    """At the event or beside it."""
    assert asked.window
    start = int(25 * asked.window.start_s) if rng.random() < 0.6 else rng.randrange(700)
    thought = " ".join(rng.choices(WORDS, k=40))
    frames = tuple(Frame(video=video, index=index, time_s=index / 25) for index in window(start, start + 12, 8))
    call = ToolCall(start_index=start, end_index=start + 12, window=Window(start_s=start / 25, end_s=(start + 12) / 25))
    return Turn(text=write_call(thought, start, start + 12), thought=thought, call=call, frames=frames)


def told(found: dict[str, Any], n: int) -> None:
    """Prints what was measured, and leaves with 1 if it is too much."""
    while_ms, after_ms, cpu_ms = (found.pop(name) for name in ("filters_while_ms", "filters_ms", "filters_cpu_ms"))
    summary = {
        **found,
        "filter_p50_ms": median(after_ms),
        "filter_p95_ms": float(np.quantile(after_ms, 0.95)),
        "filter_cpu_p50_ms": median(cpu_ms),
        "filter_cpu_p95_ms": float(np.quantile(cpu_ms, 0.95)),
        "filter_while_p50_ms": median(while_ms),
        "filter_while_p95_ms": float(np.quantile(while_ms, 0.95)),
        "n_while": len(while_ms),
    }
    print(f"{n:,} episodes; {platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}")
    for name, value in summary.items():
        print(f"{name:<24}{value:>12.3f}" if "_s" in name else f"{name:<24}{value:>12.1f}")
    cases = {f"{n} episodes": {"ours": summary, "rivals": {}}}
    print(json.dumps({"name": "viewer", "unit": "as named", "cases": cases, "versions": versions()}))
    first_s = max(value for key, value in summary.items() if key.startswith(("first_list", "paint_s")))
    filter_ms = max(summary["filter_p95_ms"], summary["filter_while_p95_ms"])
    sys.exit(not (first_s <= MOST_FIRST_S and filter_ms <= MOST_FILTER_MS and summary["peak_mb"] <= MOST_MB))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve-at"]:
        serve(Path(sys.argv[2]))
    else:
        main()
