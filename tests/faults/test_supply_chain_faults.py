"""What an installation brings along and whom it talks to: nobody, unless a command was given an address.

The lock, the wheel, and code from files are held to their rules in tests/unit/test_house.py.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deepsport.arena.generate import make_set

WATCHED = """
import json, sys
calls = []
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind"):
        where = args[0] if event == "socket.getaddrinfo" else args[1]
        calls.append([event, where if isinstance(where, str) else str(where)])
sys.addaudithook(watch)
try:
    {code}
except SystemExit:
    pass
print(json.dumps(calls), file=sys.stderr)
"""
COMMAND = "sys.argv = {argv!r}\n    from deepsport.cli.main import app; app()"


def addresses(code: str, folder: Path) -> list[list[str]]:
    """What a program of its own asks the network for."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED.format(code=code)], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stderr.splitlines()[-1])


def command(*arguments: str) -> str:
    return COMMAND.format(argv=["deepsport", *arguments])


def test_the_watch_sees_a_program_that_asks_the_network(tmp_path: Path) -> None:
    code = "import socket; socket.getaddrinfo('localhost', 9)"
    assert addresses(code, tmp_path) == [["socket.getaddrinfo", "localhost"]]


@pytest.mark.parametrize(
    "code",
    ["import deepsport", command("--help"), command("doctor"), command("data", "sources")],
    ids=["import", "help", "doctor", "sources"],
)
def test_no_command_talks_to_anybody_by_itself(code: str, tmp_path: Path) -> None:
    assert addresses(code, tmp_path) == []


def test_asking_the_model_that_comes_with_the_package_talks_to_nobody(tmp_path: Path) -> None:
    clip = make_set(tmp_path, n_clips=1, seed=5, sports=("soccer",))[0].video
    assert addresses(command("ask", str(clip), "How was the goal scored?", "--json"), tmp_path) == []


def test_no_package_of_the_lock_was_chosen_to_watch_its_users() -> None:
    lock = (Path(__file__).resolve().parents[2] / "requirements.lock").read_text(encoding="utf-8")
    names = {line.split("==")[0].casefold() for line in lock.splitlines() if "==" in line}
    assert names & {"sentry-sdk", "posthog", "analytics-python", "opentelemetry-sdk", "wandb", "scarf", "mixpanel"} == set()
