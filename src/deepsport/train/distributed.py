"""Several processes that train together: `torchrun --nproc-per-node 8 -m deepsport.cli ...`; without torchrun there is one.

Weights, gradients and optimiser states are sharded by FSDP2; questions and micro-batches are dealt out by rank, and what one rank
makes the others are told. Rank 0 alone writes to the run directory, but for the checkpoints of sharded weights. The processes may
be on several hosts (docs/cluster.md): every attempt of torchrun then meets at a store of its own, whichever host was lost.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch is only partly typed)

import gc
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.rendezvous import rendezvous
from torch.distributed.tensor import DTensor

from deepsport.config import Config
from deepsport.errors import BadConfig
from deepsport.lock import LEASE_S
from deepsport.run import Run

T = TypeVar("T")

SILENCE = timedelta(minutes=30)
"""Longest wait of a process for the others, of which one may wait for servers to start or for the last episode of a batch."""


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
        return in_turn(shares)

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
        """The run directory: held by the process that writes, followed by the others. Raises BadConfig where `fresh` would delete
        at every restart what was made before it."""
        if fresh and self.size > 1 and (_restarts() or n_hosts() > 1):
            raise BadConfig("--fresh would delete the run at every restart by torchrun. Delete it yourself.")
        if self.writes:
            with Run.open(folder, config, fresh=fresh, patience_s=LEASE_S if self.size > 1 else 0.0) as run:
                self.wait()
                yield run
        else:
            self.wait()
            yield Run.follow(folder)


ALONE = World()


def in_turn(shares: Sequence[Sequence[T]]) -> list[T]:
    """One item of each share after the other, which undoes `World.share`. Pure."""
    longest = max(map(len, shares))
    return [share[place] for place in range(longest) for share in shares if place < len(share)]


@contextmanager
def join() -> Generator[World]:
    """The world that torchrun describes in the environment; one process without it. Raises BadConfig."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    shares_store = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    if shares_store and _restarts() and n_hosts() > 1:
        raise BadConfig(
            "torchrun cannot start the processes of several hosts again with the store that it shares with them. Set "
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 on every host (and use --rdzv-backend c10d), or --max-restarts 0."
        )
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    store, rank, size = next(rendezvous("env://"))
    if shares_store:  # it outlives an attempt, and still holds the addresses of the dead
        store = PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=SILENCE)
    try:
        yield World(rank, size)
    finally:
        gc.collect()  # a mesh that lives on would keep gloo's thread, and the interpreter must not end before it does
        dist.destroy_process_group()


def _restarts() -> int:
    """How often torchrun may start the processes again."""
    return int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0"))


def n_hosts() -> int:
    """On which torchrun runs."""
    return int(os.environ.get("GROUP_WORLD_SIZE", "1"))


def shard(root: nn.Module, blocks: Sequence[nn.Module], world: World, *, half: bool) -> None:
    """Shards a module in place, block by block, in fp32 from then on. `half`: compute in bfloat16, keep and reduce in fp32."""
    mesh = init_device_mesh("cuda" if torch.cuda.is_available() else "cpu", (world.size,))
    precision = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32) if half else MixedPrecisionPolicy()
    for module in (*blocks, root):
        fully_shard(module, mesh=mesh, mp_policy=precision)
        module.to(torch.float32)  # of the block, each process's shard
    # it must not happen silently that nothing is sharded
    assert all(isinstance(parameter, DTensor) for parameter in root.parameters())


def whole(tensor: Tensor) -> Tensor:
    """A sharded tensor put together, on every process; any other as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def sum_gradients(parameters: Sequence[nn.Parameter], world: World) -> None:
    """Adds up the gradients of parameters that every process holds whole."""
    if world.size == 1:
        return
    for parameter in parameters:
        if not isinstance(parameter, DTensor):
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            dist.all_reduce(parameter.grad)
