"""Hostile and broken files of trajectories: a bad row is left out and counted with its place, nothing that it names is opened,
and the rows around it come back."""

import asyncio
import json
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepsport.agent.grammar import write_answer, write_call
from deepsport.agent.prompt import PromptStyle
from deepsport.agent.rollout import Limits, run_episode
from deepsport.data.exporting import export_episodes
from deepsport.data.formats.frame_reference import read_reference
from deepsport.data.formats.restoring import RestoreReport, restore_episodes
from deepsport.data.formats.rules import rules_beside
from deepsport.data.formats.table import Form
from deepsport.durable import read_records
from deepsport.errors import BadConfig, BadRecord
from deepsport.policy.base import Sampling
from deepsport.policy.scripted import Scripted
from deepsport.records import Choice, Episode, Question
from deepsport.video.source import FrameSource
from video_files import Recipe, write

Row = dict[str, Any]
LIMITS = Limits(first_frames=2, frames_per_call=2, max_turns=3, style=PromptStyle.BRIEF)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[Form, bytes]:
    """One good episode in every layout."""
    folder = tmp_path_factory.mktemp("good")
    write(folder / "m.mp4", Recipe(n_frames=100))
    gold = Choice(options=("header", "volley"), answer="volley")
    question = Question(id="q", video=str(folder / "m.mp4"), text="How?", gold=gold)
    replies = Scripted([write_call("it rises", 30, 45), write_answer("seen", "volley")])
    with FrameSource() as source:
        episode = asyncio.run(run_episode(question, replies, source, limits=LIMITS, sampling=Sampling()))
    (folder / "e.jsonl").write_text(episode.model_dump_json())
    rows: dict[Form, bytes] = {}
    for form in Form:
        export_episodes(folder / "e.jsonl", folder / "out", form, limits=LIMITS, videos=folder)
        rows[form] = (folder / "out").read_bytes()
    return rows


@pytest.fixture
def good(written: dict[Form, bytes]) -> Row:
    """An OpenAI row of ours."""
    return json.loads(written[Form.OPENAI])


def read(folder: Path, content: bytes) -> tuple[list[Episode], RestoreReport]:
    """What comes back of a file, within the time and without a connection."""
    path, back = folder / "in", folder / "back.jsonl"
    path.write_bytes(content)
    started = time.monotonic()
    report = restore_episodes(path, back)
    assert time.monotonic() - started < 10
    return list(read_records(back, Episode)), report


def lines(*rows: Row) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def renamed(row: Row, name: str) -> Row:
    """A row of ours under another id."""
    row = deepcopy(row)
    row["metadata"]["deepsport"] = row["metadata"]["deepsport"].replace('"episode":"q/0"', f'"episode":"{name}"')
    return row


def foreign(*messages: Row, **columns: Any) -> Row:
    return {"messages": list(messages), **columns}


ASKED = {"role": "user", "content": "Who won?"}
ANSWERED = {"role": "assistant", "content": "They did."}


def called(*functions: Row) -> Row:
    return {
        "role": "assistant",
        "content": "hm",
        "tool_calls": [{"id": "1", "type": "function", "function": f} for f in functions],
    }


def choosing(arguments: Any, name: str = "choose_frames") -> Row:
    return {"name": name, "arguments": arguments}


RESULT = {"role": "tool", "content": "Refused."}
RANGE = '{"frame_range":[1,2]}'

BAD_ROWS: list[tuple[Row, str]] = [
    ({}, "neither messages nor conversations"),
    ({"messages": "text"}, "no list of messages"),
    ({"messages": []}, "no reply at its end"),
    ({"messages": [7]}, "a message out of the layout: no object"),
    ({"messages": [None, []]}, "a message out of the layout: no object"),
    ({"conversations": {"from": "human"}}, "no list of conversations"),
    ({"conversations": ["hm"]}, "a message that is no object"),
    ({"conversations": [{"from": 1, "value": "x"}]}, "a message out of the layout: role"),
    ({"conversations": [{"from": "human", "value": None}]}, "a message out of the layout: value"),
    ({"conversations": [{"from": "wizard", "value": "x"}]}, "a message of an unknown role"),
    ({"conversations": [{"from": "function_call", "value": "<think>a</think>choose"}]}, "arguments of a call that are not JSON"),
    ({"conversations": [{"from": "function_call", "value": "7"}]}, "a call that is no object"),
    (foreign({"role": "wizard", "content": "x"}), "a message of an unknown role"),
    (foreign({"role": "user"}, {"role": "assistant", "content": 5}), "a message out of the layout: content.str"),
    (foreign({"role": "user", "content": [{"type": "audio"}]}), "a part of a message that is neither text nor an image"),
    (foreign(ASKED), "no reply at its end"),
    (foreign(ASKED, ANSWERED, ASKED), "no reply at its end"),
    (foreign(ASKED, ANSWERED, ANSWERED), "two replies with nothing between them"),
    (foreign(ASKED, ANSWERED, ASKED, ANSWERED), "a reply in its midst that is no call"),
    (foreign({"role": "user", "content": " "}, ANSWERED), "no question"),
    (foreign(ASKED, called(choosing(RANGE), choosing(RANGE)), RESULT, ANSWERED), "two calls in one turn"),
    (foreign(ASKED, called(choosing("{frame_range")), RESULT, ANSWERED), "arguments of a call that are not JSON"),
    (foreign(ASKED, called(choosing('{"frame_range":[NaN,1]}')), RESULT, ANSWERED), "arguments of a call that are not JSON"),
    (foreign(ASKED, called(choosing("[" * 10_000)), RESULT, ANSWERED), "arguments of a call that are not JSON"),
    (foreign(ASKED, called(choosing("[1]")), RESULT, ANSWERED), "arguments of a call that are no object"),
    (foreign(ASKED, called(choosing(None)), RESULT, ANSWERED), "arguments of a call that are no object"),
    (foreign(ASKED, called(choosing(RANGE, "rm")), RESULT, ANSWERED), "a call of another tool"),
    (foreign(ASKED, called(choosing({"frame_range": [1.5, 2]})), RESULT, ANSWERED), "a call that the tool does not take"),
    (foreign(ASKED, called(choosing({"frame_range": [1, 10**40]})), RESULT, ANSWERED), "a call that the tool does not take"),
    (
        foreign(ASKED, called(choosing({"frame_range": [1, 2], "action": "rm"})), RESULT, ANSWERED),
        "a call that the tool does not take",
    ),
    (foreign(ASKED, {"role": "assistant", "content": "<image>"}, images=["a.png"]), "an image in a reply"),
    (foreign(ASKED, ANSWERED, images=["a.png"]), "more images than places for images"),
    (foreign({"role": "user", "content": "<image><image>?"}, ANSWERED, images=["a.png"]), "more places for images than images"),
    (
        foreign({"role": "user", "content": [{"type": "image"}]}, ANSWERED, images=[7]),
        "an image that is neither a path nor a reference",
    ),
    (foreign(ASKED, ANSWERED, metadata={"deepsport": 7}), "metadata of ours that cannot be read"),
    (foreign(ASKED, ANSWERED, metadata={"deepsport": '{"episode":"x"}'}), "metadata of ours that cannot be read"),
]


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS)
def test_a_bad_row_is_counted_with_its_line_and_its_neighbours_come_back(
    row: Row, reason: str, good: Row, tmp_path: Path
) -> None:
    episodes, report = read(tmp_path, lines(good, row, renamed(good, "after")))
    assert [episode.id for episode in episodes] == ["q/0", "after"]
    assert [(left.reason, left.examples) for left in report.dropped] == [(reason, ("in:2",))]


BAD_LINES = [
    (b'{"messages": [{"role": "us\n', "a line that is no JSON object"),
    (b"[]]\n", "a line that is no JSON object"),
    (b"7\n", "a line that is no JSON object"),
    (b'{"messages": [], "x": NaN}\n', "a line that is no JSON object"),
    (b'{"messages": ' + b"[" * 10_000 + b"]" * 10_000 + b"}\n", "a line that is no JSON object"),
    (b'{"messages": "\xff\xfe"}\n', "a line that is not text"),
    (b'{"messages": "' + b"x" * (17 * 2**20) + b'"}\n', "a line that is too long"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES, ids=lambda value: str(value)[:40])
def test_a_line_that_is_no_row_costs_only_itself(line: bytes, reason: str, good: Row, tmp_path: Path) -> None:
    episodes, report = read(tmp_path, lines(good) + line + lines(renamed(good, "after")))
    assert [episode.id for episode in episodes] == ["q/0", "after"]
    assert [left.reason for left in report.dropped] == [reason]


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.encode("utf-16"),
        lambda text: ("\n\n" + text).encode(),
        lambda text: text.rstrip("\n").encode(),
        lambda text: ("[" + text + "]").encode(),
    ],
    ids=["bom", "crlf", "utf-16", "blank lines", "no last newline", "array"],
)
def test_other_ways_to_write_the_same_text_are_read(encode: Callable[[str], bytes], good: Row, tmp_path: Path) -> None:
    assert len(read(tmp_path, encode(lines(good).decode()))[0]) == 1


def test_a_row_that_was_there_before_is_counted(good: Row, tmp_path: Path) -> None:
    episodes, report = read(tmp_path, lines(good, good))
    assert len(episodes) == 1
    assert [left.reason for left in report.dropped] == ["an id that was there before"]


# References

REFUSED = [
    ("http://127.0.0.1:9/a.png", "an image of scheme http:, which is never opened"),
    ("HTTPS://example.com/a.png", "an image of scheme https:, which is never opened"),
    ("file:///etc/passwd", "an image of scheme file:, which is never opened"),
    ("data:image/png;base64,AAAA", "an image of scheme data:, which is never opened"),
    ("javascript:alert(1)", "an image of scheme javascript:, which is never opened"),
    ("/etc/passwd", "an image that is a path, not a frame reference"),
    ("../a.png", "an image that is a path, not a frame reference"),
    ("", "an image that is a path, not a frame reference"),
    ("frame:a.mp4", "a frame reference that cannot be read"),
    ("frame:#index=0&t=0.0", "a frame reference that cannot be read"),
    ("frame:a.mp4#index=-1&t=0.0", "a frame reference that cannot be read"),
    ("frame:a.mp4#index=1&t=0.0&x=1", "a frame reference that cannot be read"),
    ("frame:a.mp4#index=0&t=nan", "a frame reference that cannot be read"),
    ("frame:a.mp4#index=0&t=1e999", "a frame reference without a time"),
    ("frame:a.mp4#index=0&t=1-1", "a frame reference without a time"),
    ("frame:" + "a" * 5000 + "#index=0&t=0.0", "a frame reference that cannot be read"),
    ("frame:../a.mp4#index=0&t=0.0", "a frame reference that leads out of its folder"),
    ("frame:a/../../b.mp4#index=0&t=0.0", "a frame reference that leads out of its folder"),
    ("frame:/etc/a.mp4#index=0&t=0.0", "a frame reference that leads out of its folder"),
    ("frame:%2Fetc/a.mp4#index=0&t=0.0", "a frame reference that leads out of its folder"),
    ("frame:%2e%2e/a.mp4#index=0&t=0.0", "a frame reference that leads out of its folder"),
    ("frame:%252e%252e/a.mp4#index=0&t=0.0", "a frame reference that leads out of its folder"),
    ("frame:C%3A%5Ca.mp4#index=0&t=0.0", "a frame reference that leads out of its folder"),
    ("frame:a%00.mp4#index=0&t=0.0", "a frame reference that leads out of its folder"),
    ("frame:http%3A//h/a.mp4#index=0&t=0.0", "a frame reference that leads out of its folder"),
    ("frame:a.mp4#index=00&t=0.0", "a frame reference that is not spelt as one is written"),
    ("frame:%61.mp4#index=0&t=0.0", "a frame reference that is not spelt as one is written"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_an_image_that_is_no_reference_is_refused_and_named(text: str, reason: str) -> None:
    with pytest.raises(BadRecord) as refused:
        read_reference(text)
    assert str(refused.value) == reason


@pytest.fixture
def no_files_and_no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes what is connected to."""
    tried: list[str] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: tried.append(str(address)))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **options: tried.append(str(address)))
    return tried


@pytest.mark.parametrize(("text", "reason"), REFUSED[:7])
def test_images_of_a_strangers_row_are_never_opened_and_the_rest_of_it_is_kept(
    text: str, reason: str, tmp_path: Path, no_files_and_no_network: list[str]
) -> None:
    asked = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": text}}, {"type": "text", "text": "Who?"}]}
    (episode,), report = read(tmp_path, lines(foreign(asked, ANSWERED)))
    assert (episode.question.text, episode.answer, episode.frames_seen) == ("Who?", "They did.", ())
    assert [left.reason for left in report.dropped] == [f"images of a row: {reason}"]
    assert no_files_and_no_network == []


def test_frames_of_two_videos_are_left_out_of_a_strangers_row(tmp_path: Path) -> None:
    content = [{"type": "image_url", "image_url": {"url": f"frame:{name}.mp4#index=0&t=0.0"}} for name in "ab"]
    asked = {"role": "user", "content": [*content, {"type": "text", "text": "Who?"}]}
    (episode,), report = read(tmp_path, lines(foreign(asked, ANSWERED)))
    assert (episode.question.video, episode.frames_seen) == ("", ())
    assert [left.reason for left in report.dropped] == ["images of a row: frames of more than one video"]


# Rows that say they are ours


def url_of(message: Row, place: int) -> Row:
    return [part for part in message["content"] if part["type"] == "image_url"][place]["image_url"]


def with_other_image(row: Row, url: str) -> None:
    url_of(row["messages"][0], 1)["url"] = url


def without_an_image(row: Row) -> None:
    row["messages"][3]["content"].pop(1)


def with_swapped_images(row: Row) -> None:
    first, second = url_of(row["messages"][3], 0), url_of(row["messages"][3], 1)
    first["url"], second["url"] = second["url"], first["url"]


def with_origin(row: Row, **fields: Any) -> None:
    origin = json.loads(row["metadata"]["deepsport"]) | fields
    row["metadata"]["deepsport"] = json.dumps(origin)


def with_limits(row: Row, **fields: int) -> None:
    origin = json.loads(row["metadata"]["deepsport"])
    with_origin(row, limits=origin["limits"] | fields)


FORGED: list[tuple[Callable[[Row], Any], str]] = [
    (lambda row: with_other_image(row, "http://127.0.0.1/a.png"), "an image of scheme http:, which is never opened"),
    (lambda row: with_other_image(row, "frame:../m.mp4#index=99&t=3.96"), "a frame reference that leads out of its folder"),
    (
        lambda row: with_other_image(row, "frame:n.mp4#index=99&t=3.96"),
        "frames that contradict each other, or are not of the video asked about",
    ),
    (
        lambda row: with_other_image(row, "frame:m.mp4#index=0&t=3.96"),
        "frames that contradict each other, or are not of the video asked about",
    ),
    (lambda row: with_other_image(row, "frame:m.mp4#index=98&t=3.92"), "does not play back as its metadata says"),
    (without_an_image, "does not play back as its metadata says"),
    (with_swapped_images, "does not play back as its metadata says"),
    (lambda row: row["messages"].pop(), "no reply at its end"),
    (lambda row: row["messages"].append(row["messages"][-1]), "two replies with nothing between them"),
    (lambda row: row["messages"].extend(row["messages"][-2:]), "does not play back as its metadata says"),
    (lambda row: row["messages"].extend([ASKED, row["messages"][-1]]), "does not play back as its metadata says"),
    (lambda row: with_origin(row, n_frames=10**30), "does not play back as its metadata says"),
    (lambda row: with_origin(row, n_frames=0), "metadata of ours that asks for an impossible number of frames"),
    (lambda row: with_origin(row, n_frames="many"), "metadata of ours that cannot be read"),
    (lambda row: with_origin(row, video_sha256="../m.mp4"), "metadata of ours that cannot be read"),
    (lambda row: with_origin(row, code="import os"), "metadata of ours that cannot be read"),
    (lambda row: with_origin(row, frames=["frame:m.mp4#index=0&t=0.0"]), "more or fewer images than its metadata names"),
    (lambda row: with_origin(row, schema_version=99), "metadata of record schema 99; this deepsport reads 1"),
    (lambda row: with_limits(row, first_frames=3), "does not play back as its metadata says"),
    (lambda row: with_limits(row, max_turns=1), "does not play back as its metadata says"),
]


@pytest.mark.parametrize(("forge", "reason"), FORGED)
def test_a_row_that_says_it_is_ours_and_does_not_add_up_is_left_out(
    forge: Callable[[Row], Any], reason: str, good: Row, tmp_path: Path
) -> None:
    forge(good)
    episodes, report = read(tmp_path, lines(good))
    assert episodes == []
    assert [left.reason for left in report.dropped] == [reason]


def test_a_forged_number_of_frames_is_refused_before_it_is_counted_out(good: Row, tmp_path: Path) -> None:
    with_origin(good, n_frames=10**12)
    with_limits(good, first_frames=10**12)
    _, report = read(tmp_path, lines(good))
    assert [left.reason for left in report.dropped] == ["metadata of ours that asks for an impossible number of frames"]


def test_a_forged_spelling_that_says_something_else_than_the_row_is_passed_over(good: Row, tmp_path: Path) -> None:
    with_origin(good, verbatim={"0": write_call("it rises", 1, 2)})
    (episode,), _ = read(tmp_path, lines(good))
    assert episode.turns[0].text == write_call("it rises", 30, 45)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["<image>", "tool", "user"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "type", "text", "url"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to everything within a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*here, key)
        yield from places(item, (*here, key))


@pytest.mark.parametrize("form", [Form.OPENAI, Form.TRL, Form.SHAREGPT, Form.LLAVA])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10**6), value=values, ours=st.booleans())
def test_whatever_stands_anywhere_in_a_row_it_comes_back_or_is_counted(
    form: Form, at: int, value: Any, ours: bool, written: dict[Form, bytes], tmp_path: Path
) -> None:
    row = json.loads(written[form])
    if not ours:
        del row["metadata"]
    found = list(places(row))
    *way, last = found[at % len(found)]
    inner = row
    for key in way:
        inner = inner[key]
    inner[last] = value
    if re.search(r"NaN|Infinity", json.dumps(row)):
        row = {"messages": []}  # those are no JSON, and cost the line
    episodes, report = read(tmp_path, json.dumps(row).encode())
    assert report.n_read == 1
    assert episodes or report.dropped


# Videos


@pytest.mark.parametrize("n_rows", [1, 2])
def test_a_video_that_cannot_be_read_costs_only_the_rows_that_name_its_content(
    n_rows: int, good: Row, written: dict[Form, bytes], tmp_path: Path
) -> None:
    footage = tmp_path / "footage"
    footage.mkdir()
    (footage / "m.mp4").symlink_to("gone.mp4")
    broken = [renamed(good, f"broken/{n}") for n in range(n_rows)]
    for row in broken:
        with_origin(row, video_sha256="0" * 64)
    (tmp_path / "in").write_bytes(lines(*broken, good))
    report = restore_episodes(tmp_path / "in", tmp_path / "back.jsonl", videos=footage)
    assert [(left.reason, left.n_times) for left in report.dropped] == [("a video that cannot be read", n_rows)]
    assert [episode.id for episode in read_records(tmp_path / "back.jsonl", Episode)] == ["q/0"]


# Whole files


def name_itself(path: Path) -> Path:
    return path


def name_by_a_detour(path: Path) -> Path:
    (path.parent / "inner").mkdir()
    return path.parent / "inner" / ".." / path.name


def name_by_a_link(path: Path) -> Path:
    link = path.with_name("link")
    link.symlink_to(path)
    return link


@pytest.mark.parametrize("other_name", [name_itself, name_by_a_detour, name_by_a_link])
def test_an_output_that_is_the_input_is_refused_and_the_input_stays(
    other_name: Callable[[Path], Path], written: dict[Form, bytes], tmp_path: Path
) -> None:
    rows = tmp_path / "rows"
    rows.write_bytes(written[Form.OPENAI])
    out = other_name(rows)
    with pytest.raises(BadConfig, match="is the file that is read"):
        restore_episodes(rows, out)
    with pytest.raises(BadConfig, match="is the file that is read"):
        export_episodes(rows, out, Form.OPENAI, limits=LIMITS)
    assert rows.read_bytes() == written[Form.OPENAI]


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ("[limits]\nfirst_frames = -1\n", "limits.first_frames = -1"),
        ("[limits]\nfirst_frames = '8'\n", "limits.first_frames = '8'"),
        ("[limits]\nstyle = 'rude'\n", "limits.style = 'rude'"),
        ("[limits]\nhook = 'import os'\n", "limits.hook"),
        ("limits = 7\n", "limits = 7"),
        ("[limits\n", "is not a TOML file"),
        ("\xff".encode("latin-1"), "is not a TOML file"),
        ("a = " + "[" * 5000, "is not a TOML file"),
        ("[limits]\nfirst_frames = " + "9" * 5000, "is not a TOML file"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_configuration_that_holds_no_rules_is_named_with_what_to_do(config: str | bytes, fault: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(config if isinstance(config, bytes) else config.encode())
    with pytest.raises(BadConfig, match=re.escape(fault)) as refused:
        rules_beside(tmp_path / "kept.jsonl")
    assert "give --style" in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"not json at all\n", "holds no row: a line that is no JSON object"),
        (b"\x00\x01\x02\xff" * 100, "holds no row"),
        (b'[{"messages": []}', "cannot be read as a JSON array"),
        (b'[{"messages": [NaN]}]', "cannot be read as a JSON array"),
        (b"[" * 10_000, "cannot be read as a JSON array"),
        (b"PAR1 and no more", "cannot be read as parquet"),
    ],
)
def test_a_file_that_holds_no_row_is_one_error_and_leaves_no_file(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadRecord, match=message):
        read(tmp_path, content)
    assert not (tmp_path / "back.jsonl").exists()


@pytest.mark.parametrize("cut", [5, 100, -1])
def test_a_parquet_file_that_is_cut_short_is_an_error(cut: int, written: dict[Form, bytes], tmp_path: Path) -> None:
    with pytest.raises(BadRecord, match="cannot be read as parquet"):
        read(tmp_path, written[Form.VERL_SFT][:cut])


def test_a_parquet_file_with_bytes_turned_over_is_counted_or_refused(written: dict[Form, bytes], tmp_path: Path) -> None:
    whole = written[Form.VERL_SFT]
    for place in range(4, len(whole), 211):
        damaged = whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
        try:
            episodes, report = read(tmp_path, damaged)
        except BadRecord:
            continue
        assert len(episodes) + len(report.dropped) == 1


def test_without_pyarrow_a_parquet_file_is_refused_with_what_to_install(
    written: dict[Form, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BadConfig, match=r"deepsport\[data\]"):
        read(tmp_path, written[Form.VERL_SFT])


def test_questions_for_rl_are_told_from_episodes(written: dict[Form, bytes], tmp_path: Path) -> None:
    with pytest.raises(BadRecord, match="holds questions for RL, and no episode"):
        read(tmp_path, written[Form.VERL])


def test_a_parquet_file_of_other_columns_is_an_error(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1]}), tmp_path / "other")
    with pytest.raises(BadRecord, match="neither messages nor conversations"):
        read(tmp_path, (tmp_path / "other").read_bytes())


def test_a_parquet_file_of_odd_types_is_counted_row_by_row(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"messages": [1.5, float("nan"), None]}), tmp_path / "other")
    _, report = read(tmp_path, (tmp_path / "other").read_bytes())
    assert [(left.reason, left.n_times) for left in report.dropped] == [("no list of messages", 3)]
