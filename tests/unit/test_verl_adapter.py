"""The parts of the verl adapter that need no verl: rows, the conversation with a server, what is trained on, the reward."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from deepsport.agent.grammar import write_answer, write_call
from deepsport.agent.prompt import PromptStyle
from deepsport.agent.rollout import Limits, run_episode
from deepsport.errors import BadConfig, BadRecord, EngineError
from deepsport.policy.base import Sampling
from deepsport.policy.local.chat import Chat
from deepsport.policy.local.preprocess import Preprocessor
from deepsport.records import Episode, FreeText, StopReason, Turn
from deepsport.reward.gated import GatedReward
from deepsport.verl.reward import compute_score, heard
from deepsport.verl.row import extra_info, footage, read_row
from deepsport.verl.sampler import Room, ServerPolicy, ServerSampler
from deepsport.verl.trajectory import Trajectory, is_scored, parts, trajectory
from deepsport.video.source import FrameSource
from made_episodes import look, question, refused
from tiny_models import LIMITS, clip, nano_folder

CALL, WIDE = write_call("a", 10, 20), write_call("a", 0, 30)
RIGHT, WRONG = write_answer("a", "volley"), write_answer("a", "header")
RESULT = "\nuser\nframe 10 (0.40s):\nQuestion: How?\nassistant\n"


@pytest.fixture(scope="module")
def nano(tmp_path_factory: pytest.TempPathFactory) -> tuple[Chat, Preprocessor, str]:
    """The tokens of a nano, and a clip whose frames it sees at 112x56."""
    folder = nano_folder(tmp_path_factory.mktemp("nano"))
    preprocessor = Preprocessor.load(folder)
    return Chat(folder, preprocessor), preprocessor, str(clip(folder / "clip.mp4"))


@dataclass
class Said:
    """verl's `TokenOutput`."""

    token_ids: list[int]
    log_probs: list[float] | None
    stop_reason: str | None = "completed"
    num_preempted: int | None = 1
    extra_fields: dict[str, object] = field(default_factory=dict)


@dataclass
class Server:
    """A server that says its lines, one after the other, and remembers what it was asked."""

    chat: Chat
    lines: Iterator[str]
    told: list[dict[str, Any]] = field(default_factory=list)
    log_probs: bool = True
    end: bool = True
    broken: Sequence[int] | None = None
    """Ids said instead."""

    async def generate(self, request_id: str, **asked: Any) -> Said:
        self.told.append({"request_id": request_id, **asked})
        ids = [*self.chat.encode(next(self.lines)), *([self.chat.end] if self.end else [])]
        ids = list(self.broken if self.broken is not None else ids)[: asked["sampling_params"]["max_tokens"]]
        version: dict[str, object] = {"min_global_steps": len(self.told), "max_global_steps": len(self.told)}
        return Said(ids, [-0.25] * len(ids) if self.log_probs else None, extra_fields=version)


@dataclass
class Played:
    episode: Episode
    sampler: ServerSampler
    server: Server

    @property
    def trained_on(self) -> Trajectory:
        teaches = is_scored(GatedReward().score(self.episode))
        return trajectory(self.episode.tokens, teaches=teaches, room=self.sampler.room.prompt, end=self.server.chat.end)


def play(nano, *lines: str, room: Room | None = None, logprobs: bool = True, video: str = "", **how: Any) -> Played:
    chat, preprocessor, known = nano
    server = Server(chat, iter(lines), **how)
    sampler = ServerSampler(
        server=server,
        chat=chat,
        preprocessor=preprocessor,
        room=room or Room(prompt=400, response=400),
        sampling_params={"temperature": 1.0, "logprobs": logprobs},
        request_id="r",
    )
    asked = question(video=video or known)
    with FrameSource() as source:
        policy = ServerPolicy(name="verl", sampler=sampler)
        episode = asyncio.run(run_episode(asked, policy, source, limits=LIMITS, sampling=Sampling(max_tokens=60)))
    return Played(episode, sampler, server)


def test_a_row_is_read_as_it_was_written_and_its_video_found_in_the_folder(tmp_path):
    asked, limits = question(video="a/b.mp4"), Limits(first_frames=3, style=PromptStyle.BRIEF)
    read = read_row(extra_info(asked, limits, with_tool=False), tmp_path)
    assert (read.question.video, read.limits, read.with_tool) == (str(tmp_path / "a/b.mp4"), limits, False)
    assert read.question.model_copy(update={"video": "a/b.mp4"}) == asked


@pytest.mark.parametrize("video", ["/etc/passwd", "../a.mp4", "a/../../b.mp4", "file:///a.mp4", "C:\\a.mp4", ""])
def test_a_video_outside_the_folder_of_the_footage_is_refused(video, tmp_path):
    with pytest.raises(BadRecord, match="is not named from the folder of the footage"):
        read_row(extra_info(question(video=video), Limits(), with_tool=True), tmp_path)


WHOLE = extra_info(question(), Limits(), with_tool=True)


CHANGED = [{"limits": None}, {"with_tool": 1}, {"limits": '{"turns": 3}'}, {"question": "{"}]
NOT_OURS = [None, {}, "text", *(WHOLE | change for change in CHANGED)]


@pytest.mark.parametrize("extra", NOT_OURS)
def test_a_row_that_was_not_exported_by_us_is_refused(extra, tmp_path):
    with pytest.raises(BadRecord, match=r"[Ee]xport"):
        read_row(extra, tmp_path)


def test_a_folder_of_footage_that_is_not_there_is_a_fault_of_the_configuration(tmp_path):
    with pytest.raises(BadConfig, match="is not a folder here"):
        footage(str(tmp_path / "gone"))
    assert footage(str(tmp_path)) == tmp_path


def test_the_response_is_what_follows_the_opening_and_only_the_replies_are_trained_on(nano):
    played = play(nano, CALL, RIGHT)
    chat, said = nano[0], played.trained_on
    spoken = [token for token, mask in zip(said.response_ids, said.response_mask, strict=True) if mask]
    assert spoken == [*chat.encode_reply(CALL), *chat.encode_reply(RIGHT)]
    assert [logprob for logprob, mask in zip(said.logprobs, said.response_mask, strict=True) if mask] == [-0.25] * len(spoken)
    assert played.server.told[0]["prompt_ids"] == said.prompt_ids
    n_first = len(chat.encode_reply(CALL))
    n_told = len(played.server.told[1]["prompt_ids"]) - len(said.prompt_ids) - n_first
    assert said.response_mask == [1] * n_first + [0] * n_told + [1] * len(chat.encode_reply(RIGHT))
    assert said.n_images == len(played.sampler.pictures) == 6


def test_what_was_sampled_is_sent_back_as_it_was_sampled(nano):
    first, second = play(nano, CALL, RIGHT).server.told
    sent = [*first["prompt_ids"], *nano[0].encode_reply(CALL)]
    assert second["prompt_ids"][: len(sent)] == sent


def test_a_server_is_sent_all_pictures_so_far_at_the_size_that_the_model_sees(nano):
    told = play(nano, CALL, RIGHT).server.told
    assert [[picture.size for picture in request["image_data"]] for request in told] == [[(112, 56)] * 3, [(112, 56)] * 6]
    assert {request["request_id"] for request in told} == {"r"}


def test_an_opening_longer_than_the_prompt_length_says_how_long_it_is(nano):
    with pytest.raises(BadConfig, match=r"an opening of \d+ tokens, and data.max_prompt_length is 20"):
        play(nano, RIGHT, room=Room(prompt=20, response=400))


def test_no_reply_is_asked_for_more_than_the_response_has_room_for(nano):
    first, second = play(nano, CALL, RIGHT, room=Room(prompt=400, response=120)).server.told
    n_follow = len(second["prompt_ids"]) - len(first["prompt_ids"])
    assert first["sampling_params"]["max_tokens"] == 60
    assert second["sampling_params"]["max_tokens"] == 120 - n_follow < 60


def test_frames_behind_the_last_reply_are_cut_off_with_their_placeholders(nano):
    n_call = len(nano[0].encode_reply(CALL))
    played = play(nano, CALL, RIGHT, room=Room(prompt=400, response=n_call + 5))
    assert played.episode.stop is StopReason.CONTEXT_OVERFLOW
    said = played.trained_on
    assert (said.response_ids, said.response_mask) == (nano[0].encode_reply(CALL), [1] * n_call)
    assert (said.n_images, len(played.episode.frames_seen)) == (3, 6)
    assert said.prompt_ids.count(nano[0].image_pad) == 3 * 8


def test_the_context_of_the_engine_bounds_the_episode_too(nano):
    n_opening = len(play(nano, RIGHT).trained_on.prompt_ids)
    played = play(nano, CALL, RIGHT, room=Room(prompt=400, response=400, context=n_opening + 10))
    assert played.server.told[0]["sampling_params"]["max_tokens"] == 10
    assert played.episode.stop is StopReason.MAX_TOKENS


def test_a_reply_without_its_end_ran_into_the_limit(nano):
    assert play(nano, RIGHT, end=False).episode.stop is StopReason.MAX_TOKENS


@pytest.mark.parametrize("broken", [[], None], ids=["nothing said", "a placeholder"])
def test_a_reply_that_cannot_be_used_loses_the_episode_and_teaches_nothing(broken, nano):
    played = play(nano, RIGHT, broken=[nano[0].image_pad, 5] if broken is None else broken)
    assert played.episode.stop is StopReason.POLICY_ERROR
    said = played.trained_on
    assert (said.response_ids, said.response_mask) == ([nano[0].end], [0])
    assert said.prompt_ids == played.server.told[0]["prompt_ids"]
    assert said.n_images == 3


def test_an_episode_without_a_video_is_one_masked_token(nano):
    said = play(nano, RIGHT, video="gone.mp4").trained_on
    assert (said.prompt_ids, said.response_ids, said.response_mask, said.n_images) == ([nano[0].end], [nano[0].end], [0], 0)


def test_an_episode_that_teaches_nothing_keeps_its_tokens_and_is_masked_throughout(nano):
    played = play(nano, CALL, RIGHT)
    silent = trajectory(played.episode.tokens, teaches=False, room=400, end=nano[0].end)
    assert (silent.response_ids, silent.n_images) == (played.trained_on.response_ids, 6)
    assert silent.response_mask == [0] * len(silent.response_ids)


def test_a_server_that_tells_no_logprobs_though_asked_is_loud(nano):
    with pytest.raises(EngineError, match=r"asked for log-probabilities, and sent 0 for \d+ tokens"):
        play(nano, RIGHT, log_probs=False)


def test_without_logprobs_asked_for_none_are_needed(nano):
    played = play(nano, RIGHT, log_probs=False, logprobs=False)
    assert played.episode.stop is StopReason.ANSWERED
    assert not played.sampler.wants_logprobs


def test_the_first_and_the_last_version_of_the_weights_are_kept_and_preemptions_added_up(nano):
    sampler = play(nano, CALL, RIGHT).sampler
    assert (sampler.server_fields, sampler.n_preempted) == ({"min_global_steps": 1, "max_global_steps": 2}, 2)


def test_every_episode_has_the_same_parts_whatever_became_of_it(nano):
    episodes = [play(nano, RIGHT).episode, play(nano, "junk").episode, play(nano, RIGHT, video="gone.mp4").episode]
    answered, junk, told = (parts(GatedReward().score(episode), episode) for episode in episodes)
    assert list(answered) == list(junk) == list(told)
    assert (told["score"], told["scored"], told["lost"], told["stop"]) == (0, 0, 1, "video_error")


def noted(*turns: Turn) -> list[dict[str, Any]]:
    """The tool's notes of calls."""
    return [turn.model_copy(update={"text": ""}).model_dump(mode="json") for turn in turns]


def scored(response: str, *looks: Turn, n_turns: int | None = None, **constants: object) -> dict[str, float | str]:
    extra = {"question": question().model_dump_json(), "frame_tool": noted(*looks), "num_turns": n_turns}
    return compute_score("deepsport", response, "volley", extra, **constants)


@pytest.mark.parametrize(
    ("response", "looks", "score", "stop"),
    [
        (RIGHT, [], 1, "answered"),
        (WRONG, [], 0, "answered"),
        (f"{CALL}{RESULT}{RIGHT}", [look(10, 20)], 1.5, "answered"),
        (f"{CALL}{RESULT}{WRONG}", [look(10, 20)], 0.03, "answered"),
        (f"{CALL}{RESULT}{RIGHT}", [refused(10, 200)], 1, "answered"),
        (f"{CALL}{RESULT.replace('user', 'tool')}{RIGHT}", [look(10, 20)], 1.5, "answered"),
        (f"{CALL}{RESULT}{CALL}{RESULT}{RIGHT}", [look(10, 20), refused(10, 20)], -0.05, "format_error"),
        (f"{CALL}{RESULT}{WIDE}{RESULT}{RIGHT}", [look(10, 20), look(0, 30)], 1.5, "answered"),
        (f"{CALL}{RESULT}{WIDE}", [look(10, 20)], -0.05, "max_turns"),
        (f"{RIGHT}{RESULT}{RIGHT}", [], -0.05, "format_error"),
        ("goal", [], -0.05, "format_error"),
        ("", [], -0.05, "format_error"),
    ],
)
def test_a_decoded_response_earns_what_its_episode_would(response, looks, score, stop):
    told = scored(response, *looks)
    assert told["score"] == pytest.approx(score)
    assert told["stop"] == stop


def test_a_call_that_the_tool_knows_nothing_of_earns_nothing():
    assert scored(f"{CALL}{RESULT}{RIGHT}")["tool"] == 0


def test_a_policy_that_writes_the_tools_turn_itself_is_ill_formed():
    assert scored(f"{CALL}{RESULT}{RIGHT}", n_turns=2)["score"] == -0.05
    assert scored(f"{CALL}{RESULT}{RIGHT}", look(10, 20), n_turns=4)["score"] == 1.5


def test_the_constants_of_the_reward_can_be_set_and_others_are_refused():
    assert scored("goal", format_penalty=-1.0, reward_router_address="x")["score"] == -1
    with pytest.raises(BadConfig, match="reward_kwargs"):
        scored("goal", penalty=-1.0)


def test_a_row_that_others_wrote_is_scored_by_its_reference():
    assert compute_score("other", write_answer("a", "Volley"), "volley", None)["accuracy"] == 1
    assert compute_score("other", write_answer("a", "something like it"), "volley", {})["scored"] == 0


def test_an_open_answer_that_no_rule_can_score_is_not_called_wrong():
    episode = heard(question(gold=FreeText(answer="he kicked it")), RIGHT, [], n_replies=1)
    told = parts(GatedReward().score(episode), episode)
    assert (told["scored"], told["score"], told["lost"]) == (0, 0, 0)
