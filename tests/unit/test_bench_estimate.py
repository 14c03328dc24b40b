"""What a measurement will ask for: counted by hand, bounded by what a real run then asks for."""

import json
from pathlib import Path
from typing import Any

import pytest

from deepsport.arena.generate import make_set
from deepsport.bench.endpoints import REPLIES
from deepsport.bench.estimate import ANSWER_TOKENS, Estimate, estimate
from deepsport.bench.load import JUDGE_TOKENS
from deepsport.bench.recipe import BenchConfig, Protocol, settled
from deepsport.bench.suite import run_bench
from deepsport.bench.tasks import load_questions
from deepsport.errors import BadVideo
from deepsport.policy.openai import EndpointConfig
from deepsport.records import FreeText, Question
from deepsport.video.source import FrameSource
from made_episodes import question
from model_server import ModelServer, Request, Say

FRAME_TOKENS = 8 * 5
"""Of a frame of 224 x 126."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("arena")
    make_set(made, n_clips=2, seed=3, sports=("soccer",))
    return made


@pytest.fixture
def ten(folder: Path) -> list[Question]:
    """Ten questions of forty characters, three of which only a judge can score."""
    asked = question(video=str(next((folder / "clips").iterdir()))).model_copy(update={"text": "x" * 40})
    told = asked.model_copy(update={"gold": FreeText(answer="so")})
    return [asked] * 7 + [told] * 3


def expected(asked: list[Question], **settings: Any) -> Estimate:
    with FrameSource() as source:
        return estimate(settled(BenchConfig(**({"questions": "q"} | settings))), asked, source)


def served(**settings: Any) -> EndpointConfig:
    return EndpointConfig(**({"model": "m", "base_url": "http://localhost:1/v1"} | settings))


def test_an_agent_sends_every_frame_again_with_every_turn(ten: list[Question]) -> None:
    found = expected(ten, endpoint=served(prompt_usd=2.0, reply_usd=8.0, requests_per_minute=60), runs=2, max_turns=4)
    [likely], [most] = found.likely, found.most
    assert (found.n_questions, found.n_episodes, found.frame_wh) == (10, 20, (224, 126))
    assert (found.n_frames_likely, found.n_frames_most) == (20 * 24, 20 * 32)
    assert (likely.n_requests, likely.n_images) == (60, 20 * (8 + 16 + 24))
    context = [350 + 10 + 8 * (FRAME_TOKENS + 12) + turn * (120 + 10 + 8 * (FRAME_TOKENS + 12)) for turn in range(3)]
    assert (likely.prompt_tokens, likely.reply_tokens) == (20 * sum(context), 60 * 120)
    assert likely.usd == pytest.approx((likely.prompt_tokens * 2 + likely.reply_tokens * 8) / 1e6)
    assert likely.shortest_s == 60
    assert (most.n_requests, most.reply_tokens) == (80, 80 * 1024)


@pytest.mark.parametrize(
    ("settings", "n_images", "prompt"),
    [
        ({"protocol": "passive", "first_frames": 16}, 16, 350 + 10 + 16 * (FRAME_TOKENS + 12)),
        ({"protocol": "blind"}, 0, 350 + 10),
    ],
)
def test_without_the_tool_each_question_is_one_request(
    settings: dict[str, Any], n_images: int, prompt: int, ten: list[Question]
) -> None:
    found = expected(ten, endpoint=served(), **settings)
    assert [(load.n_requests, load.n_images, load.prompt_tokens) for load in found.likely] == [(10, 10 * n_images, 10 * prompt)]
    assert found.n_frames_likely == found.n_frames_most == 10 * n_images


@pytest.mark.parametrize("protocol", [Protocol.BLIND, Protocol.MAJORITY])
def test_where_no_frame_is_shown_no_video_is_opened(protocol: Protocol, ten: list[Question]) -> None:
    gone = [each.model_copy(update={"video": "gone.mp4"}) for each in ten]
    found = expected(gone, protocol=protocol)
    assert (found.frame_wh, found.n_frames_likely, found.n_frames_most) == (None, 0, 0)
    with pytest.raises(BadVideo, match=r"gone\.mp4"):
        expected(gone)


def test_a_model_that_runs_here_and_the_majority_cost_nothing(ten: list[Question]) -> None:
    assert (expected(ten).likely, expected(ten).n_frames_most) == ((), 10 * 40)
    assert expected(ten, protocol="majority", endpoint=served()).most == ()


def test_the_judge_is_asked_about_what_no_rule_can_score_and_no_more(ten: list[Question]) -> None:
    found = expected(ten, protocol="majority", judge=served(model="j", reply_usd=1.0, max_reply_tokens=500))
    [likely], [most] = found.likely, found.most
    assert (likely.step, likely.n_requests, likely.prompt_tokens) == ("judging", 3, 3 * (JUDGE_TOKENS + ANSWER_TOKENS))
    assert (likely.reply_tokens, most.n_requests, most.reply_tokens) == (3 * 120, 6, 6 * 500)
    assert expected(ten[:7], protocol="majority", judge=served()).most == ()


def test_larger_frames_are_counted_as_the_endpoint_shrinks_them(ten: list[Question]) -> None:
    whole, shrunk = (expected(ten, protocol="passive", endpoint=served(max_side_px=side)).likely[0] for side in (None, 112))
    assert whole.prompt_tokens - shrunk.prompt_tokens == 10 * 8 * (FRAME_TOKENS - 4 * 3)


def test_a_real_run_asks_for_no_more_than_is_foretold(folder: Path, tmp_path: Path) -> None:
    def looks(request: Request) -> Say:
        n_said = sum(message["role"] == "assistant" for message in request.body["messages"])
        look = json.dumps({"action": "choose_frames", "frame_range": [n_said, n_said + 9]})
        return Say(text=f"<think>Again.</think><tool_call>{look}</tool_call>")

    path = folder / "questions.jsonl"
    with ModelServer(looks) as server:
        config = settled(BenchConfig(questions=str(path), endpoint=served(base_url=server.url), max_turns=3))
        [most] = expected(load_questions(path), endpoint=config.endpoint, max_turns=3).most
        run_bench(tmp_path / "run", config, lambda: pytest.fail("no model runs here"))
    n_images = sum(json.dumps(request.body).count('"image_url":') for request in server.requests)
    assert (len(server.requests), n_images) == (most.n_requests, most.n_images)
    assert (tmp_path / "run" / REPLIES).is_file()
