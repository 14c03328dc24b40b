"""The path of a clip as an annotation file gives it: never one that leads out of the folder of clips."""

import re
from pathlib import PurePosixPath

from deepsport.data.clips import ENDINGS

_ELSEWHERE = re.compile(r"/|[A-Za-z]:|[A-Za-z+]+:/")
"""Roots, drives and addresses."""


def clip_path(given: str) -> str | None:
    """With forward slashes, and `.mp4` where no ending is given; None for no path, or one that leads elsewhere."""
    path = PurePosixPath(given.strip().replace("\\", "/"))
    if not path.name or _ELSEWHERE.match(str(path)) or ".." in path.parts or "\0" in given:
        return None
    return str(path) if path.suffix.lower() in ENDINGS else f"{path}.mp4"
