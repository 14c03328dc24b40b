"""Proof that servers sample with the weights that the trainer has.

That a server took new weights says nothing. Every server is asked one question, and the trainer, reading the tokens of its reply,
must find them as probable as the server did.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch is only partly typed)

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import torch

from deepsport.agent.rollout import Limits, run_episode
from deepsport.errors import BadVideo, EngineError
from deepsport.policy.base import Sampling
from deepsport.policy.vllm.fleet import Fleet, FleetPolicy
from deepsport.policy.vllm.server import Server
from deepsport.records import Question, TokenRecord
from deepsport.train.trainee import Trainee
from deepsport.video.source import FrameSource

PROBE_TOKENS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What every server is asked after new weights have come."""

    questions: Sequence[Question]
    """The first of them is asked whose video can be read."""
    source: FrameSource
    limits: Limits
    temperature: float

    async def ask(self, policy: FleetPolicy) -> TokenRecord:
        """The tokens of one reply. Raises EngineError if there is none."""
        question = await asyncio.to_thread(self._first_that_opens)
        sampling = Sampling(temperature=self.temperature, max_tokens=PROBE_TOKENS)
        episode = await run_episode(
            question, policy, self.source, limits=self.limits.model_copy(update={"max_turns": 1}), sampling=sampling
        )
        if episode.tokens is None or not any(episode.tokens.sampled):
            raise EngineError(f"{policy.fleet.servers[0].address} gave no reply to question {question.id}: {episode.detail}")
        return episode.tokens

    def _first_that_opens(self) -> Question:
        for question in self.questions:
            with suppress(BadVideo):
                self.source.info(question.video)
                return question
        return self.questions[0]


@dataclass(frozen=True, slots=True)
class Proven:
    """What a proof found, as it is logged."""

    off: float
    """The largest difference of log-probabilities between servers and trainer."""
    moved: float
    """By how much the step moved the trainer's own, of the reply before: a server that kept its old weights is off by that."""


@dataclass(slots=True, eq=False, kw_only=True)
class Proof:
    """Keeps the reply before."""

    trainee: Trainee
    probe: Probe
    tolerance: float
    _shown: TokenRecord | None = field(default=None)

    async def ask(self, fleet: Fleet, policy_of: Callable[[Fleet], FleetPolicy]) -> list[tuple[str, TokenRecord]]:
        """The replies of all servers that answer, with their addresses. Raises EngineError if none does."""
        began_s = fleet.now_s()
        while True:
            await fleet.require_one()
            asked = list(fleet.up)
            told = await asyncio.gather(*(self._ask(server, policy_of(fleet.only(server))) for server in asked))
            found = [(server.address, record) for server, record in zip(asked, told, strict=True) if record]
            if found:
                return found
            if fleet.now_s() - began_s > fleet.patience_s:
                raise fleet.silent()

    async def _ask(self, server: Server, policy: FleetPolicy) -> TokenRecord | None:
        """None if the server went down over it: it is given its weights anew before it is asked again."""
        try:
            return await self.probe.ask(policy)
        except EngineError:
            if not server.down:
                raise
            return None

    def check(self, told: Sequence[tuple[str, TokenRecord]], step: int) -> Proven:
        """Compares the replies with what the trainer finds. Raises EngineError."""
        records = [record for _, record in told]
        before = [self._shown] if self._shown else []
        differences = self._differences([*records, *before])
        for (place, _), off in zip(told, differences, strict=False):
            if not off <= self.tolerance:
                raise EngineError(
                    f"{place} samples with other weights than those of step {step}: log-probabilities are off by {off:.2g}, "
                    f"vllm.tolerance is {self.tolerance:g}. (In bfloat16, 0.3 is usual.)"
                )
        self._shown = records[0]
        return Proven(max(differences[: len(records)]), differences[-1] if before else 0.0)

    def _differences(self, records: Sequence[TokenRecord]) -> list[float]:
        """For each record, the largest difference between its log-probabilities and the trainer's."""
        found = torch.zeros(len(records))
        with torch.no_grad():
            for portion in self.trainee.portions(records):
                off_S = (self.trainee.logprobs(portion, self.probe.temperature) - portion.part.old_logprobs_S).abs()
                for place, record in enumerate(portion.members.tolist()):
                    found[record] = off_S[portion.part.record_S == place].max()
        return torch.tensor(self.trainee.world.gather([found.tolist()])).amax(0).tolist()  # of NaN and a number: NaN
