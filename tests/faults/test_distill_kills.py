"""kill -9 at ten random points of a distillation: what is kept is the same to the byte, and nothing that was answered is asked
again.

The server says which reply it gave to which request, and the file of replies is read after every kill: a request whose reply is
in it must never come again. What was in flight when the process died may.
"""

import hashlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from deepsport.arena.generate import make_set
from deepsport.bench.endpoints import REPLIES
from deepsport.records import Question
from model_server import Act, ModelServer, Request, Say

N_KILLS, IN_FLIGHT = 10, 4

RECIPE = """
questions = {questions}
samples = 3
keep = 2
hints = "given"

[limits]
max_turns = 4

[teacher]
model = "teacher"
base_url = "{url}"
max_concurrent = {in_flight}
prompt_usd = 1.0
reply_usd = 2.0

[writer]
model = "writer"
base_url = "{url}"
max_concurrent = {in_flight}

[judge]
model = "judge"
base_url = "{url}"
max_concurrent = {in_flight}
"""


class Teacher:
    """Looks, then gives the right answer two times out of three; its judge likes what has an even hash. Every reply is a function
    of its request. Slow enough to be killed."""

    def __init__(self, questions: list[Question]) -> None:
        self._answers = {question.text: gold.answer for question in questions if (gold := question.gold) is not None}

    def __call__(self, request: Request) -> Act:
        time.sleep(0.01)
        said = json.dumps(request.body, ensure_ascii=False)
        place = hashlib.sha256(said.encode()).hexdigest()
        say = {"teacher": self._act, "writer": self._state, "judge": self._judge}[request.body["model"]]
        return Say(text=say(request, said, int(place[:6], 16)), message={"reasoning_content": ""}, usage=_usage(said, place))

    def _state(self, request: Request, said: str, chance: int) -> str:
        gold = json.loads(request.body["messages"][-1]["content"])["gold"]
        return f"What the annotation proves is {gold['answer']}."

    def _judge(self, request: Request, said: str, chance: int) -> str:
        return json.dumps({"reason": "as the hash has it", "points": 9 if chance % 2 else 3})

    def _act(self, request: Request, said: str, chance: int) -> str:
        n_turns = sum(message["role"] == "assistant" for message in request.body["messages"])
        if n_turns < 1 + chance % 2:
            start = chance % 40 + 5 * n_turns
            look = {"action": "choose_frames", "frame_range": [start, start + 12 + n_turns]}
            return f"<think>Look {chance} between the frames.</think><tool_call>{json.dumps(look)}</tool_call>"
        right = next(answer for text, answer in self._answers.items() if json.dumps(text, ensure_ascii=False)[1:-1] in said)
        return f"<think>Seen at last, {chance}.</think><answer>{right if chance % 3 else 'nothing'}</answer>"


def _usage(said: str, place: str) -> dict[str, object]:
    """Token counts; the request's hash travels along, so that a reply on disk names its request."""
    return {"prompt_tokens": len(said) // 100, "completion_tokens": 9, "request": place}


def place_of(request: Request) -> str:
    return hashlib.sha256(json.dumps(request.body, ensure_ascii=False).encode()).hexdigest()


def n_distinct(server: ModelServer) -> int:
    return len({place_of(request) for request in list(server.requests)})


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arena")
    make_set(folder, n_clips=4, seed=3)
    (folder / "truth.jsonl").unlink()  # so that it is footage like any other
    return folder


def start(recipe: Path, folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "deepsport.cli", "distill", str(recipe), "-o", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(recipe: Path, folder: Path) -> None:
    child = start(recipe, folder)
    _, fault = child.communicate(timeout=120)
    assert child.returncode == 0, fault.decode()[-2000:]


def kept_replies(folder: Path) -> set[str]:
    """Hashes of the requests whose replies are on disk."""
    if not (folder / REPLIES).exists():
        return set()
    with sqlite3.connect(folder / REPLIES) as replies:
        try:
            bodies = replies.execute("SELECT body FROM replies").fetchall()
        except sqlite3.OperationalError:  # killed before the table was made
            return set()
    return {json.loads(body)["usage"]["request"] for (body,) in bodies}


@pytest.mark.slow
def test_a_distillation_killed_ten_times_keeps_the_same_and_asks_nothing_again(tmp_path: Path, arena: Path) -> None:
    questions = [Question.model_validate_json(line) for line in (arena / "questions.jsonl").open()]
    with ModelServer(Teacher(questions)) as server:
        recipe = tmp_path / "recipe.toml"
        text = RECIPE.format(questions=json.dumps(str(arena / "questions.jsonl")), url=server.url, in_flight=IN_FLIGHT)
        recipe.write_text(text)
        finish(recipe, tmp_path / "undisturbed")
        n_all = len(server.requests)
        assert max(Counter(map(place_of, server.requests)).values()) == 1

        server.requests.clear()
        chance, n_killed = random.Random(11), 0
        known: list[tuple[int, set[str]]] = []
        for point in sorted(chance.sample(range(1, n_all), N_KILLS)):
            child = start(recipe, tmp_path / "killed")
            while n_distinct(server) < point and child.poll() is None:
                time.sleep(0.002)
            time.sleep(chance.random() * 0.02)
            child.kill()
            n_killed += child.wait() == -signal.SIGKILL
            time.sleep(0.1)  # the server ends what it had begun
            known.append((len(server.requests), kept_replies(tmp_path / "killed")))
        finish(recipe, tmp_path / "killed")
        asked = [place_of(request) for request in server.requests]

    assert [place for n_before, on_disk in known for place in asked[n_before:] if place in on_disk] == []
    assert len(known[-1][1]) > n_all // 2
    assert len(set(asked)) == n_all
    assert len(asked) - n_all <= N_KILLS * IN_FLIGHT
    assert n_killed == N_KILLS
    for name in ("kept.jsonl", "report.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()
    assert (tmp_path / "killed" / "kept.jsonl").read_bytes().count(b"\n") > 5
