"""Several processes that train together: `torchrun --nproc-per-node 8 -m deepsport.cli ...`; without torchrun there is one.

Weights, gradients and optimiser states are sharded by FSDP2; questions and micro-batches are dealt out by rank, and what one rank
makes the others are told. Rank 0 alone writes to the run directory.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch is only partly typed)

import gc
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.rendezvous import rendezvous
from torch.distributed.tensor import DTensor, distribute_tensor

from deepsport.config import Config
from deepsport.run import Run

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class World:
    """The processes that train together, and which of them this is."""

    rank: int = 0
    size: int = 1

    @property
    def writes(self) -> bool:
        """Whether this process writes to the run directory."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> list[T]:
        """This process's share of items that all know."""
        return list(items[self.rank :: self.size])

    def gather(self, mine: Sequence[T]) -> list[T]:
        """The items of all, in the order from which `share` dealt them out."""
        if self.size == 1:
            return list(mine)
        shares: list[list[T]] = [[] for _ in range(self.size)]
        dist.all_gather_object(shares, list(mine))
        longest = max(map(len, shares))
        return [share[place] for place in range(longest) for share in shares if place < len(share)]

    def total(self, values: dict[str, float]) -> dict[str, float]:
        """Sums over all processes."""
        if self.size == 1:
            return values
        summed = torch.tensor([values[name] for name in sorted(values)], dtype=torch.float64)
        if torch.cuda.is_available():
            summed = summed.cuda()
        dist.all_reduce(summed)
        return dict(zip(sorted(values), summed.tolist(), strict=True))

    def wait(self) -> None:
        """Until all have come here."""
        if self.size > 1:
            dist.barrier()

    @contextmanager
    def run(self, folder: Path, config: Config | None, *, fresh: bool = False) -> Generator[Run]:
        """The run directory: held by the process that writes, followed by the others."""
        if self.writes:
            with Run.open(folder, config, fresh=fresh) as run:
                self.wait()
                yield run
        else:
            self.wait()
            yield Run.follow(folder)


ALONE = World()


@contextmanager
def join() -> Generator[World]:
    """The world that torchrun describes in the environment; one process without it."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    store, rank, size = next(rendezvous("env://"))
    # after a restart torchrun may hand out the store of the attempt before, which still holds the addresses of the dead
    store = PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", store=store, rank=rank, world_size=size)
    try:
        yield World(rank, size)
    finally:
        gc.collect()  # a mesh that lives on would keep gloo's thread, and the interpreter must not end before it does
        dist.destroy_process_group()


def shard(root: nn.Module, blocks: Sequence[nn.Module], world: World, *, half: bool) -> None:
    """Shards a module in place, block by block. `half`: compute in bfloat16, keep and reduce in fp32."""
    mesh = init_device_mesh("cuda" if torch.cuda.is_available() else "cpu", (world.size,))
    precision = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32) if half else MixedPrecisionPolicy()
    for block in blocks:
        fully_shard(block, mesh=mesh, mp_policy=precision)
    fully_shard(root, mesh=mesh, mp_policy=precision)
    # it must not happen silently that nothing is sharded
    assert all(isinstance(parameter, DTensor) for parameter in root.parameters())


def whole(tensor: Tensor) -> Tensor:
    """A sharded tensor put together, on every process; any other as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(tensor: Tensor, sharded: Tensor) -> Tensor:
    """A whole tensor, sharded as another one is."""
    if not isinstance(sharded, DTensor) or tensor.ndim == 0:
        return tensor.to(sharded.device)
    return distribute_tensor(tensor.to(sharded.device), sharded.device_mesh, sharded.placements)


def sum_gradients(parameters: Sequence[nn.Parameter], world: World) -> None:
    """Adds up the gradients of parameters that every process holds whole."""
    if world.size == 1:
        return
    for parameter in parameters:
        if not isinstance(parameter, DTensor):
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            dist.all_reduce(parameter.grad)
