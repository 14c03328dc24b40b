"""Checkpoints in the Hugging Face layout: safetensors, config.json, tokenizer.json, preprocessor_config.json.

A folder made here also holds `deepsport.json`, which says how the policy was prompted in training and whether it knows only the
arena. Nothing is unpickled and no code of a checkpoint is run; a hub id downloads safetensors and JSON only.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch, transformers and safetensors are only partly typed)

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, Qwen2_5_VLForConditionalGeneration, Qwen3VLForConditionalGeneration
from transformers.core_model_loading import revert_weight_conversion
from transformers.utils import logging as transformers_logging

from deepsport.errors import PolicyError
from deepsport.policy.local.adapter import has_adapter, restore_adapter, save_adapter
from deepsport.policy.local.backbone import FRAME_ATTENTION, TEXT_ATTENTION, Backbone
from deepsport.policy.local.chat import Chat
from deepsport.policy.local.policy import LocalPolicy
from deepsport.policy.local.preprocess import Preprocessor

transformers_logging.disable_progress_bar()  # progress is ours to show
transformers_logging.set_verbosity_error()  # its warnings are about settings that published checkpoints carry

FAMILIES: dict[str, Any] = {
    "qwen2_5_vl": Qwen2_5_VLForConditionalGeneration,
    "qwen3_vl": Qwen3VLForConditionalGeneration,
}
NANO = Path(__file__).parents[1] / "nano"
"""The checkpoint shipped in the package."""
SIDE_FILES = ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "chat_template.jinja")


def load_policy(
    model: str, *, max_pixels: int | None = None, context: int | None = None, keep_adapter: bool = False
) -> LocalPolicy:
    """Loads `nano`, a checkpoint folder, a run, or a hub id of the Qwen2.5-VL or Qwen3-VL family.

    keep_adapter: leave an adapter beside the weights that it adapts, to be trained further, and do not merge it.
    Raises PolicyError."""
    folder = origin_of(model)
    base = base_of(folder)
    network: Any = _load_weights(base)
    if base != folder and keep_adapter:
        restore_adapter(network, folder)
    elif base != folder:
        from peft import PeftModel

        network = cast(Any, PeftModel).from_pretrained(network, str(folder)).merge_and_unload()
    settings = _read_json(folder / "deepsport.json") if (folder / "deepsport.json").is_file() else {}
    preprocessor = Preprocessor.load(base, max_pixels=max_pixels)
    chat = Chat(base, preprocessor)
    limit = network.config.text_config.max_position_embeddings
    return LocalPolicy(
        model,
        Backbone(network.eval(), chat.image_pad, chat.suppressed),
        chat,
        preprocessor,
        context=min(limit, context or limit),
        brief=bool(settings.get("brief", False)),
        arena_only=bool(settings.get("arena_only", False)),
    )


def origin_of(model: str) -> Path:
    """The folder a model is loaded from; a hub id is downloaded first. Raises PolicyError."""
    return NANO if model == "nano" else _folder(model)


def side_files(model: str) -> Path:
    """The folder with all of a model but its weights; of a hub id nothing else is downloaded. Raises PolicyError."""
    return NANO if model == "nano" else base_of(_folder(model, weights=False))


def model_config(model: str) -> Any:
    """What config.json says of a model, without its weights. Raises PolicyError."""
    return _config(side_files(model))


def save_policy(policy: LocalPolicy, folder: Path, origin: Path, weights: Mapping[str, Tensor] | None = None) -> None:
    """Writes the weights (the policy's own by default) and, from the folder they came from (an adapter: from its base), all that
    belongs to them. Of a policy with an adapter, the adapter alone."""
    base = _save_beside(policy, folder, origin)
    model: Any = policy.backbone.model
    if has_adapter(model):
        save_adapter(model, folder, base)
    else:
        model.save_pretrained(folder, state_dict=None if weights is None else dict(weights))


def save_without_weights(policy: LocalPolicy, folder: Path, origin: Path) -> None:
    """As `save_policy`, for weights that are written otherwise, under their `saved_names`."""
    _save_beside(policy, folder, origin)
    model: Any = policy.backbone.model
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)


def saved_names(model: Any) -> dict[str, str]:
    """The names under which `save_policy` writes the weights: those of the published checkpoint, which may be older than ours."""
    names = [name for name, _ in model.named_parameters()]
    numbered = revert_weight_conversion(model, {name: torch.tensor(number) for number, name in enumerate(names)})
    found = {names[int(number)]: saved for saved, number in numbered.items()}
    assert len(found) == len(names), "the published checkpoint must have the same weights, only other names"
    return found


def _save_beside(policy: LocalPolicy, folder: Path, origin: Path) -> Path:
    """What belongs to the weights; returns the whole checkpoint that it was taken from."""
    folder.mkdir(parents=True, exist_ok=True)
    base = base_of(origin)
    for name in SIDE_FILES:
        if base.resolve() != folder.resolve() and (base / name).is_file():
            shutil.copyfile(base / name, folder / name)
    settings = {"brief": policy.brief, "arena_only": policy.arena_only}
    (folder / "deepsport.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
    return base


def base_of(folder: Path) -> Path:
    """The whole checkpoint that a PEFT adapter belongs to; the folder itself where it is no adapter."""
    adapter = folder / "adapter_config.json"
    return _folder(str(_read_json(adapter).get("base_model_name_or_path"))) if adapter.is_file() else folder


def _folder(model: str, *, weights: bool = True) -> Path:
    if Path(model).is_dir():
        return _newest_policy(Path(model))
    if model.startswith((".", "/")) or model.count("/") != 1:
        raise PolicyError(f"{model!r} is neither a checkpoint folder nor a hub id (owner/name). Try Qwen/Qwen2.5-VL-7B-Instruct.")
    from huggingface_hub import snapshot_download

    try:
        wanted = ["*.json", "*.jinja", "*.txt", *(["*.safetensors"] if weights else [])]
        return Path(snapshot_download(model, allow_patterns=wanted))
    except Exception as error:  # the hub client raises many unrelated classes
        raise PolicyError(
            f"{model!r} could not be had from the hub ({type(error).__name__}). Is the name right and the net there?"
        ) from error


def _newest_policy(folder: Path) -> Path:
    """A checkpoint folder as it is; of a run directory its finished policy, or else its newest checkpoint."""
    if (folder / "config.json").is_file() or (folder / "adapter_config.json").is_file():
        return folder
    inside = [*folder.glob("policy"), *folder.glob("policies/*"), *folder.glob("checkpoints/*/step-*"), *folder.glob("step-*")]
    whole = [path for path in inside if (path / "deepsport.json").is_file()]
    finished = [path for path in whole if path.name == "policy"]
    return max(finished or whole, key=lambda path: path.stat().st_mtime, default=folder)


def _config(folder: Path) -> Any:
    kind = str(_read_json(folder / "config.json").get("model_type"))
    if kind not in FAMILIES:  # asked of the file itself: transformers would offer to run the code of a family it does not know
        raise PolicyError(f"{folder} is a {kind!r} model; this package runs {' and '.join(FAMILIES)}")
    try:
        return AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise PolicyError(f"{folder} holds no readable config.json: {error}") from error


def _load_weights(folder: Path) -> Any:
    config = _config(folder)
    family = FAMILIES[config.model_type]
    on_gpu = torch.cuda.is_available()
    try:
        network, found = family.from_pretrained(
            folder,
            config=config,
            dtype=torch.bfloat16 if on_gpu else torch.float32,
            attn_implementation="sdpa",
            use_safetensors=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise PolicyError(f"{folder} holds no complete safetensors weights: {error}") from error
    if absent := sorted(found["missing_keys"]):
        raise PolicyError(f"{folder} lacks {len(absent)} weights, {absent[0]} among them. Get the whole checkpoint again.")
    use_our_attention(network)
    return network.to("cuda") if on_gpu else network


def use_our_attention(network: Any) -> None:
    """Lets the vision tower attend within all frames at once, and the language model under a tree mask."""
    network.model.visual.config._attn_implementation = FRAME_ATTENTION
    network.model.language_model.config._attn_implementation = TEXT_ATTENTION


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise PolicyError(f"{path} is not readable JSON: {error}") from error
    return content
