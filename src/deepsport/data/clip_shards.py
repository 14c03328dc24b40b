"""Clips over a cluster: hours of video, a few clips to a shard, read by many hosts at once."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence

from deepsport.bench.workers import work_through
from deepsport.executor.cluster import AHEAD, Cluster
from deepsport.executor.shards import Shard, Task, cut
from deepsport.policy.openai.allowance import Allowance

SHARD = 8
"""Clips: so many are read again when a worker is lost."""


def read_clips(
    cluster: Cluster,
    task: Task,
    files: Mapping[str, str],
    take: Callable[[Sequence[str], Sequence[str]], None],
    is_known: Callable[[str], bool] = lambda _: False,
) -> None:
    """Clips by name, each with its file; `take` is given the names of a shard and what the task made of them.

    Raises ExecutorError, and what the task raises."""

    async def read(piece: tuple[int, Sequence[str]]) -> None:
        index, some = piece
        todo = tuple(name for name in some if not is_known(name))
        if todo:
            there = tuple(files[name] for name in todo)
            take(todo, await cluster.run(task, Shard(index=index, items=tuple(map(json.dumps, todo)), names=todo, files=there)))

    asyncio.run(work_through(cut(list(files), SHARD), read, n_workers=AHEAD, allowance=Allowance()))
