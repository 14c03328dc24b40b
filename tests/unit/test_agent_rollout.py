"""The loop: every way an episode can end, what is kept of it, and what passes through."""

import asyncio
import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import ValidationError

from deepsport.agent.grammar import write_answer, write_call
from deepsport.agent.prompt import PromptStyle
from deepsport.agent.rollout import Limits
from deepsport.errors import BadVideo, ContextOverflow, PolicyError
from deepsport.policy.base import Message, Reply, Sampling
from deepsport.policy.scripted import Scripted
from deepsport.records import Episode, StopReason, TokenRecord, Turn
from deepsport.video.source import FrameSource
from played_episodes import N_FRAMES, Stage, shown
from video_files import Recipe, write

FIRST, SECOND, ANSWER = write_call("the gap", 28, 42), write_call("closer", 30, 36), write_answer("seen", "red card")


@pytest.fixture
def stage(tmp_path: Path) -> Generator[Stage]:
    with FrameSource() as source:
        yield Stage(str(write(tmp_path / "match.mp4", Recipe(n_frames=N_FRAMES))), source)


@dataclass(frozen=True, slots=True)
class Metered:
    """A policy that counts tokens, and runs into its token limit at the last line."""

    lines: Sequence[str]
    name: str = "metered"

    def session(self, sampling: Sampling) -> "MeteredSession":
        return MeteredSession(iter(self.lines), len(self.lines))


@dataclass(slots=True)
class MeteredSession:
    lines: Iterator[str]
    n_left: int

    async def reply(self, messages: Sequence[Message]) -> Reply:
        self.n_left -= 1
        return Reply(text=next(self.lines), cut_off=self.n_left == 0, prompt_tokens=100, reply_tokens=7)

    def tokens(self) -> TokenRecord | None:
        return TokenRecord(ids=(1, 2), sampled=(False, True), logprobs=(0.0, -1.0), images=())


def test_an_episode_looks_zooms_and_answers(stage: Stage) -> None:
    played = stage.play(FIRST, SECOND, ANSWER)
    episode = played.episode
    assert (episode.stop, episode.answer, episode.detail) == (StopReason.ANSWERED, "red card", "")
    assert played.indices == [list(range(28, 43, 2)), list(range(30, 37)), []]
    assert [turn.thought for turn in episode.turns] == ["the gap", "closer", "seen"]
    assert [turn.text for turn in episode.turns] == [FIRST, SECOND, ANSWER]
    assert [call.window and (call.window.start_s, call.window.end_s) for call in episode.calls] == [(1.12, 1.68), (1.2, 1.44)]


def test_the_record_says_what_was_shown_and_nothing_else(stage: Stage) -> None:
    played = stage.play(FIRST, write_call("beyond", 90, 200), SECOND, ANSWER)
    assert [frame.index for frame in played.episode.frames_seen] == shown(played.told)


def test_a_call_in_the_last_turn_brings_no_frames_since_nobody_would_see_them(stage: Stage) -> None:
    played = stage.play(FIRST, SECOND, limits=Limits(max_turns=2))
    assert (played.episode.stop, played.episode.answer) == (StopReason.MAX_TURNS, None)
    assert [frame.index for frame in played.episode.frames_seen] == shown(played.told)
    last = played.episode.turns[-1]
    assert (last.frames, last.call and last.call.window) == ((), None)
    assert last.note == played.episode.detail == "no answer within 2 turns"


def test_the_last_turn_is_announced(stage: Stage) -> None:
    assert stage.play(FIRST, SECOND, ANSWER, limits=Limits(max_turns=3)).last_told.endswith("last turn: answer now.")
    assert "last turn" not in stage.play(FIRST, SECOND, ANSWER, limits=Limits(max_turns=4)).last_told


def test_an_episode_of_one_turn_is_its_answer(stage: Stage) -> None:
    assert stage.play(ANSWER, limits=Limits(max_turns=1)).episode.stop is StopReason.ANSWERED
    assert stage.play(FIRST, limits=Limits(max_turns=1)).episode.stop is StopReason.MAX_TURNS


def test_a_call_without_a_tool_is_a_format_error(stage: Stage) -> None:
    episode = stage.play(FIRST, with_tool=False).episode
    assert (episode.stop, episode.detail, episode.frames_seen) == (
        StopReason.FORMAT_ERROR,
        "no tool is offered",
        episode.first_frames,
    )


@pytest.mark.parametrize(
    ("error", "stop"),
    [
        (PolicyError("the endpoint is down"), StopReason.POLICY_ERROR),
        (ContextOverflow("9000 tokens, the context holds 8192"), StopReason.CONTEXT_OVERFLOW),
        (BadVideo("match.mp4 ends early"), StopReason.VIDEO_ERROR),
    ],
)
@pytest.mark.parametrize("n_finished", [0, 1, 2])
def test_a_fault_ends_the_episode_and_keeps_the_finished_turns(
    stage: Stage, error: Exception, stop: StopReason, n_finished: int
) -> None:
    def failing(seen: list[Message]) -> str:
        n_spoken = len(seen) - 2
        if n_spoken == n_finished:
            raise error
        return (FIRST, SECOND)[n_spoken]

    episode = stage.run(Scripted(failing))
    assert (episode.stop, episode.detail, episode.answer) == (stop, str(error), None)
    assert [turn.text for turn in episode.turns] == [FIRST, SECOND][:n_finished]
    assert len(episode.first_frames) == 8
    assert Episode.model_validate_json(episode.model_dump_json()) == episode


@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError, ZeroDivisionError])
def test_what_is_not_the_fault_of_the_sample_passes_through(stage: Stage, error: type[BaseException]) -> None:
    def interrupted(seen: list[Message]) -> str:
        raise error

    with pytest.raises(error):
        stage.run(Scripted(interrupted))


def test_a_reply_that_was_cut_off_ends_the_episode_even_if_it_could_be_read(stage: Stage) -> None:
    episode = stage.run(Metered([FIRST, ANSWER]))
    assert (episode.stop, episode.answer) == (StopReason.MAX_TOKENS, None)
    assert [turn.text for turn in episode.turns] == [FIRST, ANSWER]
    assert episode.turns[-1].note == episode.detail == "the reply ran into its token limit"


def test_tokens_are_summed_over_the_turns_and_the_record_of_the_session_is_kept(stage: Stage) -> None:
    episode = stage.run(Metered([FIRST, SECOND, ANSWER]))
    assert (episode.usage.prompt_tokens, episode.usage.reply_tokens) == (300, 21)
    assert episode.tokens is not None
    assert episode.tokens.ids == (1, 2)


def test_a_video_that_is_missing_ends_the_episode_before_the_policy_is_asked(tmp_path: Path) -> None:
    with FrameSource() as source:
        episode = Stage(str(tmp_path / "gone.mp4"), source).run(Scripted([ANSWER]))
    assert (episode.stop, episode.turns, episode.first_frames) == (StopReason.VIDEO_ERROR, (), ())
    assert "gone.mp4" in episode.detail


def test_a_video_that_is_replaced_between_two_turns_is_a_fault_and_its_new_frames_are_not_shown(stage: Stage) -> None:
    def replaced(seen: list[Message]) -> str:
        if len(seen) == 3:
            write(Path(stage.video), Recipe(n_frames=70))
        return (FIRST, SECOND, ANSWER)[len(seen) - 2]

    episode = stage.run(Scripted(replaced))
    assert (episode.stop, len(episode.turns)) == (StopReason.VIDEO_ERROR, 1)
    assert "was replaced" in episode.detail


def test_a_replaced_video_is_a_fault_though_another_episode_has_opened_the_new_one(stage: Stage) -> None:
    def replaced(seen: list[Message]) -> str:
        if len(seen) == 3:
            write(Path(stage.video), Recipe(n_frames=70))
            stage.source.info(stage.video)
        return (FIRST, SECOND, ANSWER)[len(seen) - 2]

    episode = stage.run(Scripted(replaced))
    assert (episode.stop, len(episode.turns)) == (StopReason.VIDEO_ERROR, 1)
    assert "was replaced" in episode.detail


def test_every_turn_is_shown_to_the_watcher_as_it_is_recorded(stage: Stage) -> None:
    watched: list[Turn] = []
    episode = stage.run(Scripted([FIRST, write_call("beyond", 90, 200), "red card"]), on_turn=watched.append)
    assert tuple(watched) == episode.turns
    assert [bool(turn.note) for turn in watched] == [False, True, True]


def test_half_a_surrogate_pair_in_a_reply_does_not_keep_the_episode_from_being_written(stage: Stage) -> None:
    episode = stage.play(write_answer("seen \ud83d", "red card \udcff")).episode
    assert (episode.stop, episode.answer) == (StopReason.ANSWERED, "red card ?")
    assert json.loads(episode.model_dump_json())["answer"] == "red card ?"


def test_the_brief_style_is_handed_to_every_message(stage: Stage) -> None:
    told = stage.play(FIRST, ANSWER, limits=Limits(max_turns=2, style=PromptStyle.BRIEF)).told
    assert str(told[0].parts[-1]).endswith("tool: choose_frames")
    assert "last turn" not in str(told[-1].parts[-1])


@pytest.mark.parametrize(
    "field", [{"first_frames": -1}, {"frames_per_call": 0}, {"frames_per_call": 1}, {"max_turns": 0}, {"max_turns": -1}]
)
def test_limits_in_which_no_episode_could_be_played_are_refused(field: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="greater than or equal"):
        Limits(**field)
