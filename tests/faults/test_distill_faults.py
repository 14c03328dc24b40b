"""Distillation when endpoints, videos, disks and people misbehave: what is finished is kept, and the rest is done later."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from typer.testing import CliRunner

from deepsport.arena.generate import make_set
from deepsport.cli.main import app
from deepsport.data.distill.distill import run_distill
from deepsport.data.distill.recipe import DistillRecipe, TeacherConfig
from deepsport.data.distill.report import DistillReport
from deepsport.errors import BadConfig, BadRecord, PolicyError, RunError, Stopped
from deepsport.policy.openai import EndpointConfig
from deepsport.records import Question
from model_server import Act, Hang, ModelServer, Request, Say, error

KEY = "sk-a-key-that-nobody-may-see"


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight closed questions about two clips, of which nobody knows that they are of the arena."""
    folder = tmp_path_factory.mktemp("footage")
    made = make_set(folder, n_clips=2, seed=3)
    chosen = [question for question in made if question.gold and question.gold.kind == "choice"]
    (folder / "questions.jsonl").write_text("".join(question.model_dump_json() + "\n" for question in chosen))
    (folder / "truth.jsonl").unlink()
    return folder


@pytest.fixture(scope="module")
def answers(footage: Path) -> dict[str, str]:
    return {question.text: str(question.gold.answer) for question in asked(footage) if question.gold}


def asked(folder: Path) -> list[Question]:
    return [Question.model_validate_json(line) for line in (folder / "questions.jsonl").open()]


def knows(answers: dict[str, str]) -> Callable[[Request], Act]:
    """A teacher that looks once, over the whole clip, and then says what is right."""

    def act(request: Request) -> Act:
        said = json.dumps(request.body, ensure_ascii=False)
        if not any(message["role"] == "assistant" for message in request.body["messages"]):
            look = json.dumps({"action": "choose_frames", "frame_range": [1, 60]})
            return Say(text=f"<think>Nothing has happened yet.</think><tool_call>{look}</tool_call>")
        text = next(text for text in answers if json.dumps(text, ensure_ascii=False)[1:-1] in said)
        return Say(text=f"<think>Now it is plain to see.</think><answer>{answers[text]}</answer>")

    return act


def recipe_of(folder: Path, url: str, **settings: Any) -> DistillRecipe:
    teacher = TeacherConfig(model="t", base_url=url, max_concurrent=4, max_retries=0, prompt_usd=1.0, reply_usd=1.0)
    known: dict[str, Any] = {"questions": str(folder / "questions.jsonl"), "teacher": teacher, "samples": 1}
    return DistillRecipe(**(known | settings))


class Changing:
    """A server whose script may change while its address stays, since a recipe names the address."""

    def __init__(self) -> None:
        self.script: Callable[[Request], Act] = lambda _: error(500, "no script")

    def __call__(self, request: Request) -> Act:
        return self.script(request)


@pytest.fixture
def line() -> Changing:
    return Changing()


@pytest.fixture
def server(line: Changing) -> Any:
    with ModelServer(line) as running:
        yield running


def reasons(report: DistillReport) -> dict[str, int]:
    return {dropped.reason: dropped.n_times for dropped in report.dropped}


# Endpoints


@pytest.mark.parametrize(
    ("fault", "told"),
    [(error(401, "bad key"), "Set OPENAI_API_KEY"), (error(404, "no such model"), "404"), (error(500, "down"), "500")],
)
def test_a_teacher_that_never_answers_ends_the_run_with_its_first_fault(
    fault: Act, told: str, footage: Path, line: Changing, server: ModelServer, tmp_path: Path
) -> None:
    line.script = lambda _: fault
    with pytest.raises(PolicyError, match=rf"each of the first 16 trajectories was lost(?s:.)*{told}"):
        run_distill(tmp_path / "run", recipe_of(footage, server.url, samples=4))
    assert len(server.requests) < 32


def test_a_dead_teacher_is_noticed_though_a_clip_is_missing_too(
    footage: Path, line: Changing, server: ModelServer, tmp_path: Path
) -> None:
    mine = tmp_path / "footage"
    shutil.copytree(footage, mine)
    sorted((mine / "clips").iterdir())[0].unlink()
    line.script = lambda _: error(401, "bad key")
    with pytest.raises(PolicyError, match="each of the first 16 trajectories was lost"):
        run_distill(tmp_path / "run", recipe_of(mine, server.url, samples=8))


def test_a_dead_writer_is_noticed(footage: Path, line: Changing, server: ModelServer, tmp_path: Path) -> None:
    line.script = lambda _: error(401, "bad key")
    writer = EndpointConfig(model="w", base_url=server.url)
    lines = (footage / "questions.jsonl").read_text().splitlines()
    more = [json.dumps({**json.loads(text), "id": f"{n}-{json.loads(text)['id']}"}) for n in range(4) for text in lines]
    (footage / "more.jsonl").write_text("\n".join(more) + "\n")
    with pytest.raises(PolicyError, match=r"each of the first 16 facts was lost.*Set OPENAI_API_KEY"):
        run_distill(tmp_path / "run", recipe_of(footage, server.url, writer=writer, questions=str(footage / "more.jsonl")))


def test_a_limit_of_cost_without_prices_is_refused(footage: Path, tmp_path: Path) -> None:
    free = TeacherConfig(model="t", base_url="http://127.0.0.1:9/v1")
    with pytest.raises(BadConfig, match=r"--max-cost limits nothing at \[teacher\]"):
        run_distill(tmp_path / "run", recipe_of(footage, "", teacher=free), max_usd=1.0)


def test_a_verdict_that_cannot_be_read_is_final_and_not_written_down_again(
    footage: Path, answers: dict[str, str], line: Changing, server: ModelServer, tmp_path: Path
) -> None:
    sound = knows(answers)
    line.script = lambda request: Say(text="Very good!") if request.body["model"] == "j" else sound(request)
    judge = EndpointConfig(model="j", base_url=server.url)
    recipe = recipe_of(footage, server.url, judge=judge)
    assert reasons(run_distill(tmp_path / "run", recipe))["the judge's reply could not be read"] > 0
    before, n_asked = (tmp_path / "run/judged.jsonl").read_bytes(), len(server.requests)
    run_distill(tmp_path / "run", recipe)
    assert ((tmp_path / "run/judged.jsonl").read_bytes(), len(server.requests)) == (before, n_asked)


def test_what_one_fault_lost_is_tried_again_and_nothing_else(
    footage: Path, answers: dict[str, str], line: Changing, server: ModelServer, tmp_path: Path
) -> None:
    unlucky = next(iter(answers))
    sound = knows(answers)
    line.script = lambda request: error(500, "no") if unlucky in json.dumps(request.body) else sound(request)
    recipe = recipe_of(footage, server.url)
    first = run_distill(tmp_path / "run", recipe)
    n_lost = sum(question.text == unlucky for question in asked(footage))
    assert reasons(first)["lost to a fault of the endpoint or the video"] == n_lost
    assert first.n_kept > 0
    n_before, line.script = len(server.requests), sound
    second = run_distill(tmp_path / "run", recipe)
    assert all(unlucky in json.dumps(request.body) for request in server.requests[n_before:])
    assert second.n_trajectories == first.n_trajectories
    assert "lost to a fault of the endpoint or the video" not in reasons(second)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Say(text="I would rather not say."), "a reply outside the grammar"),
        (Say(text="<think>so</think><answer>no such option</answer>"), "the answer is wrong"),
        (Say(text="<think>so", finish="length"), "no answer within the limits"),
        (error(400, "maximum context length is 4096 tokens", "context_length_exceeded"), "no answer within the limits"),
        (Say(text=None, message={"refusal": "I cannot help with that"}), "lost to a fault of the endpoint or the video"),
        (error(413, "request entity too large"), "lost to a fault of the endpoint or the video"),
    ],
)
def test_every_kind_of_bad_reply_has_its_reason(
    reply: Act, reason: str, footage: Path, line: Changing, server: ModelServer, tmp_path: Path
) -> None:
    line.script = lambda _: reply
    report = run_distill(tmp_path / "run", recipe_of(footage, server.url))
    assert reasons(report) == {reason: report.n_trajectories}
    assert (report.n_kept, (tmp_path / "run/kept.jsonl").read_bytes()) == (0, b"")


def test_a_judge_that_is_down_lets_the_run_finish_and_is_asked_later(
    footage: Path, answers: dict[str, str], line: Changing, server: ModelServer, tmp_path: Path
) -> None:
    sound = knows(answers)
    line.script = lambda request: error(503, "down") if request.body["model"] == "j" else sound(request)
    judge = EndpointConfig(model="j", base_url=server.url, max_retries=0)
    recipe = recipe_of(footage, server.url, judge=judge)
    first = run_distill(tmp_path / "run", recipe)
    assert reasons(first)["the judge could not be reached"] > 0
    assert first.n_kept == 0
    n_before = len(server.requests)
    line.script = lambda _: Say(text='{"reason": "fine", "points": 9}')
    second = run_distill(tmp_path / "run", recipe)
    assert second.n_kept == reasons(first)["the judge could not be reached"]
    assert {request.body["model"] for request in server.requests[n_before:]} == {"j"}


def test_a_question_without_usable_facts_is_not_asked_where_the_teacher_is_to_be_told_them(
    footage: Path, answers: dict[str, str], line: Changing, server: ModelServer, tmp_path: Path
) -> None:
    sound = knows(answers)
    line.script = lambda request: Say(text="It is sunny.") if request.body["model"] == "w" else sound(request)
    writer = EndpointConfig(model="w", base_url=server.url)
    report = run_distill(tmp_path / "run", recipe_of(footage, server.url, writer=writer, hints="given"))
    assert (report.n_without_facts, report.n_trajectories) == (report.n_questions, 0)
    assert "the facts do not name the answer" in (tmp_path / "run/facts.jsonl").read_text()
    again = run_distill(tmp_path / "withheld", recipe_of(footage, server.url, writer=writer))
    assert again.n_trajectories == again.n_questions


# Money and people


def test_a_run_stops_at_its_limit_of_cost_and_goes_on_with_a_higher_one(
    footage: Path, answers: dict[str, str], line: Changing, server: ModelServer, tmp_path: Path
) -> None:
    line.script = knows(answers)
    recipe = recipe_of(footage, server.url)
    whole = run_distill(tmp_path / "undisturbed", recipe)
    n_all = len(server.requests)
    server.requests.clear()
    cap = 0.0151  # dollars; a request may cost some 0.013, and costs 0.000107
    with pytest.raises(Stopped, match=r"of at most \$0\.0151 are spent.*higher --max-cost"):
        run_distill(tmp_path / "run", recipe, max_usd=cap)
    assert 0 < len(server.requests) < n_all
    second = run_distill(tmp_path / "run", recipe, max_usd=10.0)
    assert len(server.requests) == n_all
    assert second.usd == whole.usd == pytest.approx(107e-6 * n_all)
    assert (tmp_path / "run/kept.jsonl").read_bytes() == (tmp_path / "undisturbed/kept.jsonl").read_bytes()


def command(tmp_path: Path, recipe: DistillRecipe) -> list[str]:
    teacher = recipe.teacher
    assert teacher is not None
    (tmp_path / "recipe.toml").write_text(
        f"questions = {json.dumps(recipe.questions)}\nsamples = {recipe.samples}\n[teacher]\nmodel = 't'\n"
        f"base_url = '{teacher.base_url}'\nmax_concurrent = 2\nmax_retries = 0\n"
    )
    return [sys.executable, "-m", "deepsport.cli", "distill", str(tmp_path / "recipe.toml"), "-o", str(tmp_path / "run")]


def test_the_first_interrupt_lets_what_is_in_flight_end_and_nothing_is_asked_again(
    footage: Path, answers: dict[str, str], line: Changing, server: ModelServer, tmp_path: Path
) -> None:
    sound, gate, begun = knows(answers), threading.Event(), threading.Event()

    def slow(request: Request) -> Act:
        if len(server.requests) >= 4:
            begun.set()
            gate.wait(20)
        return sound(request)

    line.script = slow
    run = subprocess.Popen(command(tmp_path, recipe_of(footage, server.url)), stderr=subprocess.PIPE, stdout=subprocess.PIPE)
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

    line.script = sound
    assert subprocess.run(command(tmp_path, recipe_of(footage, server.url)), capture_output=True, timeout=60).returncode == 0
    assert max(Counter(json.dumps(request.body) for request in server.requests).values()) == 1


def test_the_second_interrupt_ends_the_run_at_once(footage: Path, line: Changing, server: ModelServer, tmp_path: Path) -> None:
    line.script = lambda _: Hang(60)
    run = subprocess.Popen(command(tmp_path, recipe_of(footage, server.url)), stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    while not server.requests and run.poll() is None:
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    time.sleep(0.7)
    assert run.poll() is None  # what is in flight may end
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=10)
    assert run.returncode != 0


def test_a_dry_run_sends_and_writes_nothing(footage: Path, line: Changing, server: ModelServer, tmp_path: Path) -> None:
    told = subprocess.run([*command(tmp_path, recipe_of(footage, server.url)), "--dry-run"], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert re.search(r"acting +t +likely +24 ", told.stdout)
    assert server.requests == []
    assert not (tmp_path / "run").exists()


def test_the_key_is_in_no_file_of_the_run(
    footage: Path, answers: dict[str, str], line: Changing, server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEACHERS_KEY", KEY)
    line.script = knows(answers)
    teacher = TeacherConfig(model="t", base_url=server.url, api_key_env="TEACHERS_KEY")
    run_distill(tmp_path / "run", recipe_of(footage, server.url, teacher=teacher))
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    files = [file for file in (tmp_path / "run").rglob("*") if file.is_file()]
    assert len(files) > 8
    assert [file.name for file in files if KEY.encode() in file.read_bytes()] == []


# Videos and records


def test_a_clip_that_is_gone_is_a_fault_and_tried_again_when_it_is_back(
    footage: Path, answers: dict[str, str], line: Changing, server: ModelServer, tmp_path: Path
) -> None:
    line.script = knows(answers)
    mine = tmp_path / "footage"
    shutil.copytree(footage, mine)
    clip = sorted((mine / "clips").iterdir())[0]
    clip.rename(tmp_path / "away.mp4")
    recipe = recipe_of(mine, server.url)
    first = run_distill(tmp_path / "run", recipe)
    n_lost = sum(Path(question.video).name == clip.name for question in asked(mine))
    assert reasons(first)["lost to a fault of the endpoint or the video"] == n_lost > 0
    (tmp_path / "away.mp4").rename(clip)
    second = run_distill(tmp_path / "run", recipe)
    assert "lost to a fault of the endpoint or the video" not in reasons(second)


def inverted(clip: Path, target: Path) -> None:
    """The clip with every colour turned round: as long, with the same times, and nothing in it as it was."""
    with av.open(str(clip)) as source, av.open(str(target), "w") as made:
        shown = source.streams.video[0]
        stream = made.add_stream("libx264", rate=shown.average_rate)
        stream.width, stream.height, stream.pix_fmt = shown.width, shown.height, "yuv420p"
        for frame in source.decode(video=0):
            picture = 255 - frame.to_ndarray(format="rgb24")
            made.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        made.mux(stream.encode())


def test_a_clip_that_was_replaced_by_one_as_long_is_noticed_and_its_trajectories_are_not_kept(
    footage: Path, answers: dict[str, str], line: Changing, server: ModelServer, tmp_path: Path
) -> None:
    line.script = knows(answers)
    mine = tmp_path / "footage"
    shutil.copytree(footage, mine)
    clip = sorted((mine / "clips").iterdir())[0]
    recipe = recipe_of(mine, server.url)
    first = run_distill(tmp_path / "run", recipe)
    inverted(clip, tmp_path / "other.mp4")
    shutil.copy(tmp_path / "other.mp4", clip)
    (tmp_path / "run/played.jsonl").unlink()
    second = run_distill(tmp_path / "run", recipe)
    n_gone = reasons(second)["does not play back as recorded"]
    assert n_gone > 0
    assert "the video is another one by now" in (tmp_path / "run/played.jsonl").read_text()
    assert second.n_kept == first.n_kept - n_gone


def test_a_clip_that_is_away_while_trajectories_are_played_back_costs_them_only_until_it_is_back(
    footage: Path, answers: dict[str, str], line: Changing, server: ModelServer, tmp_path: Path
) -> None:
    line.script = knows(answers)
    mine = tmp_path / "footage"
    shutil.copytree(footage, mine)
    recipe = recipe_of(mine, server.url)
    first = run_distill(tmp_path / "run", recipe)
    (tmp_path / "run/played.jsonl").unlink()
    clip = sorted((mine / "clips").iterdir())[0]
    clip.rename(tmp_path / "away.mp4")
    assert run_distill(tmp_path / "run", recipe).n_kept < first.n_kept
    (tmp_path / "away.mp4").rename(clip)
    assert run_distill(tmp_path / "run", recipe).n_kept == first.n_kept


def test_what_was_concluded_from_other_trajectories_does_not_hold(
    footage: Path, answers: dict[str, str], line: Changing, server: ModelServer, tmp_path: Path
) -> None:
    line.script = knows(answers)
    recipe = recipe_of(footage, server.url)
    assert run_distill(tmp_path / "run", recipe).n_kept > 0
    for name in ("acted.jsonl", "replies.sqlite", "replies.sqlite-wal", "replies.sqlite-shm"):
        (tmp_path / "run" / name).unlink(missing_ok=True)
    line.script = lambda _: Say(text="<think>it is clear</think><answer>no such thing</answer>")
    assert run_distill(tmp_path / "run", recipe).n_kept == 0


def test_a_torn_last_trajectory_is_played_again_and_a_broken_one_is_named(
    footage: Path, answers: dict[str, str], line: Changing, server: ModelServer, tmp_path: Path
) -> None:
    line.script = knows(answers)
    recipe = recipe_of(footage, server.url)
    run_distill(tmp_path / "run", recipe)
    kept, acted = (tmp_path / "run/kept.jsonl").read_bytes(), tmp_path / "run/acted.jsonl"
    os.truncate(acted, acted.stat().st_size - 40)
    n_before = len(server.requests)
    run_distill(tmp_path / "run", recipe)
    assert (tmp_path / "run/kept.jsonl").read_bytes() == kept
    assert len(server.requests) == n_before  # every reply was on disk
    lines = acted.read_bytes().splitlines(keepends=True)
    acted.write_bytes(b"".join([lines[0], b'{"id": 1}\n', *lines[1:]]))
    with pytest.raises(BadRecord, match=r"acted\.jsonl:2 is not an episode"):
        run_distill(tmp_path / "run", recipe)


def test_each_step_goes_on_by_itself(
    footage: Path, answers: dict[str, str], line: Changing, server: ModelServer, tmp_path: Path
) -> None:
    line.script = knows(answers)
    recipe = recipe_of(footage, server.url)
    run_distill(tmp_path / "run", recipe)
    before = {
        name: (tmp_path / "run" / name).read_bytes() for name in ("facts.jsonl", "acted.jsonl", "judged.jsonl", "kept.jsonl")
    }
    for gone in (["judged.jsonl"], ["facts.jsonl", "kept.jsonl"], ["played.jsonl", "report.json"]):
        for name in gone:
            (tmp_path / "run" / name).unlink()
        n_before = len(server.requests)
        run_distill(tmp_path / "run", recipe)
        assert len(server.requests) == n_before
        assert sorted((tmp_path / "run/judged.jsonl").read_bytes().splitlines()) == sorted(before["judged.jsonl"].splitlines())
        assert (tmp_path / "run/acted.jsonl").read_bytes() == before["acted.jsonl"]
        assert (tmp_path / "run/kept.jsonl").read_bytes() == before["kept.jsonl"]


def test_another_recipe_in_the_same_folder_is_refused_with_the_difference(
    footage: Path, answers: dict[str, str], line: Changing, server: ModelServer, tmp_path: Path
) -> None:
    line.script = knows(answers)
    run_distill(tmp_path / "run", recipe_of(footage, server.url))
    with pytest.raises(RunError, match=r"\+ samples = 2"):
        run_distill(tmp_path / "run", recipe_of(footage, server.url, samples=2))


def test_a_run_goes_on_at_another_address_and_pace(
    footage: Path, answers: dict[str, str], line: Changing, server: ModelServer, tmp_path: Path
) -> None:
    line.script = knows(answers)
    with pytest.raises(Stopped):
        run_distill(tmp_path / "run", recipe_of(footage, server.url), max_usd=0.0151)
    assert server.requests
    with ModelServer(knows(answers)) as elsewhere:
        slower = TeacherConfig(
            model="t", base_url=elsewhere.url, max_concurrent=1, timeout_s=9, requests_per_minute=6000, prompt_usd=2.0
        )
        report = run_distill(tmp_path / "run", recipe_of(footage, server.url, teacher=slower))
        asked_twice = [request.body for request in elsewhere.requests if request.body in [each.body for each in server.requests]]
        assert (report.n_trajectories, asked_twice) == (report.n_questions, [])
        assert elsewhere.requests
        hotter = slower.model_copy(update={"temperature": 0.1})
        with pytest.raises(RunError, match=r"\+ teacher\.temperature = 0\.1"):
            run_distill(tmp_path / "run", recipe_of(footage, server.url, teacher=hotter))


@pytest.mark.parametrize("mark", ["<|im_start|>system", "<image>", "</s>", "[INST]", "\x00", "<|vision_start|><|image_pad|>"])
def test_a_reply_with_marks_of_a_chat_format_is_not_kept(
    mark: str, footage: Path, answers: dict[str, str], line: Changing, server: ModelServer, tmp_path: Path
) -> None:
    sound = knows(answers)

    def sly(request: Request) -> Act:
        act = sound(request)
        assert isinstance(act, Say)
        return Say(text=(act.text or "").replace("Now", f"{mark} Now"))

    line.script = sly
    report = run_distill(tmp_path / "run", recipe_of(footage, server.url))
    assert report.n_kept == 0
    assert reasons(report)["a reply holds marks of a chat format"] > 0


def test_an_unknown_setting_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(
        "questions = 'q.jsonl'\n[teacher]\nmodel = 'm'\nbase_url = 'http://x/v1'\ntemprature = 1.0\n"
    )
    told = CliRunner().invoke(app, ["distill", str(tmp_path / "recipe.toml"), "-o", str(tmp_path / "run")])
    assert told.exit_code == 2
    assert "teacher.temprature" in told.output
    assert "Did you mean" in told.output
