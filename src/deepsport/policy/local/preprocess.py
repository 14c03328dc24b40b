"""Pixels -> patches, bit-equal to transformers' PIL image processor of the Qwen2-VL family.

smart-resize (bicubic), rescale, normalise, patchify. After the resize a channel value is one of 256, so rescaling and normalising
are one table look-up per channel: the same bits, a fraction of the time. Written with numpy and Pillow alone, so that neither
AutoProcessor nor torchvision is needed.
"""

import json
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepsport.errors import PolicyError
from deepsport.policy.base import Pixels

T = TypeVar("T")
MANY = 2**21
"""Values of pixels from which threads are worth starting: four frames of 640x360, 25 of the arena's."""

Patches = NDArray[np.float32]
"""[n_patches, channels * temporal_patch_size * patch_size ** 2], in the order the merger expects."""


@dataclass(frozen=True)
class Preprocessor:
    """The settings of `preprocessor_config.json` that determine the patches."""

    patch_size: int = 14
    temporal_patch_size: int = 2
    merge_size: int = 2
    min_pixels: int = 56 * 56
    max_pixels: int = 28 * 28 * 1280
    image_mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    image_std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)

    @staticmethod
    def load(folder: Path, *, max_pixels: int | None = None) -> "Preprocessor":
        """Reads `preprocessor_config.json`; `max_pixels` lowers its bound. Raises PolicyError."""
        path = folder / "preprocessor_config.json"
        try:
            settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            size: dict[str, int] = settings.get("size") or {}
            longest: int = settings.get("max_pixels") or size.get("longest_edge") or Preprocessor.max_pixels
            return Preprocessor(
                patch_size=settings["patch_size"],
                temporal_patch_size=settings["temporal_patch_size"],
                merge_size=settings["merge_size"],
                min_pixels=settings.get("min_pixels") or size.get("shortest_edge") or Preprocessor.min_pixels,
                max_pixels=min(longest, max_pixels or longest),
                image_mean=tuple(settings["image_mean"]),
                image_std=tuple(settings["image_std"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise PolicyError(f"{path} cannot be read ({error!r}). The folder must hold a whole checkpoint.") from error

    def patches(self, pixels: Pixels) -> tuple[Patches, tuple[int, int]]:
        """The patches of one frame [H, W, 3] and their grid (down, across). Raises PolicyError on a side ratio above 200."""
        resized = self.resize(pixels)
        return self.patchify(resized), self.grid(*resized.shape[:2])

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Patches down and across of a frame of any size. Raises PolicyError on a side ratio above 200."""
        height, width = smart_resize(height, width, self.patch_size * self.merge_size, self.min_pixels, self.max_pixels)
        return height // self.patch_size, width // self.patch_size

    def resize(self, pixels: Pixels) -> Pixels:
        """The frame at the size the model sees: an eighth of the memory of its patches, worth keeping."""
        down, across = self.grid(*pixels.shape[:2])
        size_wh = (across * self.patch_size, down * self.patch_size)
        return np.asarray(Image.fromarray(pixels).resize(size_wh, resample=Image.Resampling.BICUBIC))

    def patchify(self, resized: Pixels) -> Patches:
        """The patches of a frame that has been resized."""
        size, merge = self.patch_size, self.merge_size
        down, across = resized.shape[0] // size, resized.shape[1] // size
        blocks = resized.reshape(down // merge, merge, size, across // merge, merge, size, 3)
        ordered = blocks.transpose(0, 3, 1, 4, 6, 2, 5)  # block down, block across, in-block down, across, channel, y, x
        normalised = np.empty(ordered.shape, np.float32)
        for channel in range(3):
            normalised[:, :, :, :, channel] = self._levels[channel][ordered[:, :, :, :, channel]]
        frames = (*ordered.shape[:5], self.temporal_patch_size, size, size)  # a still image is repeated in time
        return np.broadcast_to(normalised[:, :, :, :, :, None], frames).reshape(down * across, -1)

    @cached_property
    def _levels(self) -> NDArray[np.float32]:
        """[3, 256]: the normalised value of each channel value, computed as transformers does (rescale in double)."""
        rescaled = (np.arange(256, dtype=np.float64) * (1 / 255)).astype(np.float32)
        mean, std = np.array(self.image_mean, np.float32), np.array(self.image_std, np.float32)
        return ((rescaled[:, None] - mean) / std).T


def on_all_cores(make: Callable[[Pixels], T], frames: Sequence[Pixels]) -> list[T]:
    """What is made of each of some frames; numpy and Pillow let other threads run meanwhile."""
    if len(frames) < 2 or sum(pixels.size for pixels in frames) < MANY:
        return [make(pixels) for pixels in frames]
    with ThreadPoolExecutor(min(len(frames), os.cpu_count() or 1)) as threads:
        return list(threads.map(make, frames))


def smart_resize(height: int, width: int, factor: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """The nearest (height, width) that are multiples of `factor` with an area in [min_pixels, max_pixels]. Raises PolicyError."""
    if max(height, width) > 200 * min(height, width):
        raise PolicyError(f"a frame of {width}x{height} is too narrow: the longer side may be at most 200 times the shorter")
    fitted_h, fitted_w = round(height / factor) * factor, round(width / factor) * factor
    if fitted_h * fitted_w > max_pixels:
        shrink = math.sqrt(height * width / max_pixels)
        fitted_h = max(factor, math.floor(height / shrink / factor) * factor)
        fitted_w = max(factor, math.floor(width / shrink / factor) * factor)
    elif fitted_h * fitted_w < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        fitted_h, fitted_w = math.ceil(height * grow / factor) * factor, math.ceil(width * grow / factor) * factor
    return fitted_h, fitted_w
