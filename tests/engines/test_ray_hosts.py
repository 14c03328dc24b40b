"""Two hosts, one of which is lost in the middle of 1,000 questions: the result is that of a run on this machine.

Each host is a Ray node with one CPU.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepsport.arena.generate import make_set
from two_hosts import Host, two_hosts

pytest.importorskip("ray", reason="needs ray, the extra `scale`")

N_QUESTIONS = 1000
PORT = 6399

RAY = (sys.executable, "-m", "ray.scripts.scripts", "start", "--object-store-memory", "100000000", "--num-cpus", "1")
DEEPSPORT = (sys.executable, "-m", "deepsport.cli")
SHARD = "ray::deepsport shard"
"""So the title of a worker begins while it has a shard."""

QUICK = {"RAY_health_check_period_ms": "500", "RAY_health_check_timeout_ms": "500", "RAY_health_check_failure_threshold": "10"}
"""A host that says nothing for five seconds is dead, instead of for twenty: on a busy machine two are soon over."""


@pytest.fixture(scope="module")
def unshared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the other host does not see."""
    return tmp_path_factory.mktemp("unshared")


@pytest.fixture(scope="module")
def hosts(unshared: Path) -> Iterator[tuple[Host, Host]]:
    """The head and another one, a Ray cluster with one CPU each."""
    session = tempfile.mkdtemp(prefix="ds-ray-")  # short: the path of a socket has 107 bytes at most
    try:
        with two_hosts() as (head, other):
            other.lacks = unshared
            here = ("--head", "--port", str(PORT), "--include-dashboard", "false", "--temp-dir", session)
            ended(head, head, *RAY, *here, "--node-ip-address", head.address)
            ended(other, head, *RAY, "--address", f"{head.address}:{PORT}", "--node-ip-address", other.address)
            yield head, other
    finally:
        shutil.rmtree(session, ignore_errors=True)


def started(host: Host, head: Host, log: Path, *command: str) -> subprocess.Popen[str]:
    """A program on a host, which finds the cluster."""
    environment = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_ADDRESS": f"{head.address}:{PORT}", **QUICK}
    with log.open("w") as said:
        return host.start(command, environment, said)


def ended(host: Host, head: Host, *command: str) -> None:
    """The same, run to its end."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "said"
        assert started(host, head, log, *command).wait(120) == 0, log.read_text()[-2000:]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few rendered clips under many names, with the questions about each."""
    folder = tmp_path_factory.mktemp("arena")
    made = make_set(folder, n_clips=10, seed=3)
    clips = [Path(line) for line in dict.fromkeys(question.video for question in made)]
    texts = {name: (folder / name).read_text() for name in ("questions.jsonl", "truth.jsonl")}
    for copy in range(1, 1 + N_QUESTIONS // len(made)):
        for clip in clips:
            os.link(folder / "clips" / clip.name, folder / "clips" / f"{clip.stem}x{copy}{clip.suffix}")
        for name, text in texts.items():
            with (folder / name).open("a") as file:
                file.write(re.sub(rf"\b({'|'.join(clip.stem for clip in clips)})\b", rf"\1x{copy}", text))
    return folder / "questions.jsonl"


def bench(asked: Path, folder: Path, *options: str) -> list[str]:
    measured = ["bench", "run", str(asked), "--out", str(folder), "--model", "arena-oracle", "--limit", str(N_QUESTIONS)]
    return [*DEEPSPORT, *measured, *options]


def files(folder: Path) -> dict[str, bytes]:
    """Of the result, the seconds of each episode set to 0."""
    made = {name: (folder / name).read_bytes() for name in ("episodes.jsonl", "scores.jsonl", "report.json", "config.toml")}
    made["episodes.jsonl"] = re.sub(rb'"seconds":[0-9.e+-]+', b'"seconds":0', made["episodes.jsonl"])
    return made


def n_lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def stopped_in_a_shard(host: Host) -> bool:
    """Stops a host in the middle of a shard, if it has one just then: it could else be through before the host is lost."""
    host.signal(signal.SIGSTOP, SHARD)
    stopped = any(title.startswith(SHARD) for title in host.processes().values())
    if not stopped:  # it came to its end between the look and the signal
        host.signal(signal.SIGCONT)
    return stopped


@pytest.mark.slow
def test_a_host_without_the_videos_is_named_and_no_question_is_counted_as_lost(
    hosts: tuple[Host, Host], asked: Path, unshared: Path, tmp_path: Path
) -> None:
    shutil.copytree(asked.parent, unshared / "arena", copy_function=os.link)
    head, other = hosts
    log = tmp_path / "said"
    started(head, head, log, *bench(unshared / "arena" / asked.name, tmp_path / "ray", "--executor", "ray")).wait(240)
    fault = rf"{unshared}/arena/clips/.+\.mp4 is not there on this host. Mount the folder .+ on host {other.name}\)"
    assert re.search(fault, log.read_text()), log.read_text()[-3000:]
    assert [file for file in (tmp_path / "ray").iterdir() if b"video_error" in file.read_bytes()] == []


@pytest.mark.slow
def test_a_lost_host_costs_its_running_shard_and_the_result_is_that_of_a_run_here(
    hosts: tuple[Host, Host], asked: Path, tmp_path: Path
) -> None:
    head, other = hosts
    log = tmp_path / "said"
    run = started(head, head, log, *bench(asked, tmp_path / "ray", "--executor", "ray"))
    episodes = tmp_path / "ray" / "episodes.jsonl"
    while run.poll() is None and not (n_lines(episodes) >= N_QUESTIONS // 5 and stopped_in_a_shard(other)):
        time.sleep(0.02)
    n_before = n_lines(episodes)
    other.cut_power()
    assert run.wait(240) == 0, log.read_text()[-3000:]
    said = log.read_text()
    assert n_before < N_QUESTIONS * 0.9, "it was lost in the middle"
    assert said.count("was lost and is run again") == 1, said[-3000:]

    subprocess.run(bench(asked, tmp_path / "here"), check=True, capture_output=True)
    assert files(tmp_path / "ray") == files(tmp_path / "here")
    assert n_lines(episodes) == N_QUESTIONS
    assert "video_error" not in episodes.read_text()
