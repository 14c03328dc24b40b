"""A model behind an endpoint as a judge.

The endpoint keeps the limits: requests in flight, retries, time, cost. Each case costs at most two requests, the second if the
first reply was no verdict. The same case, asked at once or later, is one request: callers wait for the one that asks, and whoever
is cancelled stops waiting; the request itself stops when nobody waits any more. A judge that could not be reached is not
remembered, so a later call asks again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from deepsport.errors import PolicyError
from deepsport.policy.base import Sampling
from deepsport.policy.openai.reading import Said
from deepsport.policy.openai.wire import Json
from deepsport.reward.judge import Case, Unscored, Verdict, scored, unscored
from deepsport.reward.judged_text import neutralise
from deepsport.reward.rubric import RUBRICS, Rubrics, messages
from deepsport.reward.unread import verdict_unread
from deepsport.reward.verdict import MAX_REASON_CHARS, Graded, Unreadable, read_verdict

ATTEMPTS = 2
MAX_REMEMBERED = 100_000
"""Verdicts kept, the oldest given up first."""


class ChatEndpoint(Protocol):
    """What a model judge asks; OpenAIPolicy is one."""

    @property
    def name(self) -> str:
        """The model's name."""
        ...

    async def complete(self, messages: Sequence[Json], sampling: Sampling) -> Said:
        """One completion. Raises PolicyError when none can be had."""
        ...


@dataclass(slots=True)
class _Asking:
    """A request under way, and how many wait for it."""

    task: asyncio.Task[Verdict]
    loop: asyncio.AbstractEventLoop
    n_waiting: int = 0


@dataclass(slots=True)
class ModelJudge:
    """A judge that asks a model."""

    endpoint: ChatEndpoint
    rubrics: Rubrics = RUBRICS
    max_tokens: int = 2048
    """Of one reply, thoughts included."""
    _known: dict[str, Verdict] = field(default_factory=dict[str, Verdict], init=False, repr=False)
    _asking: dict[str, _Asking] = field(default_factory=dict[str, _Asking], init=False, repr=False)

    @property
    def name(self) -> str:
        """Model and version of the prompt."""
        return f"{self.endpoint.name}/{self.rubrics.version}"

    async def judge(self, case: Case) -> Verdict:
        """Judges one case; see `Judge`. Answers that say nothing get 0 unread."""
        settled = verdict_unread(case, self.name)
        if settled is not None:
            return settled
        key = f"{self.name}/{case.content_key}"
        if key not in self._known:
            verdict = await self._joined(key, case)
            if verdict.why is Unscored.UNJUDGED:
                return verdict
            self._remember(key, verdict)
        return self._known[key]

    def _remember(self, key: str, verdict: Verdict) -> None:
        while len(self._known) >= MAX_REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[key] = verdict

    async def _joined(self, key: str, case: Case) -> Verdict:
        """Waits for the request about a case, begun by whoever comes first."""
        loop, asking = asyncio.get_running_loop(), self._asking.get(key)
        if asking is None or asking.loop is not loop:
            asking = self._asking[key] = _Asking(loop.create_task(self.ask(case)), loop)
        asking.n_waiting += 1
        try:
            return await asyncio.shield(asking.task)
        finally:
            asking.n_waiting -= 1
            if not asking.n_waiting and self._asking.get(key) is asking:
                del self._asking[key]
                asking.task.cancel()

    async def ask(self, case: Case) -> Verdict:
        """The model's own verdict, whatever the answer is: without what is settled unread, and without memory."""
        last: Unreadable | None = None
        for attempt in range(ATTEMPTS):
            try:
                sampling = Sampling(temperature=0.0, max_tokens=self.max_tokens, seed=attempt)
                said = await self.endpoint.complete(messages(case, self.rubrics, last), sampling)
            except PolicyError as error:
                return unscored(Unscored.UNJUDGED, f"unjudged: {neutralise(str(error), MAX_REASON_CHARS)}", self.name)
            match _read(said):
                case Graded(points, reason):
                    return _verdict(points, reason, self.name)
                case Unreadable() as last:
                    continue
        return unscored(Unscored.UNREADABLE, f"no verdict in {ATTEMPTS} replies: {last.wrong if last else ''}", self.name)


def _read(said: Said) -> Graded | Unreadable:
    return Unreadable("it ran into its token limit") if said.cut_off else read_verdict(said.text)


def _verdict(points: int | None, reason: str, judge: str) -> Verdict:
    return unscored(Unscored.ABSTAINED, reason, judge) if points is None else scored(points, reason, judge)
