"""One vLLM server: what it is sent, what is believed of what it answers, and how it takes new weights."""

import asyncio
import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from pydantic import ValidationError

from deepsport.errors import BadConfig, ContextOverflow, EngineError, PolicyError
from deepsport.policy.base import Image, Message, Sampling
from deepsport.policy.local.checkpoint import load_policy
from deepsport.policy.local.policy import LocalPolicy
from deepsport.policy.openai.failure import Failure
from deepsport.policy.vllm.fleet import Fleet
from deepsport.policy.vllm.server import Version, require_same_elsewhere
from deepsport.policy.vllm.settings import VLLMConfig
from deepsport.policy.vllm.wire import Pictures, Wanted, picture_of, request_of
from deepsport.records import TokenRecord
from model_server import Hang, error
from served_runs import OWNER, adapter, fleet_of, speaker, talk, version, whole, wide_folder
from tiny_models import full_forward, image, logged, opening, raise_logits
from token_server import Json, TokenServer

FRAMES = [image(index) for index in range(3)]
ONE = f"{OWNER}a-1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return wide_folder(tmp_path_factory.mktemp("nano"))


@pytest.fixture(scope="module")
def policy(folder) -> LocalPolicy:
    return load_policy(str(folder))


@pytest.fixture(scope="module")
def adapted(folder, tmp_path_factory) -> Version:
    """Weights that sample otherwise than those a server begins with."""
    return version(ONE, adapter(folder, tmp_path_factory.mktemp("adapters") / "1"))


@pytest.fixture
def server(folder):
    with TokenServer(folder) as running:
        yield running


def said_by(
    policy: LocalPolicy, server: TokenServer, weights: Version, *turns: Sequence[Message], n: int = 1
) -> list[TokenRecord]:
    """The same conversation, `n` times one after the other, with weights that are sent first."""

    async def converse() -> list[TokenRecord]:
        fleet = fleet_of(policy, [server])
        await fleet.publish(weights, keep=1)
        records = [await talk(speaker(policy, fleet, weights), turns) for _ in range(n)]
        await fleet.close()
        return records

    return asyncio.run(converse())


def test_what_a_server_samples_is_recorded_with_the_log_probabilities_that_the_trainer_finds(policy, server, folder, adapted):
    second = [Message("user", ("frame 2:", FRAMES[2], "\nGo on."))]
    [record] = said_by(policy, server, adapted, opening(FRAMES[:2]), second)
    trainer = load_policy(str(adapted.folder), keep_adapter=True)
    assert len(record.images) == 3
    assert (logged(record) - full_forward(trainer, record, FRAMES)).abs().max() < 1e-4
    assert (logged(record) - full_forward(policy, record, FRAMES)).abs().max() > 1e-2, "the adapter changes nothing"


def test_the_prompt_is_the_one_that_the_trainer_would_show(policy, server, adapted):
    [record] = said_by(policy, server, adapted, opening(FRAMES))
    assert not any(record.sampled[: -len(logged(record))])

    async def here() -> TokenRecord:
        session = policy.session(Sampling(max_tokens=1))
        await session.reply(opening(FRAMES))
        return session.tokens()

    shown = asyncio.run(here())
    n_prompt = record.sampled.index(True)
    assert record.ids[:n_prompt] == shown.ids[: shown.sampled.index(True)]
    assert record.images == shown.images


def test_a_server_that_read_another_prompt_ends_the_run_with_the_first_difference(policy, server, adapted):
    server.misreads = True
    with pytest.raises(EngineError, match=r"read another prompt .* different from token 0 on"):
        said_by(policy, server, adapted, opening(FRAMES))


def test_an_image_travels_once_and_again_after_the_server_dropped_it(policy, server, adapted):
    more = [Message("user", (FRAMES[2],))]
    said_by(policy, server, adapted, opening(FRAMES[:2]), more, n=2)
    assert [asked.n_whole for asked in server.asked] == [2, 1, 0, 0]
    assert [len(asked.uuids) for asked in server.asked] == [2, 3, 2, 3]


def test_images_that_were_dropped_are_sent_again_within_the_same_reply(policy, server, adapted):

    async def converse() -> TokenRecord:
        fleet = fleet_of(policy, [server])
        await fleet.publish(adapted, keep=1)
        await talk(speaker(policy, fleet, adapted), [opening(FRAMES)])
        server.forget_images()
        record = await talk(speaker(policy, fleet, adapted), [opening(FRAMES)])
        await fleet.close()
        assert fleet.asked_again == 0
        return record

    assert any(asyncio.run(converse()).sampled)
    assert [asked.n_whole for asked in server.asked] == [3, 0, 3]


def test_an_image_is_sent_pixel_by_pixel_at_the_size_that_the_model_sees(policy):
    large = image(7, height=100, width=200)
    [picture] = Pictures(policy.preprocessor.resize).of([large])
    sent = np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(picture.uri.partition(",")[2]))))
    assert np.array_equal(sent, policy.preprocessor.resize(large.pixels))
    assert policy.preprocessor.grid(*sent.shape[:2]) == policy.preprocessor.grid(100, 200)


def test_images_of_other_pixels_or_another_shape_have_another_hash():
    flat = np.zeros((28, 56, 3), np.uint8)
    dotted = flat.copy()
    dotted[27, 55, 2] = 1
    assert len({picture_of(pixels).hash for pixels in (flat, flat.reshape(56, 28, 3), dotted)}) == 3


def test_pictures_that_were_not_used_for_long_are_dropped(policy):
    one = len(picture_of(FRAMES[0].pixels).uri)
    n_made: list[int] = []

    def resize(pixels: np.ndarray) -> np.ndarray:
        n_made.append(1)
        return pixels

    kept = Pictures(resize, most_bytes=int(2.5 * one))
    for shown in (FRAMES[0], FRAMES[1], FRAMES[0], FRAMES[2], FRAMES[0], FRAMES[1]):
        kept.of([shown])
    assert len(n_made) == 4  # the second frame had to go, and was made again


# what a server answers


def answered(policy: LocalPolicy, server: TokenServer, weights: Version) -> object:
    """What `Server.reply` makes of one answer."""

    async def ask() -> object:
        fleet = fleet_of(policy, [server])
        await fleet.publish(weights, keep=1)
        reply = await fleet.servers[0].reply(wanted(policy), weights, 10.0)
        await fleet.close()
        return reply

    return asyncio.run(ask())


def wanted(policy: LocalPolicy, images: Sequence[Image] = (), max_tokens: int = 4) -> Wanted:
    """A reply to some words."""
    from deepsport.policy.local.chat import TokenLog
    from deepsport.policy.local.session import Prompt

    log = TokenLog()
    shown = policy.chat.add_messages(log, opening(images))
    pictures = Pictures(policy.preprocessor.resize).of(shown)
    return Wanted(Prompt(log.ids, log.slots, shown, max_tokens), pictures, 1.0, policy.chat.end, policy.chat.suppressed)


def choice(answer: Json) -> Json:
    return answer["choices"][0]


@pytest.mark.parametrize(
    ("distort", "what"),
    [
        (lambda answer: answer.pop("prompt_token_ids"), "prompt_token_ids"),
        (lambda answer: answer["choices"].clear(), "without tokens"),
        (lambda answer: choice(answer).update(token_ids=[]), "without tokens"),
        (lambda answer: choice(answer).update(logprobs=None), "logprobs"),
        (lambda answer: choice(answer)["logprobs"]["content"].pop(), "other tokens"),
        (lambda answer: choice(answer)["logprobs"]["content"][0].update(logprob=-9999.0), "that are none"),
        (lambda answer: choice(answer)["logprobs"]["content"][0].update(logprob=float("nan")), "that are none"),
        (lambda answer: choice(answer)["logprobs"]["content"][0].update(logprob=0.5), "that are none"),
        (lambda answer: choice(answer).update(finish_reason="abort"), "broken off"),
    ],
)
def test_an_answer_that_cannot_be_trained_on_is_no_reply(policy, server, distort, what, adapted):
    server.distort = distort
    raise_logits(server._base, [5], 50.0)  # so that it never ends by itself
    failure = answered(policy, server, adapted)
    assert isinstance(failure, Failure)
    assert failure.transient
    assert what in failure.what


def test_a_token_that_may_not_be_sampled_is_no_reply(policy, server, adapted):
    def forbidden(answer: Json) -> None:
        choice(answer)["token_ids"][0] = choice(answer)["logprobs"]["content"][0]["token_id"] = policy.chat.image_pad

    server.distort = forbidden
    failure = answered(policy, server, adapted)
    assert isinstance(failure, Failure)
    assert "not to be sampled" in failure.what


@pytest.mark.parametrize(
    ("status", "message", "raised"),
    [
        (400, "max_tokens must be positive", PolicyError),
        (400, "The prompt exceeds the maximum model length of 10.", ContextOverflow),
        (401, "Unauthorized", BadConfig),
        (404, "Not Found", BadConfig),
        (404, "The model `x-1` does not exist.", None),
        (500, "EngineCore encountered an issue.", None),
        (503, "", None),
    ],
)
def test_only_what_is_the_servers_own_fault_is_asked_for_elsewhere(policy, server, status, message, raised, adapted):
    server.act = lambda number: error(status, message)
    failure = answered(policy, server, adapted)
    assert isinstance(failure, Failure)
    if raised is None:
        require_same_elsewhere(failure, "there")
    else:
        with pytest.raises(raised):
            require_same_elsewhere(failure, "there")


def test_a_request_holds_one_placeholder_an_image_and_forbids_what_may_not_be_sampled(policy):
    asked = wanted(policy, FRAMES)
    body = json.loads(request_of(asked, "m", {asked.pictures[1].hash}))
    assert body["token_ids"].count(policy.chat.image_pad) == 3
    assert [part["url"] is None for part in body["content_parts"]] == [False, True, False]
    assert set(body["sampling_params"]["logit_bias"]) == {str(token) for token in policy.chat.suppressed}
    assert "content_parts" not in json.loads(request_of(wanted(policy), "m", set()))


# weights


def test_an_adapter_that_is_loaded_already_counts_as_loaded(policy, server, adapted):

    async def twice() -> list[Failure | None]:
        fleet = fleet_of(policy, [server])
        told = [await fleet.servers[0].install(adapted) for _ in range(2)]
        await fleet.close()
        return told

    assert asyncio.run(twice()) == [None, None]
    assert server.control.count("/v1/load_lora_adapter") == 2


def test_weights_that_a_server_cannot_see_end_the_run(policy, server, tmp_path):
    with pytest.raises(EngineError, match="Every server must see that folder"):
        answered(policy, server, version(ONE, tmp_path / "nowhere"))


def test_whole_weights_are_read_in_a_pause_and_labelled_before_it_ends(folder, policy, server, tmp_path):
    weights = version(ONE, whole(folder, tmp_path / "whole"), adapter=False)
    [record] = said_by(policy, server, weights, opening(FRAMES))
    moves = [path for path in server.control if path not in ("/weight_info", "/is_paused")]
    assert moves == ["/pause?mode=wait", "/collective_rpc", "/update_weight_version", "/resume"]
    assert server.label == ONE
    moved = load_policy(str(weights.folder))
    assert (logged(record) - full_forward(moved, record, FRAMES)).abs().max() < 1e-4


def test_whole_weights_that_another_process_sent_are_not_sent_again(folder, policy, server, tmp_path):
    weights = version(ONE, whole(folder, tmp_path / "whole"), adapter=False)
    said_by(policy, server, weights, opening(FRAMES))
    said_by(policy, server, weights, opening(FRAMES))
    assert server.control.count("/collective_rpc") == 1


def test_a_server_that_failed_to_read_whole_weights_is_not_resumed(policy, server, tmp_path):
    with pytest.raises(EngineError, match="no server answered"):
        answered(policy, server, version(ONE, tmp_path / "nowhere", adapter=False))
    assert server.paused
    assert "/resume" not in server.control


def test_a_server_that_lost_whole_weights_gives_no_reply_that_counts(folder, policy, server, tmp_path):
    weights = version(ONE, whole(folder, tmp_path / "whole"), adapter=False)

    async def ask() -> object:
        fleet = fleet_of(policy, [server])
        await fleet.publish(weights, keep=1)
        server.die()
        server.revive()
        reply = await fleet.servers[0].reply(wanted(policy), weights, 10.0)
        await fleet.close()
        return reply

    failure = asyncio.run(ask())
    assert isinstance(failure, Failure)
    assert "'default'" in failure.what


@pytest.mark.parametrize(
    ("label", "covered"),
    [("run-a-3", True), ("run-a-4", True), ("run-a-2", False), ("run-b-3", False), ("default", False), ("run-a-x", False)],
)
def test_a_label_stands_for_weights_of_the_same_attempt_that_are_no_older(label, covered):
    assert version("run-a-3", Path(), adapter=False).covers(label) is covered


def test_new_weights_do_not_stand_in_line_behind_replies(policy, server, adapted):
    server.act = lambda number: Hang(30)

    async def ask() -> Failure | None:
        fleet = fleet_of(policy, [server])
        [asked] = fleet.servers
        asked._places = asyncio.Semaphore(1)
        replies = [asyncio.create_task(asked.reply(wanted(policy), adapted, 30.0)) for _ in range(3)]
        while not server.asked:
            await asyncio.sleep(0.01)
        told = await asyncio.wait_for(asked.install(adapted), 5)
        for reply in replies:
            reply.cancel()
        await asyncio.gather(*replies, return_exceptions=True)
        assert asked.in_flight == 0
        await fleet.close()
        return told

    assert asyncio.run(ask()) is None
    assert len(server.asked) == 1


# settings


@pytest.mark.parametrize("address", ["node7:8000", "http://node7:8000/v1", "ftp://node7", "http://", ""])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(ValidationError, match="no address of a server"):
        VLLMConfig(addresses=[address])


def test_a_recipe_without_a_server_is_refused():
    with pytest.raises(ValidationError, match="no server"):
        VLLMConfig()


def test_the_key_is_sent_and_not_shown(policy, folder, adapted):
    with TokenServer(folder, api_key="sk-secret") as guarded:
        said_by(policy, guarded, adapted, opening(FRAMES))
        assert {asked.authorization for asked in guarded.asked} == {"Bearer sk-secret"}
        fleet: Fleet = fleet_of(policy, [guarded])
        assert "sk-secret" not in repr(fleet) + repr(fleet.servers[0])
