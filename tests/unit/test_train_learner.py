"""One step of GRPO on fixed episodes: what moves the weights, by how much, and what never does."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from deepsport.agent.grammar import write_answer, write_call
from deepsport.durable import read_records
from deepsport.errors import TrainingError
from deepsport.policy.local.policy import LocalPolicy
from deepsport.records import Episode, FreeText, Question, Reward, StopReason
from deepsport.reward.gated import GatedReward
from deepsport.run import Run
from deepsport.train.grpo import GRPOConfig, Learner, reinforce, score
from deepsport.train.judged import by_rule
from deepsport.train.objective import Aggregation, advantages, kl_penalty
from deepsport.train.optimiser import OptimiserConfig
from deepsport.train.samples import Sample, samples_of
from deepsport.train.trainee import Trainee
from deepsport.train.tree import grow
from deepsport.train.watch import Group
from deepsport.video.source import FrameSource
from tiny_models import ANSWER, CALL, LIMITS, clip, logged, plain_logprobs, question, raise_logits, spoken, wide_nano

SCRIPTS = [
    [CALL, ANSWER],
    [ANSWER],
    [write_call("", 0, 5), write_answer("", "header")],
    [write_answer("no idea at all, it was over before I saw it", "header")],
    ["volley!"],
]
RIGHT = [1.5, 1.0, 0.03, 0.0, -0.05]
SMALL = OptimiserConfig(lr=1.0, warmup_steps=1, max_grad_norm=1e9)


@dataclass(frozen=True, slots=True)
class Table:
    """A policy, a video it was asked about, and five episodes of it."""

    policy: LocalPolicy
    source: FrameSource
    asked: Question
    episodes: list[Episode]
    start: dict[str, torch.Tensor]

    def group(self, totals: Sequence[float] = RIGHT) -> Group:
        rewards = [Reward(total=t, accuracy=max(0.0, t), tool=0.0, format_penalty=0.0, well_formed=True) for t in totals]
        return Group(self.episodes[: len(rewards)], rewards)

    def moved(
        self, groups: Sequence[Group], config: GRPOConfig, *, step: int = 0
    ) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
        """The gradient of one step, read off plain gradient descent from the starting weights, and its log line."""
        model = self.policy.backbone.model
        model.load_state_dict(self.start)
        trainee = Trainee(self.policy, self.source, config, n_steps=100)
        trainee.optimisers = [torch.optim.SGD(trainee.parameters, lr=1.0)]
        learnt = Learner(trainee, config).step(groups, step)
        return {name: self.start[name] - weight for name, weight in model.state_dict().items()}, learnt


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("table")
    policy = wide_nano(folder / "nano")
    policy.backbone.vision.requires_grad_(False)
    asked = question(clip(folder / "clip.mp4"))
    with FrameSource() as source:
        episodes = [spoken(policy, source, asked, texts, f"episode-{n}") for n, texts in enumerate(SCRIPTS)]
        yield Table(policy, source, asked, episodes, {k: v.clone() for k, v in policy.backbone.model.state_dict().items()})


def require_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    largest = max(change.abs().max().item() for change in one.values())
    assert largest > 1e-3
    for name, change in one.items():
        assert torch.allclose(change, other[name], atol=1e-4 * largest), name


@pytest.mark.parametrize("clip_range", [math.inf, 0.2], ids=["clips off", "on policy"])
def test_the_gradient_is_that_of_reinforce_with_the_groups_mean_as_baseline(clip_range, table):
    config = GRPOConfig(optimiser=SMALL, clip_low=clip_range, clip_high=clip_range)
    ours, learnt = table.moved([table.group()], config)
    model, policy = table.policy.backbone.model, table.policy
    model.load_state_dict(table.start)
    advantage = torch.tensor(RIGHT) - sum(RIGHT) / len(RIGHT)
    logprobs_S, record_S = plain_logprobs(policy, table.source, [episode.tokens for episode in table.episodes])
    loss = -(advantage[record_S] * logprobs_S).mean()
    loss.backward()
    expected = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    require_equal({name: ours[name] for name in expected}, expected)
    model.zero_grad(set_to_none=True)
    assert learnt["loss"] == pytest.approx(-advantage[record_S].mean().item(), abs=1e-4)
    assert learnt["mismatch"] < 1e-4
    assert learnt["clipped"] == 0


@pytest.mark.parametrize("aggregation", list(Aggregation))
def test_cutting_the_batch_into_small_forwards_changes_no_gradient(aggregation, table):
    silent = table.episodes[0].tokens.model_copy(update={"sampled": (False,) * len(table.episodes[0].tokens.ids)})
    overflown = table.episodes[0].model_copy(update={"tokens": silent, "stop": StopReason.CONTEXT_OVERFLOW, "id": "overflown"})
    group = table.group()
    groups = [group, Group([*group.episodes[:2], overflown], [*group.rewards[2:4], group.rewards[0]])]
    whole, *cut = (
        table.moved(groups, GRPOConfig(optimiser=SMALL, aggregation=aggregation, tokens_per_forward=n)) for n in (9999, 1, 200)
    )
    for gradient, learnt in cut:
        require_equal(whole[0], gradient)
        assert learnt["loss"] == pytest.approx(whole[1]["loss"], abs=1e-5)
        assert learnt["tokens_spoken"] == whole[1]["tokens_spoken"]


def test_only_what_the_policy_said_carries_loss(table):
    """The gradient at a position is not zero exactly if the next token of some episode was sampled there."""
    kept: list[torch.Tensor] = []

    def keep(_module: torch.nn.Module, _inputs: object, out: object) -> None:
        out.last_hidden_state.retain_grad()
        kept.append(out.last_hidden_state)

    handle = table.policy.backbone.model.model.language_model.register_forward_hook(keep)
    table.moved([table.group()], GRPOConfig(optimiser=SMALL))
    handle.remove()
    tree = grow([episode.tokens for episode in table.episodes])
    assert len(kept) == len(tree.rows())
    told = {
        (row, place, column)
        for row, hidden in enumerate(kept)
        if hidden.grad is not None
        for place, column in (hidden.grad.abs().sum(-1) > 0).nonzero().tolist()
    }
    where = {id(node): (row, place) for row, nodes in enumerate(tree.rows()) for place, node in enumerate(nodes)}
    expected = set()
    for episode, leaf in zip(table.episodes, tree.leaves, strict=True):
        for token in [index - 1 for index, own in enumerate(episode.tokens.sampled) if own]:
            node = next(node for node in leaf.lineage() if node.start <= token < node.stop)
            expected.add((*where[id(node)], token - node.start))
    assert told == expected


def test_a_group_of_equals_moves_no_weight(table):
    gradient, learnt = table.moved([table.group([1.0] * 5)], GRPOConfig(optimiser=SMALL))
    assert all(change.abs().max() == 0 for change in gradient.values())
    assert learnt["grad_norm"] == 0


def test_shifting_every_reward_changes_no_gradient(table):
    shifted = [value + 0.5 for value in RIGHT]
    config = GRPOConfig(optimiser=SMALL)
    require_equal(table.moved([table.group()], config)[0], table.moved([table.group(shifted)], config)[0])


def test_the_kl_penalty_holds_the_policy_near_where_it_started(table):
    config = GRPOConfig(optimiser=SMALL.model_copy(update={"lr": 0.02}), updates_per_step=8, clip_low=100, clip_high=100)
    records = [episode.tokens for episode in table.episodes]
    old_S = torch.cat([logged(record) for record in records])
    drift: list[float] = []
    for coefficient in (0.0, 5.0):
        table.moved([table.group()], config.model_copy(update={"kl_coefficient": coefficient}))
        with torch.no_grad():
            drift.append(kl_penalty(plain_logprobs(table.policy, table.source, records)[0], old_S).mean().item())
    free, held = drift
    assert 1e-6 < held < 0.7 * free


def test_further_updates_on_the_same_rollouts_run_into_the_clips(table):
    config = GRPOConfig(optimiser=OptimiserConfig(lr=0.5, warmup_steps=1), updates_per_step=4)
    assert table.moved([table.group()], config)[1]["clipped"] > 0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_names_the_samples_and_moves_no_weight(value, table):
    handle = raise_logits(table.policy, [30], by=value)
    with pytest.raises(TrainingError, match=r"step 7: the loss is nan on samples .*episode-4.* No weight was changed"):
        table.moved([table.group()], GRPOConfig(optimiser=SMALL), step=7)
    handle.remove()
    now = table.policy.backbone.model.state_dict()
    assert all(torch.equal(weight, table.start[name]) for name, weight in now.items())


def test_a_gradient_that_is_not_finite_names_the_samples_and_moves_no_weight(table):
    handle = table.policy.backbone.model.lm_head.weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(TrainingError, match=r"step 7: a gradient is (nan|inf) on samples episode-0.* No weight was changed"):
        table.moved([table.group()], GRPOConfig(optimiser=SMALL), step=7)
    handle.remove()
    table.policy.backbone.model.zero_grad(set_to_none=True)
    now = table.policy.backbone.model.state_dict()
    assert all(torch.equal(weight, table.start[name]) for name, weight in now.items())


def by_rules(episodes: Sequence[Episode]) -> Group:
    return score(episodes, by_rule(episodes), GatedReward())


def test_a_group_teaches_only_if_some_answers_were_better_than_others(table):
    right, wrong, explored = table.episodes[1], table.episodes[3], table.episodes[2]
    assert by_rules([right, wrong]).teaches
    phantom = by_rules([wrong, explored])
    assert (phantom.teaches, phantom.differs) == (False, True)
    flat = by_rules([wrong, wrong])
    assert (flat.teaches, flat.differs) == (False, False)


def test_a_group_of_which_nobody_could_be_scored_teaches_nothing(table):
    lost = table.episodes[0].model_copy(update={"stop": StopReason.VIDEO_ERROR})
    group = by_rules([lost, lost])
    assert (group.episodes, group.teaches, group.differs) == ([], False, False)


def test_a_group_of_eight_of_which_two_were_lost_learns_from_the_six(table):
    right, wrong = table.episodes[1], table.episodes[3]
    lost = right.model_copy(update={"stop": StopReason.POLICY_ERROR})
    group = by_rules([right, lost, wrong, wrong, lost, right, wrong, wrong])
    assert (len(group.episodes), group.teaches) == (6, True)
    assert advantages(torch.tensor([[reward.total for reward in group.rewards]])).sum().abs() < 1e-6
    assert not by_rules([right, lost, lost, lost]).teaches  # one alone is no group


def test_what_a_judge_gave_an_open_answer_is_its_accuracy_and_its_silence_leaves_the_episode_out(table):
    gold = FreeText(answer="a ball is headed in by red")
    asked = [
        episode.model_copy(update={"question": table.asked.model_copy(update={"gold": gold})})
        for episode in [table.episodes[1]] * 3
    ]
    assert by_rule(asked) == [None, None, None]
    group = score(asked, [0.7, None, 0.2], GatedReward())
    assert [reward.accuracy for reward in group.rewards] == [0.7, 0.2]
    assert group.teaches


class ByOneToken(GatedReward):
    """Nobody is right; the total differs by what was said."""

    def score(self, episode: Episode, judged: float | None = None) -> Reward:
        assert episode.tokens is not None
        total = sum(episode.tokens.ids) % 7 / 100
        return Reward(total=total, accuracy=0.0, tool=total, format_penalty=0.0, well_formed=True)


def practise(
    policy: LocalPolicy, questions: Sequence[Question], reward: GatedReward, table: Table, config: GRPOConfig, folder: Path
) -> None:
    """A run of RL in `folder`."""
    with Run.open(folder / "run", None) as run:
        reinforce(policy, questions, table.source, config, run, limits=LIMITS, reward=reward, origin=Path(policy.name), seed=0)


@pytest.mark.parametrize("by_accuracy", [True, False])
def test_phantom_groups_are_counted_and_dropped_only_if_filtered_by_accuracy(by_accuracy, table, tmp_path):
    table.policy.backbone.model.load_state_dict(table.start)
    config = GRPOConfig(
        steps=1, questions_per_step=2, group_size=3, max_reply_tokens=4, filter_by_accuracy=by_accuracy, optimiser=SMALL
    )
    practise(table.policy, [table.asked], ByOneToken(), table, config, tmp_path)
    (line,) = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    assert '"groups_flat":1.0' in line.replace(" ", "")
    assert '"groups_phantom":1.0' in line.replace(" ", "")
    assert ("grad_norm" in line) is not by_accuracy


def test_a_question_whose_video_is_broken_is_left_out_and_the_step_goes_on(table, tmp_path):
    broken = table.asked.model_copy(update={"id": "broken", "video": str(tmp_path / "absent.mp4")})
    config = GRPOConfig(steps=1, questions_per_step=2, group_size=2, max_reply_tokens=4)
    practise(table.policy, [table.asked, broken], GatedReward(), table, config, tmp_path)
    assert '"episodes":2.0' in (tmp_path / "run/metrics.jsonl").read_text().replace(" ", "")


@pytest.mark.parametrize("by_accuracy", [True, False])
def test_one_group_of_a_step_is_kept_for_people_to_look_at(by_accuracy, table, tmp_path):
    config = GRPOConfig(
        steps=2, questions_per_step=2, group_size=3, max_reply_tokens=4, filter_by_accuracy=by_accuracy, optimiser=SMALL
    )
    practise(table.policy, [table.asked], ByOneToken(), table, config, tmp_path)
    kept = list(read_records(tmp_path / "run/samples/rl.jsonl", Sample))
    assert [sample.step for sample in kept] == [0, 0, 0, 1, 1, 1]
    assert len({sample.episode.id for sample in kept}) == 6
    assert all(sample.episode.tokens is None for sample in kept)
    for group in (kept[:3], kept[3:]):
        totals = [sample.reward.total for sample in group]
        learnt_from = [total - sum(totals) / 3 for total in totals]
        assert [sample.advantage for sample in group] == ([None] * 3 if by_accuracy else pytest.approx(learnt_from))


def test_of_the_groups_of_a_step_the_first_that_taught_something_is_shown(table):
    alike, apart = table.group([1.0, 1.0]), table.group([1.0, 0.0])
    assert [sample.advantage for sample in samples_of([alike, apart], [apart], 3)] == [0.5, -0.5]
    assert [sample.advantage for sample in samples_of([alike], [], 3)] == [None, None]
    assert samples_of([Group([], [])], [], 3) == []


def test_embeddings_stay_as_they_are_where_rl_is_not_to_train_them_and_the_rest_moves(table, tmp_path):
    policy = wide_nano(tmp_path / "nano")
    before = {name: weight.clone() for name, weight in policy.backbone.model.state_dict().items()}
    config = GRPOConfig(
        steps=1, questions_per_step=1, group_size=3, max_reply_tokens=4, filter_by_accuracy=False, train_embeddings=False
    )
    practise(policy, [table.asked], ByOneToken(), table, config, tmp_path)
    after = policy.backbone.model.state_dict()
    moved = {name for name, weight in after.items() if not torch.equal(weight, before[name])}
    assert any("q_proj" in name for name in moved)
    assert not any("embed_tokens" in name or "lm_head" in name for name in moved)
