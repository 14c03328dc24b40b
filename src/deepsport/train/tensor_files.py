"""Named tensors in safetensors files, written by all processes at once and read by any number of them.

One process writes `STEM.safetensors`. Of several each writes `STEM-00001-of-00002.safetensors` and so on, and the first says in
`STEM.safetensors.index.json` what is where, as Hugging Face cuts large models. A tensor lies whole in one file, so that a process
can read whichever rows are its own. Sharded tensors are put together one at a time: nobody ever holds all of them.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch and safetensors are only partly typed)

import json
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.tensor import DTensor, Shard

from deepsport.train.distributed import World, whole


def deal(sizes: Mapping[str, int], n: int) -> dict[str, int]:
    """Which of `n` processes writes each tensor, so that all write about equally much: the largest first, to who has least."""
    loads = [0] * n
    owners: dict[str, int] = {}
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        owners[name] = loads.index(min(loads))
        loads[owners[name]] += sizes[name]
    return owners


def write_tensors(folder: Path, stem: str, tensors: Mapping[str, Tensor], world: World) -> list[Path]:
    """Writes this process's share, which all processes must come to do; returns the files that it wrote."""
    owners = deal({name: tensor.numel() for name, tensor in tensors.items()}, world.size)
    mine: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        together = whole(tensor.detach())
        if owners[name] == world.rank:
            mine[name] = together.cpu().contiguous()
    written = [folder / _name(stem, world.rank, world.size)] if mine or world.size == 1 else []
    for path in written:
        save_file(mine, path, metadata={"format": "pt"})
    if world.writes and world.size > 1:
        written.append(folder / _index(stem))
        places = {name: _name(stem, owner, world.size) for name, owner in owners.items()}
        n_bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        index = {"metadata": {"total_size": n_bytes}, "weight_map": dict(sorted(places.items()))}
        written[-1].write_text(json.dumps(index, indent=1), encoding="utf-8")
    return written


class TensorFiles:
    """What `write_tensors` wrote, open for reading. Use `opened`."""

    def __init__(self, places: Mapping[str, Any]) -> None:
        self._places = places

    @property
    def names(self) -> list[str]:
        """Of all tensors."""
        return list(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor; empty for a single number."""
        return tuple(self._places[name].get_slice(name).get_shape())

    def fill(self, name: str, target: Tensor) -> None:
        """Copies a tensor into another one; into a sharded one only the rows that this process holds.

        Raises KeyError if there is no such tensor, ValueError if its shape is another."""
        if self.shape(name) != target.shape:
            raise ValueError(f"{name} has the shape {self.shape(name)}, not {tuple(target.shape)}")
        with torch.no_grad():
            if not isinstance(target, DTensor):
                target.copy_(self._places[name].get_tensor(name))
            elif len(mine := target.to_local()):
                first = _first_row(target)
                mine.copy_(self._places[name].get_slice(name)[first : first + len(mine)])


@contextmanager
def opened(folder: Path, stem: str) -> Generator[TensorFiles]:
    """The tensors of a stem; nothing is read yet. Raises OSError, ValueError or SafetensorError for files that are not whole."""
    index = folder / _index(stem)
    with ExitStack() as stack:
        if index.is_file():
            where: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
            files = {file: stack.enter_context(safe_open(folder / file, "pt")) for file in set(where.values())}
            yield TensorFiles({name: files[file] for name, file in where.items()})
        else:
            file = stack.enter_context(safe_open(folder / f"{stem}.safetensors", "pt"))
            yield TensorFiles(dict.fromkeys(file.keys(), file))


def _first_row(tensor: DTensor) -> int:
    """The first row that this process holds: all hold equally many, the last ones fewer or none."""
    assert tensor.placements == (Shard(0),), "only rows are sharded here"
    mesh = tensor.device_mesh
    return mesh.get_local_rank() * -(-tensor.shape[0] // mesh.size())


def _name(stem: str, rank: int, size: int) -> str:
    return f"{stem}.safetensors" if size == 1 else f"{stem}-{rank + 1:05d}-of-{size:05d}.safetensors"


def _index(stem: str) -> str:
    return f"{stem}.safetensors.index.json"
