"""The option that says where batch work runs; the same for every command that has it."""

from typing import Annotated

import typer

from deepsport.executor.shards import Executor

ExecutorOption = Annotated[
    Executor, typer.Option(help="Where the work is done: here, or as shards on Ray, at RAY_ADDRESS if that is set.")
]
