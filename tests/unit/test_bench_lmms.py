"""The task folder for lmms-eval, without lmms-eval: what it says, and that replies are scored there as they are here."""

import asyncio
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

from deepsport.agent.grammar import write_answer, write_call
from deepsport.agent.rollout import Limits, run_episode
from deepsport.bench.exchange.lmms_export import write_task
from deepsport.errors import BadConfig, BadRecord
from deepsport.policy.base import Image, Message, Sampling
from deepsport.policy.scripted import Scripted
from deepsport.records import Choice, Episode, Fact, FreeText, Gold, Number, Provenance, Question
from deepsport.reward.gated import answer_accuracy
from deepsport.video.source import FrameSource
from video_files import Recipe, write

CARD = Choice(options=("red card", "no card"), answer="red card")
POINTS = Number(answer=9.5, unit="points", tolerance=0.5)
FACTS = FreeText(
    answer="a volley with the left foot",
    facts=(Fact(options=("volley", "header"), answer="volley"), Fact(options=("left", "right"), answer="left")),
)
OPEN = FreeText(answer="Lean back later.")


def asked(video: Path, gold: Gold | None, name: str = "q1", **more: Any) -> Question:
    return Question(id=name, video=str(video), text="What is given? “Tell.”", gold=gold, sport="ice_hockey", **more)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    (tmp_path / "clips").mkdir()
    return write(tmp_path / "clips" / "foul one.mp4", Recipe(n_frames=40))


def exported(questions: Sequence[Question], folder: Path) -> tuple[ModuleType, list[dict[str, str]]]:
    """Writes the task and loads it."""
    write_task(questions, folder, "fouls")
    return loaded(folder)


def loaded(folder: Path) -> tuple[ModuleType, list[dict[str, str]]]:
    """The module as lmms-eval loads it, and the documents as its loader hands them out."""
    spec = importlib.util.spec_from_file_location("deepsport_task", folder / "deepsport_task.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, [json.loads(line) for line in (folder / "fouls.jsonl").read_text().splitlines()]


class Reader(yaml.SafeLoader):
    """YAML with the tag by which lmms-eval names functions."""


Reader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def played(question: Question, reply: str) -> tuple[Episode, list[Message]]:
    """Our own episode without the tool, and what it was told."""
    told = list[Message]()

    def script(seen: list[Message]) -> str:
        told.extend(seen)
        return reply

    limits = Limits(max_turns=1)
    with FrameSource() as source:
        ask = run_episode(question, Scripted(script), source, limits=limits, sampling=Sampling(), with_tool=False)
        episode = asyncio.run(ask)
    return episode, told


def test_the_yaml_names_a_file_of_questions_and_functions_that_are_there(clip: Path, tmp_path: Path) -> None:
    module, docs = exported([asked(clip, CARD), asked(clip, POINTS, "q2")], tmp_path / "task")
    settings = yaml.load((tmp_path / "task" / "fouls.yaml").read_text(), Reader)  # the test's own file, and a safe loader
    assert settings["task"] == "fouls"
    assert (tmp_path / "task" / settings["dataset_kwargs"]["data_files"]["test"]).is_file()
    named = [settings[key] for key in ("doc_to_messages", "doc_to_visual", "doc_to_text", "doc_to_target", "process_results")]
    named += [metric["aggregation"] for metric in settings["metric_list"]]
    assert all(callable(getattr(module, name.removeprefix("deepsport_task."))) for name in named)
    assert [metric["metric"] for metric in settings["metric_list"]] == ["accuracy", "unscored"]
    assert settings["reasoning_tags"] == "none"
    assert [doc["id"] for doc in docs] == ["q1", "q2"]


@pytest.mark.parametrize(
    "reply",
    [
        write_answer("seen", "red card"),
        write_answer("seen", "A"),
        write_answer("seen", "no card"),
        write_answer("seen", "9 points"),
        write_answer("seen", "9.0"),
        write_answer("seen", "a volley, with the right foot"),
        write_answer("seen", "lean back later"),
        write_answer("seen", "Stay low."),
        write_call("closer", 3, 9),
        "red card",
        "<think>cut of",
        "",
    ],
)
@pytest.mark.parametrize("gold", [CARD, POINTS, FACTS, OPEN, None], ids=["choice", "number", "facts", "open", "unknown"])
def test_a_reply_scores_there_what_it_scores_here(clip: Path, tmp_path: Path, gold: Gold | None, reply: str) -> None:
    question = asked(clip, gold)
    module, [doc] = exported([question], tmp_path / "task")
    figures = module.results(doc, [reply])
    here = answer_accuracy(played(question, reply)[0])
    assert figures.get("accuracy", {}).get("score") == here
    assert figures["unscored"] == (here is None)


def test_a_request_that_lmms_eval_lost_is_nobodys_answer(clip: Path, tmp_path: Path) -> None:
    module, [doc] = exported([asked(clip, CARD)], tmp_path / "task")
    assert module.results(doc, ["[LMMS_EVAL_REQUEST_FAILED after 5 retries] Connection error."]) == {"unscored": 1}


def test_the_mean_leaves_out_what_has_no_verdict_and_counts_it(clip: Path, tmp_path: Path) -> None:
    module, docs = exported([asked(clip, gold, f"q{n}") for n, gold in enumerate((CARD, CARD, OPEN))], tmp_path / "task")
    replies = (write_answer("", "red card"), write_answer("", "no card"), write_answer("", "Stay low."))
    figures = [module.results(doc, [reply]) for doc, reply in zip(docs, replies, strict=True)]
    assert module.mean_accuracy([each["accuracy"] for each in figures if "accuracy" in each]) == 0.5
    assert module.n_unscored([each["unscored"] for each in figures]) == 1


def test_questions_of_one_match_are_resampled_as_one_and_others_by_their_video(clip: Path, tmp_path: Path) -> None:
    match = Provenance(source="s", file="f", record="1", match="final 2019", licence="")
    module, docs = exported([asked(clip, CARD, provenance=match), asked(clip, CARD, "q2")], tmp_path / "task")
    clusters = [module.results(doc, ["?"])["accuracy"]["cluster"] for doc in docs]
    assert clusters == ["final 2019", "../clips/foul one.mp4"]


def test_a_chat_model_is_shown_what_our_own_episode_shows_pixel_for_pixel(clip: Path, tmp_path: Path) -> None:
    question = asked(clip, CARD)
    module, [doc] = exported([question], tmp_path / "task")
    theirs = module.messages(doc)
    ours = played(question, "?")[1]
    assert [message["role"] for message in theirs] == [message.role for message in ours]
    shown = [part for message in ours for part in message.parts]
    given = [part for message in theirs for part in message["content"]]
    for mine, part in zip(shown, given, strict=True):
        if isinstance(mine, Image):
            np.testing.assert_array_equal(np.asarray(part["url"]), mine.pixels)
        else:
            assert part == {"type": "text", "text": mine}
    assert sum(part["type"] == "image" for part in given) == 8


def test_a_model_of_one_text_gets_the_same_frames_and_all_the_words(clip: Path, tmp_path: Path) -> None:
    question = asked(clip, CARD)
    module, [doc] = exported([question], tmp_path / "task")
    shown = [part for message in played(question, "?")[1] for part in message.parts]
    frames = [part.pixels for part in shown if isinstance(part, Image)]
    assert all(np.array_equal(np.asarray(mine), pixels) for mine, pixels in zip(module.visuals(doc), frames, strict=True))
    left = module.text(doc)
    for part in (part for part in shown if isinstance(part, str)):
        before, found, left = left.partition(part)
        assert (before.strip(), found) == ("", part)
    assert left == ""


def test_the_folder_can_be_moved_with_its_clips(clip: Path, tmp_path: Path) -> None:
    write_task([asked(clip, CARD)], tmp_path / "task", "fouls")
    (tmp_path / "elsewhere").mkdir()
    for name in ("task", "clips"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    module, docs = loaded(tmp_path / "elsewhere" / "task")
    assert len(module.visuals(docs[0])) == 8
    assert str(tmp_path) not in (tmp_path / "elsewhere" / "task" / "fouls.jsonl").read_text()


def test_two_tasks_may_stand_in_one_folder(clip: Path, tmp_path: Path) -> None:
    first = write_task([asked(clip, CARD)], tmp_path / "task", "fouls")
    second = write_task([asked(clip, POINTS, "q2"), asked(clip, CARD, "q3")], tmp_path / "task", "marks")
    assert [len(path.with_suffix(".jsonl").read_text().splitlines()) for path in (first, second)] == [1, 2]


@pytest.mark.parametrize("name", ["", "Fouls", "two words", "a/b", "../up", "a: b", "1st", "x\n"])
def test_a_name_that_would_not_pass_through_yaml_and_a_command_line_is_refused(clip: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(BadConfig, match="small letters"):
        write_task([asked(clip, CARD)], tmp_path / "task", name)
    assert not (tmp_path / "task").exists()


@pytest.mark.parametrize("n_questions", [0, 2], ids=["none", "two of one id"])
def test_questions_that_cannot_be_told_apart_or_are_none_are_refused(clip: Path, tmp_path: Path, n_questions: int) -> None:
    with pytest.raises(BadRecord):
        write_task([asked(clip, CARD)] * n_questions, tmp_path / "task", "fouls")


@pytest.mark.parametrize("name", ["null", "yes", "off", "true"])
def test_a_name_that_yaml_takes_for_a_value_stays_a_name(clip: Path, tmp_path: Path, name: str) -> None:
    path = write_task([asked(clip, CARD)], tmp_path / "task", name)
    assert yaml.load(path.read_text(), Reader)["task"] == name


def test_a_task_that_is_written_through_a_linked_folder_finds_its_clips(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "deep" / "down" / "there").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "down" / "there")
    module, docs = exported([asked(clip, CARD)], tmp_path / "link" / "task")
    assert len(module.visuals(docs[0])) == 8
