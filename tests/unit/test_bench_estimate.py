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
        ({"protocol": "passive", "first_frames": 16}, 16, 130 + 10 + 16 * (FRAME_TOKENS + 12)),
        ({"protocol": "blind"}, 0, 130 + 10),
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


def test_the_tool_as_a_function_is_sent_with_every_request(ten: list[Question]) -> None:
    told, native = (expected(ten, endpoint=served(), native_tools=native).likely[0] for native in (False, True))
    assert native.prompt_tokens - told.prompt_tokens == 130 * native.n_requests


def prompt_tokens(request: Request) -> float:
    """As they are foretold: four characters a token, an image by its patches, a label by what its digits cost."""
    contents = [message["content"] for message in request.body["messages"]]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    texts = [content for content in contents if isinstance(content, str)] + [part.get("text", "") for part in parts]
    n_images = sum(part["type"] == "image_url" for part in parts)
    return (sum(map(len, texts)) + len(json.dumps(request.body.get("tools", "")))) / 4 + n_images * FRAME_TOKENS


@pytest.mark.parametrize("settings", [{}, {"native_tools": True}, {"protocol": "passive"}, {"protocol": "blind"}])
@pytest.mark.parametrize("verbose", [False, True])
def test_the_tokens_of_a_real_run_lie_between_half_of_what_is_likely_and_the_most(
    verbose: bool, settings: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    asked = [
        question.model_copy(update={"gold": FreeText(answer=f"so {question.id}")})
        for question in load_questions(folder / "questions.jsonl")
    ]
    (tmp_path / "q.jsonl").write_text("".join(f"{question.model_dump_json()}\n" for question in asked))

    def talks(request: Request) -> Say:
        if request.body["model"] == "j":
            return Say(text="no verdict" if verbose else '{"reason": "so", "points": 5}')
        n_said = sum(message["role"] == "assistant" for message in request.body["messages"])
        if settings.get("protocol") or n_said >= (4 if verbose else 2):
            return Say(text=f"<think>So.</think><answer>{'a low shot ' * (370 if verbose else 1)}</answer>")
        look = json.dumps({"action": "choose_frames", "frame_range": [n_said, n_said + 9]})
        return Say(text=f"<think>{'word ' * (700 if verbose else 80)}</think><tool_call>{look}</tool_call>")

    with ModelServer(talks) as server:
        models = {"endpoint": served(base_url=server.url), "judge": served(model="j", base_url=server.url)}
        config = settled(BenchConfig.model_validate({"questions": str(tmp_path / "q.jsonl"), **models, **settings}))
        found = expected(asked, **models, **settings)
        run_bench(tmp_path / "run", config, lambda: pytest.fail("no model runs here"))
    for likely, most in zip(found.likely, found.most, strict=True):
        sent = [request for request in server.requests if request.body["model"] == likely.model]
        assert (most if verbose else likely).n_requests == len(sent)
        assert 0.5 * likely.prompt_tokens < sum(map(prompt_tokens, sent)) <= most.prompt_tokens


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
