"""Correction for an engine that samples with other probabilities than the trainer finds."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepsport.config import load
from deepsport.errors import BadConfig
from deepsport.records import Episode, Reward
from deepsport.train.grpo import GRPOConfig, Learner
from deepsport.train.objective import clipped_loss, importance
from deepsport.train.optimiser import OptimiserConfig
from deepsport.train.recipe import RLRecipe
from deepsport.train.trainee import Trainee
from deepsport.train.watch import Group
from deepsport.video.source import FrameSource
from tiny_models import ANSWER, CALL, clip, question, spoken, wide_nano

LOGPROBS = st.lists(st.tuples(st.floats(-20, 0, width=32), st.floats(-20, 0, width=32)), min_size=1, max_size=20)


@given(LOGPROBS, st.floats(0.1, 10))
def test_a_token_counts_by_how_much_likelier_the_trainer_finds_it_up_to_the_cap(pairs, cap):
    trainer_S, sampler_S = (torch.tensor(values) for values in zip(*pairs, strict=True))
    weights_S = importance(trainer_S, sampler_S, cap=cap)
    assert torch.all((weights_S > 0) & (weights_S <= torch.tensor(cap)))
    below = trainer_S - sampler_S < torch.tensor(cap).log()
    assert torch.allclose(weights_S[below], (trainer_S - sampler_S)[below].exp())


@given(st.lists(st.floats(-20, 0, width=32), min_size=1, max_size=20), st.floats(1, 10))
def test_where_engine_and_trainer_agree_no_token_counts_more_or_less(values, cap):
    assert torch.equal(importance(torch.tensor(values), torch.tensor(values), cap=cap), torch.ones(len(values)))


def test_the_corrected_gradient_is_that_of_the_trainers_own_distribution():
    """E over the engine's distribution of weight times gradient is E over the trainer's, token by token."""
    logits = torch.tensor([0.3, -0.7, 1.1, 0.2], requires_grad=True)
    engine_V = torch.softmax(torch.tensor([0.1, 0.4, -0.3, 0.9]), 0)
    advantages_V = torch.tensor([1.0, -0.5, 0.2, 0.7])
    logprobs_V = torch.log_softmax(logits, 0)
    weights_V = importance(logprobs_V.detach(), engine_V.log(), cap=1e9)
    losses_V = clipped_loss(logprobs_V, logprobs_V.detach(), advantages_V, clip_low=0.2, clip_high=0.28)
    [corrected] = torch.autograd.grad((engine_V * weights_V * losses_V).sum(), logits, retain_graph=True)
    own_V = logprobs_V.detach().exp()
    [wanted] = torch.autograd.grad(-(own_V * advantages_V * logprobs_V).sum(), logits)
    assert torch.allclose(corrected, wanted, atol=1e-6)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A policy, its frames, and three episodes with the log-probabilities that it gives to them."""
    folder = tmp_path_factory.mktemp("learner")
    policy = wide_nano(folder / "nano")
    asked = question(clip(folder / "clip.mp4"))
    with FrameSource() as source:
        texts = [[CALL, ANSWER], [ANSWER], [CALL]]
        yield policy, source, [spoken(policy, source, asked, said, f"{n}") for n, said in enumerate(texts)]


def learnt(taught, episodes: list[Episode], cap: float) -> dict[str, float]:
    """The log line of one step from the start."""
    policy, source, _ = taught
    start = {name: value.clone() for name, value in policy.backbone.model.state_dict().items()}
    config = GRPOConfig(importance_cap=cap, optimiser=OptimiserConfig(lr=1e-2, warmup_steps=1))
    trainee = Trainee(policy, source, config, n_steps=10)
    rewards = [Reward(total=t, accuracy=t, tool=0.0, format_penalty=0.0, well_formed=True) for t in (1.0, 0.2, 0.6)]
    stats = Learner(trainee, config).step([Group(episodes, rewards)], 0)
    policy.backbone.model.load_state_dict(start)
    return stats


def sampled_elsewhere(taught, off: float) -> list[Episode]:
    """The episodes as an engine would have recorded them that finds every token less likely by `off`, in nats."""
    policy, source, episodes = taught
    trainee = Trainee(policy, source, GRPOConfig(), n_steps=10)
    made: list[Episode] = []
    for episode in episodes:
        [portion] = trainee.portions([episode.tokens])
        with torch.no_grad():
            values = iter((trainee.logprobs(portion) - off).tolist())
        logprobs = tuple(next(values) if own else 0.0 for own in episode.tokens.sampled)
        made.append(episode.model_copy(update={"tokens": episode.tokens.model_copy(update={"logprobs": logprobs})}))
    return made


def test_the_correction_changes_next_to_nothing_where_engine_and_trainer_agree(taught):
    episodes = sampled_elsewhere(taught, 0.0)
    plain, corrected = learnt(taught, episodes, 0.0), learnt(taught, episodes, 2.0)
    assert corrected["loss"] == pytest.approx(plain["loss"], abs=1e-6)
    assert corrected["grad_norm"] == pytest.approx(plain["grad_norm"], rel=1e-4)


@pytest.mark.parametrize(("off", "counts"), [(0.5, 1.6487), (3.0, 2.0), (-0.5, 0.6065)])
def test_tokens_of_an_engine_that_lags_count_as_much_as_they_are_likelier_by_now_up_to_the_cap(taught, off, counts):
    plain = learnt(taught, sampled_elsewhere(taught, 0.0), 0.0)
    corrected = learnt(taught, sampled_elsewhere(taught, off), 2.0)
    assert corrected["loss"] == pytest.approx(counts * plain["loss"], rel=1e-3)
    assert corrected["mismatch"] == pytest.approx(abs(off), rel=1e-3)


def test_a_recipe_with_servers_and_without_the_correction_is_refused(tmp_path: Path):
    path = tmp_path / "r.toml"
    path.write_text('questions = "q"\n[vllm]\naddresses = ["http://a:1"]\n')
    with pytest.raises(BadConfig, match="importance_cap"):
        load(RLRecipe, path, [])
