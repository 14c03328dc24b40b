"""Batches sampled by vLLM servers while earlier ones are learnt from, never by weights older than the recipe allows.

The batch of step n is begun when that of step n - staleness has come, with the newest weights there are; so it is `staleness`
steps behind when it is learnt from, and never more. After every step the weights go to the servers under a new name, and are
proven to be there: every server is asked a question, and the trainer, reading its tokens, must find them as probable.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deepsport.agent.rollout import Limits
from deepsport.errors import BadConfig, EngineError
from deepsport.loop_thread import LoopThread
from deepsport.policy.local.checkpoint import base_of, save_policy
from deepsport.policy.openai.settings import key_in
from deepsport.policy.vllm.fleet import Fleet, FleetPolicy
from deepsport.policy.vllm.launching import Needs, started
from deepsport.policy.vllm.server import Server, Version
from deepsport.policy.vllm.settings import VLLMConfig
from deepsport.policy.vllm.wire import Pictures
from deepsport.records import Episode, StopReason
from deepsport.run import Run
from deepsport.train.batches import Sample
from deepsport.train.distributed import n_hosts
from deepsport.train.proof import Probe, Proof
from deepsport.train.trainee import Trainee


@dataclass(slots=True, eq=False, kw_only=True)
class BatchesAhead:
    """The pipeline between servers and trainer. Made by `batches_ahead`."""

    trainee: Trainee
    config: VLLMConfig
    sample: Sample
    proof: Proof
    fleet: Fleet
    loop: LoopThread
    folder: Path
    """New weights are written here."""
    origin: Path
    n_steps: int
    attempt: str
    """How the names of weights begin: sets them apart from those of an attempt that died."""
    _version: Version | None = None
    _begun: dict[int, Future[list[list[Episode]]]] = field(default_factory=dict[int, "Future[list[list[Episode]]]"])

    def of(self, step: int) -> list[list[Episode]]:
        """As `Batches.of`. Raises EngineError when no server can be relied on."""
        if self._version is None:
            self.follow(step)
        self._begin(step)
        mine = self._begun.pop(step).result()
        for later in range(step + 1, min(step + 1 + self.config.staleness, self.n_steps)):
            self._begin(later)
        episodes_PG = self.trainee.world.gather(mine)
        _require_some(episodes_PG, step)
        return episodes_PG

    def follow(self, step: int) -> dict[str, float]:
        """Sends the weights to every server and proves that they sample with them. Raises EngineError."""
        world = self.trainee.world
        version = Version(f"{self.attempt}-{step}", self.folder / self.attempt / f"step-{step:06d}", step, self._sends_adapter)
        if world.writes:
            self._write(version.folder)
            self.loop.run(self.fleet.publish(version, keep=self._n_versions))
        world.wait()
        if not world.writes:
            self.loop.run(self.fleet.publish(version, keep=self._n_versions))
        self._version = version
        told = self.loop.run(self.proof.ask(self.fleet, self._policy)) if world.writes else []
        proven = self.proof.check(world.gather([told])[0], step)
        up, again = float(len(self.fleet.up)), float(self.fleet.asked_again)
        return {"push_off": proven.off, "push_moved": proven.moved, "servers": up, "asked_again": again}

    def close(self) -> None:
        """Removes the files of the weights that were sent. The servers must have forgotten them."""
        if self.trainee.world.writes:
            shutil.rmtree(self.folder / self.attempt, ignore_errors=True)

    @property
    def _sends_adapter(self) -> bool:
        return self.trainee.config.lora_rank > 0

    @property
    def _n_versions(self) -> int:
        return self.config.staleness + 1

    def _begin(self, step: int) -> None:
        """Begins a batch with the newest weights."""
        if step not in self._begun:
            self._begun[step] = self.loop.begin(self.sample(self._policy(self.fleet), step))

    def _policy(self, fleet: Fleet) -> FleetPolicy:
        local = self.trainee.policy
        assert self._version is not None
        limits_s = (self.config.timeout_s, self.config.episode_timeout_s)
        return FleetPolicy(local.name, fleet, self._version, local.chat, local.context, *limits_s)

    def _write(self, folder: Path) -> None:
        """Whole or absent, for servers read it at any time. The files of weights that nobody uses any more go.

        Raises EngineError if the disk does not take them."""
        partial = folder.with_name(f".{folder.name}")
        try:
            save_policy(self.trainee.policy, partial, self.origin)
            os.replace(partial, folder)
        except OSError as error:
            what = f"new weights cannot be written to {folder} ({error})"
            raise EngineError(f"{what}. Make room, or name another folder in vllm.weights.") from error
        for old in sorted(folder.parent.glob("step-*"))[: -self._n_versions - 1]:
            shutil.rmtree(old)
        if self._version is not None:  # every server has forgotten those of an attempt that died, since it has taken ours
            for dead in self.folder.glob(f"{self.fleet.owner}*"):
                if dead.name != self.attempt:
                    shutil.rmtree(dead)


def _require_some(episodes_PG: Sequence[Sequence[Episode]], step: int) -> None:
    """Raises EngineError if servers gave no reply to any episode: a run must not spend its steps on nothing."""
    failed = [episode for episodes in episodes_PG for episode in episodes if episode.stop is StopReason.POLICY_ERROR]
    if failed and len(failed) == sum(map(len, episodes_PG)):
        raise EngineError(f"every one of the {len(failed)} episodes of step {step} failed, the first because {failed[0].detail}")


@contextmanager
def batches_ahead(
    trainee: Trainee, config: VLLMConfig, sample: Sample, probe: Probe, run: Run, origin: Path, n_steps: int
) -> Generator[BatchesAhead]:
    """Starts what servers are to be started, and ends them. Raises EngineError if one does not start, BadConfig."""
    world = trainee.world
    if config.start and n_hosts() > 1:
        raise BadConfig("vllm.start: other hosts cannot reach servers that one starts for itself. Name them in `addresses`.")
    api_key = key_in(config.api_key_env, "vllm.api_key_env")
    owner = f"deepsport-{hashlib.sha256(str(run.folder.resolve()).encode()).hexdigest()[:8]}-"
    with LoopThread("rollouts") as loop:
        stack = AsyncExitStack()
        try:
            own: list[str] = []
            if world.writes:
                needs = _needs(trainee, config, probe.limits, origin)
                own = loop.run(stack.enter_async_context(started(config, needs, run.path("servers"), api_key)))
            fleet = _fleet(trainee, [*world.gather([own])[0], *config.addresses], config, api_key, owner)
            batches = BatchesAhead(
                trainee=trainee,
                config=config,
                sample=sample,
                proof=Proof(trainee=trainee, probe=probe, tolerance=config.tolerance),
                fleet=fleet,
                loop=loop,
                folder=Path(config.weights or run.path("weights")).absolute(),
                origin=origin,
                n_steps=n_steps,
                attempt=world.gather([owner + secrets.token_hex(4)])[0],
            )
            stack.callback(batches.close)
            stack.push_async_callback(fleet.close)
            yield batches
        finally:
            try:
                loop.cancel()  # first, or else what is under way would take closing connections for servers that fail
            finally:
                loop.run(stack.aclose())


def _needs(trainee: Trainee, config: VLLMConfig, limits: Limits, origin: Path) -> Needs:
    return Needs(
        model=base_of(origin),
        context=trainee.policy.context,
        images=limits.first_frames + (limits.max_turns - 1) * limits.frames_per_call,
        lora_rank=trainee.config.lora_rank,
        versions=config.staleness + 2,  # while new weights come, the oldest are not gone yet
    )


def _fleet(trainee: Trainee, addresses: Sequence[str], config: VLLMConfig, api_key: str | None, owner: str) -> Fleet:
    policy = trainee.policy
    servers = [Server(address, api_key, config.max_concurrent, config.timeout_s) for address in addresses]
    return Fleet(
        servers=servers,
        pictures=Pictures(policy.preprocessor.resize),
        end=policy.chat.end,
        suppressed=policy.chat.suppressed,
        patience_s=config.patience_s,
        owner=owner,
    )
