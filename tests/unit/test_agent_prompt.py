"""What the policy is shown: each image behind its label, the rules in two lengths, and no word of a tool that is withheld."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from deepsport.agent.grammar import TOOL_NAME, Answer, ChooseFrames, parse
from deepsport.agent.prompt import PromptStyle, labelled, opening, refusal, tool_result
from deepsport.policy.base import Image, Message
from deepsport.records import Frame, Question
from deepsport.video.probe import VideoInfo

FULL, BRIEF = PromptStyle.FULL, PromptStyle.BRIEF
VIDEO = VideoInfo("m.mp4", 300, Fraction(30000, 1001), 10.01, 4, 4, 0, "h264", {})


def images(*indices: int) -> list[Image]:
    return [Image(Frame(video="m.mp4", index=i, time_s=i * 1001 / 30000), np.zeros((4, 4, 3), np.uint8)) for i in indices]


ASKED = Question(id="q", video="m.mp4", text="Who scored?")


def opened(style: PromptStyle, *, with_tool: bool = True, sport: str | None = "ice_hockey") -> list[Message]:
    asked = ASKED.model_copy(update={"sport": sport})
    return opening(asked, VIDEO, images(0, 150, 299), style=style, with_tool=with_tool, frames_per_call=6, max_turns=4)


def text_of(*messages: Message) -> str:
    return "".join(part for message in messages for part in message.parts if isinstance(part, str))


def labels(message: Message) -> list[str]:
    """The text right before each image."""
    return [str(before) for before, part in pairwise(message.parts) if isinstance(part, Image)]


def test_every_image_follows_its_index_and_its_time() -> None:
    _, user = opened(FULL)
    expected = ["frame 0 (0.00s):", "frame 150 (5.00s):", "frame 299 (9.98s):"]
    assert labels(user) == expected
    assert [part.frame.index for part in user.parts if isinstance(part, Image)] == [0, 150, 299]
    assert labels(tool_result(ASKED, images(0, 150, 299), style=FULL, turns_left=3)) == expected


def test_no_image_makes_no_label() -> None:
    assert labelled([]) == []


@pytest.mark.parametrize(
    ("sport", "head"),
    [("ice_hockey", "Video: ice hockey, 300 frames, 10.01 s.\n"), (None, "Video: 300 frames, 10.01 s.\n")],
    ids=["sport known", "sport unknown"],
)
def test_the_full_opening_is_the_rules_then_the_video_its_frames_and_last_the_question(sport: str | None, head: str) -> None:
    system, user = opened(FULL, sport=sport)
    assert (system.role, user.role) == ("system", "user")
    assert not any(isinstance(part, Image) for part in system.parts)
    assert (user.parts[0], user.parts[-1]) == (head, "Question: Who scored?")


def test_the_full_rules_show_a_call_and_an_answer_that_the_grammar_reads() -> None:
    lines = text_of(opened(FULL)[0]).splitlines()
    shown = [parse(line) for line in lines if line.startswith("<think>")]
    assert [type(action) for action in shown] == [ChooseFrames, Answer]


def test_the_full_rules_name_the_frames_of_a_call_and_the_turns() -> None:
    rules = text_of(opened(FULL)[0])
    assert "up to 6 frames" in rules
    assert "a range of 6 frames shows every frame" in rules
    assert "4 turns" in rules


@pytest.mark.parametrize("with_tool", [True, False])
def test_the_brief_opening_is_one_message_whose_last_line_says_whether_there_is_a_tool(with_tool: bool) -> None:
    (user,) = opened(BRIEF, with_tool=with_tool, sport="ice_hockey")
    assert (user.role, user.parts[0]) == ("user", "Video: ice hockey, 300 frames, 10.01 s.\n")
    assert text_of(user).splitlines()[-2:] == ["Question: Who scored?", f"tool: {TOOL_NAME}" if with_tool else "tool: none"]


@pytest.mark.parametrize("style", PromptStyle)
def test_a_tool_that_is_withheld_is_never_mentioned(style: PromptStyle) -> None:
    told = text_of(*opened(style, with_tool=False))
    assert [word for word in (TOOL_NAME, "tool_call", "frame_range", "look again", "Zoom") if word in told] == []


def test_the_full_rules_without_a_tool_show_only_an_answer() -> None:
    rules = text_of(opened(FULL, with_tool=False)[0])
    assert "tool" not in rules
    assert [type(parse(line)) for line in rules.splitlines() if line.startswith("<think>")] == [Answer]


@pytest.mark.parametrize("turns_left", [1, 2, 3])
def test_before_the_last_turn_and_only_then_the_full_style_asks_for_the_answer(turns_left: int) -> None:
    hurry = "\nThis is your last turn: answer now."
    for message in (
        tool_result(ASKED, images(3), style=FULL, turns_left=turns_left),
        refusal("Refused.", style=FULL, turns_left=turns_left),
    ):
        assert (message.parts[-1] == hurry) is (turns_left == 1)


def test_the_brief_style_never_hurries() -> None:
    assert refusal("Refused.", style=BRIEF, turns_left=1).parts == ("Refused.",)
    assert "last turn" not in text_of(tool_result(ASKED, images(3), style=BRIEF, turns_left=1))


def test_a_refusal_is_told_word_for_word() -> None:
    assert refusal("Refused: frames 0 to 9 only.", style=FULL, turns_left=3) == Message("user", ("Refused: frames 0 to 9 only.",))


@pytest.mark.parametrize("style", PromptStyle)
def test_the_question_is_said_again_behind_the_frames_of_a_call(style: PromptStyle) -> None:
    message = tool_result(ASKED, images(3, 4), style=style, turns_left=3)
    assert message.parts[-1] == "Question: Who scored?"
