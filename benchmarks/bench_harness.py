"""Questions a second of our harness and of lmms-eval, one core each, on the same server, clips and questions.

A passive question shows 8 sparse frames and is answered in one reply; the server answers at once, so what is measured is the
harness: frames, requests, replies, records. Ours writes every episode and every reply to disk as it comes; lmms-eval runs the
task that `write_task` exports, as it comes (PNG) and told to send JPEG. Both have decoded every clip before the clock starts, and
both must score every question alike. Harness and server have a core each, rounds are interleaved, medians are reported.
Exit code 1 below 150 questions a second of CPU time, below 5 times lmms-eval as it comes, or if a score differs.

    python benchmarks/bench_harness.py [rounds]
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import av

from deepsport.arena.generate import make_set
from deepsport.bench.exchange.lmms_export import write_task
from deepsport.bench.tasks import load_questions
from deepsport.records import Question

HERE = Path(__file__).parent
RIVAL_PYTHON = HERE / ".venv-lmms" / "bin" / "python"
REQUIRED_PER_S, REQUIRED_TIMES = 150, 5
FORMATS = ("PNG", "JPEG")
AT_ONCE_LMMS = "16"
"""Requests in flight of lmms-eval; no other number was measured."""

Measured = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A set of clips; lmms-eval is asked the first `n_rival` of the questions, since it takes seconds for some."""

    name: str
    size_wh: tuple[int, int] | None
    n_clips: int
    n_copies: int
    n_rival: int


CASES = (Case("arena 224x126", None, 48, 4, 240), Case("640x360", (640, 360), 24, 8, 24))


def main() -> None:
    """Measures all cases, prints a table and one JSON line."""
    n_rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    load, cases, versions, sound = os.getloadavg(), dict[str, Measured](), dict[str, str](), True
    with tempfile.TemporaryDirectory() as name, server() as url:
        for case in CASES:
            rounds = measure(case, Path(name) / case.name.replace(" ", "_"), url, n_rounds)
            cases[case.name] = summary(rounds)
            versions |= rounds[0]["ours"]["versions"] | rounds[0]["lmms-eval PNG"]["versions"]
            sound &= told(case, cases[case.name], rounds)
    print(f"load of the machine before: {load[0]:.2f}; {platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    print(json.dumps({"name": "harness", "unit": "CPU ms a question", "cases": cases, "versions": versions}))
    sys.exit(not sound)


def measure(case: Case, folder: Path, url: str, n_rounds: int) -> list[dict[str, Measured]]:
    """One dict of results a round."""
    warm, asked = prepared(case, folder)
    write_task(load_questions(asked), folder / "task", "sparse_frames")
    write_task(load_questions(warm), folder / "task", "warm_up")
    rounds: list[dict[str, Measured]] = []
    for number in range(n_rounds):
        out = folder / f"round{number}"
        found = {"ours": ours(url, warm, asked, out / "passive", "passive")}
        found["ours, two turns"] = ours(url, warm, asked, out / "agentic", "agentic")
        for image_format in FORMATS:
            found[f"lmms-eval {image_format}"] = lmms(url, folder / "task", out / image_format, image_format, case.n_rival)
        rounds.append(found)
    return rounds


def prepared(case: Case, folder: Path) -> tuple[Path, Path]:
    """A question about every clip, and all others, each as often as the case says under other ids."""
    make_set(folder / "arena", n_clips=case.n_clips, seed=5)
    questions = load_questions(folder / "arena" / "questions.jsonl")
    if case.size_wh:
        questions = [question.model_copy(update={"video": scaled(question.video, case.size_wh)}) for question in questions]
    first = list({question.video: question for question in reversed(questions)}.values())
    others = [question for question in questions if question not in first]
    copies = [other.model_copy(update={"id": f"{other.id}#{n}"}) for n in range(case.n_copies) for other in others]
    return written(folder / "warm.jsonl", first), written(folder / "asked.jsonl", copies)


def scaled(video: str, size_wh: tuple[int, int]) -> str:
    """The clip in another size, beside it."""
    path = Path(video).with_suffix(f".{size_wh[0]}.mp4")
    if not path.exists():
        with av.open(video) as source, av.open(str(path), "w") as target:
            stream = target.add_stream("libx264", rate=source.streams.video[0].average_rate, options={"preset": "veryfast"})
            stream.width, stream.height, stream.pix_fmt = *size_wh, "yuv420p"
            for frame in source.decode(video=0):
                large = frame.reformat(*size_wh, format="yuv420p", interpolation="BICUBIC")
                large.pts = None
                target.mux(stream.encode(large))
            target.mux(stream.encode())
    return str(path)


def written(path: Path, questions: Sequence[Question]) -> Path:
    """A file of questions."""
    path.write_text("".join(question.model_dump_json() + "\n" for question in questions))
    return path


def ours(url: str, warm: Path, asked: Path, out: Path, kind: str) -> Measured:
    """One run of ours in a fresh process."""
    script = str(HERE / "bench_harness_ours.py")
    return last_line([sys.executable, script, url, str(warm), str(asked), str(out), kind], {})


def lmms(url: str, task: Path, out: Path, image_format: str, n: int) -> Measured:
    """One run of lmms-eval in a fresh process."""
    script = str(HERE / "bench_harness_lmms.py")
    arguments = [url, str(task), "sparse_frames", str(task / "warm_up.jsonl"), str(out), AT_ONCE_LMMS, str(n)]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(task.parent / "hf")}
    variables = {"PYTHONPATH": str(HERE.parent / "src"), "LMMS_IMAGE_ENCODE_FORMAT": image_format, **offline}
    return last_line([str(RIVAL_PYTHON), script, *arguments], variables)


def last_line(command: list[str], variables: dict[str, str]) -> Measured:
    """What a harness printed last; it has the first core to itself."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, preexec_fn=on_core(0))
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


@contextmanager
def server() -> Generator[str]:
    """The server on the last core, for as long as the block runs; its address."""
    command = [sys.executable, str(HERE / "bench_harness_server.py")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=on_core(-1))
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.wait()


def on_core(place: int) -> Callable[[], None]:
    """Pins a process before it starts."""
    core = sorted(os.sched_getaffinity(0))[place]
    return lambda: os.sched_setaffinity(0, {core})


def summary(rounds: Sequence[dict[str, Measured]]) -> Measured:
    """Medians over the rounds, as CPU milliseconds a question, and what they mean."""

    def per_question(who: str, clock: str = "cpu_s") -> float:
        return 1000 * median(found[who][clock] / found[who]["n"] for found in rounds)

    rivals = {f"lmms-eval {image_format}": per_question(f"lmms-eval {image_format}") for image_format in FORMATS}
    floor = 1000 * median(found["ours"]["floor"]["cpu_s"] / found["ours"]["n"] for found in rounds)
    mine = per_question("ours")
    wall = {who: per_question(who, "wall_s") for who in ("ours", "ours, two turns", *rivals)}
    return {
        "ours": mine,
        "rivals": rivals,
        "ratio_to_best_rival": mine / min(rivals.values()),
        "ratio_to_floor": mine / floor,
        "floor": floor,
        "ratios": {rival: mine / theirs for rival, theirs in rivals.items()},
        "two_turns": per_question("ours, two turns"),
        "wall": wall,
        "request_bytes": rounds[0]["ours"]["request_bytes"],
        "score": 100 * rounds[0]["ours"]["accuracy"],
    }


def told(case: Case, found: Measured, rounds: Sequence[dict[str, Measured]]) -> bool:
    """Prints a case, and says whether it is as it must be."""
    n = rounds[0]["ours"]["n"]
    print(f"\n{case.name}: {n} questions on {case.n_clips} clips, {found['request_bytes'] / 1e3:.0f} kB of frames a request")
    print(f"{'':<24}{'CPU ms':>9}{'wall ms':>9}{'a CPU second':>14}{'a second':>10}{'theirs / ours':>15}")
    for who, cpu_ms in {"ours": found["ours"], **found["rivals"], "ours, two turns": found["two_turns"]}.items():
        wall_ms, times = found["wall"][who], cpu_ms / found["ours"]
        print(f"{who:<24}{cpu_ms:>9.2f}{wall_ms:>9.2f}{1000 / cpu_ms:>14.0f}{1000 / wall_ms:>10.0f}{times:>15.1f}")
    print(f"{'the client alone':<24}{found['floor']:>9.2f}")
    alike = all(same_scores(each) for each in rounds)
    print(f"score {found['score']:.2f}; lmms-eval scores {case.n_rival} of the questions {'alike' if alike else 'DIFFERENTLY'}")
    fast = 1000 / found["ours"] >= REQUIRED_PER_S and found["rivals"]["lmms-eval PNG"] / found["ours"] >= REQUIRED_TIMES
    return alike and fast


def same_scores(found: dict[str, Measured]) -> bool:
    """Whether lmms-eval gave each of its questions the score that ours gave, and the same mean."""
    mine, alike = found["ours"]["rights"], True
    for theirs in (found[f"lmms-eval {image_format}"] for image_format in FORMATS):
        shared = {question: mine[question] for question in theirs["rights"]}
        scored = [right for right in shared.values() if right is not None]
        alike &= theirs["rights"] == shared and abs(theirs["accuracy"] - sum(scored) / len(scored)) < 1e-9
    return alike


if __name__ == "__main__":
    main()
