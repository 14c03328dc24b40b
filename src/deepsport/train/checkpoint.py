"""Training checkpoints: the policy in the Hugging Face layout (or its adapter), the optimiser as safetensors, the step as JSON.

Written under a temporary name and renamed, so that a checkpoint is whole or absent; the last two are kept; every file's hash is
kept too, and checked before it is trained on. The layout is the same however many processes train. Sampling of data and of tokens
is a function of seed and step, so there is no generator state to save and resuming is exact. No pickle.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch, transformers and safetensors are only partly typed)

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from deepsport.errors import TrainingError
from deepsport.policy.local.adapter import has_adapter, load_adapter
from deepsport.policy.local.checkpoint import load_policy, save_policy
from deepsport.policy.local.policy import LocalPolicy
from deepsport.train.distributed import like, whole

KEEP = 2


def save(
    folder: Path,
    trained: nn.Module,
    policy: LocalPolicy,
    optimisers: Sequence[torch.optim.Optimizer],
    step: int,
    origin: Path,
    *,
    writes: bool = True,
) -> None:
    """Writes `step-N` under a folder and drops all but the newest two. `step` is the number of finished steps.

    All processes that hold a shard of the weights come here; one of them `writes`."""
    weights = None if has_adapter(trained) else {name: whole(weight.detach()) for name, weight in trained.named_parameters()}
    states = _optimiser_tensors(optimisers)
    if not writes:
        return
    final, partial = folder / f"step-{step:06d}", folder / f".partial-{step:06d}"
    shutil.rmtree(partial, ignore_errors=True)
    save_policy(policy, partial, origin, weights)
    save_file(states, partial / "optimiser.safetensors")
    hashes = {path.name: _hash(path) for path in sorted(partial.iterdir())}
    (partial / "trainer.json").write_text(json.dumps({"step": step, "blake2b": hashes}, indent=1), encoding="utf-8")
    _to_disk(partial)
    shutil.rmtree(final, ignore_errors=True)
    os.replace(partial, final)
    for old in checkpoints(folder)[:-KEEP]:
        shutil.rmtree(old)


def checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints under a folder, oldest first."""
    whole = (path for path in folder.glob("step-*") if (path / "trainer.json").is_file())
    return sorted(whole, key=lambda path: int(path.name.removeprefix("step-")))


def resume(folder: Path, trained: nn.Module, policy: LocalPolicy, optimisers: Sequence[torch.optim.Optimizer]) -> int:
    """Loads the newest checkpoint into the weights that are trained, the policy and the optimisers.

    Returns the number of finished steps, 0 if there is none. Raises PolicyError or TrainingError if it was damaged since."""
    found = checkpoints(folder)
    if not found:
        return 0
    newest = found[-1]
    step = _checked_step(newest)
    if has_adapter(trained):
        load_adapter(trained, newest)
    else:
        saved = load_policy(str(newest)).backbone.model.state_dict()
        for model in {id(model): model for model in (trained, policy.backbone.model)}.values():
            with torch.no_grad():
                for name, weight in model.named_parameters():
                    weight.copy_(like(saved[name].to(weight.dtype), weight))
    policy.features.forget()
    _load_optimisers(optimisers, newest / "optimiser.safetensors")
    return step


def _checked_step(folder: Path) -> int:
    """The step of a checkpoint. Raises TrainingError for a file that is not the one that was written."""
    try:
        written = json.loads((folder / "trainer.json").read_text(encoding="utf-8"))
        hashes: dict[str, str] = written["blake2b"]
        bad = [name for name, known in hashes.items() if _hash(folder / name) != known]
        step = int(written["step"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder, repr(error)) from error
    if bad:
        raise _damaged(folder, f"{bad[0]} is not the file that was written")
    return step


def _damaged(folder: Path, why: str) -> TrainingError:
    return TrainingError(f"{folder} was damaged after it was written ({why}). Delete it: training goes on from the one before.")


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _optimiser_tensors(optimisers: Sequence[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """By optimiser, parameter and quantity."""
    tensors: dict[str, Tensor] = {}
    for number, optimiser in enumerate(optimisers):
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"{number}.{index}.{name}": whole(value).contiguous() for name, value in state.items()}
    return tensors


def _load_optimisers(optimisers: Sequence[torch.optim.Optimizer], path: Path) -> None:
    parameters = [[parameter for group in optimiser.param_groups for parameter in group["params"]] for optimiser in optimisers]
    states: list[dict[int, dict[str, Tensor]]] = [{} for _ in optimisers]
    try:
        for key, value in load_file(path).items():
            number, index, name = key.split(".", 2)
            states[int(number)].setdefault(int(index), {})[name] = like(value, parameters[int(number)][int(index)])
    except (OSError, ValueError, IndexError, SafetensorError) as error:
        raise _damaged(path.parent, repr(error)) from error
    for optimiser, state in zip(optimisers, states, strict=True):
        optimiser.load_state_dict(optimiser.state_dict() | {"state": state})


def _to_disk(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
