"""A task for workers of Ray, which import it: little besides."""

import os
import signal
from pathlib import Path

from deepsport.errors import BadVideo
from deepsport.executor.shards import Portion


def shouts(mark: Path, portion: Portion) -> list[str]:
    """Upper case; some items do worse. `mark` remembers who died."""
    for item in portion.items:
        if item == "dies" or (item == "dies once" and not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if item == "is bad":
            raise BadVideo("dive.mp4 has no video stream.")
        if item == "is a bug":
            raise ZeroDivisionError(item)
    return [item.upper() for item in portion.items]
