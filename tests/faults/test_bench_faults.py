"""A benchmark run when disks, endpoints, videos, clocks and people misbehave: what is finished is kept, the rest is done later,
and the files of the result are those of a run that was left in peace. Kills have a test of their own."""

import contextlib
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deepsport.arena.generate import make_set
from deepsport.bench.recipe import BenchConfig, Protocol, settled
from deepsport.bench.suite import Outcome, run_bench
from deepsport.cli.main import app
from deepsport.errors import BadConfig, BadRecord, PolicyError, RunError, Stopped
from deepsport.policy.openai import EndpointConfig
from deepsport.records import FreeText, Question
from deepsport.run import Run
from model_server import Act, Hang, ModelServer, Request, Say, error

KEY = "sk-a-key-that-nobody-may-see"
RESULT = ("episodes.jsonl", "verdicts.jsonl", "scores.jsonl", "report.json")


def says(request: Request) -> Act:
    """Looks in two cases of three, and answers A or B; as a judge it likes what its hash likes."""
    chance = int(hashlib.sha256(json.dumps(request.body).encode()).hexdigest()[:8], 16)
    if request.body["model"] == "judge":
        return Say(text=json.dumps({"reason": "as the hash has it", "points": chance % 11}))
    if not any(message["role"] == "assistant" for message in request.body["messages"]) and chance % 3:
        look = {"action": "choose_frames", "frame_range": [chance % 40, chance % 40 + 12]}
        return Say(text=f"<think>Look.</think><tool_call>{json.dumps(look)}</tool_call>")
    return Say(text=f"<think>So.</think><answer>{'AB'[chance % 2]}</answer>")


class Line:
    """A server whose script may change while its address stays, since a recipe names the address."""

    def __init__(self) -> None:
        self.script: Callable[[Request], Act] = says

    def __call__(self, request: Request) -> Act:
        return self.script(request)


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def server(line: Line) -> Iterator[ModelServer]:
    with ModelServer(line) as running:
        yield running


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve questions about two clips, every other one of which only a judge can score."""
    folder = tmp_path_factory.mktemp("footage")
    made = make_set(folder, n_clips=2, seed=3)
    write(folder, [opened(question) if place % 2 else question for place, question in enumerate(made)])
    return folder


def opened(question: Question) -> Question:
    assert question.gold is not None
    return question.model_copy(update={"gold": FreeText(answer=f"{question.gold.answer}, beyond doubt")})


def asked(folder: Path) -> list[Question]:
    return [Question.model_validate_json(line) for line in (folder / "questions.jsonl").open()]


def write(folder: Path, questions: list[Question]) -> None:
    (folder / "questions.jsonl").write_text("".join(question.model_dump_json() + "\n" for question in questions))


@pytest.fixture
def mine(footage: Path, tmp_path: Path) -> Path:
    """The footage, to be damaged."""
    return Path(shutil.copytree(footage, tmp_path / "footage"))


def config_of(folder: Path, server: ModelServer, *, judge: bool = True, **settings: Any) -> BenchConfig:
    def of(model: str, **more: Any) -> EndpointConfig:
        return EndpointConfig(model=model, base_url=server.url, max_concurrent=4, max_retries=0, **more)

    known: dict[str, Any] = {"questions": str(folder / "questions.jsonl"), "concurrency": 4, "max_turns": 3}
    known |= {"endpoint": of("agent", prompt_usd=1.0, reply_usd=1.0)}
    known |= {"judge": of("judge", prompt_usd=1.0, reply_usd=1.0)} if judge else {}
    return settled(BenchConfig(**(known | settings)))


def measure(folder: Path, config: BenchConfig, **more: Any) -> Outcome:
    return run_bench(folder, config, nobody, **more)


def nobody() -> Any:
    raise AssertionError("no model is to be loaded")


def files(folder: Path) -> dict[str, bytes]:
    """Of the result, with the seconds of each episode at 0."""
    made = {name: (folder / name).read_bytes() for name in RESULT}
    return made | {"episodes.jsonl": re.sub(rb'"seconds":[0-9.e+-]+', b'"seconds":0', made["episodes.jsonl"])}


@pytest.fixture
def quiet(footage: Path, server: ModelServer, tmp_path: Path) -> dict[str, bytes]:
    """The result of a run left in peace; the server has forgotten it."""
    measure(tmp_path / "quiet", config_of(footage, server))
    server.requests.clear()
    return files(tmp_path / "quiet")


# Records


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 40)


def stopped_run(folder: Path, footage: Path, server: ModelServer, line: Line, *, after: int = 14) -> Path:
    """A run whose server went down after so many requests, and is back."""
    line.script = lambda request: says(request) if len(server.requests) <= after else error(500, "down")
    measure(folder, config_of(footage, server))
    line.script = says
    return folder


def test_a_torn_last_line_is_asked_again_and_nothing_else(
    footage: Path, server: ModelServer, line: Line, quiet: dict[str, bytes], tmp_path: Path
) -> None:
    run = stopped_run(tmp_path / "run", footage, server, line)
    cut_off(run / "episodes.jsonl")
    measure(run, config_of(footage, server))
    assert files(run) == quiet


@pytest.mark.parametrize("name", ["episodes.jsonl", "verdicts.jsonl"])
def test_a_damaged_line_is_named_with_file_and_number(
    name: str, footage: Path, server: ModelServer, line: Line, tmp_path: Path
) -> None:
    line.script = lambda request: error(500, "down") if request.body["model"] == "judge" else says(request)
    measure(tmp_path / "run", config_of(footage, server))
    path = tmp_path / "run" / name
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b'{"half": \n', *lines[1:]]))
    with pytest.raises(BadRecord, match=rf"{name}:2 is not a valid .* Mend or remove the line"):
        measure(tmp_path / "run", config_of(footage, server))


@pytest.mark.parametrize("version", [0, 99])
def test_a_record_of_another_schema_says_what_to_read_it_with(
    version: int, footage: Path, server: ModelServer, line: Line, tmp_path: Path
) -> None:
    run = stopped_run(tmp_path / "run", footage, server, line)
    text = (run / "episodes.jsonl").read_text().replace('"schema_version":1', f'"schema_version":{version}', 1)
    (run / "episodes.jsonl").write_text(text)
    with pytest.raises(BadRecord, match=rf"record schema {version}; this deepsport reads schema 1\. .* or start a fresh run"):
        measure(run, config_of(footage, server))


def test_a_report_of_another_version_is_made_anew_from_the_answers(
    footage: Path, server: ModelServer, quiet: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "quiet/report.json").write_text('{"of": "another version"}')
    measure(tmp_path / "quiet", config_of(footage, server))
    assert files(tmp_path / "quiet") == quiet
    assert server.requests == []


def test_a_finished_run_is_told_again_and_nothing_is_asked_or_written(
    footage: Path, server: ModelServer, quiet: dict[str, bytes], tmp_path: Path
) -> None:
    def written() -> dict[str, int]:
        return {name: (tmp_path / "quiet" / name).stat().st_mtime_ns for name in (*RESULT, "report.html", "timing.json")}

    before = written()
    outcome = measure(tmp_path / "quiet", config_of(footage, server))
    assert outcome.report.model_dump_json(indent=1) + "\n" == quiet["report.json"].decode()
    assert outcome.usd > 0
    assert (server.requests, written()) == ([], before)


def test_a_run_killed_while_it_writes_its_second_result_does_not_tell_the_first_one(
    footage: Path, server: ModelServer, line: Line, quiet: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stopped_run(tmp_path / "run", footage, server, line)

    def killed(self: Run, name: str, content: str | bytes) -> Path:
        if name == "report.json":
            raise KeyboardInterrupt
        return write_file(self, name, content)

    write_file = Run.write
    monkeypatch.setattr(Run, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        measure(run, config_of(footage, server))
    monkeypatch.undo()
    measure(run, config_of(footage, server))
    assert files(run) == quiet


# Disks


@contextlib.contextmanager
def cramped(folder: Path, n_bytes: int) -> Iterator[None]:
    """A folder where little can be written: a small disk, or a limit on files where none may be mounted."""
    folder.mkdir()
    size = f"size={n_bytes}"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], capture_output=True, check=False).returncode == 0:
        try:
            yield
        finally:
            subprocess.run(["umount", folder], check=True)
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes // 4, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("n_bytes", [80_000, 130_000, 180_000])
def test_a_full_disk_is_told_and_the_run_goes_on_elsewhere(
    n_bytes: int, footage: Path, server: ModelServer, quiet: dict[str, bytes], tmp_path: Path
) -> None:
    with cramped(tmp_path / "disk", n_bytes):
        with pytest.raises(RunError, match=r"disk.*full|File too large"):
            measure(tmp_path / "disk/run", config_of(footage, server))
        shutil.copytree(tmp_path / "disk/run", tmp_path / "roomy")
    measure(tmp_path / "roomy", config_of(footage, server))
    assert files(tmp_path / "roomy") == quiet


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_asked(
    footage: Path, server: ModelServer, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="a part of this path is a file"):
        measure(tmp_path / "file/run", config_of(footage, server))
    assert server.requests == []


def test_a_disk_that_may_only_be_read_is_told_before_anything_is_asked(
    footage: Path, server: ModelServer, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(tmp_path / "disk")]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a file system here")
    try:
        with pytest.raises(RunError, match=r"the file system is read-only\. Choose a folder that can be written"):
            measure(tmp_path / "disk/run", config_of(footage, server))
    finally:
        subprocess.run(["umount", tmp_path / "disk"], check=True)
    assert server.requests == []


def test_two_processes_do_not_share_a_run(footage: Path, server: ModelServer, tmp_path: Path) -> None:
    with Run.open(tmp_path / "run", None), pytest.raises(RunError, match=rf"is in use by process {os.getpid()}"):
        measure(tmp_path / "run", config_of(footage, server))
    assert server.requests == []


def test_a_run_may_be_moved_and_goes_on(
    footage: Path, server: ModelServer, line: Line, quiet: dict[str, bytes], tmp_path: Path
) -> None:
    stopped_run(tmp_path / "run", footage, server, line).rename(tmp_path / "elsewhere")
    measure(tmp_path / "elsewhere", config_of(footage, server))
    assert files(tmp_path / "elsewhere") == quiet


def test_a_clock_that_goes_back_changes_nothing(
    footage: Path, server: ModelServer, line: Line, quiet: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stopped_run(tmp_path / "run", footage, server, line)
    for file in run.iterdir():
        os.utime(file, (4e9, 4e9))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 1e8)
    measure(run, config_of(footage, server))
    assert files(run) == quiet


# What is asked


def test_another_configuration_is_refused_with_the_difference(
    footage: Path, server: ModelServer, line: Line, tmp_path: Path
) -> None:
    run = stopped_run(tmp_path / "run", footage, server, line)
    with pytest.raises(RunError, match=r"(?s)another configuration:.*- max_turns = 3.*\+ max_turns = 4.*--fresh"):
        measure(run, config_of(footage, server, max_turns=4))


def test_pace_and_price_may_change_and_the_figures_have_the_price_of_the_last_attempt(
    footage: Path, server: ModelServer, line: Line, tmp_path: Path
) -> None:
    run, config = stopped_run(tmp_path / "run", footage, server, line), config_of(footage, server)
    assert config.endpoint is not None
    dear = config.endpoint.model_copy(update={"prompt_usd": 10.0, "reply_usd": 10.0, "max_concurrent": 2})
    first, second = json.loads((run / "report.json").read_text()), measure(run, config.model_copy(update={"endpoint": dear}))
    before = first["systems"]["agent"]["usd_per_question"]
    assert (second.report.systems["agent"].usd_per_question or 0) > 5 * before > 0
    assert "prompt_usd = 10.0" in (run / "config.toml").read_text()


@pytest.mark.parametrize("change", ["text", "gold", "order", "one more"])
def test_other_questions_are_refused(change: str, mine: Path, server: ModelServer, line: Line, tmp_path: Path) -> None:
    run, questions = stopped_run(tmp_path / "run", mine, server, line), asked(mine)
    match change:
        case "text":
            questions[0] = questions[0].model_copy(update={"text": "And now?"})
        case "gold":
            questions[1] = questions[1].model_copy(update={"gold": FreeText(answer="something else")})
        case "order":
            questions.reverse()
        case _:
            questions.append(questions[0].model_copy(update={"id": "one more"}))
    write(mine, questions)
    with pytest.raises(RunError, match=r"was begun with other questions\. Use another folder, or start afresh"):
        measure(run, config_of(mine, server))


def test_an_empty_set_is_refused(mine: Path, server: ModelServer, tmp_path: Path) -> None:
    write(mine, [])
    with pytest.raises(BadRecord, match="holds no question"):
        measure(tmp_path / "run", config_of(mine, server))


@pytest.mark.parametrize("protocol", [Protocol.AGENT, Protocol.MAJORITY])
def test_an_id_that_stands_twice_is_refused_before_anything_is_asked(
    protocol: Protocol, mine: Path, server: ModelServer, tmp_path: Path
) -> None:
    write(mine, [*asked(mine), asked(mine)[3]])
    with pytest.raises(BadRecord, match=f"two questions have the id {asked(mine)[3].id!r}"):
        measure(tmp_path / "run", config_of(mine, server, protocol=protocol))
    assert server.requests == []


def test_a_video_that_goes_away_between_attempts_costs_its_open_questions_only_until_it_is_back(
    mine: Path, server: ModelServer, line: Line, tmp_path: Path
) -> None:
    measure(tmp_path / "quiet", config_of(mine, server))
    server.requests.clear()
    run, clips = stopped_run(tmp_path / "run", mine, server, line, after=6), mine / "clips"
    clips.rename(tmp_path / "away")
    without = measure(run, config_of(mine, server))
    assert [reason.split(";")[0] for reason in without.unscored if "video" in reason] == ["the video cannot be read"]
    assert (run / "report.html").is_file()
    (tmp_path / "away").rename(clips)
    assert measure(run, config_of(mine, server)).n_open == 0
    assert files(run) == files(tmp_path / "quiet")


# Endpoints


@pytest.mark.parametrize(("fault", "told"), [(error(401, "bad key"), "OPENAI_API_KEY"), (error(500, "down"), "500")])
def test_an_endpoint_that_is_dead_from_the_start_ends_the_run_with_the_reason(
    fault: Act, told: str, footage: Path, server: ModelServer, line: Line, tmp_path: Path
) -> None:
    line.script = lambda _: fault
    with pytest.raises(PolicyError, match=rf"each of the first 16 episodes was lost(?s:.)*{told}"):
        measure(tmp_path / "run", config_of(footage, server, runs=8))
    assert len(server.requests) < 24


def test_an_endpoint_that_dies_midway_ends_the_run_and_what_it_said_is_kept(
    footage: Path, server: ModelServer, line: Line, tmp_path: Path
) -> None:
    config = config_of(footage, server, runs=10)
    measure(tmp_path / "quiet", config)
    n_all = len(server.requests)
    server.requests.clear()
    line.script = lambda request: says(request) if len(server.requests) <= 40 else error(503, "overloaded")
    with pytest.raises(PolicyError, match=r"64 episodes in a row were lost.*What is finished is kept"):
        measure(tmp_path / "run", config)
    n_before, line.script = len(server.requests), says
    measure(tmp_path / "run", config)
    assert len(server.requests) - n_before == n_all - 40
    assert files(tmp_path / "run") == files(tmp_path / "quiet")


def test_questions_that_an_endpoint_always_refuses_do_not_keep_a_run_from_its_end(
    footage: Path, server: ModelServer, line: Line, tmp_path: Path
) -> None:
    line.script = lambda request: error(413, "too large") if request.body["seed"] % 2 else says(request)
    config = config_of(footage, server, judge=False, runs=10)
    first, second = (measure(tmp_path / "run", config) for _ in range(2))
    assert first.report.systems["agent"].stop_reasons == second.report.systems["agent"].stop_reasons
    assert first.n_open > 32


def test_a_key_that_is_not_set_is_told_before_anything_is_asked(footage: Path, server: ModelServer, tmp_path: Path) -> None:
    config = config_of(footage, server)
    assert config.judge is not None
    judge = config.judge.model_copy(update={"api_key_env": "NOBODYS_KEY"})
    with pytest.raises(BadConfig, match="NOBODYS_KEY, which is not set"):
        measure(tmp_path / "run", config.model_copy(update={"judge": judge}))
    assert server.requests == []


def test_the_key_is_in_no_file_of_the_run(
    footage: Path, server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    config = config_of(footage, server)
    assert config.endpoint is not None
    measure(
        tmp_path / "run", config.model_copy(update={"endpoint": config.endpoint.model_copy(update={"api_key_env": "MY_KEY"})})
    )
    assert f"Bearer {KEY}" in {request.headers["authorization"] for request in server.requests}
    made = [file for file in (tmp_path / "run").rglob("*") if file.is_file()]
    assert len(made) >= 9
    assert [file.name for file in made if KEY.encode() in file.read_bytes()] == []


@pytest.mark.parametrize("down", [error(503, "down"), Say(text="Very good!")], ids=["unreachable", "unreadable"])
def test_a_judge_that_is_down_fails_no_run_and_is_asked_again_later(
    down: Act, footage: Path, server: ModelServer, line: Line, quiet: dict[str, bytes], tmp_path: Path
) -> None:
    line.script = lambda request: down if request.body["model"] == "judge" else says(request)
    first = measure(tmp_path / "run", config_of(footage, server))
    [(why, n)] = first.unscored.items()
    assert n == quiet["verdicts.jsonl"].count(b"\n")
    n_before, line.script = len(server.requests), says
    measure(tmp_path / "run", config_of(footage, server))
    asked_again = Counter(request.body["model"] for request in server.requests[n_before:])
    if isinstance(down, Say):  # it did answer: that stands
        assert (why, asked_again) == ("the judge's reply could not be read", {})
    else:
        assert "could not be reached" in why
        assert set(asked_again) == {"judge"}
        assert files(tmp_path / "run") == quiet


def test_a_judge_that_is_down_is_not_asked_about_every_answer(
    footage: Path, server: ModelServer, line: Line, tmp_path: Path
) -> None:
    def differs(request: Request) -> Act:
        """No two answers alike: an answer that is being asked about already would not be asked about again."""
        if request.body["model"] == "judge":
            return error(401, "no")
        return Say(text=f"<think>So.</think><answer>{request.body['seed']}</answer>")

    line.script = differs
    outcome = measure(tmp_path / "run", config_of(footage, server, runs=10))
    n_asked = sum(request.body["model"] == "judge" for request in server.requests)
    [(why, n)] = outcome.unscored.items()
    assert n_asked < 24 < n
    assert "deepsport bench rejudge" in why


def test_the_first_answer_lost_ends_a_run_that_is_to_fail_on_errors(
    footage: Path, server: ModelServer, line: Line, quiet: dict[str, bytes], tmp_path: Path
) -> None:
    line.script = lambda request: says(request) if len(server.requests) != 9 else error(413, "request too large")
    with pytest.raises(Stopped, match=r"question .* was lost: .*413.* What is finished is kept"):
        measure(tmp_path / "run", config_of(footage, server, concurrency=1), fail_on_error=True)
    assert len(server.requests) == 9
    measure(tmp_path / "run", config_of(footage, server), fail_on_error=True)
    assert files(tmp_path / "run") == quiet


# Money and people


def test_a_run_stops_at_its_limit_of_cost_and_goes_on_with_a_higher_one(
    footage: Path, server: ModelServer, quiet: dict[str, bytes], tmp_path: Path
) -> None:
    with pytest.raises(Stopped, match=r"of at most \$0\.0150 are spent.*higher --max-cost"):
        measure(tmp_path / "run", config_of(footage, server), max_usd=0.015)
    n_first = len(server.requests)
    outcome = measure(tmp_path / "run", config_of(footage, server), max_usd=10.0)
    assert 0 < n_first < len(server.requests) == len({json.dumps(request.body) for request in server.requests})
    assert outcome.usd == pytest.approx(107e-6 * len(server.requests))
    assert files(tmp_path / "run") == quiet


@pytest.mark.parametrize("table", ["endpoint", "judge"])
def test_a_limit_of_cost_without_prices_is_refused(table: str, footage: Path, server: ModelServer, tmp_path: Path) -> None:
    config = config_of(footage, server)
    free = getattr(config, table).model_copy(update={"prompt_usd": 0.0, "reply_usd": 0.0})
    with pytest.raises(BadConfig, match=rf"--max-cost limits nothing at \[{table}\]"):
        measure(tmp_path / "run", config.model_copy(update={table: free}), max_usd=1.0)


@pytest.mark.parametrize("fault", ["price", "key", "address"])
def test_what_cannot_be_asked_is_told_before_an_earlier_run_is_deleted(
    fault: str, footage: Path, server: ModelServer, tmp_path: Path
) -> None:
    config = config_of(footage, server)
    measure(tmp_path / "run", config)
    before = files(tmp_path / "run")
    wrong = {"price": {"prompt_usd": 0.0, "reply_usd": 0.0}, "key": {"api_key_env": "NOBODYS_KEY"}, "address": {"base_url": "?"}}
    judge = config.judge and config.judge.model_copy(update=wrong[fault])
    with pytest.raises(BadConfig):
        measure(tmp_path / "run", config.model_copy(update={"judge": judge}), max_usd=1.0, fresh=True)
    assert files(tmp_path / "run") == before


def test_another_price_of_a_finished_run_changes_its_figures_and_asks_nothing(
    footage: Path, server: ModelServer, quiet: dict[str, bytes], tmp_path: Path
) -> None:
    config = config_of(footage, server)
    before = json.loads(quiet["report.json"])["systems"]["agent"]["usd_per_question"]
    dear = config.endpoint and config.endpoint.model_copy(update={"prompt_usd": 2.0, "reply_usd": 2.0})
    outcome = measure(tmp_path / "quiet", config.model_copy(update={"endpoint": dear}))
    assert outcome.report.systems["agent"].usd_per_question == pytest.approx(2 * before)
    assert server.requests == []


@pytest.mark.parametrize("place", ["report.json", "timing.json", "report.html"])
def test_a_run_killed_while_it_writes_figures_at_another_price_does_not_tell_those_at_the_first_one(
    place: str, footage: Path, server: ModelServer, quiet: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: Run, name: str, content: str | bytes) -> Path:
        if name == place:
            raise KeyboardInterrupt
        return write_file(self, name, content)

    config, write_file = config_of(footage, server), Run.write
    dear = config.endpoint and config.endpoint.model_copy(update={"prompt_usd": 2.0, "reply_usd": 2.0})
    monkeypatch.setattr(Run, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        measure(tmp_path / "quiet", config.model_copy(update={"endpoint": dear}))
    monkeypatch.undo()
    before = json.loads(quiet["report.json"])["systems"]["agent"]["usd_per_question"]
    outcome = measure(tmp_path / "quiet", config.model_copy(update={"endpoint": dear}))
    assert outcome.report.systems["agent"].usd_per_question == pytest.approx(2 * before)


def test_while_a_model_is_loaded_an_interrupt_is_heard(footage: Path, server: ModelServer, tmp_path: Path) -> None:
    def load() -> Any:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("it went on loading")

    with pytest.raises(KeyboardInterrupt):
        run_bench(tmp_path / "run", config_of(footage, server, endpoint=None), load)


def command(footage: Path, server: ModelServer, folder: Path) -> list[str]:
    endpoint = ["--endpoint", server.url, "--model", "agent", "--concurrency", "2", "endpoint.max_retries=0"]
    return [sys.executable, "-m", "deepsport.cli", "bench", "run", str(footage / "questions.jsonl"), "-o", str(folder), *endpoint]


def test_the_first_interrupt_lets_what_is_in_flight_end_and_nothing_is_asked_again(
    footage: Path, server: ModelServer, line: Line, tmp_path: Path
) -> None:
    gate, begun = threading.Event(), threading.Event()

    def slow(request: Request) -> Act:
        if len(server.requests) >= 4:
            begun.set()
            gate.wait(20)
        return says(request)

    line.script = slow
    run = subprocess.Popen(command(footage, server, tmp_path / "run"), stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    assert begun.wait(30)
    run.send_signal(signal.SIGINT)
    time.sleep(0.3)
    n_asked = len(server.requests)
    gate.set()
    _, told = run.communicate(timeout=30)
    assert run.returncode == 2
    assert b"finishing what is in flight" in told
    assert b"interrupted. What is finished is kept" in told
    assert len(server.requests) == n_asked
    line.script = says
    assert subprocess.run(command(footage, server, tmp_path / "run"), capture_output=True, timeout=60).returncode == 0
    assert max(Counter(json.dumps(request.body) for request in server.requests).values()) == 1


def test_the_second_interrupt_ends_the_run_at_once(footage: Path, server: ModelServer, line: Line, tmp_path: Path) -> None:
    line.script = lambda _: Hang(60)
    run = subprocess.Popen(command(footage, server, tmp_path / "run"), stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    while not server.requests and run.poll() is None:
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert run.poll() is None  # what is in flight may end
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=10)
    assert run.returncode != 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--passive", "8", "--blind"], "--passive and --blind exclude each other"),
        (["--endpoint", "http://127.0.0.1:9/v1"], "--endpoint needs the name of a model"),
        (["--native-tools"], "native_tools is for servers"),
        (["max_turn=3"], "Did you mean max_turns"),
        (["--judge-endpoint", "http://127.0.0.1:9/v1"], "a judge needs both --judge-endpoint and --judge-model"),
        (["--endpoint", "not an address", "--model", "m"], "is not the address of an endpoint"),
        (["--model", "arena-oracle"], "holds no arena set"),
        (["--model", "nanno"], "there is no model 'nanno'"),
    ],
)
def test_what_cannot_be_measured_is_one_line_and_exit_code_2(arguments: list[str], told: str, mine: Path, tmp_path: Path) -> None:
    (mine / "truth.jsonl").unlink()
    ran = CliRunner().invoke(app, ["bench", "run", str(mine / "questions.jsonl"), "-o", str(tmp_path / "run"), *arguments])
    assert ran.exit_code == 2
    assert told in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_run_that_has_scored_nothing_has_not_measured(mine: Path, server: ModelServer, line: Line, tmp_path: Path) -> None:
    line.script = lambda _: error(401, "no")
    asked = ["--endpoint", server.url, "--model", "m", "--limit", "1", "-o", str(tmp_path / "run")]
    ran = CliRunner().invoke(app, ["bench", "run", str(mine / "questions.jsonl"), *asked])
    assert ran.exit_code == 2
    assert "nothing was scored" in ran.stderr
