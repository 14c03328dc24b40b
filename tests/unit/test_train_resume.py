"""A killed training run that is started again is the same run, bit for bit (CPU, fp32)."""

import json
import shutil
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from deepsport.durable import read_records
from deepsport.errors import PolicyError, TrainingError
from deepsport.policy.local.checkpoint import load_policy
from deepsport.records import Episode, Question, Reward, Usage
from deepsport.reward.gated import GatedReward
from deepsport.run import Run
from deepsport.train import checkpoint
from deepsport.train.grpo import GRPOConfig, reinforce
from deepsport.train.optimiser import OptimiserConfig, make_optimisers
from deepsport.train.samples import Sample
from deepsport.train.sft import SFTConfig, fit
from deepsport.video.source import FrameSource
from tiny_models import ANSWER, CALL, LIMITS, clip, interrupt_after, nano_folder, question, raise_logits, spoken

SFT = SFTConfig(steps=5, batch_size=2, checkpoint_every=2)
RL = GRPOConfig(
    steps=4,
    questions_per_step=2,
    group_size=3,
    max_reply_tokens=5,
    filter_by_accuracy=False,
    checkpoint_every=2,
    train_vision=True,
)


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> Path:
    return nano_folder(tmp_path_factory.mktemp("nano"))


@pytest.fixture(scope="module")
def source():
    with FrameSource() as opened:
        yield opened


@pytest.fixture(scope="module")
def asked(tmp_path_factory) -> Question:
    return question(clip(tmp_path_factory.mktemp("clips") / "clip.mp4"))


@pytest.fixture(scope="module")
def taught(origin, source, asked) -> list[Episode]:
    policy = load_policy(str(origin))
    return [spoken(policy, source, asked, texts, f"taught-{n}") for n, texts in enumerate([[CALL, ANSWER], [ANSWER], [CALL]])]


def train_sft(folder: Path, origin: Path, source: FrameSource, taught: list[Episode], *, killed_at: int = 10**9) -> None:
    policy = load_policy(str(origin))
    interrupt_after(policy, killed_at)
    with Run.open(folder, None) as run:
        fit(policy, taught, source, SFT, run, stage="sft", origin=origin, seed=0)


class Tossed(GatedReward):
    """Rewards by what was said; at a given call the machine fails."""

    calls_left: ClassVar[int] = 10**9

    def score(self, episode: Episode, judged: float | None = None) -> Reward:
        type(self).calls_left -= 1
        if self.calls_left == 0:
            raise KeyboardInterrupt
        assert episode.tokens is not None
        total = sum(episode.tokens.ids) % 7 / 7
        return Reward(total=total, accuracy=total, tool=0.0, format_penalty=0.0, well_formed=True)


def train_rl(folder: Path, origin: Path, source: FrameSource, asked: Question, *, killed_at: int = 10**9) -> None:
    Tossed.calls_left = killed_at
    policy = load_policy(str(origin))
    with Run.open(folder, None) as run:
        reinforce(policy, [asked], source, RL, run, limits=LIMITS, reward=Tossed(), origin=origin, seed=0)


def samples(folder: Path) -> dict[tuple[int, str], Sample]:
    """What a run sampled, without its clock: of a step that was sampled twice, what was written last."""
    read = read_records(folder / "samples/rl.jsonl", Sample)
    return {
        (s.step, s.episode.id): s.model_copy(update={"episode": s.episode.model_copy(update={"usage": Usage()})}) for s in read
    }


def require_same_checkpoint(one: Path, other: Path) -> None:
    assert one.name == other.name
    for name in ("model.safetensors", "optimiser.safetensors", "trainer.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_sft_killed_and_resumed_ends_bit_equal_to_the_straight_run(origin, source, taught, tmp_path):
    train_sft(tmp_path / "straight", origin, source, taught)
    with pytest.raises(KeyboardInterrupt):
        train_sft(tmp_path / "killed", origin, source, taught, killed_at=3)
    assert [path.name for path in checkpoint.checkpoints(tmp_path / "killed/checkpoints/sft")] == ["step-000002"]
    train_sft(tmp_path / "killed", origin, source, taught)
    straight, resumed = (checkpoint.checkpoints(tmp_path / f"{name}/checkpoints/sft")[-1] for name in ("straight", "killed"))
    require_same_checkpoint(straight, resumed)
    assert (straight / "model.safetensors").read_bytes() != (origin / "model.safetensors").read_bytes()


def test_rl_killed_and_resumed_ends_bit_equal_to_the_straight_run(origin, source, asked, tmp_path):
    train_rl(tmp_path / "straight", origin, source, asked)
    with pytest.raises(KeyboardInterrupt):
        train_rl(tmp_path / "killed", origin, source, asked, killed_at=3 * 6 + 2)
    assert [path.name for path in checkpoint.checkpoints(tmp_path / "killed/checkpoints/rl")] == ["step-000002"]
    train_rl(tmp_path / "killed", origin, source, asked)
    straight, resumed = (checkpoint.checkpoints(tmp_path / f"{name}/checkpoints/rl")[-1] for name in ("straight", "killed"))
    require_same_checkpoint(straight, resumed)
    assert (straight / "model.safetensors").read_bytes() != (origin / "model.safetensors").read_bytes()
    assert samples(tmp_path / "killed") == samples(tmp_path / "straight") != {}


def test_a_loss_that_is_not_finite_stops_sft_before_a_weight_moves(origin, source, taught, tmp_path):
    policy = load_policy(str(origin))
    before = {name: weight.clone() for name, weight in policy.backbone.model.state_dict().items()}
    raise_logits(policy, [30], by=float("nan"))
    with Run.open(tmp_path / "run", None) as run, pytest.raises(TrainingError, match=r"the loss is nan on samples .*taught-"):
        fit(policy, taught, source, SFT, run, stage="sft", origin=origin, seed=0)
    assert all(torch.equal(weight, before[name]) for name, weight in policy.backbone.model.state_dict().items())
    assert checkpoint.checkpoints(tmp_path / "run/checkpoints/sft") == []


def saved(folder: Path, origin: Path, *steps: int) -> None:
    policy = load_policy(str(origin))
    optimisers = make_optimisers(dict(policy.backbone.model.named_parameters()), OptimiserConfig())
    for step in steps:
        checkpoint.save(folder, policy.backbone.model, policy, optimisers, step, origin)


@pytest.mark.parametrize("steps", [(1, 2, 3, 4), (999_998, 999_999, 1_000_000)])
def test_the_last_two_checkpoints_are_kept_and_the_newest_always(steps, origin, tmp_path):
    saved(tmp_path, origin, *steps)
    assert checkpoint.checkpoints(tmp_path) == [tmp_path / f"step-{step:06d}" for step in steps[-2:]]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"step-{step:06d}" for step in steps[-2:])


def resumed_at(folder: Path, origin: Path) -> int:
    policy = load_policy(str(origin))
    model = policy.backbone.model
    return checkpoint.resume(folder, model, policy, make_optimisers(dict(model.named_parameters()), OptimiserConfig()))


def test_a_checkpoint_half_written_is_ignored_and_written_anew(origin, tmp_path):
    saved(tmp_path, origin, 2)
    shutil.copytree(tmp_path / "step-000002", tmp_path / ".partial-000004")
    (tmp_path / ".partial-000004/model.safetensors").write_bytes(b"half")
    assert resumed_at(tmp_path, origin) == 2
    saved(tmp_path, origin, 4)
    assert resumed_at(tmp_path, origin) == 4
    assert not (tmp_path / ".partial-000004").exists()


def test_without_a_checkpoint_training_begins_at_the_start(origin, tmp_path):
    assert resumed_at(tmp_path / "none", origin) == 0


@pytest.mark.parametrize("name", ["model.safetensors", "optimiser.safetensors", "trainer.json"])
def test_a_checkpoint_damaged_after_it_was_written_is_refused_and_not_trained_on(name, origin, tmp_path):
    saved(tmp_path, origin, 2)
    path = tmp_path / "step-000002" / name
    path.write_bytes(path.read_bytes()[:-5] if name != "model.safetensors" else path.read_bytes()[:1000])
    with pytest.raises((PolicyError, TrainingError), match="step-000002"):
        resumed_at(tmp_path, origin)


def test_a_checkpoint_says_how_many_steps_are_finished(origin, tmp_path):
    saved(tmp_path, origin, 7)
    assert json.loads((tmp_path / "step-000007/trainer.json").read_text())["step"] == 7
