"""Training checkpoints: the policy in the Hugging Face layout (or its adapter), the optimiser as safetensors, the step as JSON.

Written under a temporary name and renamed, so that a checkpoint is whole or absent; the last two are kept; every file's hash is
kept too, and checked before it is trained on. Where weights are sharded every process writes a share of the tensors, and reads
its own rows of all of them, so any number of processes may go on. Sampling of data and of tokens is a function of seed and step,
so there is no generator state to save and resuming is exact. No pickle.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch, transformers and safetensors are only partly typed)

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from deepsport.durable import sync_folder
from deepsport.errors import TrainingError
from deepsport.policy.local.adapter import has_adapter, load_adapter
from deepsport.policy.local.checkpoint import save_policy, save_without_weights, saved_names
from deepsport.policy.local.policy import LocalPolicy
from deepsport.train.distributed import ALONE, World, whole
from deepsport.train.tensor_files import opened, write_tensors

KEEP = 2
MODEL, OPTIMISER = "model", "optimiser"


def save(
    folder: Path,
    trained: nn.Module,
    policy: LocalPolicy,
    optimisers: Sequence[torch.optim.Optimizer],
    step: int,
    origin: Path,
    *,
    world: World = ALONE,
) -> None:
    """Writes `step-N` under a folder and drops all but the newest two. `step` is the number of finished steps.

    All processes come here. What is sharded they write together, what each of them holds whole the first one writes."""
    sharded = any(isinstance(weight, DTensor) for weight in trained.parameters())
    if world.writes:
        for left in folder.glob(".partial-*"):
            shutil.rmtree(left, ignore_errors=True)
    # a name that no process of an earlier attempt knows: on a host that was cut off one may still be writing
    partial = folder / f".partial-{step:06d}-{world.gather([secrets.token_hex(4)])[0]}"
    partial.mkdir(parents=True, exist_ok=True)
    if sharded:
        written = _write_shares(partial, trained, policy, optimisers, origin, world)
    else:
        written = _write_all(partial, trained, policy, optimisers, origin) if world.writes else []
    hashes = dict(world.gather([_settled(path) for path in written]))
    if world.writes:
        _put_in_place(partial, folder, step, hashes)


def _write_all(
    folder: Path, trained: nn.Module, policy: LocalPolicy, optimisers: Sequence[torch.optim.Optimizer], origin: Path
) -> list[Path]:
    weights = None if has_adapter(trained) else {name: weight.detach() for name, weight in trained.named_parameters()}
    save_policy(policy, folder, origin, weights)
    write_tensors(folder, OPTIMISER, _optimiser_tensors(optimisers), ALONE)
    return sorted(folder.iterdir())


def _write_shares(
    folder: Path,
    trained: nn.Module,
    policy: LocalPolicy,
    optimisers: Sequence[torch.optim.Optimizer],
    origin: Path,
    world: World,
) -> list[Path]:
    """This process's share; the first one's has the configuration, tokenizer and so on in it."""
    if world.writes:
        save_without_weights(policy, folder, origin)
    beside = sorted(folder.iterdir()) if world.writes else []
    names = saved_names(policy.backbone.model)
    weights = {names[name]: weight for name, weight in trained.named_parameters()}
    written = write_tensors(folder, MODEL, weights, world)  # the copies of one kind are gone before those of the other are made
    return [*beside, *written, *write_tensors(folder, OPTIMISER, _optimiser_tensors(optimisers), world)]


def _settled(path: Path) -> tuple[str, str]:
    """Name and hash of a file, once the disk has it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return path.name, _hash(path)


def _put_in_place(partial: Path, folder: Path, step: int, hashes: dict[str, str]) -> None:
    """Makes a checkpoint of files that the disk has."""
    final = folder / f"step-{step:06d}"
    trainer = partial / "trainer.json"
    trainer.write_text(json.dumps({"step": step, "blake2b": dict(sorted(hashes.items()))}, indent=1), encoding="utf-8")
    _settled(trainer)
    sync_folder(partial)
    shutil.rmtree(final, ignore_errors=True)
    os.replace(partial, final)
    sync_folder(folder)
    for old in checkpoints(folder)[:-KEEP]:
        shutil.rmtree(old)


def checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints under a folder, oldest first."""
    whole = (path for path in folder.glob("step-*") if (path / "trainer.json").is_file())
    return sorted(whole, key=lambda path: int(path.name.removeprefix("step-")))


def resume(
    folder: Path,
    trained: nn.Module,
    policy: LocalPolicy,
    optimisers: Sequence[torch.optim.Optimizer],
    *,
    world: World = ALONE,
) -> int:
    """Loads the newest checkpoint into the weights that are trained, the policy and the optimisers.

    Returns the number of finished steps, 0 if there is none. Raises TrainingError if it was damaged since."""
    found = world.gather([[path.name for path in checkpoints(folder)]])[0]  # a shared disk may not show all of them the same
    if not found:
        return 0
    newest = folder / found[-1]
    step = _checked_step(newest, world)
    try:
        if has_adapter(trained):
            load_adapter(trained, newest)
        else:
            _load_weights(newest, trained, policy)
        _load_optimisers(optimisers, newest)
    except (OSError, ValueError, KeyError, IndexError, SafetensorError) as error:
        raise _damaged(newest, repr(error)) from error
    policy.features.forget()
    return step


def _load_weights(folder: Path, trained: nn.Module, policy: LocalPolicy) -> None:
    """Those that are trained, and from them the policy's own where these are others."""
    names = saved_names(policy.backbone.model)
    with opened(folder, MODEL) as files, torch.no_grad():
        for (name, weight), own in zip(trained.named_parameters(), policy.backbone.model.parameters(), strict=True):
            files.fill(names[name], weight)
            if own is not weight:
                own.copy_(whole(weight))


def _checked_step(folder: Path, world: World) -> int:
    """The step of a checkpoint, of whose files every process checks a share. Raises TrainingError, in all of them, for a file
    that is not the one that was written."""
    try:
        written = json.loads((folder / "trainer.json").read_text(encoding="utf-8"))
        hashes: dict[str, str] = dict(written["blake2b"])
        step = int(written["step"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder, repr(error)) from error
    bad = world.gather([not _is(folder / name, known) for name, known in world.share(sorted(hashes.items()))])
    for name, is_bad in zip(sorted(hashes), bad, strict=True):
        if is_bad:
            raise _damaged(folder, f"{name} is not the file that was written")
    return step


def _damaged(folder: Path, why: str) -> TrainingError:
    return TrainingError(f"{folder} was damaged after it was written ({why}). Delete it: training goes on from the one before.")


def _is(path: Path, known: str) -> bool:
    return path.is_file() and _hash(path) == known


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _optimiser_tensors(optimisers: Sequence[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """By optimiser, parameter and quantity."""
    tensors: dict[str, Tensor] = {}
    for number, optimiser in enumerate(optimisers):
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"{number}.{index}.{name}": value for name, value in state.items()}
    return tensors


def _load_optimisers(optimisers: Sequence[torch.optim.Optimizer], folder: Path) -> None:
    parameters = [[parameter for group in optimiser.param_groups for parameter in group["params"]] for optimiser in optimisers]
    states: list[dict[int, dict[str, Tensor]]] = [{} for _ in optimisers]
    with opened(folder, OPTIMISER) as files:
        for key in files.names:
            number, index, name = key.split(".", 2)
            parameter = parameters[int(number)][int(index)]
            value = torch.zeros_like(parameter) if files.shape(key) else torch.zeros(())
            files.fill(key, value)
            states[int(number)].setdefault(int(index), {})[name] = value
    for optimiser, state in zip(optimisers, states, strict=True):
        optimiser.load_state_dict(optimiser.state_dict() | {"state": state})
