"""Our rows, episode, tool and reward inside verl's real classes: its data set, agent loops, reward manager and advantage.

They live in an environment of their own, which `make -C engines verl-env` makes; a process of its python plays the rows once for
each agent (`verl_world.py`), and what came out is looked at here.
"""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from deepsport.agent.grammar import write_answer, write_call
from deepsport.agent.prompt import PromptStyle
from deepsport.agent.rollout import Limits
from deepsport.data.exporting import export_episodes
from deepsport.data.formats.table import Form
from deepsport.records import Choice, FreeText, Question
from video_files import Recipe, write

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path(os.environ.get("DEEPSPORT_VERL_PYTHON", ROOT / ".venv-verl" / "bin" / "python"))
LIMITS = Limits(first_frames=3, frames_per_call=3, max_turns=3, style=PromptStyle.BRIEF)
GOLD = Choice(options=("header", "volley"), answer="volley")
OPEN = FreeText(answer="he kicked it")
CASES = {
    "right": "call | volley",
    "wrong": "call | header",
    "at once": "volley",
    "malformed": "junk",
    "refused": "outside | volley",
    "twice": "call | call | volley",
    "aborted": "call | abort",
    "no room": "call | wide | volley",
    "unscored": "call | volley",
    "gone": "header",
}
"""What the server says to each question, by turns."""

SAID: dict[str, str] = {
    "call": write_call("a", 10, 20),
    "outside": write_call("a", 30, 99),
    "wide": write_call("a", 0, 30),
    "volley": write_answer("a", "volley"),
    "header": write_answer("a", "header"),
    "junk": "goal",
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.is_file(), reason=f"no environment of verl at {PYTHON}: make -C engines verl-env"),
]


def asked(name: str) -> Question:
    video = "gone.mp4" if name == "gone" else "clip.mp4"
    return Question(id=name, video=video, text=f"How? say: {CASES[name]} .", gold=OPEN if name == "unscored" else GOLD)


def exported(folder: Path, names: Sequence[str], *, with_files: bool) -> tuple[Path, Path]:
    """The rows of the questions, exported as a user would, and the folder of their videos."""
    videos = folder / "videos"
    videos.mkdir()
    for video in {asked(name).video for name in names}:
        write(videos / video, Recipe(n_frames=40, width=224, height=126, gop=10))
    questions, rows = folder / "questions.jsonl", folder / "rows.parquet"
    questions.write_text("".join(f"{asked(name).model_dump_json()}\n" for name in names))
    frames = folder / "frames" if with_files else None
    report = export_episodes(questions, rows, Form.VERL, limits=LIMITS, videos=videos, frames=frames)
    assert report.n_exported == len(names)
    (videos / "gone.mp4").unlink(missing_ok=True)
    return rows, videos


def facts_of(folder: Path, script: str, *arguments: object) -> dict[str, Any]:
    """What a script of verl's world writes down; it is told what the server says, and where to write."""
    said, out = folder / "said.json", folder / "facts.json"
    said.write_text(json.dumps(SAID))
    env = os.environ | {
        "PYTHONPATH": str(ROOT / "src"),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / "hub"),
    }
    command = [PYTHON, Path(__file__).with_name(script), *arguments, said, out]
    done = subprocess.run(list(map(str, command)), cwd=folder, env=env, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    facts: dict[str, Any] = json.loads(out.read_text())
    return facts


def play(folder: Path, agent: str, names: Sequence[str]) -> dict[str, Any]:
    """The questions, played by an agent loop of verl."""
    rows, videos = exported(folder, names, with_files=agent == "tool_agent")
    facts = facts_of(folder, "verl_world.py", rows, videos, agent)
    facts["episodes"] = dict(zip(names, facts["episodes"], strict=True))
    return facts


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Everything played by our agent loop."""
    return play(tmp_path_factory.mktemp("ours"), "deepsport", list(CASES))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Played by verl's tool agent with our tool, parser and reward function."""
    return play(tmp_path_factory.mktemp("theirs"), "tool_agent", ["right", "wrong", "at once", "malformed", "refused", "twice"])


def episode(played: dict[str, Any], name: str) -> dict[str, Any]:
    return played["episodes"][name]


def worst_mismatch(played: dict[str, Any]) -> float:
    """Between the engine's log-probabilities and the trainer's, over all tokens that the policy spoke."""
    pairs = [zip(each["rollout"], each["trainer"], each["mask"], strict=True) for each in played["episodes"].values()]
    return max(abs(engine - trainer) for pair in pairs for engine, trainer, spoken in pair if spoken)


def test_the_data_set_of_verl_reads_every_exported_row(ours):
    assert ours["n_rows"] == len(CASES)
    assert {"agent_name", "data_source", "extra_info", "raw_prompt", "reward_model"} <= set(ours["columns"])


def test_an_episode_of_two_turns_with_images_is_masked_where_the_tool_spoke(ours):
    two_turns = episode(ours, "right")
    assert two_turns["spoken"] == f"{SAID['call']}<|im_end|>{SAID['volley']}<|im_end|>"
    result = f"frame 10 (0.40s):\nframe 15 (0.60s):\nframe 20 (0.80s):\nQuestion: {asked('right').text}"
    assert two_turns["told"] == f"\nuser\n{result}\nassistant\n"
    assert two_turns["n_turns"] == 4


def test_every_placeholder_has_its_embedding_in_every_episode(ours):
    for name, each in ours["episodes"].items():
        assert each["n_placeholders"] == each["n_embeddings"], name
    assert episode(ours, "right")["n_placeholders"] == 2 * episode(ours, "at once")["n_placeholders"] == 48


def test_what_the_trainer_computes_is_what_the_engine_sampled_from(ours):
    assert worst_mismatch(ours) < 1e-4


def test_the_engine_is_sent_a_run_of_placeholders_for_every_picture_at_the_size_that_the_model_sees(ours):
    assert ours["requests"]
    for request in ours["requests"]:
        assert request["n_runs"] == request["n_images"] == len(request["sizes"])
        assert request["sizes"] == [[112, 56]] * request["n_images"]


def test_all_turns_of_an_episode_ask_the_same_server(ours):
    ids = [request["request_id"] for request in ours["requests"] if request["asked"] == ["call", "header"]]
    assert len(ids) == 2
    assert len(set(ids)) == 1


def test_a_reply_is_asked_for_no_more_tokens_than_there_is_room_for(ours):
    second = [request for request in ours["requests"] if request["asked"] == ["call", "header"]][1]
    first = next(request for request in ours["requests"] if request["asked"] == ["call", "header"])
    n_follow = second["n_prompt"] - first["n_prompt"]
    assert first["sampling_params"]["max_tokens"] == 100
    assert second["sampling_params"]["max_tokens"] == 180 - n_follow < 100


@pytest.mark.parametrize(
    ("name", "score", "accuracy", "tool", "penalty", "stop"),
    [
        ("right", 1.5, 1, 0.5, 0, "answered"),
        ("wrong", 0.03, 0, 0.03, 0, "answered"),
        ("at once", 1, 1, 0, 0, "answered"),
        ("refused", 1, 1, 0, 0, "answered"),
        ("malformed", -0.05, 0, 0, -0.05, "format_error"),
        ("twice", -0.05, 0, 0, -0.05, "format_error"),
        ("no room", -0.05, 0, 0, -0.05, "context_overflow"),
    ],
)
def test_an_episode_brings_its_reward_in_parts(ours, name, score, accuracy, tool, penalty, stop):
    each = episode(ours, name)
    parts = {key: each["extra"][key] for key in ("score", "accuracy", "tool", "format", "stop", "scored", "lost")}
    assert parts == {"score": score, "accuracy": accuracy, "tool": tool, "format": penalty, "stop": stop, "scored": 1, "lost": 0}
    assert each["score"] == pytest.approx(score)
    assert each["score_at"] == each["n_response"] - 1


def test_frames_that_the_policy_had_no_room_to_look_at_are_cut_off_with_their_placeholders(ours):
    full = episode(ours, "no room")
    assert full["spoken"] == f"{SAID['call']}<|im_end|>{SAID['wide']}<|im_end|>"
    assert (full["n_placeholders"], full["mask"][-1]) == (48, 1)
    assert full["extra"]["frames"] == 9


@pytest.mark.parametrize(
    ("name", "stop", "lost"), [("aborted", "policy_error", 1), ("gone", "video_error", 1), ("unscored", "answered", 0)]
)
def test_an_episode_that_nobody_can_score_teaches_nothing(ours, name, stop, lost):
    each = episode(ours, name)
    assert (each["extra"]["stop"], each["extra"]["lost"], each["extra"]["scored"]) == (stop, lost, 0)
    assert (each["score"], sum(each["mask"]), any(each["advantages"])) == (0, 0, False)


def test_the_weights_that_spoke_first_and_last_are_told(ours):
    assert episode(ours, "right")["extra"]["max_global_steps"] == 5


@pytest.mark.parametrize("played", ["ours", "theirs"])
def test_the_advantage_stands_where_the_policy_spoke_and_sums_to_nothing_over_the_group(request, played):
    episodes = request.getfixturevalue(played)["episodes"].values()
    for each in episodes:
        assert [value != 0 for value in each["advantages"]] == [bool(spoken) for spoken in each["mask"]]
    mean = sum(each["score"] for each in episodes) / len(episodes)
    for each in episodes:
        assert max(each["advantages"], key=abs) == pytest.approx(each["score"] - mean if any(each["mask"]) else 0, abs=1e-5)


def test_the_tool_agent_of_verl_looks_again_with_our_tool(theirs):
    two_turns = episode(theirs, "right")
    assert two_turns["spoken"] == f"{SAID['call']}<|im_end|>{SAID['volley']}<|im_end|>"
    assert "The images are, in order: frame 10 (0.40s), frame 15 (0.60s), frame 20 (0.80s)." in two_turns["told"]
    assert two_turns["n_placeholders"] == two_turns["n_embeddings"] == 48
    assert worst_mismatch(theirs) < 1e-4


def test_a_window_outside_the_video_is_refused_by_our_tool_with_the_valid_range(theirs):
    assert "frames 30 to 99 are not all in the video. Valid frames are 0 to 39." in episode(theirs, "refused")["told"]


def test_a_window_asked_for_twice_brings_no_frames_again(theirs):
    twice = episode(theirs, "twice")
    assert "this window was asked for before" in twice["told"]
    assert twice["n_placeholders"] == 48


@pytest.mark.parametrize("name", ["right", "wrong", "at once", "malformed", "refused", "twice"])
def test_both_agents_earn_the_same_reward(ours, theirs, name):
    names = ("score", "accuracy", "tool", "format", "scored", "stop")
    assert {key: episode(theirs, name)["extra"][key] for key in names} == {
        key: episode(ours, name)["extra"][key] for key in names
    }


def test_in_actors_of_ray_every_question_is_played_as_often_as_asked_and_reaches_the_trainer(tmp_path):
    rows, videos = exported(tmp_path, ["right", "gone", "wrong"], with_files=False)
    facts = facts_of(tmp_path, "verl_cluster.py", rows, videos)
    assert facts["status"] == ["finished"] * 3
    assert facts["stops"] == ["answered", "answered", "video_error", "video_error", "answered", "answered"]
    assert facts["scores"] == pytest.approx([1.5, 1.5, 0, 0, 0.03, 0.03])
    assert [any(mask) for mask in facts["masks"]] == [True, True, False, False, True, True]
    versions = [(tag["min_global_steps"], tag["max_global_steps"]) for tag in facts["tags"]]
    assert versions == [(3, 5), (3, 5), (6, 6), (6, 6), (3, 5), (3, 5)]  # where no server was asked: those before step 7


def test_the_recipe_is_a_configuration_that_verl_accepts(tmp_path):
    facts = facts_of(tmp_path, "verl_recipe.py", ROOT / "recipes" / "verl")
    assert facts["lengths"] == [4096, 12288, 16384]
    assert facts["agent"] == "deepsport"
    assert facts["filtered_by"] == "accuracy"
    assert facts["reward"] == -0.05
