"""`deepsport plan`: its arithmetic against torch's own counter, what binds and what is advised, and what it is told."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig

from deepsport.agent.prompt import PromptStyle
from deepsport.agent.rollout import Limits
from deepsport.errors import BadConfig
from deepsport.policy.local.checkpoint import load_policy
from deepsport.policy.local.engine import MAX_BATCH, MAX_BATCH_ON_GPU
from deepsport.train.planning.advice import advice
from deepsport.train.planning.hardware import accelerator, accelerators
from deepsport.train.planning.lengths import Habits, Lengths, lengths_of
from deepsport.train.planning.plan import Asked, Plan, plan_rl, plan_sft
from deepsport.train.planning.printed import lines_of
from deepsport.train.planning.rates import Rates, assumed, load_rates, save_rates
from deepsport.train.planning.recipes import habits_of_run, plan_of, read_recipe
from deepsport.train.planning.shape import Shape, shape_by, shape_of
from deepsport.train.planning.work import Limit, Work, looking, rolling_out
from deepsport.train.recipe import RLRecipe, SFTRecipe
from deepsport.train.trainee import TraineeConfig, choose_trained
from tiny_models import clip, image, nano_folder, question, qwen3_folder, qwen25_folder

LIMITS = Limits(first_frames=3, frames_per_call=3, max_turns=3, style=PromptStyle.BRIEF)


@pytest.fixture(scope="module")
def nano(tmp_path_factory) -> Path:
    return nano_folder(tmp_path_factory.mktemp("nano"))


@pytest.fixture(scope="module", params=["nano", "qwen2.5", "qwen3"])
def family(request, tmp_path_factory) -> Path:
    """A tiny model of each architecture."""
    folder = tmp_path_factory.mktemp("family")
    if request.param == "nano":
        return nano_folder(folder)
    make = qwen25_folder if request.param == "qwen2.5" else qwen3_folder
    return make(request.getfixturevalue("shared_folder"), folder)


def counted(model: Path, config: TraineeConfig):
    """A model whose every attention is made of matrix products, which torch can count."""
    backbone = load_policy(str(model)).backbone
    choose_trained(backbone, config, seed=0)
    for part in (backbone.model.model.visual, backbone.model.model.language_model):
        part.config._attn_implementation = "eager"
    return backbone


ROWS, LENGTH = 2, 96


def hidden(backbone) -> torch.Tensor:
    ids = torch.full((ROWS, LENGTH), 300)
    return backbone.hidden(ids, None, torch.arange(LENGTH).expand(3, ROWS, LENGTH), None)


def test_a_forward_pass_has_the_operations_that_torch_counts(family):
    config = TraineeConfig()
    backbone, shape = counted(family, config), shape_of(str(family), config)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        backbone.logprobs(hidden(backbone))
    ours = shape.language(ROWS * LENGTH, ROWS * LENGTH**2) + shape.head(ROWS * LENGTH)
    assert ours == pytest.approx(counter.get_total_flops(), rel=0.02)


@pytest.mark.parametrize("lora_rank", [0, 8])
def test_learning_has_the_operations_that_torch_counts(family, lora_rank):
    config = TraineeConfig(lora_rank=lora_rank, train_embeddings=False)
    backbone, shape = counted(family, config), shape_of(str(family), config)
    with FlopCounterMode(display=False) as counter:
        backbone.logprobs(hidden(backbone)[:, :4]).gather(-1, torch.full((ROWS, 4, 1), 301)).sum().backward()
    ours = shape.learning(ROWS * LENGTH, ROWS * LENGTH**2, ROWS * 4, again=False)
    assert ours == pytest.approx(counter.get_total_flops(), rel=0.05)


def test_checkpointing_computes_the_layers_once_more(nano):
    shape = shape_of(str(nano), TraineeConfig())
    once, again = (shape.learning(100, 5000, 10, again=again) for again in (False, True))
    assert again - once == shape.language(100, 5000)


def test_the_vision_tower_has_the_operations_that_torch_counts(family):
    backbone, shape = counted(family, TraineeConfig()), shape_of(str(family), TraineeConfig())
    preprocessor = load_policy(str(family)).preprocessor
    patches, grid = preprocessor.patches(image(1, height=448, width=448).pixels)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        backbone.features([patches], [grid])
    assert shape.vision(1, len(patches)) == pytest.approx(counter.get_total_flops(), rel=0.05)


@pytest.fixture(scope="module")
def published(shared_folder) -> Shape:
    """Qwen2.5-VL-7B, of which an adapter is trained."""
    known = AutoConfig.from_pretrained(shared_folder / "qwen/configs/Qwen2.5-VL-7B.config.json")
    return shape_by(known, TraineeConfig(lora_rank=64))


def test_the_published_7b_keeps_57_344_bytes_for_a_token(published):
    assert published.cache_bytes(2) == 2 * 28 * 4 * 128 * 2


def test_the_published_7b_has_the_weights_that_its_sizes_give(published):
    hidden, wide, keys = 3584, 18944, 4 * 128
    own = 28 * (2 * hidden**2 + 2 * hidden * keys + 3 * hidden * wide)
    adapter = 28 * 64 * (2 * 2 * hidden + 2 * (hidden + keys) + 3 * (hidden + wide))
    assert published.token_weights == own + adapter
    assert published.trained == published.trained_token_weights == adapter
    assert published.head_weights == hidden * 152064


def test_an_episode_that_takes_every_turn_has_the_tokens_of_all_its_parts(nano, tmp_path):
    lengths = lengths_of(str(nano), LIMITS, [question(clip(tmp_path / "a.mp4"))], None, max_reply=20)
    assert lengths.per_frame == 8
    assert lengths.most == round(lengths.longest_opening + 3 * 20 + 2 * lengths.result)
    assert lengths.opening > 3 * lengths.per_frame
    assert lengths.most_frames == 9


LENGTHS = Lengths(
    frame_wh=(640, 360),
    patches=1196,
    per_frame=299,
    first_frames=8,
    frames_per_call=8,
    max_turns=5,
    opening=2800,
    longest_opening=2900,
    result=2600,
    max_reply=512,
)


def work(shape: Shape, **changes: float) -> Work:
    settings: dict = {"groups": 8, "group_size": 8, "habits": Habits(turns=2, reply_tokens=100)} | changes
    return Work(shape=shape, lengths=LENGTHS, width=2, **settings)


def test_a_group_reads_its_opening_once_and_what_follows_as_often_as_it_differs(published):
    apart, alike = work(published), work(published, habits=Habits(turns=2, reply_tokens=100, unique=0.25))
    assert apart.unique == 8 * 2800 + 64 * (200 + 2600)
    assert alike.unique == 8 * 2800 + 16 * (200 + 2600)
    assert (apart.frames, alike.frames) == (8 * 8 + 64 * 8, 8 * 8 + 16 * 8)


def test_decoding_reads_all_weights_in_every_pass_and_the_keys_of_every_row(published):
    rates = assumed(accelerator("h200"))
    one = work(published, groups=1, group_size=1, habits=Habits(turns=1, reply_tokens=100, longest=1))
    weights = 2 * (published.token_weights + published.head_weights) / rates.bandwidth
    keys = (2800 + 50) * published.cache_bytes(2) / rates.cache_bandwidth
    assert rolling_out(one, rates, at_once=64)[Limit.DECODE] == pytest.approx(100 * (weights + keys))


def test_more_cores_decode_video_in_less_time(published):
    rates = assumed(accelerator("h200"))
    alone, many = (looking(work(published), rates, cores)[Limit.VIDEO] for cores in (1, 10))
    assert alone == pytest.approx(10 * many)


@pytest.fixture(scope="module")
def recipe(nano, tmp_path_factory) -> RLRecipe:
    folder = tmp_path_factory.mktemp("questions")
    asked = question(clip(folder / "clip.mp4"))
    (folder / "questions.jsonl").write_text(asked.model_dump_json() + "\n")
    return RLRecipe(model=str(nano), questions=str(folder / "questions.jsonl"), limits=LIMITS)


RATES = Rates(
    machine="a test's",
    learn_flops=1e30,
    prefill_flops=1e30,
    decode_flops=1e30,
    vision_flops=1e30,
    bandwidth=1e30,
    cache_bandwidth=1e30,
    update_bytes=1e30,
    layer_s=0,
    draw_s=0,
    turn_s=0,
    served_layer_s=0,
    uniform_pixel_s=0,
    window_pixel_s=0,
    peer_bytes=1e30,
    network_bytes=1e30,
)
"""Everything takes no time."""


def asked(gpus: int = 1, memory_bytes: float = 1e12, **slow: float) -> Asked:
    rates = RATES.model_copy(update={"memory_bytes": memory_bytes, **slow})
    return Asked(accelerator=accelerator("h200"), rates=rates, gpus=gpus)


@pytest.mark.parametrize(
    ("limit", "slow", "word"),
    [
        (Limit.VIDEO, {"uniform_pixel_s": 1.0}, "--cores"),
        (Limit.VISION, {"vision_flops": 1.0}, "max_pixels"),
        (Limit.PREFILL, {"prefill_flops": 1.0}, "group_size"),
        (Limit.DECODE, {"bandwidth": 1.0}, "max_reply_tokens"),
        (Limit.DECODE, {"cache_bandwidth": 1.0}, "max_turns"),
        (Limit.PASSES, {"layer_s": 1.0}, "[vllm]"),
        (Limit.PYTHON, {"turn_s": 1.0}, "torchrun"),
        (Limit.LEARN, {"learn_flops": 1.0}, "lora_rank"),
        (Limit.UPDATE, {"update_bytes": 1.0}, "larger batches"),
        (Limit.NETWORK, {"gpus": 2, "peer_bytes": 1.0}, "lora_rank"),
        (Limit.MEMORY, {"memory_bytes": 1e3}, "gradient_checkpointing"),
    ],
)
def test_whatever_is_slow_binds_and_has_advice_of_its_own(recipe, limit, slow, word):
    plan = plan_rl(recipe, asked(**slow))
    assert plan.binds is limit
    assert word in " ".join(advice(plan))


def test_what_takes_memory_is_what_is_advised_on(recipe):
    again = recipe.model_copy(update={"rl": recipe.rl.model_copy(update={"gradient_checkpointing": True})})
    plan = plan_rl(again, asked(memory_bytes=1e3))
    assert "gradient_checkpointing" not in " ".join(advice(plan))


def with_servers(recipe: RLRecipe, staleness: int) -> RLRecipe:
    content = recipe.model_dump() | {"vllm": {"start": ["1", "2,3"], "staleness": staleness}}
    content["rl"]["importance_cap"] = 2.0
    return RLRecipe.model_validate(content)


def test_servers_are_taken_from_the_recipe_and_the_slower_side_sets_the_pace(recipe):
    both = asked(gpus=4, learn_flops=1e9, served_layer_s=1e-3, network_bytes=1e6, peer_bytes=1e6)
    turns, ahead = (plan_rl(with_servers(recipe, staleness), both) for staleness in (0, 1))
    assert turns.servers == ahead.servers == 3
    each = ahead.phase_s
    assert turns.step_s == pytest.approx(sum(each.values()))
    assert ahead.step_s == pytest.approx(max(each["rollout"], each["learn"]) + each["push"])
    assert each["push"] == pytest.approx(4 * ahead.budget.parameters / 1e6)


def test_a_server_samples_as_many_at_once_as_its_memory_holds_and_the_trainer_keeps_no_keys(recipe, published):
    served = plan_rl(with_servers(recipe, 1), asked(gpus=4))
    assert "key-value cache" not in served.budget.bytes_by_use
    assert "key-value cache" in plan_rl(recipe, asked()).budget.bytes_by_use
    one = work(published)
    each = (one.lengths.opening + one.after) * published.cache_bytes(2)
    room = 2 * published.parameters + 10.5 * each
    assert asked(memory_bytes=room / 0.92).rows_served(one, 256) == 10
    assert asked(memory_bytes=100 * room).rows_served(one, 256) == 256


def test_the_engine_here_samples_what_its_share_of_a_gpu_holds_and_a_fixed_number_without_one(published):
    one = work(published)
    each = (one.lengths.opening + one.after) * published.cache_bytes(2)
    some = asked(memory_bytes=(2 * published.parameters + 100.5 * each) / 0.92)
    assert some.rows_sampled(one) == 40
    assert asked(memory_bytes=1e15).rows_sampled(one) == MAX_BATCH_ON_GPU
    none = some.accelerator.model_copy(update={"is_gpu": False})
    assert replace(some, accelerator=none).rows_sampled(one) == MAX_BATCH


def test_a_plan_in_which_nobody_learns_is_refused(recipe):
    with pytest.raises(BadConfig, match="none is left to learn"):
        plan_rl(with_servers(recipe, 1), asked(gpus=3))


def test_servers_without_a_section_for_them_are_refused(recipe):
    with pytest.raises(BadConfig, match=r"no \[vllm\]"):
        plan_rl(recipe, replace(asked(gpus=4), servers=2))


def test_gpus_share_the_groups_and_the_cost_counts_them_all(recipe):
    one, two = (plan_rl(recipe, replace(asked(gpus=gpus, learn_flops=1e9), usd_per_gpu_hour=3.0)) for gpus in (1, 2))
    assert two.step_s == pytest.approx(one.step_s / 2, rel=1e-6)
    assert one.usd is not None
    assert one.usd == pytest.approx(3 * one.total_s / 3600)
    assert two.usd == pytest.approx(one.usd, rel=1e-6)


def test_without_a_price_there_is_no_cost(recipe):
    plan = plan_rl(recipe, asked())
    assert plan.usd is None
    assert "no price given" in dict(lines_of(plan))["all steps"]


def printed(plan: Plan) -> str:
    return "\n".join(f"{name}: {text}" for name, text in lines_of(plan))


def test_a_rate_is_called_assumed_until_it_was_measured(recipe):
    guessed = plan_rl(recipe, asked(learn_flops=1.0))
    assert "learn compute: 100% of the step (assumed)" in printed(guessed)
    known = replace(guessed, asked=asked(learn_flops=1.0, measured=("learn_flops",)))
    assert "learn compute: 100% of the step\n" in printed(known)


def test_sft_takes_its_habits_from_the_recorded_episodes(nano, recipe, tmp_path):
    from deepsport.video.source import FrameSource
    from tiny_models import ANSWER, CALL, spoken

    policy, about = load_policy(str(nano)), question(tmp_path / "x.mp4")
    about = about.model_copy(update={"video": str(clip(tmp_path / "clip.mp4"))})
    with FrameSource() as source:
        episodes = [spoken(policy, source, about, texts, f"e{n}") for n, texts in enumerate([[CALL, ANSWER], [ANSWER]])]
    path = tmp_path / "episodes.jsonl"
    path.write_text("".join(episode.model_dump_json() + "\n" for episode in episodes))
    plan = plan_sft(SFTRecipe(model=str(nano), episodes=str(path), limits=LIMITS), asked(learn_flops=1e9))
    assert plan.habits.turns == 1.5
    spoken_tokens = [sum(episode.tokens.sampled) for episode in episodes if episode.tokens]
    assert plan.habits.reply_tokens == pytest.approx(sum(spoken_tokens) / 3)
    assert list(plan.phases) == ["learn"]


def test_the_habits_of_a_run_come_from_its_metrics(tmp_path):
    line = {
        "episodes": 64.0,
        "tool_calls": 1.0,
        "reply_tokens": 50.0,
        "tokens": 1000.0,
        "tokens_unique": 100.0,
        "groups_flat": 0.5,
    }
    (tmp_path / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    assert habits_of_run(tmp_path) == Habits(turns=2.0, reply_tokens=25.0, unique=0.2, taught=0.5)


@pytest.mark.parametrize("content", ["", "not json\n", '{"stage": "sft", "step": 0}\n'])
def test_a_run_without_steps_of_rl_tells_no_habits(tmp_path, content):
    (tmp_path / "metrics.jsonl").write_text(content)
    with pytest.raises(BadConfig, match=r"metrics\.jsonl"):
        habits_of_run(tmp_path)


def test_rates_are_read_as_they_were_written(tmp_path):
    save_rates(tmp_path / "rates.json", RATES)
    assert load_rates(tmp_path / "rates.json") == RATES


@pytest.mark.parametrize("content", ["", "{}", '{"machine": "x", "learn_flops": 0}'])
def test_a_file_without_rates_is_refused_with_the_command_that_writes_one(tmp_path, content):
    (tmp_path / "rates.json").write_text(content)
    with pytest.raises(BadConfig, match="--measure"):
        load_rates(tmp_path / "rates.json")


def test_an_unknown_accelerator_is_refused_with_the_likeliest():
    with pytest.raises(BadConfig, match="Did you mean h200"):
        accelerator("h20")


def test_every_accelerator_names_its_source():
    assert all(len(known.source) > 40 and known.flops > 1e14 for known in accelerators().values())


def test_this_machine_has_no_rates_before_they_are_measured():
    with pytest.raises(BadConfig, match="--measure"):
        assumed(accelerator("this"))


def test_a_recipe_is_known_by_its_sections(recipe, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(f'questions = "{recipe.questions}"\nmodel = "{recipe.model}"\n')
    with pytest.raises(BadConfig, match="no stage"):
        read_recipe(path, [])
    assert isinstance(read_recipe(path, ["rl.steps=3"]), RLRecipe)
    assert plan_of(read_recipe(path, ["rl.steps=3"]), asked()).stage == "rl"
    benched = plan_of(read_recipe(path, ['protocol="passive"']), asked(turn_s=1.0))
    assert (benched.stage, benched.budget.episodes_per_step) == ("bench", 1)
