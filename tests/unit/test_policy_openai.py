"""The endpoint policy against a real server: what is sent, and how every form of reply ends in the canonical text."""

import asyncio
import base64
import io
import json
import logging
import subprocess
import sys
import time
from typing import Any

import numpy as np
import PIL.Image
import pytest

from deepsport.agent.grammar import Answer, ChooseFrames, Malformed, parse
from deepsport.policy.base import Image, Message, Pixels, Reply, Sampling
from deepsport.policy.openai import OpenAIPolicy
from deepsport.policy.openai.wire import ImageEncoding
from deepsport.policy.openai.written import Writer
from deepsport.records import Frame
from model_server import Act, ModelServer, Request, Say, error

CALL = '<think>look</think><tool_call>{"action":"choose_frames","frame_range":[3,9]}</tool_call>'
ANSWER = "<think>seen</think><answer>red card</answer>"


def picture(seed: int, width: int = 64, height: int = 48) -> Pixels:
    """A gradient with a block of strong colour: smooth enough for JPEG, different for every seed."""
    colours = np.random.default_rng(seed)
    down, across = np.mgrid[0:height, 0:width]
    pixels = np.stack([down * 4 % 256, across * 3 % 256, np.full_like(down, seed * 40 % 256)], axis=-1).astype(np.uint8)
    pixels[8:24, 8:24] = colours.integers(0, 256, 3)
    return pixels


def frame(index: int, pixels: Pixels | None = None) -> Image:
    return Image(Frame(video="dive.mp4", index=index, time_s=index / 25), picture(index) if pixels is None else pixels)


def shown(*parts: str | Image) -> Message:
    return Message("user", parts)


def pixels_of(image_part: dict[str, Any]) -> Pixels:
    _, _, encoded = image_part["image_url"]["url"].partition(";base64,")
    return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(encoded))))


def talk(policy: OpenAIPolicy, *turns: list[Message], sampling: Sampling | None = None) -> list[Reply]:
    async def conversation() -> list[Reply]:
        session = policy.session(sampling or Sampling())
        replies = [await session.reply(messages) for messages in turns]
        await policy.aclose()
        return replies

    return asyncio.run(conversation())


def native_call(arguments: object, name: str = "choose_frames", call_id: str = "call_7") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


# What is sent


def test_png_frames_arrive_pixel_for_pixel_in_order_each_after_its_text() -> None:
    with ModelServer([Say(text=ANSWER)]) as server:
        talk(OpenAIPolicy("m", server.url, image_format="png"), [shown("frame 2:", frame(2), "frame 5:", frame(5), "Why?")])
    content = server.requests[0].body["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "text", "image_url", "text"]
    assert [part["text"] for part in content[::2]] == ["frame 2:", "frame 5:", "Why?"]
    np.testing.assert_array_equal(pixels_of(content[1]), picture(2))
    np.testing.assert_array_equal(pixels_of(content[3]), picture(5))


def test_jpeg_frames_arrive_within_the_tolerance_of_quality_90() -> None:
    with ModelServer([Say(text=ANSWER)]) as server:
        talk(OpenAIPolicy("m", server.url), [shown(*(frame(n) for n in range(6)))])
    content = server.requests[0].body["messages"][0]["content"]
    for n, part in enumerate(content):
        assert part["image_url"]["url"].startswith("data:image/jpeg;base64,")
        off = np.abs(pixels_of(part).astype(int) - picture(n).astype(int))
        others = [np.abs(pixels_of(part).astype(int) - picture(m).astype(int)).mean() for m in range(6) if m != n]
        assert off.mean() < 0.8 < 4 < min(others)


def test_a_thin_red_stroke_keeps_its_colour_in_jpeg() -> None:
    stroke = np.full((48, 64, 3), 255, np.uint8)
    stroke[:, 31] = (255, 0, 0)
    with ModelServer([Say(text=ANSWER)]) as server:
        talk(OpenAIPolicy("m", server.url), [shown(frame(0, stroke))])
    red, green, blue = pixels_of(server.requests[0].body["messages"][0]["content"][0])[:, 31].astype(int).mean(axis=0)
    assert red > 200
    assert max(green, blue) < 60


@pytest.mark.parametrize(("max_side_px", "sent_wh"), [(32, (32, 16)), (64, (64, 32)), (768, (64, 32)), (None, (64, 32))])
def test_a_frame_larger_than_the_limit_is_shrunk_and_a_smaller_one_sent_as_it_is(
    max_side_px: int | None, sent_wh: tuple[int, int]
) -> None:
    with ModelServer([Say(text=ANSWER)]) as server:
        talk(OpenAIPolicy("m", server.url, max_side_px=max_side_px), [shown(frame(0, picture(0, width=64, height=32)))])
    height, width, _ = pixels_of(server.requests[0].body["messages"][0]["content"][0]).shape
    assert (width, height) == sent_wh


def test_a_frame_of_one_row_survives_shrinking() -> None:
    with ModelServer([Say(text=ANSWER)]) as server:
        talk(OpenAIPolicy("m", server.url, max_side_px=100), [shown(frame(0, picture(0, width=4000, height=1)))])
    assert pixels_of(server.requests[0].body["messages"][0]["content"][0]).shape == (1, 100, 3)


def fixed(pixels: Pixels) -> Pixels:
    """A picture as a frame source shows it: nobody can write on it."""
    pixels = pixels.copy()
    pixels.flags.writeable = False
    return pixels


def sent_in_turn(*shown_in_turn: Pixels) -> list[Pixels]:
    """What arrives for pictures that one policy is shown one after another, all as the same frame of the same video."""
    with ModelServer(lambda _: Say(text=ANSWER)) as server:
        policy = OpenAIPolicy("m", server.url, image_format="png")
        for pixels in shown_in_turn:
            talk(policy, [shown(frame(0, pixels))])
    return [pixels_of(request.body["messages"][0]["content"][0]) for request in server.requests]


def test_pictures_that_took_each_others_place_are_told_apart() -> None:
    first, second = fixed(picture(1)), fixed(picture(2))
    for here, there in zip(sent_in_turn(first, second, first), (first, second, first), strict=True):
        np.testing.assert_array_equal(here, there)


def test_a_picture_that_was_written_on_is_sent_as_it_is_now() -> None:
    pixels = picture(1)
    with ModelServer(lambda _: Say(text=ANSWER)) as server:
        policy = OpenAIPolicy("m", server.url, image_format="png")
        talk(policy, [shown(frame(0, pixels))])
        pixels[:] = 7
        talk(policy, [shown(frame(0, pixels))])
    assert (pixels_of(server.requests[1].body["messages"][0]["content"][0]) == 7).all()


def test_a_view_of_a_picture_that_is_written_on_is_sent_as_it_is_now() -> None:
    pixels = picture(1)
    view = pixels[:]
    view.flags.writeable = False
    with ModelServer(lambda _: Say(text=ANSWER)) as server:
        policy = OpenAIPolicy("m", server.url, image_format="png")
        talk(policy, [shown(frame(0, view))])
        pixels[:] = 7
        talk(policy, [shown(frame(0, view))])
    assert (pixels_of(server.requests[1].body["messages"][0]["content"][0]) == 7).all()


def test_nothing_is_remembered_of_a_picture_that_is_gone() -> None:
    writer, pixels = Writer(ImageEncoding()), fixed(picture(1))
    writer.message(shown(frame(0, pixels)))
    assert len(writer._sums) == 1
    del pixels
    assert writer._sums == {}


def test_messages_of_text_alone_are_plain_strings_with_their_role() -> None:
    with ModelServer([Say(text=ANSWER)]) as server:
        talk(OpenAIPolicy("m", server.url), [Message("system", ("You are", " a referee.")), shown("Why?")])
    assert server.requests[0].body["messages"] == [
        {"role": "system", "content": "You are a referee."},
        {"role": "user", "content": "Why?"},
    ]


def test_the_second_request_repeats_the_conversation_and_adds_what_is_new() -> None:
    with ModelServer([Say(text=CALL), Say(text=ANSWER)]) as server:
        replies = talk(OpenAIPolicy("m", server.url), [shown("Why?", frame(0))], [shown("frame 4:", frame(4))])
    first, second = (request.body["messages"] for request in server.requests)
    assert second[:1] == first
    assert second[1] == {"role": "assistant", "content": CALL}
    assert [part["type"] for part in second[2]["content"]] == ["text", "image_url"]
    assert [reply.text for reply in replies] == [CALL, ANSWER]


def test_the_organisation_and_the_project_of_the_environment_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "club")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "dives")
    with ModelServer(lambda _: Say(text=ANSWER)) as server:
        talk(OpenAIPolicy("m", server.url), [shown("?")])
        monkeypatch.delenv("OPENAI_PROJECT_ID")
        talk(OpenAIPolicy("m", server.url), [shown("?")])
    sent = [(request.headers.get("openai-organization"), request.headers.get("openai-project")) for request in server.requests]
    assert sent == [("club", "dives"), ("club", None)]
    assert server.requests[0].headers["content-type"] == "application/json"


def test_model_sampling_and_extra_fields_stand_in_the_request() -> None:
    policy_fields = {"chat_template_kwargs": {"enable_thinking": False}}
    with ModelServer([Say(text=ANSWER)]) as server:
        policy = OpenAIPolicy("sport-7b", server.url, extra_body=policy_fields)
        talk(policy, [shown("?")], sampling=Sampling(temperature=0.7, max_tokens=99, seed=5))
    body = server.requests[0].body
    assert server.requests[0].path == "/v1/chat/completions"
    assert body.pop("messages")
    assert body == {"model": "sport-7b", "temperature": 0.7, "max_tokens": 99, "seed": 5, **policy_fields}
    assert policy.name == "sport-7b"


def test_the_key_of_the_environment_is_sent_unless_one_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    with ModelServer(lambda _: Say(text=ANSWER)) as server:
        talk(OpenAIPolicy("m", server.url), [shown("?")])
        talk(OpenAIPolicy("m", server.url, api_key="sk-argument\n"), [shown("?")])
        monkeypatch.delenv("OPENAI_API_KEY")
        talk(OpenAIPolicy("m", server.url), [shown("?")])
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer sk-environment", "Bearer sk-argument", "Bearer none"]


# What is read


def test_tokens_used_are_reported_and_missing_ones_count_zero() -> None:
    with ModelServer([Say(text=CALL), Say(text=ANSWER, usage=None)]) as server:
        first, second = talk(OpenAIPolicy("m", server.url), [shown("?")], [shown("!")])
    assert (first.prompt_tokens, first.reply_tokens) == (100, 7)
    assert (second.prompt_tokens, second.reply_tokens) == (0, 0)


@pytest.mark.parametrize(
    "say",
    [
        Say(text="<think>too lo", finish="length"),
        Say(text=None, finish="length", message={"reasoning_content": "hm"}),
    ],
)
def test_a_reply_that_ran_into_its_token_limit_is_marked(say: Say) -> None:
    with ModelServer([say]) as server:
        [reply] = talk(OpenAIPolicy("m", server.url), [shown("?")])
    assert reply.cut_off


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_of_the_server_becomes_the_thought_when_the_text_has_none(field: str) -> None:
    with ModelServer([Say(text="\n\n<answer>goal</answer>", message={field: "the ball crossed\n"})]) as server:
        [reply] = talk(OpenAIPolicy("m", server.url), [shown("?")])
    assert reply.text == "<think>the ball crossed</think><answer>goal</answer>"


def test_a_thought_in_the_text_is_kept_and_the_reasoning_left_out() -> None:
    with ModelServer([Say(text=ANSWER, message={"reasoning_content": "something else"})]) as server:
        [reply] = talk(OpenAIPolicy("m", server.url), [shown("?")])
    assert reply.text == ANSWER


def test_the_conversation_sent_back_holds_the_thought_that_the_record_holds() -> None:
    with ModelServer([Say(text="<answer>x</answer>", message={"reasoning": "hm"}), Say(text=ANSWER)]) as server:
        replies = talk(OpenAIPolicy("m", server.url), [shown("?")], [shown("!")])
    assert server.requests[1].body["messages"][1] == {"role": "assistant", "content": replies[0].text}


def test_an_empty_text_is_a_reply_for_the_grammar_to_judge() -> None:
    with ModelServer([Say(text="")]) as server:
        assert talk(OpenAIPolicy("m", server.url), [shown("?")])[0].text == ""


def test_an_endpoint_has_no_token_record() -> None:
    assert OpenAIPolicy("m", "http://localhost:1/v1").session(Sampling()).tokens() is None


# Native tools


def test_the_tool_is_offered_as_a_function_only_when_asked_for() -> None:
    with ModelServer(lambda _: Say(text=ANSWER)) as server:
        talk(OpenAIPolicy("m", server.url), [shown("?")])
        talk(OpenAIPolicy("m", server.url, native_tools=True), [shown("?")])
    plain, native = (request.body for request in server.requests)
    assert "tools" not in plain
    [tool] = native["tools"]
    assert tool["function"]["name"] == "choose_frames"
    assert tool["function"]["parameters"]["required"] == ["frame_range"]


@pytest.mark.parametrize("arguments", ['{"frame_range": [3, 9]}', {"frame_range": [3, 9]}])
@pytest.mark.parametrize(
    "spoken", [{"content": "look"}, {"content": "<think>\nlook\n</think>\n"}, {"content": None, "reasoning_content": "look"}]
)
def test_a_native_call_reads_as_the_canonical_text(arguments: object, spoken: dict[str, Any]) -> None:
    say = Say(finish="tool_calls", message={**spoken, "tool_calls": [native_call(arguments)]})
    with ModelServer([say]) as server:
        [reply] = talk(OpenAIPolicy("m", server.url, native_tools=True), [shown("?")])
    assert reply.text == CALL
    assert parse(reply.text) == ChooseFrames("look", 3, 9)


def test_the_frames_of_a_native_call_follow_its_closed_tool_message_as_a_user_message() -> None:
    calling = Say(text="look", message={"tool_calls": [native_call('{"frame_range": [3, 9]}')]})
    with ModelServer([calling, Say(text=ANSWER)]) as server:
        policy = OpenAIPolicy("m", server.url, native_tools=True, image_format="png")
        talk(policy, [shown("?", frame(0))], [shown("frame 4:", frame(4))])
    _, assistant, tool, user = server.requests[1].body["messages"]
    assert assistant["content"] == "look"
    assert assistant["tool_calls"] == [native_call('{"frame_range": [3, 9]}')]
    assert (tool["role"], tool["tool_call_id"]) == ("tool", "call_7")
    assert isinstance(tool["content"], str)
    assert (user["role"], user["content"][0]["text"]) == ("user", "frame 4:")
    np.testing.assert_array_equal(pixels_of(user["content"][1]), picture(4))


def test_a_refusal_of_a_native_call_is_the_text_of_its_tool_message() -> None:
    calling = Say(text="look", message={"tool_calls": [native_call('{"frame_range": [3, 900]}')]})
    with ModelServer([calling, Say(text=ANSWER), Say(text=ANSWER)]) as server:
        talk(
            OpenAIPolicy("m", server.url, native_tools=True),
            [shown("?")],
            [shown("Refused: valid frames are 0 to 99.")],
            [shown("Well?")],
        )
    assert server.requests[1].body["messages"][2:] == [
        {"role": "tool", "tool_call_id": "call_7", "content": "Refused: valid frames are 0 to 99."}
    ]
    assert server.requests[2].body["messages"][-1] == {"role": "user", "content": "Well?"}


def test_a_call_without_an_id_is_given_one_that_its_result_names() -> None:
    calling = Say(
        text="look", message={"tool_calls": [{"function": {"name": "choose_frames", "arguments": '{"frame_range":[1,2]}'}}]}
    )
    with ModelServer([calling, Say(text=ANSWER)]) as server:
        talk(OpenAIPolicy("m", server.url, native_tools=True), [shown("?")], [shown("Refused.")])
    _, assistant, tool = server.requests[1].body["messages"]
    assert assistant["tool_calls"][0]["id"] == tool["tool_call_id"] != ""


@pytest.mark.parametrize(
    "calls",
    [
        [native_call('{"frame_range": [3, ')],
        [native_call("")],
        [native_call("null")],
        [native_call("[" * 50_000)],
        [native_call('{"frame_range": [0, NaN]}')],
        [native_call('{"frame_range": [0, 1e309]}')],
        [native_call('{"frame_range": [1, 2], "k": 64}')],
        [native_call('{"frame_range": [1, 2]}', name="run_shell")],
        [native_call('{"frame_range": [1, 2]}'), native_call('{"frame_range": [3, 4]}', call_id="call_8")],
    ],
    ids=["cut", "empty", "null", "deep", "nan", "infinity", "extra key", "unknown tool", "two calls"],
)
def test_a_native_call_outside_the_grammar_is_carried_over_for_the_grammar_to_refuse(calls: list[dict[str, Any]]) -> None:
    with ModelServer([Say(text="look", message={"tool_calls": calls}), Say(text=ANSWER)]) as server:
        first, second = talk(OpenAIPolicy("m", server.url, native_tools=True), [shown("?")], [shown("Refused.")])
    assert isinstance(parse(first.text), Malformed)
    assert parse(second.text) == Answer("seen", "red card")
    answered = [message["tool_call_id"] for message in server.requests[1].body["messages"] if message["role"] == "tool"]
    assert answered == [call["id"] for call in calls]


def test_an_answer_beside_a_native_call_is_two_actions_and_malformed() -> None:
    with ModelServer([Say(text=ANSWER, message={"tool_calls": [native_call('{"frame_range": [3, 9]}')]})]) as server:
        [reply] = talk(OpenAIPolicy("m", server.url, native_tools=True), [shown("?")])
    assert isinstance(parse(reply.text), Malformed)


# Endpoints that refuse a field


def test_a_model_that_wants_the_newer_name_of_the_token_limit_is_given_it_from_then_on() -> None:
    refusal = error(
        400, "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens'.", "unsupported_parameter"
    )
    with ModelServer([refusal, Say(text=CALL), Say(text=ANSWER)]) as server:
        talk(OpenAIPolicy("m", server.url, max_retries=0), [shown("?")], [shown("!")], sampling=Sampling(max_tokens=77))
    limits = [(r.body.get("max_tokens"), r.body.get("max_completion_tokens")) for r in server.requests]
    assert limits == [(77, None), (None, 77), (None, 77)]


def test_an_endpoint_without_seeds_is_asked_without_one_and_the_reader_warned_once(caplog: pytest.LogCaptureFixture) -> None:
    def without_seeds(request: Request) -> Act:
        return error(422, "Extra inputs are not permitted: seed") if "seed" in request.body else Say(text=ANSWER)

    with caplog.at_level(logging.WARNING, logger="deepsport"), ModelServer(without_seeds) as server:
        talk(OpenAIPolicy("m", server.url, max_retries=0), [shown("?")], [shown("!")])
    assert ["seed" in request.body for request in server.requests] == [True, False, False]
    assert [record.message for record in caplog.records] == ["m takes no seed: its replies cannot be repeated."]


# Many conversations


def test_sixty_four_conversations_at_once_each_get_their_own_reply_to_their_own_pixels() -> None:
    def describe(request: Request) -> Say:
        *_, last = request.body["messages"]
        text, image = last["content"]
        return Say(text=f"{text['text']} {pixels_of(image)[0, 0].tolist()} {len(request.body['messages'])}")

    async def conversation(policy: OpenAIPolicy, n: int) -> list[str]:
        session = policy.session(Sampling())
        flat = [np.full((8, 8, 3), (n, turn, 200), np.uint8) for turn in range(3)]
        return [(await session.reply([shown(f"{n}/{turn}", frame(0, flat[turn]))])).text for turn in range(3)]

    async def all_at_once(policy: OpenAIPolicy) -> list[list[str]]:
        return await asyncio.gather(*(conversation(policy, n) for n in range(64)))

    with ModelServer(describe) as server:
        said = asyncio.run(all_at_once(OpenAIPolicy("m", server.url, image_format="png", max_concurrent=8)))
    assert said == [[f"{n}/{turn} [{n}, {turn}, 200] {2 * turn + 1}" for turn in range(3)] for n in range(64)]


def test_no_more_requests_are_in_flight_than_allowed_and_as_many_as_allowed() -> None:
    def slow(_: Request) -> Say:
        time.sleep(0.05)
        return Say(text=ANSWER)

    async def all_at_once(policy: OpenAIPolicy) -> None:
        await asyncio.gather(*(policy.session(Sampling()).reply([shown("?")]) for _ in range(20)))

    with ModelServer(slow) as server:
        asyncio.run(all_at_once(OpenAIPolicy("m", server.url, max_concurrent=4)))
        assert (len(server.requests), server.peak_in_flight) == (20, 4)


def test_requests_one_after_another_share_a_connection_and_requests_at_once_have_one_each() -> None:
    def slow(_: Request) -> Say:
        time.sleep(0.05)
        return Say(text=ANSWER)

    async def talked(policy: OpenAIPolicy) -> list[int]:
        n_opened: list[int] = []
        for at_once in (1, 1, 4, 1, 4):
            await asyncio.gather(*(policy.session(Sampling()).reply([shown("?")]) for _ in range(at_once)))
            assert policy._line
            n_opened.append(len(policy._line._opened))
        return n_opened

    with ModelServer(slow) as server:
        assert asyncio.run(talked(OpenAIPolicy("m", server.url))) == [1, 1, 4, 4, 4]


def test_a_policy_serves_one_event_loop_after_another() -> None:
    with ModelServer(lambda _: Say(text=ANSWER)) as server:
        policy = OpenAIPolicy("m", server.url)
        texts = [asyncio.run(policy.session(Sampling()).reply([shown("?")])).text for _ in range(3)]
    assert texts == [ANSWER] * 3


def test_importing_the_policy_loads_neither_the_client_library_nor_torch() -> None:
    code = "import sys, deepsport.policy.openai; print([m for m in ('openai', 'torch', 'transformers') if m in sys.modules])"
    assert json.loads(subprocess.check_output([sys.executable, "-c", code], text=True).replace("'", '"')) == []


def test_the_models_that_an_endpoint_serves_can_be_listed() -> None:
    with ModelServer([]) as server:
        assert asyncio.run(OpenAIPolicy("", server.url).served_models()) == ("m",)
