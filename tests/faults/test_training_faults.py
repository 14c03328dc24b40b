"""Training that is killed, starved of memory, or fed nonsense: nothing finished is lost, no bad number reaches a weight.

Of group C, what needs a process of its own or a whole run; the rest stands with the units it is about (test_train_resume,
test_train_learner, test_train_objective, test_train_adapter, golden).
"""

import json
import multiprocessing
import random
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
import torch

import train_together
from deepsport.errors import TrainingError
from deepsport.policy.local.checkpoint import load_policy
from deepsport.records import TokenRecord
from deepsport.run import Run
from deepsport.train import checkpoint
from deepsport.train.optimiser import OptimiserConfig
from deepsport.train.sft import SFTConfig, fit
from deepsport.train.trainee import Trainee, TraineeConfig
from deepsport.video.source import FrameSource
from tiny_models import ANSWER, CALL, clip, interrupt_after, nano_folder, question, spoken

STEPS, KILLS = 12, 10


def start(model: Path, video: Path, folder: Path) -> ForkServerProcess:
    """A process of its own, forked from one that did the imports, which take longer than the training."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([train_together.__name__])
    started = context.Process(target=train_together.alone, args=(model, video, folder, STEPS))
    started.start()
    return started


def finish(started: ForkServerProcess) -> None:
    started.join(200)
    assert started.exitcode == 0


def n_lines(folder: Path) -> int:
    """Steps logged by the stages that go on from a checkpoint; the one on fixed words starts over each time."""
    path = folder / "metrics.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return sum(json.loads(line)["stage"] in ("sft", "rl") for line in lines)


def kill_after(process: ForkServerProcess, folder: Path, n_more: int, delay_s: float) -> bool:
    """SIGKILL some steps and a moment after the start; whether it came before the process was through."""
    wanted = n_lines(folder) + n_more
    while process.is_alive() and n_lines(folder) < wanted:
        time.sleep(0.002)
    time.sleep(delay_s)
    process.kill()
    process.join(200)
    return process.exitcode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.xdist_group("kills")
def test_ten_kills_at_random_moments_change_no_bit_and_cost_at_most_the_step_under_way(tmp_path):
    model, video = nano_folder(tmp_path / "nano"), clip(tmp_path / "clip.mp4")
    finish(start(model, video, tmp_path / "straight"))
    drawn = random.Random(7)
    for _ in range(KILLS):
        before = finished_steps(tmp_path / "killed")
        process = start(model, video, tmp_path / "killed")
        assert kill_after(process, tmp_path / "killed", drawn.randint(0, 3), drawn.uniform(0, 0.05))
        assert finished_steps(tmp_path / "killed") >= before
        assert n_lines(tmp_path / "killed") <= finished_steps(tmp_path / "killed"), "a logged step is in a checkpoint"
    finish(start(model, video, tmp_path / "killed"))
    for stage in ("sft", "rl"):
        one, other = (checkpoint.checkpoints(tmp_path / name / "checkpoints" / stage)[-1] for name in ("straight", "killed"))
        for name in ("model.safetensors", "optimiser.safetensors", "trainer.json"):
            assert (one / name).read_bytes() == (other / name).read_bytes(), (stage, name)


def finished_steps(folder: Path) -> int:
    """Of both stages, by their newest checkpoints."""
    newest = [checkpoint.checkpoints(folder / "checkpoints" / stage)[-1:] for stage in ("sft", "rl")]
    return sum(json.loads((path / "trainer.json").read_text())["step"] for found in newest for path in found)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return nano_folder(tmp_path_factory.mktemp("nano"))


@pytest.fixture(scope="module")
def source():
    with FrameSource() as opened:
        yield opened


@pytest.fixture(scope="module")
def taught(model, source, tmp_path_factory):
    asked = question(clip(tmp_path_factory.mktemp("clip") / "clip.mp4"))
    return [
        spoken(load_policy(str(model)), source, asked, texts, f"taught-{n}") for n, texts in enumerate([[CALL, ANSWER], [ANSWER]])
    ]


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_memory_that_runs_out_says_what_to_lower(error, model, source, taught, tmp_path):
    policy = load_policy(str(model))

    def fail(_module: object, _inputs: object) -> None:
        raise error

    policy.backbone.model.lm_head.register_forward_pre_hook(fail)
    with (
        Run.open(tmp_path, None) as run,
        pytest.raises(TrainingError, match=r"out of memory on \d+ tokens.*tokens_per_forward \(now 8192\)"),
    ):
        fit(policy, taught, source, SFTConfig(steps=1, batch_size=2), run, stage="sft", origin=model, seed=0)


def test_an_error_that_is_not_about_memory_stays_what_it_is(model, source, taught, tmp_path):
    policy = load_policy(str(model))

    def fail(_module: object, _inputs: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    policy.backbone.model.lm_head.register_forward_pre_hook(fail)
    with Run.open(tmp_path, None) as run, pytest.raises(RuntimeError, match="cannot be multiplied"):
        fit(policy, taught, source, SFTConfig(steps=1, batch_size=2), run, stage="sft", origin=model, seed=0)


@pytest.mark.parametrize(
    "config", [OptimiserConfig(muon_lr=0.01), OptimiserConfig(weight_decay=0.1), OptimiserConfig(schedule="cosine")]
)
def test_every_optimiser_goes_on_bit_equal(config, model, source, taught, tmp_path):
    settings = SFTConfig(steps=4, batch_size=2, optimiser=config)

    def train(folder: Path, steps: int) -> list[torch.Tensor]:
        policy = load_policy(str(model))
        trainee_steps = settings.model_copy(update={"steps": 4})
        with Run.open(folder, None) as run:
            stop = interrupt_after(policy, steps)
            try:
                fit(policy, taught, source, trainee_steps, run, stage="sft", origin=model, seed=0)
            except KeyboardInterrupt:
                assert steps < 4
            stop.remove()
        return list(policy.backbone.model.parameters())

    straight = train(tmp_path / "straight", 99)
    train(tmp_path / "killed", 2)
    for one, other in zip(straight, train(tmp_path / "killed", 99), strict=True):
        assert torch.equal(one, other)


def test_an_episode_without_tokens_is_named(model, source, taught, tmp_path):
    mute = taught[0].model_copy(update={"tokens": None})
    with Run.open(tmp_path, None) as run, pytest.raises(TrainingError, match="taught-0 has no token record"):
        fit(load_policy(str(model)), [mute], source, SFTConfig(steps=1, batch_size=1), run, stage="sft", origin=model, seed=0)


def test_no_episodes_at_all_are_refused(model, source, tmp_path):
    with Run.open(tmp_path, None) as run, pytest.raises(TrainingError, match="the set of samples is empty"):
        fit(load_policy(str(model)), [], source, SFTConfig(steps=1), run, stage="sft", origin=model, seed=0)


def test_a_record_whose_frames_are_missing_is_refused_before_a_weight_moves(model, source, taught):
    policy = load_policy(str(model))
    whole = taught[0].tokens
    blind = TokenRecord(ids=whole.ids, sampled=whole.sampled, logprobs=whole.logprobs, images=whole.images[1:])
    trainee = Trainee(policy, source, TraineeConfig(), 1)
    with pytest.raises(TrainingError, match="image placeholders but"):
        trainee.logprobs(trainee.portions([blind])[0])


def test_what_others_were_shown_does_not_change_what_a_tool_token_teaches(model, source, taught):
    """Observation tokens carry no loss: other logprobs recorded at them change nothing."""
    policy = load_policy(str(model))
    trainee = Trainee(policy, source, TraineeConfig(), 1)
    record = taught[0].tokens
    noisy = record.model_copy(
        update={"logprobs": tuple(v if own else -9.0 for v, own in zip(record.logprobs, record.sampled, strict=True))}
    )
    one, other = (trainee.portions([tokens])[0] for tokens in (record, noisy))
    assert torch.equal(one.part.old_logprobs_S, other.part.old_logprobs_S)
    assert len(one.part.unique_S) == sum(record.sampled)
