"""Low-rank adapters (LoRA, arXiv 2106.09685) of the language model, by peft, in the layout that peft and vLLM load.

The linear layers of the language model alone: by their names only, peft would take those of the vision tower as well, which
engines drop without a word.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch, peft and safetensors are only partly typed)

import json
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from deepsport.errors import PolicyError

TARGETS = r"model\.language_model\..*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
_PREFIX = "base_model.model."
"""What peft puts before the names of tensors in a file."""


def add_adapter(model: nn.Module, rank: int, alpha: float, *, seed: int) -> None:
    """Adds an adapter that changes nothing yet, in fp32. Beside weights in bf16 it is computed in bf16 (`Backbone.hidden`)."""
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=cast(int, alpha), target_modules=TARGETS), model)
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data = weight.data.float()
    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.cast_input_dtype_enabled = False  # autocast casts where it is needed, once


def train_only_adapter(model: nn.Module) -> None:
    """Freezes all else."""
    for name, weight in model.named_parameters():
        weight.requires_grad_("lora_" in name)


def has_adapter(model: nn.Module) -> bool:
    """Whether a model carries an adapter."""
    return hasattr(model, "peft_config")


def save_adapter(model: nn.Module, folder: Path, base: Path) -> None:
    """Writes `adapter_model.safetensors` and `adapter_config.json`, which names the folder of the base model."""
    from peft import get_peft_model_state_dict

    tensors: dict[str, Tensor] = get_peft_model_state_dict(model)
    save_file({_PREFIX + name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "adapter_model.safetensors")
    config = cast(Any, model).peft_config["default"]
    settings = {"base_model_name_or_path": str(base), "task_type": "CAUSAL_LM"}
    listed = {key: sorted(value) if isinstance(value, set) else value for key, value in config.to_dict().items()}
    (folder / "adapter_config.json").write_text(json.dumps(listed | settings, indent=2, default=str), encoding="utf-8")


def restore_adapter(model: nn.Module, folder: Path) -> None:
    """Adds an adapter as it was saved, to be trained further. Raises PolicyError if it cannot be read or does not fit."""
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        add_adapter(model, int(config["r"]), float(config["lora_alpha"]), seed=0)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PolicyError(f"{folder / 'adapter_config.json'} cannot be read: {error!r}") from error
    load_adapter(model, folder)


def load_adapter(model: nn.Module, folder: Path) -> None:
    """Puts saved values into the adapter that a model carries. Raises PolicyError if they do not fit."""
    from peft import set_peft_model_state_dict

    tensors = {name.removeprefix(_PREFIX): tensor for name, tensor in load_file(folder / "adapter_model.safetensors").items()}
    try:
        found = set_peft_model_state_dict(model, tensors)
    except RuntimeError as error:
        raise PolicyError(f"the adapter in {folder} does not fit the model: {error}") from error
    absent = [name for name in found.missing_keys if "lora_" in name]
    if absent or found.unexpected_keys:
        raise PolicyError(f"the adapter in {folder} does not fit the model: {[*absent, *found.unexpected_keys][0]}")
