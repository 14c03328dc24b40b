"""What is dealt out over processes: nothing is lost, nothing is there twice, and how many they are does not matter."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from deepsport.durable import read_share
from deepsport.errors import BadConfig, TrainingError
from deepsport.policy.local.checkpoint import load_policy
from deepsport.policy.local.policy import LocalPolicy
from deepsport.records import Record
from deepsport.train import checkpoint
from deepsport.train.dealt import Dealt, dealt
from deepsport.train.distributed import ALONE, World, in_turn, join
from deepsport.train.optimiser import OptimiserConfig, make_optimisers
from deepsport.train.tensor_files import deal, opened, write_tensors
from tiny_models import nano_folder

SIZES = {"embeddings": 900, "layer.0": 300, "layer.1": 300, "layer.2": 300, "norm": 1, "bias": 0}
TENSORS = {name: torch.arange(n, dtype=torch.float32) for name, n in SIZES.items()} | {"step": torch.tensor(7.0)}


class Line(Record):
    """One number."""

    number: int


@given(items=st.lists(st.integers()), size=st.integers(1, 9))
def test_shares_put_together_are_the_items_in_their_order_whatever_divides_what(items, size):
    assert in_turn([World(rank, size).share(items) for rank in range(size)]) == items


@given(n_lines=st.integers(0, 20), blank=st.sets(st.integers(0, 20)), size=st.integers(1, 5))
def test_the_shares_of_a_file_hold_every_record_once(tmp_path_factory, n_lines, blank, size):
    path = tmp_path_factory.mktemp("lines") / "lines.jsonl"
    path.write_text("".join("\n" if n in blank else f'{{"number": {n}}}\n' for n in range(n_lines)))
    shares = [dict(read_share(path, Line, rank, size)) for rank in range(size)]
    assert sorted(place for share in shares for place in share) == [n for n in range(n_lines) if n not in blank]
    assert all(record.number == place for share in shares for place, record in share.items())


def test_items_are_numbered_by_their_places_and_not_by_who_holds_them():
    items = Dealt({12: "c", 3: "a", 7: "b"}, ALONE)
    assert (len(items), items.of([2, 0, 2])) == (3, ["c", "a", "c"])


def test_items_that_all_know_keep_their_numbers():
    assert dealt("xyz", ALONE).of([2, 1]) == ["z", "y"]


def test_every_tensor_has_one_writer_and_all_write_about_equally_much():
    owners = deal(SIZES, 2)
    loads = [sum(SIZES[name] for name in owners if owners[name] == rank) for rank in range(2)]
    assert owners.keys() == SIZES.keys()
    assert loads == [901, 900] or loads == [900, 901]


@pytest.mark.parametrize("size", [1, 2, 3, 11])
def test_what_some_processes_wrote_together_is_read_whole_by_one(size, tmp_path):
    written = [path for rank in range(size) for path in write_tensors(tmp_path, "model", TENSORS, World(rank, size))]
    assert sorted(written) == sorted(tmp_path.iterdir())
    with opened(tmp_path, "model") as files:
        assert sorted(files.names) == sorted(TENSORS)
        for name, tensor in TENSORS.items():
            found = torch.full_like(tensor, -1)
            files.fill(name, found)
            assert torch.equal(found, tensor), name
            assert files.shape(name) == tensor.shape


def test_no_process_writes_what_another_writes(tmp_path):
    for rank in range(2):
        write_tensors(tmp_path, "model", TENSORS, World(rank, 2))
    places = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    assert set(places.values()) == {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}
    n_bytes = [(tmp_path / name).stat().st_size for name in sorted(set(places.values()))]
    assert max(n_bytes) < 0.6 * sum(n_bytes)


def test_a_tensor_of_another_shape_is_refused_and_not_stretched(tmp_path):
    write_tensors(tmp_path, "model", {"one": torch.ones(1)}, ALONE)
    with opened(tmp_path, "model") as files, pytest.raises(ValueError, match=r"one has the shape \(1,\), not \(3,\)"):
        files.fill("one", torch.zeros(3))


def trained(origin: Path) -> tuple[LocalPolicy, list[torch.optim.Optimizer]]:
    policy = load_policy(str(origin))
    return policy, make_optimisers(dict(policy.backbone.model.named_parameters()), OptimiserConfig())


@pytest.fixture
def shares(tmp_path) -> Path:
    """A checkpoint after one step, in the files that two processes write."""
    policy, optimisers = trained(nano_folder(tmp_path / "nano"))
    for parameter in policy.backbone.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimisers[0].step()
    checkpoint.save(tmp_path / "checkpoints", policy.backbone.model, policy, optimisers, 1, tmp_path / "nano")
    step = tmp_path / "checkpoints/step-000001"
    for stem in ("model", "optimiser"):
        whole = load_file(step / f"{stem}.safetensors")
        (step / f"{stem}.safetensors").unlink()
        for rank in range(2):
            write_tensors(step, stem, whole, World(rank, 2))
    files = [path for path in step.iterdir() if path.name != "trainer.json"]
    hashes = {path.name: hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest() for path in files}
    (step / "trainer.json").write_text(json.dumps({"step": 1, "blake2b": hashes}))
    return step


def test_one_process_goes_on_from_what_two_wrote(shares, tmp_path):
    policy, optimisers = trained(tmp_path / "nano")
    assert checkpoint.resume(shares.parent, policy.backbone.model, policy, optimisers) == 1
    moved = load_policy(str(shares)).backbone.model.state_dict()
    assert all(torch.equal(weight, moved[name]) for name, weight in policy.backbone.model.named_parameters())
    assert {float(state["step"]) for state in optimisers[0].state.values()} == {1.0}
    assert all(torch.all(state["exp_avg"] != 0) for state in optimisers[0].state.values())


@pytest.mark.parametrize("name", ["model-00002-of-00002.safetensors", "optimiser-00001-of-00002.safetensors"])
@pytest.mark.parametrize("damage", ["gone", "cut", "flipped"])
def test_a_share_that_is_not_the_one_that_was_written_is_named_and_not_trained_on(name, damage, shares, tmp_path):
    raw = (shares / name).read_bytes()
    (shares / name).unlink()
    if damage != "gone":
        (shares / name).write_bytes(raw[:-5] if damage == "cut" else raw[:-1] + bytes([raw[-1] ^ 1]))
    policy, optimisers = trained(tmp_path / "nano")
    with pytest.raises(TrainingError, match=rf"step-000001 was damaged.*{name}"):
        checkpoint.resume(shares.parent, policy.backbone.model, policy, optimisers)


def torchrun(monkeypatch, **variables: str) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "0", **variables}.items():
        monkeypatch.setenv(name, value)


def test_restarts_over_hosts_that_would_hang_are_refused_with_what_to_set(monkeypatch):
    torchrun(monkeypatch, GROUP_WORLD_SIZE="2", TORCHELASTIC_MAX_RESTARTS="3", TORCHELASTIC_USE_AGENT_STORE="True")
    with pytest.raises(BadConfig, match="TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"), join():
        pass


@pytest.mark.parametrize("variables", [{"TORCHELASTIC_MAX_RESTARTS": "1"}, {"GROUP_WORLD_SIZE": "2"}])
def test_starting_afresh_is_refused_where_a_restart_would_do_it_again(variables, monkeypatch, tmp_path):
    torchrun(monkeypatch, **variables)
    with pytest.raises(BadConfig, match="at every restart"), World(1, 2).run(tmp_path, None, fresh=True):
        pass
