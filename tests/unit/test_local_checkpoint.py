"""What is loaded is whole and harmless, or refused with a message that says why."""

import asyncio
import json
import shutil
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import Qwen2_5_VLForConditionalGeneration

from deepsport.errors import PolicyError
from deepsport.policy.base import Sampling
from deepsport.policy.local.checkpoint import load_policy, save_policy
from deepsport.policy.local.policy import LocalPolicy
from tiny_models import image, nano_folder, opening, wide_nano, widen


@pytest.fixture(scope="module")
def nano(tmp_path_factory) -> Path:
    return nano_folder(tmp_path_factory.mktemp("nano"))


@pytest.fixture
def copy(nano, tmp_path) -> Path:
    return Path(shutil.copytree(nano, tmp_path / "copy"))


def said(policy: LocalPolicy) -> str:
    return asyncio.run(policy.session(Sampling(max_tokens=12)).reply(opening([image(1)]))).text


def require_same_weights(one: LocalPolicy, other: LocalPolicy) -> None:
    ours, theirs = one.backbone.model.state_dict(), other.backbone.model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_saved_policy_loads_as_the_same_policy(tmp_path):
    policy = wide_nano(tmp_path / "origin")
    policy.brief = policy.arena_only = True
    save_policy(policy, tmp_path / "saved", tmp_path / "origin")
    loaded = load_policy(str(tmp_path / "saved"))
    assert (loaded.brief, loaded.arena_only, loaded.context) == (True, True, policy.context)
    assert said(loaded) == said(policy)
    require_same_weights(loaded, policy)


def test_a_policy_may_be_saved_over_the_folder_it_came_from(copy):
    policy = load_policy(str(copy))
    widen(policy.backbone.model, seed=1)
    save_policy(policy, copy, copy)
    require_same_weights(load_policy(str(copy)), policy)


def test_a_peft_adapter_loads_onto_its_base_and_is_saved_as_a_whole_checkpoint(tmp_path):
    base = tmp_path / "base"
    save_policy(wide_nano(base), base, base)
    model = get_peft_model(
        Qwen2_5_VLForConditionalGeneration.from_pretrained(base),
        LoraConfig(r=2, target_modules=r".*language_model.*\.(q_proj|v_proj)", base_model_name_or_path=str(base)),
    )
    widen(torch.nn.ParameterList(w for name, w in model.named_parameters() if "lora" in name), seed=2)
    model.save_pretrained(tmp_path / "adapter")
    policy = load_policy(str(tmp_path / "adapter"))
    ids = torch.arange(20, 40)[None]
    with torch.no_grad():
        expected, ours = model(input_ids=ids).logits, policy.backbone.model(input_ids=ids).logits
        without = load_policy(str(base)).backbone.model(input_ids=ids).logits
    assert torch.allclose(ours, expected, atol=1e-5)
    assert (ours - without).abs().max() > 1e-3
    save_policy(policy, tmp_path / "whole", tmp_path / "adapter")
    require_same_weights(load_policy(str(tmp_path / "whole")), policy)


def test_a_folder_with_pickled_weights_alone_is_refused(copy):
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(PolicyError, match="no complete safetensors weights"):
        load_policy(str(copy))


def test_a_weight_file_cut_short_is_refused(copy):
    content = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(PolicyError, match="no complete safetensors weights"):
        load_policy(str(copy))


def test_missing_weights_are_refused_and_never_drawn_at_random(copy):
    tensors = load_file(copy / "model.safetensors")
    (name,) = (name for name in tensors if name.endswith("layers.0.mlp.up_proj.weight") and "visual" not in name)
    del tensors[name]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(PolicyError, match=r"lacks 1 weights, .*layers\.0\.mlp\.up_proj"):
        load_policy(str(copy))


def test_weights_of_another_shape_are_refused(copy):
    config = json.loads((copy / "config.json").read_text())
    config["text_config"]["intermediate_size"] = 32
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(PolicyError, match="no complete safetensors weights"):
        load_policy(str(copy))


@pytest.mark.parametrize("model_type", ["llama", "qwen2_vl", "qwen2_5_vl_text", "no_such_model"])
def test_a_model_of_another_family_is_refused_by_name(model_type, copy):
    (copy / "config.json").write_text(json.dumps({"model_type": model_type}))
    with pytest.raises(PolicyError, match=f"'{model_type}' model; this package runs qwen2_5_vl and qwen3_vl"):
        load_policy(str(copy))


@pytest.mark.parametrize("content", ["", "{", "[1]", "null"])
def test_a_broken_configuration_is_refused(content, copy):
    (copy / "config.json").write_text(content)
    with pytest.raises(PolicyError, match=r"config\.json is not readable JSON"):
        load_policy(str(copy))


def test_code_in_a_checkpoint_is_never_run(copy, tmp_path):
    witness = tmp_path / "was_run"
    (copy / "evil.py").write_text(f"open({str(witness)!r}, 'w')\n")
    custom = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.EvilConfig"}}
    (copy / "config.json").write_text(json.dumps(custom))
    with pytest.raises(PolicyError, match="is a 'evil' model"):
        load_policy(str(copy))
    assert not witness.exists()


@pytest.mark.parametrize("content", ["", "{}", "not json"])
def test_a_broken_tokenizer_is_refused_by_name(content, copy):
    (copy / "tokenizer.json").write_text(content)
    with pytest.raises(PolicyError, match=r"tokenizer\.json cannot be read"):
        load_policy(str(copy))


def test_a_tokenizer_of_another_family_is_refused_with_the_token_it_lacks(copy):
    text = (copy / "tokenizer.json").read_text()
    (copy / "tokenizer.json").write_text(text.replace("<|image_pad|>", "<image>"))
    with pytest.raises(PolicyError, match=r"no '<\|image_pad\|>'"):
        load_policy(str(copy))


@pytest.mark.parametrize("name", ["./no/such/folder", "/no/such/folder", "just-a-name", "a/b/c"])
def test_a_name_that_is_neither_folder_nor_hub_id_is_refused(name):
    with pytest.raises(PolicyError, match=r"neither a checkpoint folder nor a hub id"):
        load_policy(name)


def test_a_hub_id_that_cannot_be_had_is_refused_with_the_reason(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(PolicyError, match="'owner/no-such-model' could not be had from the hub"):
        load_policy("owner/no-such-model")
