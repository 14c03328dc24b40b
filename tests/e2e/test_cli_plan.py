"""`deepsport plan` on the command line: with named accelerators, and with rates measured on this very machine."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from deepsport.cli.main import app
from deepsport.train.planning.rates import load_rates
from tiny_models import clip, nano_folder, question

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> list[str]:
    """A small model and a question about one clip, in place of those of a recipe."""
    folder = tmp_path_factory.mktemp("plan")
    asked = question(clip(folder / "clip.mp4"))
    (folder / "questions.jsonl").write_text(asked.model_dump_json() + "\n")
    limits = ["limits.first_frames=3", "limits.frames_per_call=3", "limits.max_turns=3", "limits.style=brief"]
    return [f"model={nano_folder(folder / 'nano')}", f"questions={folder / 'questions.jsonl'}", *limits]


def deepsport(*arguments: str) -> str:
    ran = CliRunner().invoke(app, list(arguments))
    assert ran.exit_code == 0, ran.output
    return ran.output


@pytest.mark.parametrize(("name", "gpus"), [("rl_7b", 1), ("rl_7b_full", 8), ("rl_7b_vllm", 8)])
def test_a_recipe_of_rl_is_planned_before_anything_runs(name, gpus, settings, tmp_path):
    recipe = str(RECIPES / f"{name}.toml")
    printed = deepsport("plan", recipe, *settings, "--gpus", str(gpus), "--gpu", "h200", "--usd-per-gpu-hour", "3")
    for word in ("memory at most", "a step takes", "GPU-hours", "$", "what binds", "to change", "(assumed)"):
        assert word in printed.replace("GPU-seconds", "GPU-hours")
    assert ("servers" in printed.splitlines()[0]) == (name == "rl_7b_vllm")
    assert list(tmp_path.iterdir()) == []


def test_rates_measured_here_are_used_and_no_longer_called_assumed(settings, tmp_path):
    recipe, rates = str(RECIPES / "rl_7b_full.toml"), tmp_path / "rates.json"
    less = ["rl.gradient_checkpointing=false", "rl.questions_per_step=2"]
    first = deepsport("plan", recipe, *settings, *less, "--measure", str(rates))
    assert {"learn_flops", "cache_bandwidth", "layer_s", "uniform_pixel_s"} <= set(load_rates(rates).measured)
    assert "(assumed)" not in first.replace("tokens (assumed)", "")
    assert first == deepsport("plan", recipe, *settings, *less, "--rates", str(rates))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--gpu", "h20"], "Did you mean h200"),
        (["--gpu", "this"], "--measure"),
        (["--servers", "1", "--gpus", "2"], "no [vllm]"),
        (["--rates", "nowhere.json"], "nowhere.json"),
        (["--like", "nowhere"], "metrics.jsonl"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_what_to_do(arguments, said, settings):
    ran = CliRunner().invoke(app, ["plan", str(RECIPES / "rl_7b.toml"), *settings, *arguments])
    assert ran.exit_code == 2
    assert said in ran.output
    assert "Traceback" not in ran.output


def test_a_file_that_is_no_recipe_is_refused(tmp_path):
    path = tmp_path / "notes.toml"
    path.write_text("colour = 3\n")
    ran = CliRunner().invoke(app, ["plan", str(path)])
    assert ran.exit_code == 2
    assert "no stage that can be planned" in ran.output
