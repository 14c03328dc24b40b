"""Frames become the very patches that transformers' PIL image processor makes of them."""

import json
import threading
from typing import Any

import numpy as np
import pytest
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from deepsport.errors import PolicyError
from deepsport.policy.local.preprocess import Preprocessor, on_all_cores, smart_resize
from tiny_models import image

QWEN25 = {
    "min_pixels": 3136,
    "max_pixels": 12845056,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
QWEN3 = {
    "size": {"longest_edge": 1310720, "shortest_edge": 4096},
    "patch_size": 16,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
SHRUNK = QWEN25 | {"max_pixels": 9408}


def require_equal_patches(settings: dict[str, Any], folder: Any, n_sizes: int = 50) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    ours, theirs = Preprocessor.load(folder), Qwen2VLImageProcessorPil(**settings)
    sizes_hw = np.random.default_rng(0).integers(10, 260, (n_sizes, 2)).tolist()
    for number, (height, width) in enumerate(sizes_hw):
        pixels = image(number, height, width).pixels
        expected = theirs(images=[pixels], return_tensors="np")
        patches, grid_hw = ours.patches(pixels)
        assert (1, *grid_hw) == tuple(expected["image_grid_thw"][0])
        assert ours.grid(height, width) == grid_hw
        assert patches.dtype == expected["pixel_values"].dtype
        assert np.array_equal(patches, expected["pixel_values"]), (height, width)


@pytest.mark.parametrize("settings", [QWEN25, QWEN3, SHRUNK], ids=["qwen2.5-vl", "qwen3-vl", "shrunk"])
def test_patches_are_bit_equal_to_those_of_transformers_on_50_sizes(settings, tmp_path):
    require_equal_patches(settings, tmp_path)


@pytest.mark.parametrize("name", ["Qwen2.5-VL-7B", "Qwen3-VL-Embedding"])
def test_patches_are_bit_equal_under_the_published_settings(name, shared_folder, tmp_path):
    settings = json.loads((shared_folder / f"qwen/configs/{name}.preprocessor_config.json").read_text())
    needed = QWEN25.keys() | QWEN3.keys()
    require_equal_patches({key: value for key, value in settings.items() if key in needed}, tmp_path, n_sizes=20)


def test_what_all_cores_make_of_many_frames_is_what_one_makes_of_each_in_order():
    frames = [image(number, 360, 640).pixels for number in range(6)]
    made, asked = Preprocessor().patches, {threading.get_ident()}

    def noted(pixels):
        asked.add(threading.get_ident())
        return made(pixels)

    for ours, alone in zip(on_all_cores(noted, frames), map(made, frames), strict=True):
        assert np.array_equal(ours[0], alone[0])
        assert ours[1] == alone[1]
    assert len(asked) > 1, "other threads made some of them"
    with pytest.raises(PolicyError, match="too narrow"):
        on_all_cores(made, [*frames, image(0, 4, 4000).pixels])


def test_the_callers_bound_lowers_that_of_the_checkpoint_and_never_raises_it(tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(SHRUNK))
    assert Preprocessor.load(tmp_path, max_pixels=3200).max_pixels == 3200
    assert Preprocessor.load(tmp_path, max_pixels=10**9).max_pixels == 9408


def test_a_frame_of_640x360_costs_the_published_number_of_tokens():
    down, across = Preprocessor(max_pixels=12845056).grid(360, 640)
    assert down * across // 4 == 299


def test_a_frame_much_longer_than_wide_is_refused_with_its_size():
    with pytest.raises(PolicyError, match="4020x20 is too narrow"):
        smart_resize(20, 4020, 28, 3136, 12845056)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"patch_size": 14}'])
def test_broken_settings_are_refused_by_name(content, tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(content)
    with pytest.raises(PolicyError, match=r"preprocessor_config\.json cannot be read"):
        Preprocessor.load(tmp_path)
