"""The demo from end to end, tiny: every stage runs, leaves its record, and is not run twice."""

import json
from pathlib import Path

import pytest

from deepsport.config import load
from deepsport.demo import DemoConfig, run_demo
from deepsport.errors import RunError
from deepsport.records import Dimension, Episode, StopReason
from deepsport.reward.gated import answer_accuracy

TINY = [
    "train_clips=4",
    "heldout_clips=4",
    "practice_clips=4",
    "looks_per_clip=2",
    "study_scripts=12",
    "study.steps=2",
    "study.batch_size=4",
    "perception.steps=2",
    "perception.batch_size=4",
    "reading.steps=2",
    "reading.batch_size=2",
    "sft.steps=2",
    "sft.batch_size=2",
    "rl.steps=2",
    "rl.questions_per_step=2",
    "rl.group_size=2",
    "rl.max_reply_tokens=8",
]

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("demo")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "demo"
    run_demo(folder, load(DemoConfig, None, TINY))
    return folder


def test_the_report_has_the_three_systems_and_every_figure(finished: Path) -> None:
    report = json.loads((finished / "report.json").read_text())
    assert list(report["systems"]) == ["no_tool", "sft", "sft_rl"]
    wanted = {"score", "ci95", "n_questions", "valid_action_rate", "tool_calls_per_question", "grounding_hit_rate"}
    wanted |= {"frames_per_question", "by_sport", "by_dimension"}
    assert all(wanted <= set(system) for system in report["systems"].values())
    assert {"paired", "seed", "seconds_per_stage", "versions"} <= set(report)
    assert (finished / "report.html").stat().st_size > 10_000


def test_the_teacher_answers_everything_with_a_token_record(finished: Path) -> None:
    lines = (finished / "episodes/teacher.jsonl").read_text().splitlines()
    episodes = [Episode.model_validate_json(line) for line in lines]
    assert all(episode.stop is StopReason.ANSWERED and episode.tokens for episode in episodes)
    careful = [episode for episode in episodes if episode.calls or episode.question.easy]
    assert all(answer_accuracy(episode) == 1 for episode in careful)
    assert all(episode.question.dimension is Dimension.RULES for episode in episodes if episode not in careful)


def test_the_heldout_clips_share_no_file_with_the_training_clips(finished: Path) -> None:
    train, heldout = (
        {clip.read_bytes() for clip in (finished / f"arena/{name}/clips").glob("*.mp4")} for name in ("train", "heldout")
    )
    assert train
    assert heldout
    assert not train & heldout


def test_a_finished_demo_is_reused_and_says_the_same(finished: Path) -> None:
    weights = (finished / "policies/sft_rl/model.safetensors").stat().st_mtime_ns
    before = json.loads((finished / "report.json").read_text())["systems"]
    after = run_demo(finished, load(DemoConfig, None, TINY))
    assert json.loads(after.model_dump_json())["systems"] == before
    assert (finished / "policies/sft_rl/model.safetensors").stat().st_mtime_ns == weights


def test_another_configuration_is_refused_with_the_difference(finished: Path) -> None:
    with pytest.raises(RunError, match=r"rl\.steps"):
        run_demo(finished, load(DemoConfig, None, [*TINY, "rl.steps=3"]))


def test_the_recipe_in_the_repository_is_the_default() -> None:
    assert load(DemoConfig, Path(__file__).parents[2] / "recipes/demo.toml") == DemoConfig()
