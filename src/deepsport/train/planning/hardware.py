"""Accelerators by name, as their vendors describe them (`accelerators.toml`, each with its source), and this machine as it is."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch is only partly typed)

import os
import platform
import tomllib
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from deepsport.errors import BadConfig
from deepsport.records import Record

TABLE = Path(__file__).with_name("accelerators.toml")
THIS = "this"
"""The machine one sits at."""


class Accelerator(Record):
    """One accelerator. Peaks: no program reaches them."""

    title: str
    flops: float
    """Dense bfloat16 operations per second; 0: not known."""
    memory_bytes: float
    bandwidth: float
    """Of its memory, bytes per second; 0: not known."""
    host: float
    """To the host's memory, bytes per second in one direction."""
    peer: float
    """To another accelerator of the host, likewise."""
    is_gpu: bool = True
    source: str


@cache
def accelerators() -> dict[str, Accelerator]:
    """All that are known by name."""
    listed = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return {name: Accelerator.model_validate(row) for name, row in listed.items()}


def accelerator(name: str) -> Accelerator:
    """One of them, or this machine's. Raises BadConfig for a name that nobody knows."""
    if name == THIS:
        return this_machine()
    if found := accelerators().get(name.lower()):
        return found
    near = get_close_matches(name.lower(), accelerators(), n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise BadConfig(
        f"no accelerator is called {name!r}.{hint} Known: {', '.join(accelerators())}, and `{THIS}` for this machine."
    )


def this_machine() -> Accelerator:
    """The first GPU of this machine, or its processor. Its peaks are not known: rates have to be measured."""
    import torch

    memory = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    title, is_gpu = f"this machine ({platform.machine()}, {torch.get_num_threads()} threads)", torch.cuda.is_available()
    if is_gpu:
        found = torch.cuda.get_device_properties(0)
        title, memory = f"this machine's {found.name}", float(found.total_memory)
    said = "what the operating system says"
    return Accelerator(title=title, flops=0, memory_bytes=memory, bandwidth=0, host=0, peer=0, is_gpu=is_gpu, source=said)
