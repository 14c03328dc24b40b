"""The grammar of a reply: what is read, what is refused and why, and that what is written is read back."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepsport.agent.grammar import MAX_REPLY_CHARS, Answer, ChooseFrames, Malformed, parse, write_answer, write_call

ANSWER = "<answer>x</answer>"
RANGE = '"frame_range":[3,9]'


def calling(body: str) -> str:
    return f"<think>look</think><tool_call>{body}</tool_call>"


def why(text: str) -> str:
    """The reason of a malformed reply."""
    action = parse(text)
    assert isinstance(action, Malformed), action
    return action.reason


prose = st.text(max_size=200).map(lambda text: text.replace("<", "(").strip())
indices = st.integers(-(10**18) + 1, 10**18 - 1)


@given(thought=prose, start=indices, end=indices)
def test_a_written_call_is_read_back(thought: str, start: int, end: int) -> None:
    assert parse(write_call(thought, start, end)) == ChooseFrames(thought, start, end)


@given(thought=prose, answer=prose.filter(bool))
def test_a_written_answer_is_read_back(thought: str, answer: str) -> None:
    assert parse(write_answer(thought, answer)) == Answer(thought, answer)


TAGS = "<think> </think> <tool_call> </tool_call> <tool~call> </tool~call> <answer> </answer>"
WORDS = (
    '{ } [ ] ( ) : , 1 - NaN 1e309 "action" "choose_frames" "frame_range" "name" "arguments" frame~extraction~tool choose_frames'
)
pieces = st.sampled_from([*(word.replace("~", " ") for word in f"{TAGS} {WORDS}".split()), " ", "\r\n", "\0", "\ud800", "\u2028"])


@given(st.one_of(st.text(), st.text(st.characters()), st.lists(pieces, max_size=40).map("".join), pieces.map(calling)))
def test_no_text_whatever_makes_the_reader_raise(text: str) -> None:
    assert isinstance(parse(text), Answer | ChooseFrames | Malformed)


@given(st.lists(pieces, max_size=20).map("".join))
def test_whatever_stands_where_the_call_should_the_reader_does_not_raise(body: str) -> None:
    assert isinstance(parse(calling(body)), ChooseFrames | Malformed)


@pytest.mark.parametrize(
    "text",
    [
        calling('{"action":"choose_frames","frame_range":[3,9]}'),
        calling(' {\n  "frame_range": [3, 9],\n  "action": "choose_frames"\n} '),
        calling('{"name":"choose_frames","arguments":{"frame_range":[3,9]}}'),
        calling("frame extraction tool(3, 9)"),
        calling("frame_extraction_tool(3,9)"),
        calling("choose_frames( 3 , 9 )"),
        "<think>look</think><tool call>frame extraction tool(3, 9)</tool call>",
        "<think>look</think><tool call>choose_frames(3, 9)</tool_call>",
        " \n<think>\n look \n</think>\n\n<tool_call>\nchoose_frames(3, 9)\n</tool_call>\n",
    ],
    ids=[
        "canonical",
        "keys in any order",
        "name and arguments",
        "function",
        "underscores",
        "own name",
        "space in tag",
        "mixed tags",
        "line breaks",
    ],
)
def test_a_call_is_read_in_every_spelling_that_models_are_known_to_use(text: str) -> None:
    assert parse(text) == ChooseFrames("look", 3, 9)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the reply is empty"),
        (" \r\n\t", "the reply is empty"),
        ("a goal", "does not start with <think>"),
        (f"{ANSWER}<think>t</think>", "does not start with <think>"),
        (f"<think>t{ANSWER}", "<think> is not closed"),
        ("<think>t</think>", "no <tool_call> or <answer> follows the thought"),
        (f"<think>t</think>so: {ANSWER}", "no <tool_call> or <answer> follows the thought"),
        ("<think>t</think><answer>x", "<answer> is not closed"),
        ("<think>t</think><tool_call>{}", "<tool_call> is not closed"),
        ("<think>t</think><tool_call>{}</answer>", "<tool_call> is not closed"),
        (f"<think>t</think>{ANSWER}.", "text follows </answer>"),
        ("<think>t</think><answer> \n</answer>", "the answer is empty"),
        ("<think>a <think>b</think><answer>x</answer>", "no further tags"),
        ('<think>a <answer lang="en">b</think><answer>x</answer>', "no further tags"),
        ("<think>t</think><answer>x</answer>y</answer>", "no further tags"),
        (calling("the second half"), "the call is not JSON"),
        (calling('{"action":"choose_frames","frame_range":[3,9]'), "the call is not JSON"),
        (calling("[3, 9]"), "not a JSON object"),
        (calling(f'{{"action":"choose_frames",{RANGE},"frame_range":[1,2]}}'), "a key stands in it twice"),
        (calling(f'{{"action":"zoom",{RANGE}}}'), "unknown tool 'zoom'"),
        (calling(f'{{"action":null,{RANGE}}}'), "unknown tool 'None'"),
        (calling(f'{{"name":"run_shell","arguments":{{"action":"choose_frames",{RANGE}}}}}'), "exactly the keys"),
        (calling("choose_frames(3)"), "not a list of two frame indices"),
        (calling("choose_frames(3, 9, 27)"), "not a list of two frame indices"),
        (calling("choose_frames([3, 9])"), "not a list of two frame indices"),
        (calling("choose_frames(1.5, 2)"), "frame indices, which are whole numbers"),
        (calling("choose_frames(٣, ٩)"), "the call is not JSON"),
        (calling("zoom(3, 9)"), "the call is not JSON"),
    ],
)
def test_a_malformed_reply_is_refused_with_what_is_to_be_mended(text: str, reason: str) -> None:
    assert reason in why(text)


@pytest.mark.parametrize("index", [10**18, -(10**18), 10**400], ids=["too far", "too far back", "400 digits"])
def test_an_index_that_no_column_of_64_bits_could_hold_is_malformed(index: int) -> None:
    assert "no video has that many frames" in why(write_call("t", 0, index))


def test_an_index_of_a_billion_is_left_for_the_tool_to_refuse() -> None:
    assert parse(write_call("t", 0, 10**9)) == ChooseFrames("t", 0, 10**9)


N = MAX_REPLY_CHARS


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        "<think>" * (N // 7),
        "<think>" + "</think><tool_call>" * (N // 20),
        "<think>" + "</think> <answer>" * (N // 20),
        "<think>t</think>" + "<answer>" * (N // 10),
        "<think>t</think><answer>" + "</answer>" * (N // 10) + "x",
        "<think>t</think>" + " " * (N - 20) + "x",
        "<think>t</think><answer>" + "<" * (N - 40) + "</answer>",
        "<think>t</think><answer>" + ("<" + " " * 300) * (N // 310) + "</answer>",
        "<think>t</think><answer>" + "<answer " * (N // 10) + "</answer>",
        calling("[" * 49_000 + "]" * 49_000),
        calling("[" * 499 + "]" * 499),
        calling('{"a":' * 160 + "1" + "}" * 160),
        calling('{"frame_range":[0,' + "9" * 60_000 + "]}"),
        calling("choose_frames(" + " " * 900),
    ],
    ids=[
        "1 MB",
        "opened for ever",
        "calls for ever",
        "answers for ever",
        "opened answers",
        "closed answers",
        "a long way",
        "brackets",
        "brackets and spaces",
        "half tags",
        "deep",
        "deep but short",
        "deep objects",
        "a long number",
        "a function that does not end",
    ],
)
def test_no_reply_takes_a_tenth_of_a_second_to_read(text: str) -> None:
    started = time.process_time()
    parse(text)
    assert time.process_time() - started < 0.1
