"""Clips with H.264 and one keyframe in 250, whose every frame differs, and a question about each."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np

from deepsport.records import Choice, Question
from deepsport.video.sample import uniform


def write_clip(path: Path, seed: int, n_frames: int, size_wh: tuple[int, int]) -> Path:
    """Moving waves and a moving box; cheap to draw and not too easy to encode."""
    width, height = size_wh
    drawn = np.random.default_rng(seed)
    ground = drawn.integers(0, 256, (height, 2 * width, 3), dtype=np.uint8)
    ground = (ground[:, :, :1] // 8 + np.linspace(0, 200, 2 * width).astype(np.uint8)[None, :, None]).repeat(3, axis=2)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size = 250
        for index in range(n_frames):
            at = index * 2 % width
            pixels = np.ascontiguousarray(ground[:, at : at + width])
            pixels[height // 3 : height // 2, at : at + width // 8] = (index * 7 % 256, 255 - index % 256, 90)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def questions(folder: Path, n: int, n_frames: int, size_wh: tuple[int, int]) -> list[Question]:
    """One for each of n clips."""
    gold = Choice(options=("header", "volley"), answer="volley")
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda number: write_clip(folder / f"{number}.mp4", number, n_frames, size_wh), range(n)))
    return [Question(id=path.stem, video=str(path), text="How was the goal scored?", gold=gold, sport="soccer") for path in paths]


def windows(n_frames: int) -> Sequence[tuple[int, int]]:
    """Four gaps between sparse frames."""
    first = uniform(n_frames, 8)
    return [(first[place], first[place + 1]) for place in (1, 2, 3, 5)]
