"""A prefix tree computes what separate forwards compute: on random trees, for both families, in rows and packed."""

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from deepsport.agent.grammar import write_answer, write_call
from deepsport.errors import TrainingError
from deepsport.policy.base import Message
from deepsport.policy.local.chat import TokenLog
from deepsport.policy.local.checkpoint import load_policy
from deepsport.policy.local.policy import LocalPolicy
from deepsport.records import TokenRecord
from deepsport.train.forward import lay_out, sampled_logprobs
from deepsport.train.tree import LEAST_SAVING, Tree, grow, portions
from tiny_models import features_of, image, nano_folder, opening, qwen3_folder, qwen25_folder, wide_nano, widen

SIZES = ((80, 120), (56, 112), (130, 130), (112, 60))
WORDS = [
    write_call("", 0, 5),
    write_call("score", 0, 5),
    write_call("score 2", 7, 9),
    write_answer("so", "a"),
    write_answer("", "b"),
]
MAKERS = {"qwen2_5_vl": qwen25_folder, "qwen3_vl": qwen3_folder}


@pytest.fixture(scope="module", params=["nano", *MAKERS])
def policy(request, tmp_path_factory) -> LocalPolicy:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "nano":
        loaded = load_policy(str(nano_folder(folder)))
        widen(loaded.backbone.model, seed=0)
        return loaded
    return load_policy(str(MAKERS[request.param](request.getfixturevalue("shared_folder"), folder)), max_pixels=20_000)


def shown(index: int):
    return image(index, *SIZES[index % len(SIZES)])


def random_record(policy: LocalPolicy, rng: random.Random) -> TokenRecord:
    """One of two openings, then one to three turns of few words and frames, so that records have much in common by chance."""
    log = TokenLog()
    first = rng.choice([(1, 2), (1, 3)])
    policy.chat.add_messages(log, opening([shown(index) for index in first], f"Question: {rng.choice(['who', 'how'])}?"))
    for turn in range(rng.randint(1, 3)):
        if turn:
            policy.chat.add_messages(log, [Message("user", ("frame:", shown(rng.choice([4, 5])), "Question: who?"))])
        ids = policy.chat.encode_reply(rng.choice(WORDS))
        log.add(ids, [-rng.random() for _ in ids])
    return log.record()


def random_records(policy: LocalPolicy, seed: int, n: int = 7) -> list[TokenRecord]:
    rng = random.Random(seed)
    return [random_record(policy, rng) for _ in range(n)]


Forward = Callable[[LocalPolicy, Sequence[TokenRecord]], Tensor]


def all_features(policy: LocalPolicy) -> dict[tuple[str, int], Tensor]:
    features: dict[tuple[str, int], Tensor] = {}
    for index in range(1, 6):
        features |= features_of(policy, [shown(index)])
    return features


def separately(policy: LocalPolicy, records: Sequence[TokenRecord]) -> Tensor:
    features = all_features(policy)
    return torch.cat([sampled_logprobs(policy.backbone, lay_out([record], policy.backbone), features) for record in records])


def as_tree(least_saving: int, *, packed: bool) -> Forward:
    def forward(policy: LocalPolicy, records: Sequence[TokenRecord]) -> Tensor:
        part = lay_out(records, policy.backbone, least_saving=least_saving)
        return sampled_logprobs(policy.backbone, part, all_features(policy), packed=packed)

    return forward


def loss_and_gradients(policy: LocalPolicy, records: Sequence[TokenRecord], forward: Forward) -> tuple[float, dict[str, Tensor]]:
    """Of a weighted sum in which every token counts differently; the vision tower learns too."""
    model = policy.backbone.model
    model.zero_grad(set_to_none=True)
    logprobs_S = forward(policy, records)
    loss = (torch.linspace(-1, 2, len(logprobs_S)) * logprobs_S).mean()
    loss.backward()
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad(set_to_none=True)
    return loss.item(), gradients


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("least_saving", [1, 20, LEAST_SAVING])
@pytest.mark.parametrize("packed", [False, True], ids=["rows", "packed"])
def test_loss_and_every_gradient_are_those_of_separate_forwards(policy, seed, least_saving, packed):
    records = random_records(policy, seed)
    expected_loss, expected = loss_and_gradients(policy, records, separately)
    loss, gradients = loss_and_gradients(policy, records, as_tree(least_saving, packed=packed))
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert gradients.keys() == expected.keys()
    assert any(name.startswith("model.visual") for name in gradients)
    for name, gradient in gradients.items():
        off = (gradient - expected[name]).norm() / expected[name].norm().clamp_min(1e-12)
        assert off < 1e-5, f"{name}: {off}"


@pytest.mark.parametrize("seed", range(20))
def test_every_record_can_be_read_off_the_tree(policy, seed):
    records = random_records(policy, seed)
    for least_saving in (1, 20, LEAST_SAVING, 10**9):
        tree = grow(records, least_saving=least_saving)
        packed = np.concatenate([np.array(tree.records[node.record].ids[node.start : node.stop]) for node in tree.nodes])
        for record, place in zip(records, tree.places, strict=True):
            assert tuple(packed[place]) == record.ids
        assert len(packed) == tree.n_tokens


def test_no_gradient_depends_on_which_thread_comes_first(tmp_path):
    """On a CPU, what was read more than once by indexing gets its gradients in the order in which threads finish."""
    policy = wide_nano(tmp_path)
    part = lay_out(random_records(policy, seed=3), policy.backbone, least_saving=1)
    seen_frames = {frame: embedded.detach() for frame, embedded in all_features(policy).items()}
    read = sampled_logprobs(policy.backbone, part, seen_frames)
    names, ahead = set[str](), [read.grad_fn]
    seen = set[object]()
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        names.add(node.name())
        ahead += [above for above, _ in node.next_functions]
    assert "EmbeddingBackward0" in names
    assert "IndexBackward0" not in names


def unique_prefixes(records: Sequence[TokenRecord]) -> int:
    """The fewest tokens a tree can have, counted plainly."""
    frame_at = [{slot.offset + k: slot.frame for slot in r.images for k in range(slot.n_tokens)} for r in records]
    found = {
        tuple((token, seen.get(place)) for place, token in enumerate(record.ids[:end]))
        for record, seen in zip(records, frame_at, strict=True)
        for end in range(1, len(record.ids) + 1)
    }
    return len(found)


@pytest.mark.parametrize("seed", range(3))
def test_with_nothing_too_small_to_share_every_common_token_is_there_once(policy, seed):
    records = random_records(policy, seed)
    assert grow(records, least_saving=1).n_tokens == unique_prefixes(records)
    assert grow(records, least_saving=10**9).n_tokens == sum(len(record.ids) for record in records)


def test_a_group_that_only_shares_its_opening_has_one_node_for_it_and_one_for_each(policy):
    log = TokenLog()
    policy.chat.add_messages(log, opening([shown(1), shown(2), shown(3)]))
    start, records = log.record(), list[TokenRecord]()
    for text in ("header", "volley", "overhead"):
        ids = policy.chat.encode_reply(text)
        whole = (*start.ids, *ids)
        said = (False,) * len(start.ids) + (True,) * len(ids)
        records.append(TokenRecord(ids=whole, sampled=said, logprobs=(0.0,) * len(whole), images=start.images))
    tree = grow(records, least_saving=8)
    assert (tree.nodes[0].depth, tree.nodes[0].start, tree.nodes[0].stop) == (0, 0, len(start.ids))
    assert len(tree.nodes) == 4


def test_the_same_words_after_other_frames_are_not_shared(policy):
    one, other = TokenLog(), TokenLog()
    for log, index in ((one, 1), (other, 5)):
        policy.chat.add_messages(log, opening([shown(index)]))
        ids = policy.chat.encode_reply(WORDS[0])
        log.add(ids, [0.0] * len(ids))
    records = [one.record(), other.record()]
    assert [slot.grid_hw for slot in records[0].images] == [slot.grid_hw for slot in records[1].images]
    tree = grow(records, least_saving=1)
    assert tree.nodes[0].stop <= records[0].images[0].offset


@pytest.mark.parametrize("most", [1, 150, 400, 10**6])
def test_portions_hold_every_record_once_and_no_more_tokens_than_allowed(policy, most):
    records = random_records(policy, seed=5, n=20)
    cuts = portions(records, most)
    assert sorted(index for cut in cuts for index in cut) == list(range(20))
    for cut in cuts:
        assert len(cut) == 1 or grow([records[index] for index in cut], least_saving=1).n_tokens <= most


def test_records_of_one_length_and_depth_stand_in_one_row_and_others_apart(policy):
    tree: Tree = grow(random_records(policy, seed=6, n=30))
    rows = tree.rows()
    assert [node for row in rows for node in row] == list(tree.nodes)
    for row in rows:
        assert len({node.depth for node in row}) == 1
        assert len(row) * max(node.n_tokens for node in row) <= 1.25 * sum(node.n_tokens for node in row)


def test_a_record_without_a_prompt_or_a_reply_is_refused(policy):
    silent = TokenRecord(ids=(1, 2), sampled=(False, False), logprobs=(0.0, 0.0), images=())
    alone = TokenRecord(ids=(1, 2), sampled=(True, True), logprobs=(0.0, 0.0), images=())
    for record in (silent, alone):
        with pytest.raises(TrainingError, match="without a prompt or without a reply"):
            grow([record])
