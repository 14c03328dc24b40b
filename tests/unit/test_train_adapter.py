"""Training a low-rank adapter: what moves, what is saved, how it resumes, and that others can load it."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from deepsport.errors import PolicyError
from deepsport.policy.local.adapter import load_adapter, save_adapter
from deepsport.policy.local.checkpoint import load_policy, save_policy
from deepsport.records import Episode
from deepsport.run import Run
from deepsport.train.optimiser import OptimiserConfig
from deepsport.train.sft import SFTConfig, fit
from deepsport.train.trainee import Trainee, TraineeConfig
from deepsport.video.source import FrameSource
from tiny_models import ANSWER, CALL, clip, interrupt_after, nano_folder, plain_logprobs, question, spoken, widen

LORA = SFTConfig(steps=6, batch_size=2, lora_rank=4, optimiser=OptimiserConfig(lr=1e-2, warmup_steps=1))


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A nano whose weights are wide, saved."""
    folder = nano_folder(tmp_path_factory.mktemp("base"))
    policy = load_policy(str(folder))
    widen(policy.backbone.model, seed=0)
    save_policy(policy, folder, folder)
    return folder


@pytest.fixture(scope="module")
def source():
    with FrameSource() as opened:
        yield opened


@pytest.fixture(scope="module")
def taught(base, source, tmp_path_factory) -> list[Episode]:
    policy, asked = load_policy(str(base)), question(clip(tmp_path_factory.mktemp("clip") / "clip.mp4"))
    return [spoken(policy, source, asked, texts, f"taught-{n}") for n, texts in enumerate([[CALL, ANSWER], [ANSWER]])]


def train(folder: Path, base: Path, taught: list[Episode], source: FrameSource, config: SFTConfig = LORA):
    policy = load_policy(str(base))
    with Run.open(folder, None) as run:
        fit(policy, taught, source, config, run, stage="sft", origin=base, seed=0)
    return policy


def test_a_new_adapter_changes_nothing_and_only_it_is_trained(base, source, taught):
    plain, policy = load_policy(str(base)), load_policy(str(base))
    trainee = Trainee(policy, source, TraineeConfig(lora_rank=4), 1)
    names = [name for name, weight in policy.backbone.model.named_parameters() if weight.requires_grad]
    assert names
    assert all("lora_" in name and "language_model" in name for name in names)
    assert len(trainee.parameters) == len(names) == 2 * 7 * 2  # A and B of seven matrices in two layers
    records = [episode.tokens for episode in taught]
    assert torch.equal(plain_logprobs(policy, source, records)[0], plain_logprobs(plain, source, records)[0])


def test_training_it_lowers_the_loss_and_leaves_the_base_alone(base, source, taught, tmp_path):
    policy = train(tmp_path, base, taught, source)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0] - 0.1
    start = load_policy(str(base)).backbone.model.state_dict()
    kept = {name.replace(".base_layer", ""): w for name, w in policy.backbone.model.state_dict().items() if "lora_" not in name}
    assert all(torch.equal(start[name], weight) for name, weight in kept.items())


def test_a_checkpoint_holds_the_adapter_alone_and_loads_onto_its_base_by_peft(base, source, taught, tmp_path):
    policy = train(tmp_path, base, taught, source)
    newest = tmp_path / "checkpoints/sft/step-000006"
    assert not (newest / "model.safetensors").exists()
    tensors = load_file(newest / "adapter_model.safetensors")
    assert all(name.startswith("base_model.model.model.language_model.layers.") for name in tensors)
    records = [episode.tokens for episode in taught]
    merged = plain_logprobs(load_policy(str(newest)), source, records)[0]
    assert torch.allclose(merged, plain_logprobs(policy, source, records)[0], atol=1e-4)


def test_a_killed_run_goes_on_bit_equal(base, source, taught, tmp_path):
    straight = train(tmp_path / "straight", base, taught, source)
    half = LORA.model_copy(update={"steps": 6, "checkpoint_every": 3})
    policy = load_policy(str(base))
    stop = interrupt_after(policy, 4)
    with Run.open(tmp_path / "killed", None) as run, pytest.raises(KeyboardInterrupt):
        fit(policy, taught, source, half, run, stage="sft", origin=base, seed=0)
    stop.remove()
    resumed = train(tmp_path / "killed", base, taught, source, half)
    for one, other in zip(straight.backbone.model.parameters(), resumed.backbone.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_an_adapter_of_another_shape_is_refused(base, source, tmp_path):
    small, large = load_policy(str(base)), load_policy(str(base))
    Trainee(small, source, TraineeConfig(lora_rank=2), 1)
    Trainee(large, source, TraineeConfig(lora_rank=8), 1)
    save_adapter(small.backbone.model, tmp_path, base)
    with pytest.raises(PolicyError, match="does not fit the model"):
        load_adapter(large.backbone.model, tmp_path)


def test_checkpointed_activations_change_no_gradient(base, source, taught):
    gradients: list[list[torch.Tensor]] = []
    for again in (False, True):
        trainee = Trainee(load_policy(str(base)), source, TraineeConfig(gradient_checkpointing=again, train_vision=True), 1)
        (portion,) = trainee.portions([episode.tokens for episode in taught])
        trainee.backward(trainee.logprobs(portion).mean(), portion)
        gradients.append([parameter.grad for parameter in trainee.parameters if parameter.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 20
    for one, other in zip(*gradients, strict=True):
        assert (one - other).norm() <= 1e-5 * one.norm()
