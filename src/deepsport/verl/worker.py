"""What the episodes of one worker process share: open videos, and the checkpoint's tokens.

verl makes an agent loop anew for every episode, in a few processes of its own (Ray actors, never forked), where episodes run as
coroutines of one event loop and frames are decoded by its threads. verl forks elsewhere, to filter prompts: what is kept here
belongs to a process, and is made anew in another. Videos are closed when the process ends.
"""
# pyright: reportUnknownMemberType=false
# (transformers is only partly typed)

import atexit
import os
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from deepsport.errors import BadConfig
from deepsport.policy.local.chat import Chat
from deepsport.policy.local.preprocess import Preprocessor
from deepsport.video.source import FrameSource


class Saved(Protocol):
    """A tokenizer or an image processor of transformers."""

    def save_pretrained(self, save_directory: str) -> object:
        """Writes its files into a folder."""
        ...


class Processor(Protocol):
    """A processor of transformers."""

    image_processor: Saved


def frame_source(*, trusted: bool = True) -> FrameSource:
    """The open videos of this process."""
    return _frame_source(os.getpid(), trusted)


@lru_cache(maxsize=4)
def _frame_source(pid: int, trusted: bool) -> FrameSource:
    source = FrameSource(trusted=trusted)
    atexit.register(source.close)
    return source


@lru_cache(maxsize=4)
def chat_of(tokenizer: Saved, processor: Processor, max_pixels: int | None) -> tuple[Chat, Preprocessor]:
    """Our side of the checkpoint that verl has loaded, read from the files that it would be saved as. Raises BadConfig."""
    if processor is None:  # pyright: ignore[reportUnnecessaryComparison]  verl has none for a model without a vision tower
        raise BadConfig("this model has no image processor. Set actor_rollout_ref.model.path to a Qwen-VL checkpoint.")
    with TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        processor.image_processor.save_pretrained(folder)
        preprocessor = Preprocessor.load(Path(folder), max_pixels=max_pixels)
        return Chat(Path(folder), preprocessor), preprocessor
