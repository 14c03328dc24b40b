"""Starts vLLM servers on this machine, and ends them with the run.

They listen on this machine alone, write to a log of their own, and are told to end when the process that started them does, even
if it is killed. One that dies is started again, at the same address, with the same log: whoever asks it finds it empty.
"""

import asyncio
import ctypes
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from deepsport.errors import EngineError
from deepsport.policy.vllm.server import BASE, Server
from deepsport.policy.vllm.settings import VLLMConfig

_LOG = logging.getLogger(__name__)
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What `--max-lora-rank` may be."""
END_S = 30.0
"""Servers that have not ended by then are killed."""
MOST_RESTARTS = 3
"""Of one server: what goes on dying needs somebody to look at it."""
LOOK_S = 1.0
"""Between two looks whether all still run."""
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a run wants of its servers."""

    model: Path
    """The checkpoint that training began with."""
    context: int
    images: int
    """Most images of one conversation."""
    lora_rank: int
    """0: whole weights are sent."""
    versions: int
    """Weights in use at once."""


def arguments(needs: Needs) -> list[str]:
    """What a server must be started with, apart from its port."""
    lora = next((rank for rank in LORA_RANKS if rank >= needs.lora_rank), needs.lora_rank)
    versions = str(needs.versions)
    adapters = ["--enable-lora", "--max-lora-rank", str(lora), "--max-loras", versions, "--max-cpu-loras", versions]
    return [
        *("--model", str(needs.model), "--served-model-name", BASE, "--max-model-len", str(needs.context)),
        *("--limit-mm-per-prompt", f'{{"image": {needs.images}}}', "--generation-config", "vllm"),
        *("--enable-scale-out", "--logprobs-mode", "processed_logprobs"),
        *(adapters if needs.lora_rank else []),
    ]


def environment(needs: Needs, gpus: str) -> dict[str, str]:
    """What a server's environment must hold."""
    weights = "VLLM_ALLOW_RUNTIME_LORA_UPDATING" if needs.lora_rank else "VLLM_SERVER_DEV_MODE"
    quiet = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    return {weights: "1", "CUDA_VISIBLE_DEVICES": gpus} | quiet


@dataclass(slots=True, kw_only=True)
class _Launched:
    """A server that was started here."""

    command: Sequence[str]
    variables: Mapping[str, str] = field(repr=False)
    log: Path
    address: str
    process: "subprocess.Popen[bytes]"
    n_restarts: int = 0


@asynccontextmanager
async def started(config: VLLMConfig, needs: Needs, logs: Path, api_key: str | None) -> AsyncGenerator[list[str]]:
    """The addresses of the servers of `config.start`, ready, for as long as the context lasts.

    Raises EngineError if one does not start."""
    launched: list[_Launched] = []
    logs.mkdir(parents=True, exist_ok=True)
    keeping: asyncio.Task[None] | None = None
    try:
        for number, gpus in enumerate(config.start):
            launched.append(_launch(config, needs, gpus, logs / f"{number}.log", api_key))
        deadline_s = time.monotonic() + config.start_timeout_s
        for each in launched:
            await _ready(each, deadline_s)
        keeping = asyncio.create_task(_keep_running(launched))
        yield [each.address for each in launched]
    finally:
        if keeping:
            keeping.cancel()
        await asyncio.to_thread(_end, [each.process for each in launched])


def _launch(config: VLLMConfig, needs: Needs, gpus: str, log: Path, api_key: str | None) -> _Launched:
    port = _free_port()
    variables = os.environ | environment(needs, gpus) | config.environment | ({"VLLM_API_KEY": api_key} if api_key else {})
    own = ["--tensor-parallel-size", str(gpus.count(",") + 1), "--seed", str(secrets.randbelow(2**31))]
    command = [config.python, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port)]
    command += [*arguments(needs), *own, *config.arguments]
    process = _start(command, variables, log)
    return _Launched(command=command, variables=variables, log=log, address=f"http://127.0.0.1:{port}", process=process)


def _start(command: Sequence[str], variables: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
    try:
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                env=dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # an interrupt at the keyboard is for the trainer, which then ends its servers
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )
    except OSError as error:
        raise EngineError(f"{command[0]} cannot be started ({error}). `vllm.python` names the Python that has vLLM.") from error


def _end_with_parent() -> None:
    """The parent is the thread that starts it: it must be one that lives as long as the servers are wanted."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


async def _ready(launched: _Launched, deadline_s: float) -> None:
    """Waits until a server answers. Raises EngineError with the end of its log if it does not."""
    server = Server(launched.address, None, 1, LOOK_S)  # its health is told to everybody
    log = launched.log
    try:
        while await server.ready():
            code = launched.process.poll()
            if code is not None:
                raise EngineError(f"a server ended as it started (exit code {code}). Its log is {log}:\n{_tail(log)}")
            if time.monotonic() > deadline_s:
                raise EngineError(f"a server did not start within start_timeout_s. Its log is {log}:\n{_tail(log)}")
            await asyncio.sleep(0.5)
    finally:
        await server.close()


async def _keep_running(launched: Sequence[_Launched]) -> None:
    """Starts again what has died; does not end by itself."""
    while True:
        await asyncio.sleep(LOOK_S)
        for each in launched:
            code = each.process.poll()
            if code is None or each.n_restarts >= MOST_RESTARTS:
                continue
            each.n_restarts += 1
            _LOG.warning("%s ended (exit code %d) and is started again, for the %d. time.", each.address, code, each.n_restarts)
            _kill(each.process)  # its workers may live on, and hold the memory
            try:
                each.process = _start(each.command, each.variables, each.log)
            except EngineError as error:
                _LOG.warning("%s", error)


def _end(processes: "Sequence[subprocess.Popen[bytes]]") -> None:
    for process in processes:
        process.terminate()
    deadline_s = time.monotonic() + END_S
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline_s - time.monotonic()))
        _kill(process)
        process.wait()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """A server and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tail(log: Path, n_bytes: int = 2000) -> str:
    return log.read_bytes()[-n_bytes:].decode("utf-8", "replace")
