"""The recipes for a 7B model, as they are, on the true architecture at a fraction of its width."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deepsport.ablate import AblationConfig
from deepsport.cli.main import app
from deepsport.config import load
from deepsport.demo import DemoConfig
from deepsport.policy.local.checkpoint import load_policy
from deepsport.records import Episode
from deepsport.video.source import FrameSource
from tiny_models import ANSWER, CALL, clip, nano_folder, question, qwen25_folder, spoken
from token_server import TokenServer

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture(scope="module")
def narrow(request, tmp_path_factory) -> Path:
    """Qwen2.5-VL as published but for its width, or a nano where its tokenizer is not at hand."""
    folder = tmp_path_factory.mktemp("narrow")
    try:
        return qwen25_folder(request.getfixturevalue("shared_folder"), folder)
    except pytest.skip.Exception:
        return nano_folder(folder)


@pytest.fixture(scope="module")
def data(narrow, tmp_path_factory) -> Path:
    """A question and two episodes about one clip."""
    folder = tmp_path_factory.mktemp("data")
    asked, policy = question(clip(folder / "clip.mp4")), load_policy(str(narrow))
    with FrameSource() as source:
        episodes = [spoken(policy, source, asked, texts, f"e{n}") for n, texts in enumerate([[CALL, ANSWER], [ANSWER]])]
    (folder / "episodes.jsonl").write_text("".join(episode.model_dump_json() + "\n" for episode in episodes))
    (folder / "questions.jsonl").write_text(asked.model_dump_json() + "\n")
    return folder


def deepsport(*arguments: str) -> str:
    ran = CliRunner().invoke(app, list(arguments))
    assert ran.exit_code == 0, ran.output
    return ran.output


def small(stage: str, data: Path) -> list[str]:
    """Less of everything, and limits under which the teacher's episodes were recorded."""
    limits = ["limits.first_frames=3", "limits.frames_per_call=3", "limits.max_turns=3", "limits.style=brief"]
    if stage == "sft":
        return [f"episodes={data / 'episodes.jsonl'}", "sft.steps=2", "sft.batch_size=2", *limits]
    sizes = ["rl.steps=2", "rl.questions_per_step=1", "rl.group_size=2", "rl.max_reply_tokens=6", "rl.filter_by_accuracy=false"]
    return [f"questions={data / 'questions.jsonl'}", *sizes, *limits]


@pytest.mark.parametrize("name", ["sft_7b", "sft_7b_full", "rl_7b", "rl_7b_full"])
def test_a_recipe_runs_as_it_is_at_reduced_width(name, narrow, data, tmp_path):
    stage = name.partition("_")[0]
    arguments = [stage, str(tmp_path / "run"), "--recipe", str(RECIPES / f"{name}.toml"), "--init-from", str(narrow)]
    printed = deepsport(*arguments, *small(stage, data))
    assert printed.strip().endswith(str(tmp_path / "run/policy"))
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1]
    saved = {path.name for path in (tmp_path / "run/policy").iterdir()}
    assert ("adapter_model.safetensors" in saved) == (not name.endswith("full"))
    assert load_policy(str(tmp_path / "run")).backbone.model is not None


def test_the_recipe_with_servers_runs_as_it_is_but_for_where_they_are(narrow, data, tmp_path):
    arguments = ["rl", str(tmp_path / "run"), "--recipe", str(RECIPES / "rl_7b_vllm.toml"), "--init-from", str(narrow)]
    with TokenServer(narrow) as first, TokenServer(narrow) as second:
        where = ["vllm.start=[]", f'vllm.addresses=["{first.address}", "{second.address}"]']
        deepsport(*arguments, *small("rl", data), *where)
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["servers"], line["episodes"]) for line in lines] == [(0, 2, 2), (1, 2, 2)]
    assert all(line["push_off"] < 1e-4 for line in lines)
    assert load_policy(str(tmp_path / "run")).backbone.model is not None


def test_rl_goes_on_with_the_adapter_that_sft_made(narrow, data, tmp_path):
    sft, rl = (["--recipe", str(RECIPES / f"{name}_7b.toml")] for name in ("sft", "rl"))
    deepsport("sft", str(tmp_path / "sft"), *sft, "--init-from", str(narrow), *small("sft", data))
    deepsport("rl", str(tmp_path / "rl"), *rl, "--init-from", str(tmp_path / "sft"), *small("rl", data), "rl.optimiser.lr=0.0")
    taught, after = (load_policy(str(tmp_path / name)).backbone.model.state_dict() for name in ("sft", "rl"))
    start = load_policy(str(narrow)).backbone.model.state_dict()
    moved = [name for name, weight in taught.items() if not weight.equal(start[name])]
    assert moved
    assert all(after[name].allclose(taught[name], atol=1e-6) for name in taught)


@pytest.mark.parametrize("name", ["sft_7b", "sft_7b_full", "rl_7b", "rl_7b_full"])
def test_a_dry_run_tells_memory_tokens_and_steps_and_leaves_nothing_behind(name, narrow, data, tmp_path):
    stage = name.partition("_")[0]
    arguments = [stage, str(tmp_path / "run"), "--recipe", str(RECIPES / f"{name}.toml"), "--init-from", str(narrow), "--dry-run"]
    printed = deepsport(*arguments, *small(stage, data))
    for word in ("parameters", "trained", "tokens", "all steps", "weights", "optimiser", "activations", "memory at most"):
        assert word in printed
    assert ("key-value cache" in printed) == (stage == "rl")
    assert not (tmp_path / "run").exists()


def test_the_parameters_of_the_published_7b_are_counted_without_its_weights(shared_folder, data, tmp_path):
    for name in ("config", "preprocessor_config"):
        (tmp_path / f"{name}.json").write_bytes((shared_folder / f"qwen/configs/Qwen2.5-VL-7B.{name}.json").read_bytes())
    recipe = ["--recipe", str(RECIPES / "rl_7b_full.toml"), "--init-from", str(tmp_path), "--dry-run"]
    printed = deepsport("rl", str(tmp_path / "run"), *recipe, f"questions={data / 'questions.jsonl'}")
    assert "8,292.2 M" in printed  # as the published checkpoint's index says: 16,584,333,312 bytes in bfloat16
    assert "16.58 GB" in printed


def test_the_estimate_of_tokens_bounds_what_an_episode_really_has(narrow, data, tmp_path):
    arguments = ["sft", str(tmp_path), "--recipe", str(RECIPES / "sft_7b.toml"), "--init-from", str(narrow), "--dry-run"]
    printed = deepsport(*arguments, *small("sft", data))
    at_most = int(printed.partition("at most ")[2].partition(" an episode")[0].replace(",", ""))
    episodes = [Episode.model_validate_json(line) for line in (data / "episodes.jsonl").read_text().splitlines()]
    longest = max(len(episode.tokens.ids) for episode in episodes if episode.tokens)
    assert longest <= at_most <= 8 * longest


def test_the_recipes_of_nano_and_of_the_ablation_are_read_as_what_they_are() -> None:
    nano = load(DemoConfig, RECIPES / "nano.toml")
    assert (nano.haste, nano.long_share, nano.rl.kl_coefficient) == (0.0, 0.3, DemoConfig().rl.kl_coefficient)
    ablation = load(AblationConfig, RECIPES / "ablate.toml")
    assert (len(ablation.seeds), ablation.demo.rl.steps, ablation.demo.sft.steps) == (3, 16, 180)
    assert ablation.demo.reading == DemoConfig().reading
    seeds = load(AblationConfig, RECIPES / "seeds.toml")
    assert (len(seeds.seeds), seeds.variants, seeds.demo.rl) == (3, ("sft", "sft_rl"), DemoConfig().rl)
    assert not {*seeds.seeds} & {*ablation.seeds}, "seeds on which nothing was chosen"


def test_the_arena_distils_itself_and_a_student_learns_from_it(tmp_path):
    deepsport("arena", "render", str(tmp_path / "practice"), "--clips", "12")
    arguments = ["--out", str(tmp_path / "run"), f"questions={tmp_path / 'practice/questions.jsonl'}"]
    printed = deepsport("distill", str(RECIPES / "distill_arena.toml"), *arguments)
    assert "not kept:" in printed
    taught = [f"episodes={tmp_path / 'run/kept.jsonl'}", "model=nano", "limits.style=brief", "sft.steps=2", "sft.batch_size=2"]
    assert deepsport("sft", str(tmp_path / "sft"), *taught).strip().endswith("policy")


def test_the_recipe_of_a_distillation_by_endpoints_says_what_it_will_ask_for(tmp_path):
    deepsport("arena", "render", str(tmp_path / "practice"), "--clips", "4")
    printed = deepsport(
        "distill", str(RECIPES / "distill.toml"), "--dry-run", f"questions={tmp_path / 'practice/questions.jsonl'}"
    )
    assert all(step in printed for step in ("facts", "acting", "judging", "at most"))


def test_the_recipe_of_a_measurement_says_what_it_will_ask_for_and_every_protocol_takes_it(tmp_path):
    deepsport("arena", "render", str(tmp_path / "set"), "--clips", "2")
    asked = ["bench", "run", str(tmp_path / "set/questions.jsonl"), "-o", str(tmp_path / "run")]
    asked += ["--recipe", str(RECIPES / "bench.toml"), "--dry-run"]
    for options, images in ([[], "576"], [["--passive", "16"], "192"], [["--blind"], "0"]):
        printed = deepsport(*asked, *options, "endpoint.prompt_usd=2.0")
        assert re.search(rf"asking +Qwen/Qwen2.5-VL-7B-Instruct +likely +[0-9,]+ +{images} .*\$0.[0-9]+", printed), printed
    assert "No endpoint is asked" in deepsport(*asked, "--majority")
    assert not (tmp_path / "run").exists()
