"""The official `openai` client against the server, unchanged: all that a program would do with it."""

import asyncio
import logging
from pathlib import Path

import openai
import pytest
from openai import OpenAI

from chat_server import (
    QUESTION,
    Endless,
    Reader,
    Running,
    about_clip,
    asking,
    clip,
    data_uri,
    image_part,
    picture,
    running,
    video_part,
    write_clip,
)
from deepsport.records import Episode
from fetch_server import FetchServer, Give


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("footage")


@pytest.fixture(scope="module")
def server(footage: Path):
    with running(Reader(), media={"folders": (str(footage),)}) as started:
        yield started


@pytest.fixture
def client(server: Running) -> OpenAI:
    return server.client()


def test_the_model_is_listed_and_can_be_asked_for(client):
    assert [model.id for model in client.models.list()] == ["reader"]
    assert client.models.retrieve("reader").owned_by == "deepsport"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-5")


def test_a_video_is_looked_at_and_answered_for(client):
    completion = client.chat.completions.create(model="reader", messages=about_clip(7))
    (choice,) = completion.choices
    assert (choice.message.content, choice.finish_reason) == ("clip 7", "stop")


def test_a_file_of_an_allowed_folder_is_looked_at(client, footage):
    path = write_clip(footage / "a b.mp4", 9)
    completion = client.chat.completions.create(model="reader", messages=asking(video_part(path.as_uri())))
    assert completion.choices[0].message.content == "clip 9"


def test_a_video_of_an_allowed_host_is_fetched_and_its_signature_stands_in_no_log(caplog):
    caplog.set_level(logging.DEBUG)
    with FetchServer({"/clip.mp4?signature=secret-of-mine": Give(body=clip(12))}) as host:
        place = f"127.0.0.1:{host.port}"
        with running(Reader(), media={"hosts": (place,), "networks": ("127.0.0.0/8",)}) as server:
            messages = asking(video_part(f"http://{place}/clip.mp4?signature=secret-of-mine"))
            completion = server.client().chat.completions.create(model="reader", messages=messages)
            with pytest.raises(openai.BadRequestError) as raised:
                server.client().chat.completions.create(
                    model="reader", messages=asking(video_part(f"http://{place}/none?signature=secret-of-mine"))
                )
    assert completion.choices[0].message.content == "clip 12"
    assert raised.value.code == "media_upstream"
    ours = [record for record in caplog.records if not record.name.startswith("openai")]
    assert [record.getMessage() for record in ours if "secret-of-mine" in record.getMessage()] == []


def test_pictures_are_all_shown_at_once_and_no_tool_is_offered(client):
    parts = [image_part(data_uri(picture(3, index), "image/png")) for index in range(5)]
    completion = client.chat.completions.create(model="reader", messages=asking(*parts))
    told = completion.model_extra["deepsport"]
    assert completion.choices[0].message.content == "clip 3"
    assert (told["limits"]["with_tool"], len(told["episodes"][0]["first_frames"])) == (False, 5)


def test_frames_as_jpegs_in_one_video_are_looked_at(client):
    import io

    import PIL.Image

    from chat_server import numbered

    frames: list[bytes] = []
    for index in range(4):
        stream = io.BytesIO()
        PIL.Image.fromarray(numbered(6, index)).save(stream, "JPEG", quality=95)
        frames.append(stream.getvalue())
    url = "data:video/jpeg;base64," + ",".join(data_uri(frame).partition(",")[2] for frame in frames)
    completion = client.chat.completions.create(model="reader", messages=asking(video_part(url)))
    assert completion.choices[0].message.content == "clip 6"


def test_the_trace_comes_as_reasoning_and_the_episode_as_an_extension(client):
    completion = client.chat.completions.create(model="reader", messages=about_clip(7))
    reasoning = completion.choices[0].message.model_extra["reasoning"]
    assert reasoning.startswith("once more\n[looked at frames 5 to 15, 0.20 to 0.60 s: 5, ")
    episode = Episode.model_validate(completion.model_extra["deepsport"]["episodes"][0])
    assert (episode.stop, episode.answer, len(episode.turns)) == ("answered", "clip 7", 2)
    assert {frame.video for frame in episode.frames_seen} == {"video"} == {episode.question.video}


def test_the_usage_counts_every_reply(client):
    usage = client.chat.completions.create(model="reader", messages=about_clip(7)).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (300, 15, 315)


def test_a_stream_brings_the_turns_the_answer_the_usage_and_the_episode(client):
    stream = client.chat.completions.create(
        model="reader", messages=about_clip(8), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == "clip 8"
    assert [delta.model_extra["reasoning"].split("\n")[0] for delta in deltas if "reasoning" in delta.model_extra] == [
        "once more",
        "all frames agree",
    ]
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "stop"
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], 315)
    assert chunks[-1].model_extra["deepsport"]["episodes"][0]["answer"] == "clip 8"


def test_the_trace_is_the_same_streamed_and_whole(client):
    whole = client.chat.completions.create(model="reader", messages=about_clip(8)).choices[0].message.model_extra["reasoning"]
    stream = client.chat.completions.create(model="reader", messages=about_clip(8), stream=True)
    deltas = [choice.delta for chunk in stream for choice in chunk.choices]
    assert "".join(delta.model_extra.get("reasoning", "") for delta in deltas) == whole


def test_a_stream_without_usage_ends_with_the_episode_in_the_last_choice(client):
    chunks = list(client.chat.completions.create(model="reader", messages=about_clip(8), stream=True))
    assert (chunks[-1].choices[0].finish_reason, chunks[-1].usage) == ("stop", None)
    assert chunks[-1].model_extra["deepsport"]["episodes"][0]["stop"] == "answered"


def test_several_answers_are_several_episodes(client, server):
    completion = client.chat.completions.create(model="reader", messages=about_clip(5), n=3, temperature=0.7, seed=11)
    assert [choice.message.content for choice in completion.choices] == ["clip 5"] * 3
    assert [episode["seed"] for episode in completion.model_extra["deepsport"]["episodes"]] == [11, 12, 13]


def test_several_answers_stream_side_by_side(client):
    stream = client.chat.completions.create(model="reader", messages=about_clip(5), n=2, stream=True)
    said = {0: "", 1: ""}
    for choice in (choice for chunk in stream for choice in chunk.choices):
        said[choice.index] += choice.delta.content or ""
    assert said == {0: "clip 5", 1: "clip 5"}


def test_the_last_medium_of_a_conversation_counts_and_earlier_turns_stand_before_the_question(client, server):
    first = client.chat.completions.create(model="reader", messages=about_clip(1))
    messages = [
        {"role": "system", "content": "Be brief."},
        *about_clip(1),
        first.choices[0].message.model_dump(),
        *asking(video_part(data_uri(clip(2))), text="And this one?"),
        {"role": "assistant", "content": "clip 2"},
        {"role": "user", "content": "Are you sure?"},
    ]
    with running(Reader()) as fresh:
        answer = fresh.client().chat.completions.create(model="reader", messages=messages)
        told = answer.model_extra["deepsport"]["episodes"][0]["question"]["text"]
    assert answer.choices[0].message.content == "clip 2"
    assert told == (
        f"Be brief.\nEarlier in this conversation:\nAsked: {QUESTION}\nAnswered: clip 1\nAsked: And this one?\nAnswered: clip 2\n"
        "Now:\nAre you sure?"
    )


def test_sport_and_options_reach_the_model(client):
    body = {"deepsport": {"sport": "table_tennis", "options": ["clip 1", "clip 2"]}}
    completion = client.chat.completions.create(model="reader", messages=about_clip(2), extra_body=body)
    question = completion.model_extra["deepsport"]["episodes"][0]["question"]
    assert (question["sport"], question["text"]) == ("table_tennis", f"{QUESTION} Options: clip 1, clip 2.")


@pytest.mark.parametrize(
    ("messages", "error", "code"),
    [
        ([{"role": "user", "content": "hello"}], openai.BadRequestError, "no_media"),
        (asking(video_part("https://videos.example.org/a.mp4")), openai.BadRequestError, "media_host"),
        (asking(video_part("ftp://videos.example.org/a.mp4")), openai.BadRequestError, "media_scheme"),
        (asking(video_part("file:///etc/passwd")), openai.BadRequestError, "media_folder"),
        (asking(video_part(data_uri(b"no video at all" * 99))), openai.BadRequestError, "bad_video"),
    ],
)
def test_what_cannot_be_looked_at_is_a_bad_request_with_a_code(messages, error, code, client):
    with pytest.raises(error) as raised:
        client.chat.completions.create(model="reader", messages=messages)
    assert (raised.value.code, raised.value.request_id[:4]) == (code, "req-")


def test_a_wrong_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError, match="this server has 'reader'"):
        client.chat.completions.create(model="gpt-5", messages=about_clip(1))


def test_a_bad_video_in_a_stream_is_raised_by_the_client(client):
    stream = client.chat.completions.create(
        model="reader", messages=asking(video_part(data_uri(b"no video at all" * 99))), stream=True
    )
    with pytest.raises(openai.APIError, match="the video"):
        list(stream)


def test_fifty_parallel_requests_each_get_the_answer_about_their_own_clip():
    async def ask_all(server: Running) -> list[str | None]:
        async with server.async_client() as client:
            asking_all = (client.chat.completions.create(model="reader", messages=about_clip(n)) for n in range(1, 51))
            return [completion.choices[0].message.content for completion in await asyncio.gather(*asking_all)]

    with running(Reader(pause_s=0.01), concurrency=8, queue=50) as server:
        assert asyncio.run(ask_all(server)) == [f"clip {n}" for n in range(1, 51)]


def test_fifty_parallel_streams_do_not_mix_either():
    async def ask(client: openai.AsyncOpenAI, n: int) -> str:
        stream = await client.chat.completions.create(model="reader", messages=about_clip(n), stream=True)
        return "".join([choice.delta.content or "" async for chunk in stream for choice in chunk.choices])

    async def ask_all(server: Running) -> list[str]:
        async with server.async_client() as client:
            return await asyncio.gather(*(ask(client, n) for n in range(1, 51)))

    with running(Reader(pause_s=0.01), concurrency=8, queue=50) as server:
        assert asyncio.run(ask_all(server)) == [f"clip {n}" for n in range(1, 51)]


def test_an_overloaded_server_says_when_to_try_again():
    endless = Endless()
    with running(endless, concurrency=1, queue=0, grace_s=0.0) as server:
        client = server.client()
        stream = client.chat.completions.create(model="endless", messages=about_clip(1), stream=True)
        assert endless.begun.wait(10)
        with pytest.raises(openai.RateLimitError) as raised:
            client.chat.completions.create(model="endless", messages=about_clip(2))
        assert 1 <= int(raised.value.response.headers["retry-after"]) <= 60
        stream.close()


def test_the_client_gets_through_an_overload_by_itself():
    async def ask_all(server: Running) -> list[str | None]:
        async with server.async_client(max_retries=8) as client:
            asking_all = (client.chat.completions.create(model="reader", messages=about_clip(n)) for n in range(1, 7))
            return [completion.choices[0].message.content for completion in await asyncio.gather(*asking_all)]

    with running(Reader(pause_s=0.05), concurrency=1, queue=1) as server:
        assert asyncio.run(ask_all(server)) == [f"clip {n}" for n in range(1, 7)]
        assert server.metric('deepsport_requests_total{code="429"}') > 0
