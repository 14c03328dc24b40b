"""kill -9 at 20 random points of one benchmark run: every file of the result is the same as that of a run left in peace.

The real command against a real server, a model that looks before it answers and a judge. Seventeen kills fall at random requests,
three while the files of the result are written.
"""

import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deepsport.arena.generate import make_set
from deepsport.records import FreeText, Question
from hashed_words import n_distinct, says
from model_server import ModelServer

N_KILLS, IN_FLIGHT = 20, 4
LAST = ("report.json", "timing.json", "report.html")
"""Files that appear at the end; the last kills wait for one each."""

RECIPE = """
runs = 2
temperature = 0.7
concurrency = {in_flight}
max_turns = 3

[endpoint]
model = "agent"
base_url = "{url}"
max_concurrent = {in_flight}

[judge]
model = "judge"
base_url = "{url}"
max_concurrent = {in_flight}
"""


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips' questions, every other one of which only a judge can score."""
    folder = tmp_path_factory.mktemp("arena")
    made = make_set(folder, n_clips=4, seed=3)
    opened = [_opened(question) if place % 2 else question for place, question in enumerate(made)]
    (folder / "questions.jsonl").write_text("".join(question.model_dump_json() + "\n" for question in opened))
    return folder / "questions.jsonl"


def _opened(question: Question) -> Question:
    assert question.gold is not None
    return question.model_copy(update={"gold": FreeText(answer=f"{question.gold.answer}, beyond doubt")})


def start(asked: Path, recipe: Path, folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "deepsport.cli", "bench", "run", str(asked), "--recipe", str(recipe), "-o", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(asked: Path, recipe: Path, folder: Path) -> None:
    child = start(asked, recipe, folder)
    _, fault = child.communicate(timeout=120)
    assert child.returncode == 0, fault.decode()[-2000:]


def killed_once(child: "subprocess.Popen[bytes]", is_time: Callable[[], bool], delay_s: float) -> bool:
    """Whether the kill came before the child was through."""
    while not is_time() and child.poll() is None:
        time.sleep(0.001)
    time.sleep(delay_s)
    child.kill()
    return child.wait() == -signal.SIGKILL


def files(folder: Path) -> dict[str, bytes]:
    """Of the result, the seconds of each episode set to 0."""
    made = {name: (folder / name).read_bytes() for name in ("episodes.jsonl", "verdicts.jsonl", "scores.jsonl", "report.json")}
    made["episodes.jsonl"] = re.sub(rb'"seconds":[0-9.e+-]+', b'"seconds":0', made["episodes.jsonl"])
    return made


@pytest.mark.slow
def test_a_run_killed_20_times_ends_with_the_files_of_one_that_was_left_in_peace(tmp_path: Path, asked: Path) -> None:
    n_questions = len(asked.read_text().splitlines())
    with ModelServer(says) as server:
        recipe, chance = tmp_path / "recipe.toml", random.Random(5)
        recipe.write_text(RECIPE.format(url=server.url, in_flight=IN_FLIGHT))
        finish(asked, recipe, tmp_path / "quiet")
        n_all = len(server.requests)
        server.requests.clear()
        points = sorted(chance.sample(range(1, n_all), N_KILLS - len(LAST)))
        moments: list[tuple[Callable[[], bool], float]] = [
            (lambda point=point: n_distinct(server) >= point, chance.uniform(0, 0.02)) for point in points
        ]
        moments += [(lambda name=name: (tmp_path / "killed" / name).exists(), 0.0) for name in LAST]
        kills = [killed_once(start(asked, recipe, tmp_path / "killed"), *moment) for moment in moments]
        on_record = len((tmp_path / "killed/episodes.jsonl").read_bytes().splitlines())
        finish(asked, recipe, tmp_path / "killed")
        n_asked = len(server.requests)
        killed, quiet = files(tmp_path / "killed"), files(tmp_path / "quiet")
    assert kills == [True] * N_KILLS
    assert on_record == 2 * n_questions, "nothing finished was lost or doubled"
    assert killed == quiet
    assert quiet["scores.jsonl"].count(b"\n") == 2 * n_questions
    assert quiet["verdicts.jsonl"].count(b"\n") > n_questions // 2
    assert n_distinct(server) == n_all > 2 * n_questions
    assert n_asked - n_all <= N_KILLS * IN_FLIGHT, "at most what was in flight was asked twice"
