"""The parts of the chat server that need no socket."""

import asyncio
import json
import math

import numpy as np
import pytest

from deepsport.policy.base import Sampling
from deepsport.records import Frame, StopReason, ToolCall, Turn
from deepsport.serve.chat.asked import Asked, Terms, asked_of, question_of, samplings_of, terms_of
from deepsport.serve.chat.body import ChatBody, read_body
from deepsport.serve.chat.desk import Desk
from deepsport.serve.chat.meters import Meters
from deepsport.serve.chat.refusal import Refused
from deepsport.serve.chat.reply import Letterhead, closing_chunks, completion, finish_of, reasoning_of, shown_episode
from deepsport.serve.chat.settings import Ceilings, ServeConfig
from deepsport.serve.chat.sources import RENEWED_AFTER, Sources
from deepsport.serve.media.brought import Album, Clip, MediaPart
from made_episodes import episode, look, malformed, question, refused

CLIP = Clip(path="/some/where/0a1b.video", n_bytes=1)
CEILINGS = Ceilings()
HEAD = Letterhead(request_id="req-1", model="m", created=0)


def body(*messages: dict, **rest) -> ChatBody:
    return read_body(json.dumps({"model": "m", "messages": list(messages), **rest}).encode())


def user(*parts) -> dict:
    return {"role": "user", "content": list(parts)}


def text(words: str) -> dict:
    return {"type": "text", "text": words}


def video(url: str) -> dict:
    return {"type": "video_url", "video_url": {"url": url}}


def image(url: str) -> dict:
    return {"type": "image_url", "image_url": {"url": url, "detail": "high"}}


def asked(*messages: dict, **rest) -> Asked:
    return asked_of(body(*messages, **rest), CEILINGS, ["m"])


def album(n: int) -> Album:
    return Album(path="pictures-1", pictures=(np.zeros((8, 8, 3), np.uint8),) * n, n_bytes=1)


def test_the_media_of_the_last_message_that_has_any_are_looked_at():
    found = asked(user(video("a"), text("one")), user(image("b"), image("c"), text("two")), user(text("three"))).media
    assert found == (MediaPart(kind="image", url="b"), MediaPart(kind="image", url="c"))


def test_a_question_alone_stands_alone():
    assert asked(user(video("a"), text("Who"), text("scored?"))).text == "Who\nscored?"


def test_a_refusal_and_empty_turns_of_before_are_left_out():
    said = asked({"role": "assistant", "content": None}, {"role": "assistant", "content": ""}, user(video("a"), text("Who?")))
    assert said.text == "Who?"


def test_both_names_of_the_token_limit_are_known_and_the_newer_wins():
    limits = [
        asked(user(video("a"), text("?")), **given).max_reply_tokens
        for given in ({"max_tokens": 7}, {"max_tokens": 7, "max_completion_tokens": 9}, {})
    ]
    assert limits == [7, 9, Sampling().max_tokens]


def test_answers_are_drawn_with_seeds_of_their_own():
    assert [each.seed for each in samplings_of(asked(user(video("a"), text("?")), n=3, seed=5))] == [5, 6, 7]


def test_a_few_pictures_are_all_shown_and_many_are_looked_through():
    request = asked(user(image("a"), text("?")))
    few, many = (
        terms_of(request, CEILINGS, album(CEILINGS.first_frames)),
        terms_of(request, CEILINGS, album(CEILINGS.first_frames + 1)),
    )
    assert (few.with_tool, few.first_frames) == (False, CEILINGS.first_frames)
    assert (many.with_tool, many.first_frames) == (True, CEILINGS.first_frames)


def test_a_video_has_the_usual_limits_unless_others_are_wanted():
    usual = terms_of(asked(user(video("a"), text("?"))), CEILINGS, CLIP)
    wanted = terms_of(asked(user(video("a"), text("?")), deepsport={"max_turns": 2, "with_tool": False}), CEILINGS, CLIP)
    assert usual == Terms(max_turns=5, first_frames=8, frames_per_call=8, max_reply_tokens=1024, with_tool=True)
    assert (wanted.max_turns, wanted.with_tool) == (2, False)


@pytest.mark.parametrize("field", ["max_turns", "first_frames", "frames_per_call"])
def test_low_ceilings_hold_for_the_defaults_too(field):
    low = Ceilings(**{field: 2})
    assert getattr(terms_of(asked(user(video("a"), text("?"))), low, CLIP), field) == 2


def test_the_question_is_about_what_was_brought():
    put = question_of(asked(user(video("a"), text("Who?")), deepsport={"sport": "diving"}), "req-1", CLIP)
    assert (put.id, put.video, put.text, put.sport) == ("req-1", CLIP.path, "Who?", "diving")


def test_a_shown_episode_has_neither_the_path_nor_the_name_of_the_policy_here_nor_tokens():
    played = episode("volley", (look(14, 28, CLIP.path),), question(video=CLIP.path))
    shown = shown_episode(played, CLIP, "m")
    assert CLIP.path not in shown.model_dump_json()
    assert (shown.policy, shown.tokens, {frame.video for frame in shown.frames_seen}) == ("m", None, {"video"})


def test_a_path_that_json_writes_otherwise_is_replaced_too():
    odd = Clip(path='/odd "place"\\ü/0a.video', n_bytes=1)
    assert shown_episode(episode("x", (), question(video=odd.path)), odd, "m").question.video == "video"


def test_the_reasoning_says_what_was_thought_looked_at_and_refused():
    frames = (Frame(video="v", index=3, time_s=0.12), Frame(video="v", index=9, time_s=0.36))
    seen = Turn(text="", thought="closer", call=ToolCall(start_index=3, end_index=9), frames=frames)
    assert reasoning_of(seen) == "closer\n[looked at frames 3 to 9, 0.12 to 0.36 s: 3, 9]\n"
    assert reasoning_of(refused(5, 900)) == "[asked for frames 5 to 900: Refused.]\n"
    assert reasoning_of(malformed()) == "[the reply does not start with <think>]\n"


@pytest.mark.parametrize(
    ("stop", "finish"), [("answered", "stop"), ("format_error", "stop"), ("max_turns", "length"), ("max_tokens", "length")]
)
def test_a_limit_finishes_with_length(stop, finish):
    assert finish_of(episode(None, (), stop=StopReason(stop))) == finish


def test_an_episode_without_an_answer_has_empty_content_and_its_stop_reason():
    unanswered = episode(None, (malformed(),), stop=StopReason.FORMAT_ERROR)
    reply = completion(HEAD, [unanswered], {"episodes": [unanswered.model_dump(mode="json")]})
    assert reply["choices"][0]["message"]["content"] == ""  # type: ignore[index]
    assert reply["deepsport"]["episodes"][0]["stop"] == "format_error"  # type: ignore[index]


def test_only_the_last_chunk_has_the_extension():
    chunks = list(closing_chunks(HEAD, [episode("a"), episode("b")], {"episodes": []}, with_usage=True))
    assert ["deepsport" in chunk for chunk in chunks] == [False, False, True]
    assert [chunk["usage"] is None for chunk in chunks] == [True, True, False]


def test_the_desk_takes_so_many_and_says_when_there_may_be_room():
    desk = Desk(2, 1, lambda: 3.0, 1.0)
    with desk.place(), desk.place():
        with pytest.raises(Refused) as raised, desk.place():
            pass
        assert (raised.value.status, raised.value.retry_after_s) == (429, 6.0)
    with desk.place(), desk.place():
        pass


@pytest.mark.parametrize(("mean_s", "expected_s"), [(0.001, 1.0), (1e6, 60.0), (math.inf, 60.0)])
def test_clients_are_told_to_wait_a_second_at_least_and_a_minute_at_most(mean_s, expected_s):
    desk = Desk(1, 1, lambda: mean_s, 1.0)
    with desk.place():
        assert desk.retry_after_s == expected_s


def test_a_closing_desk_lets_nobody_in_stops_what_outlives_the_grace_and_waits_until_all_have_gone():
    async def close() -> None:
        desk = Desk(5, 1, lambda: 1.0, 0.0)
        with desk.place():
            closing = asyncio.create_task(desk.close())
            await asyncio.wait_for(desk.over.wait(), 5)
            assert desk.is_ending
            assert not closing.done()
            with pytest.raises(Refused, match="shutting down"), desk.place():
                pass
        await asyncio.wait_for(closing, 5)

    asyncio.run(close())


def test_within_the_grace_nothing_is_told_to_stop():
    async def close() -> bool:
        desk = Desk(5, 1, lambda: 1.0, 60.0)
        await asyncio.wait_for(desk.close(), 5)
        return desk.over.is_set()

    assert not asyncio.run(close())


@pytest.mark.parametrize(
    ("given", "policy", "shown"),
    [
        ("", "nano", "nano"),
        ("", "/models/my-run/", "my-run"),
        ("", "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen2.5-VL-7B-Instruct"),
        ("me", "nano", "me"),
    ],
)
def test_the_model_is_shown_by_a_name_and_never_by_a_path(given, policy, shown):
    assert ServeConfig(model=given).shown_name(policy) == shown


def test_the_key_is_read_from_the_environment_and_stands_in_no_setting(monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret-of-mine")
    config = ServeConfig(key_env="MY_KEY")
    assert config.key == "secret-of-mine"
    assert "secret-of-mine" not in f"{config!r}{config.model_dump_json()}"


@pytest.mark.parametrize(("held", "key"), [("", None), (" \n", None), (" abc\n", "abc")])
def test_a_blank_key_is_none_and_blanks_around_one_do_not_count(held, key, monkeypatch):
    monkeypatch.setenv("MY_KEY", held)
    assert ServeConfig(key_env="MY_KEY").key == key


def test_counters_of_two_servers_do_not_mix():
    one, other = Meters(), Meters()
    one.count_episode(episode("a"))
    assert b'deepsport_episodes_total{stop="answered"} 1.0' in one.page()
    assert b'stop="answered"' not in other.page()


def test_a_source_is_lent_again_renewed_in_time_and_never_after_a_request_was_given_up():
    async def lend() -> list[object]:
        sources, lent = Sources(), list[object]()
        for _ in range(RENEWED_AFTER + 1):
            async with sources.source(CLIP) as source:
                lent.append(source)
        with pytest.raises(asyncio.CancelledError):
            async with sources.source(CLIP) as source:
                raise asyncio.CancelledError
        async with sources.source(CLIP) as after:
            assert after is not source
        await sources.close()
        return lent

    lent = asyncio.run(lend())
    assert len({id(source) for source in lent[:RENEWED_AFTER]}) == 1
    assert lent[RENEWED_AFTER] is not lent[0]
