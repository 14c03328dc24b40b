"""Training checkpoints: the policy in the Hugging Face layout, the optimiser as safetensors, the step as JSON.

Written under a temporary name and renamed, so that a checkpoint is whole or absent; the last two are kept. Sampling of data and
of tokens is a function of seed and step, so there is no generator state to save and resuming is exact. No pickle.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch, transformers and safetensors are only partly typed)

import json
import os
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from deepsport.errors import TrainingError
from deepsport.policy.local.checkpoint import load_policy, save_policy
from deepsport.policy.local.policy import LocalPolicy

KEEP = 2


def save(folder: Path, policy: LocalPolicy, optimiser: torch.optim.Optimizer, step: int, origin: Path) -> Path:
    """Writes `step-N` under a folder and drops all but the newest two. `step` is the number of finished steps."""
    final = folder / f"step-{step:06d}"
    partial = folder / f".partial-{step:06d}"
    shutil.rmtree(partial, ignore_errors=True)
    save_policy(policy, partial, origin)
    save_file(_optimiser_tensors(optimiser), partial / "optimiser.safetensors")
    (partial / "trainer.json").write_text(json.dumps({"step": step}), encoding="utf-8")
    _to_disk(partial)
    shutil.rmtree(final, ignore_errors=True)
    os.replace(partial, final)
    for old in checkpoints(folder)[:-KEEP]:
        shutil.rmtree(old)
    return final


def checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints under a folder, oldest first."""
    whole = (path for path in folder.glob("step-*") if (path / "trainer.json").is_file())
    return sorted(whole, key=lambda path: int(path.name.removeprefix("step-")))


def resume(folder: Path, policy: LocalPolicy, optimiser: torch.optim.Optimizer) -> int:
    """Loads the newest checkpoint into policy and optimiser; returns the number of finished steps (0: there is none).

    Raises PolicyError or TrainingError if it was damaged after it was written."""
    found = checkpoints(folder)
    if not found:
        return 0
    saved = load_policy(str(found[-1]))
    policy.backbone.model.load_state_dict(saved.backbone.model.state_dict())
    policy.features.forget()
    try:
        _load_optimiser(optimiser, load_file(found[-1] / "optimiser.safetensors"))
        return int(json.loads((found[-1] / "trainer.json").read_text(encoding="utf-8"))["step"])
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise TrainingError(
            f"{found[-1]} was damaged after it was written ({error}). Delete it: training goes on from the one before."
        ) from error


def _optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    states = optimiser.state_dict()["state"]
    return {f"{index}.{name}": value.contiguous() for index, state in states.items() for name, value in state.items()}


def _load_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    whole = optimiser.state_dict()
    whole["state"] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        whole["state"].setdefault(int(index), {})[name] = value
    optimiser.load_state_dict(whole)


def _to_disk(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
