"""Exports of episodes and the way back: what stands in a row, that rows of ours come back equal, that trainers can read them."""

import asyncio
import gzip
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import PIL.Image
import pytest
import typer
from click.testing import Result
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from deepsport.agent.grammar import write_answer, write_call
from deepsport.agent.prompt import PromptStyle
from deepsport.agent.rollout import Limits, run_episode
from deepsport.cli.export import export, restore
from deepsport.config import dump
from deepsport.data.distill.recipe import DistillRecipe
from deepsport.data.exporting import ExportReport, export_episodes
from deepsport.data.fingerprint import content_hash
from deepsport.data.formats.content import Contents
from deepsport.data.formats.conversation import opening_of
from deepsport.data.formats.frame_reference import read_reference, write_reference
from deepsport.data.formats.line import Calls
from deepsport.data.formats.restoring import RestoreReport, restore_episodes
from deepsport.data.formats.table import FORMATS, Form
from deepsport.durable import read_records
from deepsport.errors import BadConfig, BadRecord
from deepsport.policy.base import Sampling
from deepsport.policy.scripted import Scripted
from deepsport.records import Choice, Episode, Frame, Gold, Number, Provenance, Question, StopReason, Usage
from deepsport.verl.row import read_row
from deepsport.video.source import FrameSource
from video_files import Recipe, write

BRIEF = Limits(first_frames=2, frames_per_call=2, max_turns=3, style=PromptStyle.BRIEF)
FULL = Limits(first_frames=3, frames_per_call=4, max_turns=4)
HOW = Choice(options=("header", "volley"), answer="volley")
CALL, ANSWER = write_call("it rises", 30, 45), write_answer("seen", "volley")
BOTH = [(form, calls) for form in FORMATS for calls in Calls if calls is Calls.NATIVE or not FORMATS[form].text_only]


@dataclass(frozen=True, slots=True)
class Desk:
    """A folder with one video of 100 frames at 25 fps, and what is exported from it."""

    folder: Path
    source: FrameSource

    @property
    def video(self) -> str:
        return str(self.folder / "m.mp4")

    def play(
        self,
        *replies: str,
        text: str = "How?",
        gold: Gold | None = HOW,
        limits: Limits = BRIEF,
        with_tool: bool = True,
        name: str = "q",
        provenance: Provenance | None = None,
        policy: str = "made",
    ) -> Episode:
        """An episode of these replies."""
        asked = Question(id=name, video=self.video, text=text, gold=gold, provenance=provenance)
        said = Scripted(list(replies), name=policy)
        return asyncio.run(run_episode(asked, said, self.source, limits=limits, sampling=Sampling(seed=7), with_tool=with_tool))

    def export(
        self,
        episodes: Sequence[Episode | Question],
        form: Form,
        *,
        calls: Calls = Calls.NATIVE,
        limits: Limits = BRIEF,
        frames: Path | None = None,
        named: bool = True,
    ) -> ExportReport:
        """Into the file `out`; `named`: videos by their path from the folder."""
        records = self.folder / "records.jsonl"
        records.write_text("".join(f"{episode.model_dump_json()}\n" for episode in episodes))
        videos = self.folder if named else None
        return export_episodes(records, self.out, form, limits=limits, frames=frames, videos=videos, calls=calls)

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def restore(self, *, found: bool = True) -> tuple[list[Episode], RestoreReport]:
        """From the file `out`; `found`: over the video of the folder."""
        back = self.folder / "back.jsonl"
        report = restore_episodes(self.out, back, videos=self.folder if found else None)
        return list(read_records(back, Episode)), report

    def row(self, episode: Episode, form: Form, **options: Any) -> dict[str, Any]:
        """The one row of an export."""
        assert self.export([episode], form, **options).n_exported == 1
        return json.loads(self.out.read_text())


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    write(folder / "m.mp4", Recipe(n_frames=100))
    with FrameSource() as source:
        yield Desk(folder, source)


def bare(episode: Episode) -> Episode:
    """Without what an export does not keep."""
    return episode.model_copy(update={"tokens": None, "usage": Usage()})


def ref(index: int, time_s: float) -> str:
    return f"frame:m.mp4#index={index}&t={time_s}"


OPENING = "Video: 100 frames, 4.00 s.\nframe 0 (0.00s):{0}\nframe 99 (3.96s):{1}\nQuestion: How?\ntool: choose_frames"
RESULT = "frame 30 (1.20s):{0}\nframe 45 (1.80s):{1}\nQuestion: How?"
REFS = [ref(0, 0.0), ref(99, 3.96), ref(30, 1.2), ref(45, 1.8)]
THOUGHT = "<think>it rises</think>"


def parts(text: str, image: Any) -> list[dict[str, Any]]:
    """The parts of a message of two images; `image` makes the part of one."""
    first, second, last = text.split("{0}")[0], text.split("{0}")[1].split("{1}")[0], text.split("{1}")[1]
    return [
        {"type": "text", "text": first},
        image(0),
        {"type": "text", "text": second},
        image(1),
        {"type": "text", "text": last},
    ]


def test_an_openai_row_has_native_calls_with_arguments_as_text_and_frames_by_reference(desk: Desk) -> None:
    row = desk.row(desk.play(CALL, ANSWER), Form.OPENAI)
    assert list(row) == ["messages", "tools", "metadata"]
    function = {"name": "choose_frames", "arguments": '{"frame_range":[30,45]}'}
    assert row["messages"] == [
        {"role": "user", "content": parts(OPENING, lambda n: {"type": "image_url", "image_url": {"url": REFS[n]}})},
        {
            "role": "assistant",
            "content": THOUGHT,
            "tool_calls": [{"id": "call_0", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "call_0", "content": "The frames follow in the next message."},
        {"role": "user", "content": parts(RESULT, lambda n: {"type": "image_url", "image_url": {"url": REFS[n + 2]}})},
        {"role": "assistant", "content": ANSWER},
    ]
    assert row["tools"][0]["function"]["name"] == "choose_frames"


def test_a_refused_call_is_answered_by_the_tool_alone(desk: Desk) -> None:
    row = desk.row(desk.play(write_call("", 90, 200), CALL, ANSWER), Form.OPENAI)
    assert [message["role"] for message in row["messages"]] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "tool",
        "user",
        "assistant",
    ]
    assert row["messages"][2]["content"].startswith("Refused: frames 90 to 200")
    assert row["messages"][4]["tool_call_id"] == "call_1"


def test_a_trl_row_has_parts_only_and_arguments_as_an_object(desk: Desk) -> None:
    row = desk.row(desk.play(CALL, ANSWER), Form.TRL)
    assert list(row) == ["messages", "images", "tools", "metadata"]
    assert row["images"] == REFS
    function = {"name": "choose_frames", "arguments": {"frame_range": [30, 45]}}
    text = [{"type": "text", "text": THOUGHT}]
    assert row["messages"] == [
        {"role": "user", "content": parts(OPENING, lambda n: {"type": "image"})},
        {"role": "assistant", "content": text, "tool_calls": [{"type": "function", "function": function}]},
        {"role": "tool", "content": [{"type": "text", "text": "The frames follow in the next message."}]},
        {"role": "user", "content": parts(RESULT, lambda n: {"type": "image"})},
        {"role": "assistant", "content": [{"type": "text", "text": ANSWER}]},
    ]


def test_a_sharegpt_row_takes_turns_and_keeps_the_result_in_one_observation(desk: Desk) -> None:
    row = desk.row(desk.play(CALL, ANSWER, limits=FULL), Form.SHAREGPT, limits=FULL)
    assert list(row) == ["conversations", "system", "tools", "images", "metadata"]
    assert [line["from"] for line in row["conversations"]] == ["human", "function_call", "observation", "gpt"]
    call = row["conversations"][1]["value"]
    assert call == THOUGHT + '{"name": "choose_frames", "arguments": {"frame_range": [30, 45]}}'
    assert row["conversations"][2]["value"].startswith("frame 30 (1.20s):<image>\nframe 35")
    assert row["system"].startswith("You answer questions about a sports video.")
    assert json.loads(row["tools"])[0]["name"] == "choose_frames"
    assert sum(line["value"].count("<image>") for line in row["conversations"]) == len(row["images"]) == 7


def test_a_llava_row_has_two_speakers_and_calls_in_the_text(desk: Desk) -> None:
    row = desk.row(desk.play(CALL, ANSWER), Form.LLAVA)
    assert row["id"] == "q/7"
    assert row["image"] == REFS
    assert row["conversations"] == [
        {"from": "human", "value": OPENING.format("<image>", "<image>")},
        {"from": "gpt", "value": CALL},
        {"from": "human", "value": RESULT.format("<image>", "<image>")},
        {"from": "gpt", "value": ANSWER},
    ]


def test_the_rules_of_a_llava_row_stand_before_the_first_question_alone(desk: Desk) -> None:
    row = desk.row(desk.play(CALL, ANSWER, limits=FULL), Form.LLAVA, limits=FULL)
    ruled = [line["value"].startswith("You answer questions about a sports video.") for line in row["conversations"]]
    assert ruled == [True, False, False, False]


def test_a_verl_row_for_sft_has_one_schema_and_images_as_structs(desk: Desk) -> None:
    import pyarrow.parquet as pq

    desk.export([desk.play(CALL, ANSWER), desk.play(ANSWER, name="p", with_tool=False)], Form.VERL_SFT)
    row, second = pq.read_table(desk.out).to_pylist()
    assert row["images"] == [{"image": url} for url in REFS]
    call = {"type": "function", "function": {"name": "choose_frames", "arguments": {"frame_range": [30, 45]}}}
    assert [(message["role"], message["tool_calls"]) for message in row["messages"]] == [
        ("user", None),
        ("assistant", [call]),
        ("tool", None),
        ("user", None),
        ("assistant", None),
    ]
    assert row["messages"][3]["content"] == RESULT.format("<image>", "<image>")
    assert row["tools"][0]["function"]["parameters"]["required"] == ["frame_range"]
    assert second["tools"] == []


def test_a_verl_row_for_rl_asks_one_question_and_says_how_it_is_scored(desk: Desk) -> None:
    import pyarrow.parquet as pq

    asked = Question(id="a", video=desk.video, text="How?", gold=HOW)
    unknown = asked.model_copy(update={"id": "b", "gold": None})
    timed = asked.model_copy(update={"id": "c", "gold": Number(answer=2.5)})
    report = desk.export([asked, unknown, asked, timed], Form.VERL)
    assert {left.reason: left.n_times for left in report.dropped} == {"no known answer": 1, "a question that was there before": 1}
    first, second = pq.read_table(desk.out).to_pylist()
    assert first["prompt"] == [{"role": "user", "content": OPENING.format("", "")}]
    assert first["images"] == []
    assert first["reward_model"] == {"style": "rule", "ground_truth": "volley"}
    assert first["extra_info"]["tools_kwargs"] == {"choose_frames": {"create_kwargs": {"video": "m.mp4", "n_frames": 100}}}
    assert Question.model_validate_json(first["extra_info"]["question"]) == asked.model_copy(update={"video": "m.mp4"})
    assert (second["extra_info"]["index"], second["reward_model"]["ground_truth"]) == (1, "2.5")
    assert first["agent_name"] == "deepsport"


def test_rows_for_rl_are_made_of_the_questions_of_episodes_too(desk: Desk) -> None:
    import pyarrow.parquet as pq

    report = desk.export([desk.play(CALL, ANSWER), desk.play(ANSWER), desk.play(ANSWER, name="p", with_tool=False)], Form.VERL)
    assert (report.n_read, report.n_exported) == (3, 2)
    told = [row["extra_info"] for row in pq.read_table(desk.out).to_pylist()]
    assert [read_row(extra, desk.folder).with_tool for extra in told] == [True, False]
    assert read_row(told[0], desk.folder).limits == BRIEF


def test_rows_for_rl_with_frames_as_files_are_for_the_agents_of_verl(desk: Desk) -> None:
    import pyarrow.parquet as pq

    report = desk.export(
        [desk.play(ANSWER), desk.play(ANSWER, name="p", with_tool=False)], Form.VERL, frames=desk.folder / "frames"
    )
    first, second = pq.read_table(desk.out).to_pylist()
    assert [first["agent_name"], second["agent_name"]] == ["tool_agent", "single_turn_agent"]
    assert first["prompt"] == [{"role": "user", "content": OPENING.format("<image>", "<image>")}]
    assert [(desk.folder / image["image"]).is_file() for image in first["images"]] == [True, True]
    assert report.n_images == 4


thoughts = st.text(max_size=12).map(lambda text: text.replace("<", "").strip())
indices = st.integers(-3, 110)
calls_made = st.builds(write_call, thoughts, indices, indices)
other_spellings = st.builds(
    lambda thought, start, end: f"<think> {thought}</think>\n<tool call>choose_frames({start}, {end})</tool call>",
    thoughts,
    indices,
    indices,
)
answers = st.builds(write_answer, thoughts, thoughts.filter(bool))
replies_said = st.lists(calls_made | other_spellings | answers | st.text(max_size=20), min_size=4, max_size=4)


@pytest.mark.parametrize(("form", "calls"), BOTH)
@settings(max_examples=8, deadline=None)
@given(replies=replies_said, text=st.text(max_size=20), with_tool=st.booleans(), limits=st.sampled_from([BRIEF, FULL]))
def test_an_export_comes_back_equal(
    form: Form, calls: Calls, replies: list[str], text: str, with_tool: bool, limits: Limits, desk: Desk
) -> None:
    episode = desk.play(*replies, text=text, with_tool=with_tool, limits=limits)
    report = desk.export([episode], form, calls=calls, limits=limits)
    assume(not report.dropped)  # a placeholder, which chance hardly ever spells
    (back,), restored = desk.restore()
    assert (restored.n_ours, restored.dropped) == (1, ())
    assert back == bare(episode)


@pytest.mark.parametrize(("form", "calls"), BOTH)
@pytest.mark.parametrize(
    "replies",
    [
        (CALL, CALL),
        (write_call("", 90, 200), ANSWER),
        (CALL, write_call("", 1, 2), write_call("", 3, 4)),
        ("",),
        ("<think>é🏀</think>",),
        (write_answer("", "3:2\u2028\r\n"),),
        (" <think>a\nb</think> <tool call>frame extraction tool(3,9)</tool call>", ANSWER),
    ],
)
def test_every_kind_of_end_comes_back_equal(form: Form, calls: Calls, replies: Sequence[str], desk: Desk) -> None:
    episode = desk.play(*replies)
    desk.export([episode], form, calls=calls)
    assert desk.restore()[0] == [bare(episode)]


@pytest.mark.parametrize("form", [Form.OPENAI, Form.SHAREGPT, Form.VERL_SFT])
def test_an_export_with_frame_files_comes_back_equal_too(form: Form, desk: Desk) -> None:
    episode = desk.play(CALL, ANSWER)
    desk.export([episode], form, frames=desk.folder / "frames")
    assert desk.restore()[0] == [bare(episode)]


def test_more_rows_than_a_parquet_batch_come_back_each_under_its_own_place(desk: Desk) -> None:
    first = desk.play(ANSWER)
    episodes = [first.model_copy(update={"id": f"e{n}"}) for n in range(600)]
    desk.export(episodes, Form.VERL_SFT)
    back, _ = desk.restore()
    assert [episode.id for episode in back] == [episode.id for episode in episodes]


def test_a_row_whose_answer_was_mended_by_hand_comes_back_mended(desk: Desk) -> None:
    row = desk.row(desk.play(" " + CALL, write_answer("so", "header")), Form.OPENAI)
    row["messages"][1]["content"] = "<think>look closer</think>"
    row["messages"][-1]["content"] = ANSWER
    desk.out.write_text(json.dumps(row))
    (back,), _ = desk.restore()
    assert (back.answer, back.turns[0].thought) == ("volley", "look closer")


def test_frame_files_are_the_decoded_frames_and_are_written_once(desk: Desk) -> None:
    episode = desk.play(CALL, ANSWER)
    frames = desk.folder / "pictures"
    report = desk.export([episode], Form.TRL, frames=frames)
    paths = json.loads(desk.out.read_text())["images"]
    assert report.n_frame_files == len(paths) == 4
    decoded = desk.source.frames(desk.video, [frame.index for frame in episode.frames_seen])
    for path, pixels in zip(paths, decoded, strict=True):
        assert np.array_equal(np.asarray(PIL.Image.open(desk.folder / path)), pixels)
    assert desk.export([episode], Form.TRL, frames=frames).n_frame_files == 0


def test_a_folder_of_frames_that_is_not_beside_the_output_is_refused(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="Put it beside the output file"):
        desk.export([desk.play(ANSWER)], Form.TRL, frames=tmp_path)


@pytest.mark.parametrize("form", list(Form))
def test_no_path_of_this_machine_leaves_it(form: Form, desk: Desk) -> None:
    known = Provenance(source="s", file=str(desk.folder / "val.json"), record="1", match="m", licence="CC0")
    episode = desk.play(CALL, ANSWER, provenance=known, policy=str(desk.folder / "policy"))
    assert desk.export([episode], form, named=False, frames=desk.folder / "frames").n_exported == 1
    written = desk.out.read_bytes()
    assert str(desk.folder).encode() not in written
    assert desk.folder.name.encode() not in written


def test_a_video_without_a_folder_is_named_and_told_by_its_content(desk: Desk) -> None:
    desk.export([desk.play(ANSWER)], Form.OPENAI, named=False)
    url = json.loads(desk.out.read_text())["messages"][0]["content"][1]["image_url"]["url"]
    assert url == f"{REFS[0]}&sha256={content_hash(desk.folder / 'm.mp4')}"
    assert desk.restore(found=False)[0][0].question.video == "m.mp4"


def test_a_video_of_the_same_name_and_other_content_is_not_taken_for_it(desk: Desk, tmp_path: Path) -> None:
    desk.export([desk.play(ANSWER)], Form.OPENAI, named=False)
    write(tmp_path / "m.mp4", Recipe(n_frames=101))
    report = restore_episodes(desk.out, tmp_path / "back.jsonl", videos=tmp_path)
    assert [left.reason for left in report.dropped] == ["a video of this name, and of other content"]


def hashed(desk: Desk, *replies: str, **options: Any) -> Episode:
    """An episode that tells which file was played."""
    sha256 = content_hash(desk.folder / "m.mp4")
    return desk.play(*replies, **options).model_copy(update={"video_sha256": sha256})


@pytest.fixture
def other_desk(tmp_path: Path) -> Iterator[Desk]:
    """A folder of one's own, whose video may be replaced."""
    write(tmp_path / "m.mp4", Recipe(n_frames=100))
    with FrameSource() as source:
        yield Desk(tmp_path, source)


def replace_video(desk: Desk) -> None:
    """By one that plays back just the same: as many frames at the same times, of other looks."""
    file = desk.folder / "m.mp4"
    before = content_hash(file)
    write(file, Recipe(n_frames=100, width=160, height=120))
    assert content_hash(file) != before


@pytest.mark.parametrize("form", [Form.OPENAI, Form.LLAVA, Form.VERL_SFT, Form.VERL])
def test_an_episode_whose_video_was_replaced_since_it_was_played_is_left_out(form: Form, other_desk: Desk) -> None:
    episode = hashed(other_desk, CALL, ANSWER)
    replace_video(other_desk)
    assert reasons(other_desk.export([episode], form)) == ["another video than was played"]


@pytest.mark.parametrize("form", [Form.TRL, Form.VERL])
def test_an_episode_that_tells_what_was_played_and_whose_video_is_gone_is_left_out(form: Form, other_desk: Desk) -> None:
    episode = hashed(other_desk, ANSWER)
    (other_desk.folder / "m.mp4").unlink()
    assert reasons(other_desk.export([episode], form)) == ["a video that cannot be read"]


@pytest.mark.parametrize("frames", [None, "frames"])
def test_the_hash_of_what_was_played_stands_in_every_reference_and_comes_back(frames: str | None, desk: Desk) -> None:
    episode = hashed(desk, CALL, ANSWER)
    row = desk.row(episode, Form.TRL, frames=frames and desk.folder / frames)
    urls = json.loads(row["metadata"]["deepsport"])["frames"] if frames else row["images"]
    assert urls == [f"{url}&sha256={episode.video_sha256}" for url in REFS]
    assert desk.restore()[0] == [bare(episode)]


def test_an_episode_comes_back_over_no_other_video_than_was_played(other_desk: Desk) -> None:
    other_desk.export([hashed(other_desk, CALL, ANSWER)], Form.OPENAI)
    replace_video(other_desk)
    episodes, report = other_desk.restore()
    assert (episodes, reasons(report)) == ([], ["a video of this name, and of other content"])


def test_the_hash_in_the_metadata_is_held_against_the_video_even_if_no_reference_has_one(other_desk: Desk) -> None:
    row = other_desk.row(other_desk.play(ANSWER), Form.OPENAI)
    origin = json.loads(row["metadata"]["deepsport"]) | {"video_sha256": "0" * 64}
    row["metadata"]["deepsport"] = json.dumps(origin)
    other_desk.out.write_text(json.dumps(row))
    assert reasons(other_desk.restore()[1]) == ["a video of this name, and of other content"]


def test_pictures_of_a_file_that_was_replaced_after_its_import_have_names_of_their_own(other_desk: Desk) -> None:
    sha256 = content_hash(other_desk.folder / "m.mp4")
    known = Provenance(source="s", file="f", record="1", match="m", licence="CC0", video_sha256=sha256)
    frames = other_desk.folder / "frames"
    before = other_desk.row(other_desk.play(ANSWER, provenance=known), Form.TRL, frames=frames)["images"]
    replace_video(other_desk)
    after = other_desk.row(other_desk.play(ANSWER, provenance=known), Form.TRL, frames=frames)
    assert not set(before) & set(after["images"])
    actual = content_hash(other_desk.folder / "m.mp4")
    assert all(f"sha256={actual}" in url for url in json.loads(after["metadata"]["deepsport"])["frames"])


def test_the_hash_of_a_file_is_taken_once_for_a_run(tmp_path: Path) -> None:
    file, contents = tmp_path / "m.mp4", Contents()
    file.write_bytes(b"footage")
    sha256 = contents.sha256(str(file))
    file.unlink()
    assert contents.sha256(str(file)) == sha256


def reasons(report: ExportReport | RestoreReport) -> list[str]:
    return [left.reason for left in report.dropped]


def test_an_episode_that_was_played_by_other_rules_is_left_out(desk: Desk) -> None:
    report = desk.export([desk.play(CALL, ANSWER)], Form.OPENAI, limits=FULL)
    assert (report.n_exported, reasons(report)) == (0, ["does not play back as recorded"])


def test_an_episode_whose_video_is_gone_is_left_out(desk: Desk) -> None:
    episode = desk.play(ANSWER)
    gone = episode.model_copy(update={"question": episode.question.model_copy(update={"video": "gone.mp4"})})
    assert reasons(desk.export([gone], Form.OPENAI)) == ["does not play back as recorded"]


def test_a_question_whose_video_does_not_open_has_one_reason_and_says_the_rest_as_its_cause(desk: Desk) -> None:
    question = Question(id="q", video=str(desk.folder / "gone.mp4"), text="How?")
    with pytest.raises(BadRecord) as refused:
        asyncio.run(opening_of(question, desk.source, BRIEF))
    assert str(refused.value) == "does not open"
    assert "gone.mp4" in str(refused.value.__cause__)


def test_what_is_wrong_in_particular_goes_with_the_examples_and_not_into_the_reason(desk: Desk) -> None:
    episode = desk.play(CALL, ANSWER)
    gone = [episode.model_copy(update={"id": f"e{n}", "question": asked_of(f"{n}.mp4")}) for n in range(2)]
    (left,) = desk.export(gone, Form.OPENAI).dropped
    assert left.n_times == 2
    assert [example.partition(": ")[0] for example in left.examples] == ["e0", "e1"]
    assert "0.mp4" in left.examples[0]


def asked_of(video: str) -> Question:
    return Question(id=video, video=video, text="How?")


def test_a_folder_of_videos_that_is_none_is_refused(desk: Desk) -> None:
    with pytest.raises(BadConfig, match="is not a folder"):
        export_episodes(desk.folder / "m.mp4", desk.out, Form.OPENAI, limits=BRIEF, videos=desk.folder / "fotage")


def test_an_episode_that_a_fault_ended_is_left_out(desk: Desk) -> None:
    episode = desk.play(CALL)
    assert episode.stop is StopReason.POLICY_ERROR
    assert reasons(desk.export([episode], Form.TRL)) == ["ended by policy_error, not by its own words"]


@pytest.mark.parametrize("form", [Form.OPENAI, Form.VERL])
def test_what_no_licence_covers_is_not_exported(form: Form, desk: Desk) -> None:
    known = Provenance(source="s", file="f", record="1", match="m", licence=" ")
    assert reasons(desk.export([desk.play(ANSWER, provenance=known)], form)) == ["a source that states no licence"]


@pytest.mark.parametrize("form", [Form.SHAREGPT, Form.LLAVA, Form.VERL_SFT, Form.VERL])
def test_a_placeholder_in_a_question_is_refused_where_images_are_placeholders(form: Form, desk: Desk) -> None:
    episode = desk.play(ANSWER, text="What is an <image>?")
    assert reasons(desk.export([episode], form)) == ["a placeholder such as <image> in its text"]


@pytest.mark.parametrize("form", [Form.OPENAI, Form.TRL])
def test_a_placeholder_in_a_question_is_text_where_images_are_parts(form: Form, desk: Desk) -> None:
    episode = desk.play(CALL, ANSWER, text="What is an <image>?")
    desk.export([episode], form)
    assert desk.restore()[0] == [bare(episode)]


@pytest.mark.parametrize("form", list(Form))
def test_a_control_token_in_a_question_is_refused(form: Form, desk: Desk) -> None:
    episode = desk.play(ANSWER, text="<|im_end|>How?")
    assert reasons(desk.export([episode], form)) == ["a control token such as <|im_end|> in its text"]


def test_an_export_of_nothing_is_an_error_and_leaves_the_old_file(desk: Desk) -> None:
    desk.export([desk.play(ANSWER)], Form.TRL)
    before = desk.out.read_bytes()
    with pytest.raises(BadRecord, match="nothing to export"):
        desk.export([], Form.TRL)
    assert desk.out.read_bytes() == before


# Trainers


def rendered(template: str, row: dict[str, Any], *, plain: bool = False) -> str:
    """A row under a chat template; `plain`: the template takes texts, not parts."""
    messages = row["messages"]
    if plain:
        messages = [{**m, "content": "".join(part.get("text", "<image>") for part in m["content"])} for m in messages]
    return (
        jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
        .from_string(template)
        .render(messages=messages, tools=row["tools"], add_generation_prompt=False)
    )


def template(shared: Path, name: str) -> str:
    return (shared / "qwen" / "configs" / name).read_text()


def test_the_template_of_qwen_finds_as_many_images_as_a_trl_row_has(desk: Desk, shared_folder: Path) -> None:
    row = desk.row(desk.play(CALL, ANSWER), Form.TRL)
    text = rendered(template(shared_folder, "Qwen2.5-VL.chat_template.jinja"), row)
    assert text.count("<|image_pad|>") == len(row["images"]) == 4
    assert ANSWER in text


def test_a_template_that_knows_tools_prints_the_call_of_a_trl_row(desk: Desk, shared_folder: Path) -> None:
    row = desk.row(desk.play(CALL, ANSWER), Form.TRL)
    text = rendered(template(shared_folder, "Qwen2.5-text-tools.chat_template.jinja"), row, plain=True)
    assert '<tool_call>\n{"name": "choose_frames", "arguments": {"frame_range": [30, 45]}}\n</tool_call>' in text
    assert '"description": "Shows frames of the video' in text


def test_the_template_of_qwen25_vl_passes_native_calls_over_and_prints_those_in_the_text(desk: Desk, shared_folder: Path) -> None:
    shipped = template(shared_folder, "Qwen2.5-VL.chat_template.jinja")
    episode = desk.play(CALL, ANSWER)
    assert "frame_range" not in rendered(shipped, desk.row(episode, Form.TRL))
    assert CALL in rendered(shipped, desk.row(episode, Form.TRL, calls=Calls.TEXT))


def test_a_trl_row_with_calls_in_the_text_is_the_very_text_that_training_here_sees(
    desk: Desk, shared_folder: Path, tmp_path: Path
) -> None:
    from deepsport.policy.local.chat import Chat
    from deepsport.policy.local.policy import Recorded
    from deepsport.policy.local.preprocess import Preprocessor

    (tmp_path / "tokenizer.json").write_bytes(gzip.decompress((shared_folder / "qwen/tokenizer.json.gz").read_bytes()))
    shutil.copyfile(shared_folder / "qwen/configs/Qwen2.5-VL-7B.preprocessor_config.json", tmp_path / "preprocessor_config.json")
    chat = Chat(tmp_path, Preprocessor.load(tmp_path))
    replies = (CALL, write_call("", 90, 200), ANSWER)
    episode = desk.play(*replies, limits=FULL)
    playing = run_episode(
        episode.question, Recorded(Scripted(list(replies)), chat), desk.source, limits=FULL, sampling=Sampling()
    )
    record = asyncio.run(playing).tokens
    assert record is not None
    row = desk.row(episode, Form.TRL, calls=Calls.TEXT, limits=FULL)
    text = rendered(template(shared_folder, "Qwen2.5-VL.chat_template.jinja"), row)
    for slot in record.images:
        text = text.replace("<|image_pad|>", "<pad>" * slot.n_tokens, 1)
    ours = chat._tokenizer.decode(list(record.ids), skip_special_tokens=False).replace("<|image_pad|>", "<pad>")
    assert ours == text.removesuffix("\n")


def test_columns_of_a_trl_export_have_one_type_each_however_answers_differ(desk: Desk) -> None:
    import pyarrow.json

    desk.export(
        [desk.play(CALL, ANSWER), desk.play(ANSWER, name="n", gold=Number(answer=2)), desk.play(ANSWER, name="f", gold=None)],
        Form.TRL,
    )
    table = pyarrow.json.read_json(desk.out)
    assert table.num_rows == 3
    content = table.to_pylist()[0]["messages"][0]["content"]
    assert all(set(part) == {"type", "text"} for part in content)  # a null "image" would be taken for an image


def test_an_episode_that_went_out_and_back_is_learnt_from_in_the_same_tokens(tmp_path: Path) -> None:
    from deepsport.arena.generate import load_truths, make_set
    from deepsport.arena.oracle import Oracle
    from deepsport.bench.tasks import load_questions
    from deepsport.policy.local.checkpoint import load_policy
    from deepsport.train.recipe import play_back

    make_set(tmp_path / "arena", n_clips=1, seed=3, sports=["soccer"])
    questions = load_questions(tmp_path / "arena" / "questions.jsonl")
    oracle = Oracle(load_truths(tmp_path / "arena"), questions)
    limits = Limits(style=PromptStyle.BRIEF)
    with FrameSource() as source:
        question = questions[0]
        episode = asyncio.run(run_episode(question, oracle, source, limits=limits, sampling=Sampling()))
        assert episode.stop is StopReason.ANSWERED
        desk = Desk(tmp_path / "arena", source)
        desk.export([episode], Form.TRL, limits=limits)
        (back,), _ = desk.restore()
        policy = load_policy("nano")
        learnt = [play_back([one], policy, source, limits, shown=False)[0].tokens for one in (episode, back)]
    assert learnt[0] is not None
    assert learnt[0] == learnt[1]


# Rows that others wrote


def restored(desk: Desk, *rows: dict[str, Any], as_array: bool = False) -> tuple[list[Episode], list[str]]:
    """The episodes of rows, and the reasons why anything was left out."""
    desk.out.write_text(json.dumps(rows) if as_array else "".join(f"{json.dumps(row)}\n" for row in rows))
    episodes, report = desk.restore(found=False)
    return episodes, reasons(report)


def test_of_a_llava_file_question_and_answer_are_kept_and_images_that_are_paths_are_counted(desk: Desk) -> None:
    said = [{"from": "human", "value": "<image>\nWho won?"}, {"from": "gpt", "value": "The visitors."}]
    (episode,), left = restored(desk, {"id": "v1", "image": "coco/1.jpg", "conversations": said}, as_array=True)
    assert (episode.id, episode.question.text, episode.answer) == ("v1", "Who won?", "The visitors.")
    assert episode.turns[0].text == write_answer("", "The visitors.")
    assert (episode.stop, episode.frames_seen) == (StopReason.ANSWERED, ())
    assert left == ["images of a row: an image that is a path, not a frame reference"]


QUESTIONS = [
    "Score before: 2-1. Question: who scored next? Options: red, blue",
    "You see three clips.\nQuestion: who scored?\nA) red\nB) blue\ntool: none",
    "Question: who won?",
    "Video: the final.\nQuestion: who won?",
]


@pytest.mark.parametrize("text", QUESTIONS)
def test_a_question_of_somebody_else_is_kept_whole(text: str, desk: Desk) -> None:
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": "red"}]
    (episode,), _ = restored(desk, {"messages": messages})
    assert episode.question.text == text


@pytest.mark.parametrize("limits", [BRIEF, FULL])
@pytest.mark.parametrize("form", [Form.OPENAI, Form.TRL, Form.SHAREGPT, Form.LLAVA])
@pytest.mark.parametrize("text", ["How?", "The host asks: Question: how?\nTwo ways."])
def test_of_an_opening_of_ours_only_the_question_is_kept(text: str, form: Form, limits: Limits, desk: Desk) -> None:
    row = desk.row(desk.play(ANSWER, text=text, limits=limits), form, limits=limits)
    del row["metadata"]
    (episode,), _ = restored(desk, row)
    assert episode.question.text == text


@pytest.mark.parametrize("columns", [{"image": "a.jpg", "images": None}, {"image": None, "images": ["a.jpg"]}])
def test_the_images_of_a_row_are_in_whichever_column_has_them(columns: dict[str, Any], desk: Desk) -> None:
    said = [{"from": "human", "value": "<image>\nWho won?"}, {"from": "gpt", "value": "The visitors."}]
    (episode,), left = restored(desk, {"conversations": said, **columns})
    assert episode.question.text == "Who won?"
    assert left == ["images of a row: an image that is a path, not a frame reference"]


def test_a_row_of_ours_without_its_metadata_keeps_question_calls_frames_and_answer(desk: Desk) -> None:
    episode = desk.play(CALL, ANSWER)
    for form in (Form.OPENAI, Form.TRL, Form.SHAREGPT):
        row = desk.row(episode, form)
        del row["metadata"]
        (back,), left = restored(desk, row)
        assert left == []
        assert (back.question.text, back.answer, back.with_tool) == ("How?", "volley", True)
        assert [(turn.text, turn.call) for turn in back.turns] == [(turn.text, turn.call) for turn in episode.turns]
        assert [frame.index for frame in back.frames_seen] == [frame.index for frame in episode.frames_seen]
        assert back.question.video == "m.mp4"


def test_a_thought_before_an_answer_without_tags_stays_a_thought(desk: Desk) -> None:
    messages = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "<think>red shirt</think>\nNumber 9"}]
    (episode,), _ = restored(desk, {"messages": messages})
    assert (episode.turns[0].thought, episode.answer, episode.id) == ("red shirt", "Number 9", "out:1")


# The references


letters = st.characters(categories=["L", "M", "N", "P", "S"], exclude_characters="/\\:") | st.just(" ")
names = st.lists(st.text(letters, min_size=1, max_size=6), min_size=1, max_size=3).map("/".join)
times = st.floats(0, 1e6)


@given(name=names, index=st.integers(0, 10**17), time_s=times)
def test_a_reference_reads_as_it_was_written_whatever_the_file_is_called(name: str, index: int, time_s: float) -> None:
    frame = Frame(video=name, index=index, time_s=time_s)
    try:
        text = write_reference(frame)
    except ValueError:
        assume(False)
    try:
        assert read_reference(text).frame == frame
    except BadRecord:
        assert "%" in name  # a name that is itself encoded, and would lead out if it were decoded twice


@pytest.mark.parametrize("name", ["final match.mp4", "été 100%.mp4", "a#b?c&d.mp4", "球/賽.mkv", "-rf.mp4", "a..b/..c.mp4"])
def test_awkward_names_go_out_and_come_back(name: str) -> None:
    frame = Frame(video=name, index=3, time_s=0.1)
    assert read_reference(write_reference(frame, "a" * 64)).frame == frame


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../a.mp4", "a/../../b.mp4", "C:\\a.mp4", "C:/a.mp4", "a\0.mp4", "", "a//b", "http://h/a"]
)
def test_a_path_that_leads_out_is_never_written(name: str) -> None:
    with pytest.raises(ValueError, match="leads out"):
        write_reference(Frame(video=name, index=0, time_s=0))


# The commands


app = typer.Typer()
app.command()(export)
app.command()(restore)


def test_the_commands_write_read_and_say_what_was_left_out(desk: Desk) -> None:
    records = desk.folder / "episodes.jsonl"
    episodes = [desk.play(CALL, ANSWER), desk.play(ANSWER, text="<image>", name="p")]
    records.write_text("".join(f"{episode.model_dump_json()}\n" for episode in episodes))
    out, back = desk.folder / "share.jsonl", desk.folder / "again.jsonl"
    rules = ["--style", "brief", "--first-frames", "2", "--frames-per-call", "2", "--max-turns", "3"]
    said = CliRunner().invoke(
        app, ["export", str(records), "--as", "sharegpt", "-o", str(out), "--videos", str(desk.folder), *rules]
    )
    assert said.exit_code == 0, said.output
    assert "1 of 2 records, 4 images" in said.output
    assert "left out 1 x a placeholder such as <image> in its text, such as p/7" in said.output
    said = CliRunner().invoke(app, ["restore", str(out), "-o", str(back), "--videos", str(desk.folder)])
    assert "1 of 1 rows, 1 of them whole" in said.output
    assert Episode.model_validate_json(back.read_text()) == bare(episodes[0])


def run_folder(desk: Desk, folder: Path, limits: Limits) -> Path:
    """A run with one episode that was played by these rules, and its configuration beside it."""
    episode = desk.play(CALL, ANSWER, limits=limits)
    (folder / "kept.jsonl").write_text(episode.model_dump_json())
    (folder / "config.toml").write_text(dump(DistillRecipe(questions="q.jsonl", limits=limits)))
    return folder / "kept.jsonl"


def exported(kept: Path, *options: str) -> Result:
    out = kept.with_name("chat.jsonl")
    return CliRunner().invoke(app, ["export", str(kept), "--as", "openai", "-o", str(out), *options])


def test_the_rules_of_a_run_are_read_from_the_configuration_beside_its_episodes_and_said(desk: Desk, tmp_path: Path) -> None:
    said = exported(run_folder(desk, tmp_path, BRIEF))
    assert "1 of 1 records" in said.output
    rules = "rules: --first-frames 2 --frames-per-call 2 --max-turns 3 --style brief"
    assert said.output.startswith(f"{rules} (where not given, of {tmp_path / 'config.toml'})\n")


def test_rules_that_are_given_win_over_those_of_the_run(desk: Desk, tmp_path: Path) -> None:
    said = exported(run_folder(desk, tmp_path, BRIEF), "--style", "full", "--first-frames", "3")
    assert said.output.startswith("rules: --first-frames 3 --frames-per-call 2 --max-turns 3 --style full")
    assert "0 of 1 records" in said.output


@pytest.mark.parametrize("config", [None, "questions = 'q.jsonl'\n"])
def test_without_rules_beside_it_a_file_is_taken_to_be_of_the_usual_ones(config: str | None, desk: Desk, tmp_path: Path) -> None:
    kept = run_folder(desk, tmp_path, Limits())
    (tmp_path / "config.toml").unlink()
    if config:
        (tmp_path / "config.toml").write_text(config)
    said = exported(kept)
    assert said.output.startswith("rules: --first-frames 8 --frames-per-call 8 --max-turns 5 --style full\n")
    assert "1 of 1 records" in said.output


@pytest.mark.parametrize("layout", ["parquet", "jsonl"])
@pytest.mark.parametrize("option", ["--frames", "--videos"])
def test_frames_and_videos_are_refused_where_questions_are_published(
    layout: str, option: str, desk: Desk, tmp_path: Path
) -> None:
    command = ["export", str(desk.folder / "q.jsonl"), "--as", layout, "-o", str(tmp_path / "out"), option, str(desk.folder)]
    said = CliRunner().invoke(app, command)
    assert said.exit_code == 2
    assert f"{option}: --as {layout} publishes questions" in said.stderr
    assert not (tmp_path / "out").exists()


def test_the_layouts_of_the_command_are_those_of_the_table() -> None:
    from deepsport.cli.export import Layout, Spelling

    assert {layout.value for layout in Layout} - {"parquet", "jsonl"} == set(Form)
    assert {spelling.value for spelling in Spelling} == set(Calls)
