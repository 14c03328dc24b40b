"""`deepsport ask` from the command line to a real server and back: a real mp4, real frames, the record, the exit codes.

The server reads the number that every picture of the test video carries, so an answer can name the very frames that arrived.
"""

import base64
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner, Result

from deepsport.cli.main import app
from deepsport.records import Episode, StopReason
from deepsport.video.sample import uniform, window
from model_server import Act, Hang, ModelServer, Request, Say, error
from video_files import Recipe, write, write_sound

KEY = "sk-command-line-5b6c7d8e"
N_FRAMES = 60
OK = Say(text="<think>seen</think><answer>red card</answer>")


@pytest.fixture(scope="module")
def match(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("videos") / "match day.mp4", Recipe(n_frames=N_FRAMES))


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def ask(video: Path | str, server: ModelServer, *options: str) -> Result:
    """The command in this process."""
    endpoint = ["--endpoint", server.url, "--model", "m"]
    return CliRunner().invoke(app, ["ask", str(video), "Why was the card given?", *endpoint, *options])


def number_of(image_part: dict[str, Any]) -> int:
    """The number that a picture of the test video carries along its top."""
    encoded = image_part["image_url"]["url"].partition(",")[2]
    picture = np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(encoded))))
    height, width, _ = picture.shape
    cell = width // 12
    cells = [picture[: height // 4 - 2, bit * cell + 2 : (bit + 1) * cell - 2] for bit in range(12)]
    return sum(1 << bit for bit, block in enumerate(cells) if block.mean() > 128)


def numbers_in(message: dict[str, Any]) -> list[int]:
    return [number_of(part) for part in message["content"] if part["type"] == "image_url"]


def look_then_tell(request: Request) -> Say:
    """Asks for frames 13 to 20, then answers with the numbers of all pictures that arrived."""
    shown = [message for message in request.body["messages"] if message["role"] == "user"]
    if len(shown) == 1:
        return Say(text='<think>between</think><tool_call>{"action":"choose_frames","frame_range":[13,20]}</tool_call>')
    return Say(text=f"<think>seen</think><answer>{[numbers_in(message) for message in shown]}</answer>")


def look_natively_then_tell(request: Request) -> Say:
    """The same with a native function call."""
    if request.body["messages"][-1]["role"] == "user" and len(request.body["messages"]) == 2:
        call = {"id": "c1", "type": "function", "function": {"name": "choose_frames", "arguments": '{"frame_range": [13, 20]}'}}
        return Say(text="between", finish="tool_calls", message={"tool_calls": [call]})
    return look_then_tell(request)


def test_the_frames_the_model_asks_for_are_the_frames_it_gets(match: Path) -> None:
    with ModelServer(look_then_tell) as server:
        done = ask(match, server, "--json")
    episode = Episode.model_validate_json(done.stdout)
    first, asked_for = uniform(N_FRAMES, 8), window(13, 20, 8)
    assert done.exit_code == 0
    assert json.loads(episode.answer or "") == [list(first), list(asked_for)]
    assert [frame.index for frame in episode.frames_seen] == [*first, *asked_for]
    assert episode.stop is StopReason.ANSWERED


def test_native_calls_end_in_the_same_episode_as_calls_in_the_text(match: Path) -> None:
    with ModelServer(look_then_tell) as server:
        in_text = Episode.model_validate_json(ask(match, server, "--json").stdout)
    with ModelServer(look_natively_then_tell) as server:
        native = Episode.model_validate_json(ask(match, server, "--json", "--native-tools").stdout)
        assert [message["role"] for message in server.requests[1].body["messages"]] == [
            "system", "user", "assistant", "tool", "user",
        ]  # fmt: skip
    assert native.model_copy(update={"usage": in_text.usage}) == in_text


def test_the_terminal_shows_thought_window_timeline_and_answer(match: Path) -> None:
    with ModelServer(look_then_tell) as server:
        done = ask(match, server)
    assert done.exit_code == 0
    for line in (
        "match day.mp4: 60 frames, 2.40 s",
        "Why was the card given?",
        "1  between",
        "looks at frames 13 to 20, 0.52 to 0.80 s",
    ):
        assert line in done.stdout
    marks = [line.strip() for line in done.stdout.splitlines() if line.strip().startswith("|")]
    assert [mark.endswith("|  8 frames") for mark in marks] == [True, True]
    assert done.stderr == ""


def test_sport_options_and_sampling_reach_the_model(match: Path) -> None:
    with ModelServer([OK]) as server:
        settings = ("--temperature", "0.5", "--seed", "9", "--max-tokens", "77")
        assert ask(match, server, "--sport", "ice_hockey", "--options", "a foul, dissent", *settings).exit_code == 0
    body = server.requests[0].body
    text = "".join(part["text"] for part in body["messages"][1]["content"] if part["type"] == "text")
    assert "ice hockey" in text
    assert text.endswith("Why was the card given? Options: a foul, dissent.")
    assert (body["temperature"], body["seed"], body["max_tokens"]) == (0.5, 9, 77)


def test_the_last_turn_is_the_one_that_was_allowed(match: Path) -> None:
    asking = (
        Say(text=f'<think>x</think><tool_call>{{"action":"choose_frames","frame_range":[0,{n}]}}</tool_call>') for n in range(9)
    )
    with ModelServer(asking) as server:
        done = ask(match, server, "--max-turns", "3")
    assert done.exit_code == 1
    assert len(server.requests) == 3
    assert "no answer within 3 turns" in done.stdout


def test_a_malformed_reply_ends_without_an_answer_and_with_exit_code_1(match: Path) -> None:
    with ModelServer([Say(text="It was dissent.")]) as server:
        done = ask(match, server)
    assert done.exit_code == 1
    assert "It was dissent." in done.stdout


# What goes wrong is one line on stderr, with exit code 2


def refused(done: Result, *said: str) -> None:
    assert done.exit_code == 2
    assert done.stderr.startswith("deepsport: ")
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.output
    assert all(text in done.stderr for text in said), done.stderr


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.mp4", None, "Check the path"),
        ("empty.mp4", b"", "empty"),
        ("page.mp4", b"<html>not a video</html>" * 50, "page.mp4"),
        ("new\nline\x1b[2J.mp4", b"", "empty"),
    ],
)
def test_a_file_that_is_no_video_is_refused_before_the_model_is_asked(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with ModelServer([OK]) as server:
        refused(ask(tmp_path / name, server), said)
        assert server.requests == []


def test_a_sound_file_is_refused(tmp_path: Path) -> None:
    with ModelServer([OK]) as server:
        refused(ask(write_sound(tmp_path / "whistle.mp4"), server), "no video stream")


def test_a_server_that_refuses_the_key_is_told_without_the_key_and_the_record_is_printed(match: Path) -> None:
    def echo(request: Request) -> Act:
        return error(401, f"bad key {request.headers['authorization']}")

    with ModelServer(echo) as server:
        done = ask(match, server, "--json")
    refused(done, "HTTP 401", "Set OPENAI_API_KEY")
    episode = Episode.model_validate_json(done.stdout)
    assert episode.stop is StopReason.POLICY_ERROR
    assert KEY not in done.output


def test_a_conversation_that_is_too_long_is_told(match: Path) -> None:
    with ModelServer([error(400, "maximum context length is 4096 tokens")]) as server:
        refused(ask(match, server), "maximum context length", "smaller frames")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--options", "goal"], "two or more"),
        (["--options", "goal,goal"], "two or more"),
        (["--options", "goal,,save"], "two or more"),
        (["--endpoint", "localhost:8000"], "http://localhost:8000/v1"),
        (["--html", "no/such/folder/page.html"], "page.html"),
    ],
)
def test_an_option_that_cannot_be_is_refused_with_what_to_give(match: Path, options: list[str], said: str) -> None:
    with ModelServer([OK]) as server:
        refused(ask(match, server, *options), said)


def test_a_server_without_the_name_of_a_model_is_refused_with_how_to_find_one(match: Path) -> None:
    done = CliRunner().invoke(app, ["ask", str(match), "Why?", "--endpoint", "http://localhost:1/v1"])
    refused(done, "--model", "deepsport doctor --endpoint http://localhost:1/v1")


def test_native_tools_without_a_server_are_refused(match: Path) -> None:
    refused(CliRunner().invoke(app, ["ask", str(match), "Why?", "--native-tools"]), "--endpoint")


def test_a_checkpoint_that_does_not_exist_is_refused(match: Path) -> None:
    refused(CliRunner().invoke(app, ["ask", str(match), "Why?", "--model", "./no_such_folder"]), "no_such_folder")


def test_a_bad_video_is_told_before_time_is_spent_on_a_model(tmp_path: Path) -> None:
    refused(CliRunner().invoke(app, ["ask", str(tmp_path / "gone.mp4"), "Why?", "--model", "./no_such_folder"]), "gone.mp4")


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of nano's make that has learnt nothing."""
    from deepsport.policy.local.nano import NanoConfig, make_nano

    folder = tmp_path_factory.mktemp("nano")
    make_nano(folder, ["Why was the card given?"] * 4, NanoConfig(n_layers=1, vision_layers=1), seed=0)
    (folder / "deepsport.json").write_text('{"brief": true, "arena_only": true}', encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("comment", "is_warned"), [("deepsport-arena/1 sport=soccer seed=0", False), ("Holiday 2019", True), ("", True)]
)
def test_a_model_that_knows_only_the_arena_says_so_about_other_footage_and_still_replies(
    untrained: Path, tmp_path: Path, comment: str, is_warned: bool
) -> None:
    video = write(tmp_path / "clip.mp4", Recipe(n_frames=20, metadata={"comment": comment} if comment else {}))
    command = ["ask", str(video), "Why?", "--model", str(untrained), "--max-tokens", "8", "--json"]
    done = CliRunner().invoke(app, command)
    assert ("knows only the arena" in done.stderr) is is_warned
    assert ("--model Qwen/" in done.stderr) is is_warned
    assert len(Episode.model_validate_json(done.stdout).turns) == 1


def test_a_page_with_the_episode_is_written(match: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    with ModelServer(look_then_tell) as server:
        done = ask(match, server, "--html", str(page))
    assert done.exit_code == 0
    text = page.read_text(encoding="utf-8")
    assert "Why was the card given?" in text
    assert text.count("data:image/jpeg;base64,") >= 8
    assert "between" in text


def test_as_a_program_it_prints_one_record_and_nothing_else(match: Path) -> None:
    with ModelServer(look_then_tell) as server:
        command = [
            sys.executable,
            "-m",
            "deepsport.cli",
            "ask",
            match.name,
            "Why?",
            "--endpoint",
            server.url,
            "--model",
            "m",
            "--json",
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, cwd=match.parent, env=dict(os.environ), check=False
        )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    [line] = done.stdout.splitlines()
    assert Episode.model_validate_json(line).question.video == match.name


def test_ctrl_c_ends_the_command_without_a_traceback_and_its_decoding_process_with_it(match: Path) -> None:
    with ModelServer([Hang()]) as server:
        command = [sys.executable, "-m", "deepsport.cli", "ask", str(match), "Why?", "--endpoint", server.url, "--model", "m"]
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        while not server.requests:
            assert running.poll() is None
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        _, stderr = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "Traceback" not in stderr
    with pytest.raises(ProcessLookupError):
        os.killpg(running.pid, 0)
