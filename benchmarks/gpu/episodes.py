"""Episodes of a known size: sampled replies of known lengths, or replies written by us, a call and an answer each.

Sampled with random weights, no two replies of a group begin alike, so a group shares its opening and nothing else: the dearest
step there is. Written ones share as much as they are told to.
"""

import asyncio
from collections.abc import Callable, Sequence

from clips import windows
from shape import Size

from deepsport.agent.grammar import write_answer, write_call
from deepsport.agent.rollout import Limits, run_episode
from deepsport.policy.base import Message, Reply, Sampling, Session
from deepsport.policy.local.engine import Engine
from deepsport.policy.local.policy import LocalPolicy, Recorded
from deepsport.policy.scripted import Scripted
from deepsport.records import Episode, Question, Reward, TokenRecord
from deepsport.train.watch import Group
from deepsport.video.source import FrameSource

WORDS = ("the", "ball", "is", "played", "to", "far", "side", "and", "score", "changes", "here")


class Forced:
    """A policy whose replies have given lengths, the first taken for a call and the second for an answer, whatever it says."""

    def __init__(self, policy: LocalPolicy, size: Size, reply_tokens: tuple[int, int] | None = None) -> None:
        self.name = policy.name
        self._policy = policy
        self._least, self._most = reply_tokens or size.reply_tokens
        self._windows = windows(size.clip_frames)
        policy.engine = Engine(policy.backbone, policy.features, end=-1)  # no token ends a reply

    def session(self, sampling: Sampling) -> "ForcedSession":
        """The seed says how long its replies are and where it looks; four of a group of eight look where another does."""
        n_tokens = self._least + sampling.seed * 37 % (self._most - self._least + 1)
        asked = Sampling(temperature=sampling.temperature, max_tokens=n_tokens, seed=sampling.seed)
        return ForcedSession(self._policy.session(asked), self._windows[sampling.seed % len(self._windows)])


class ForcedSession:
    """One conversation of it."""

    def __init__(self, session: Session, window: tuple[int, int]) -> None:
        self._session = session
        self._window = window
        self._n_replies = 0

    async def reply(self, messages: Sequence[Message]) -> Reply:
        """A call, then an answer."""
        said = await self._session.reply(messages)
        self._n_replies += 1
        text = write_call("", *self._window) if self._n_replies == 1 else write_answer("", "done")
        return Reply(text=text, prompt_tokens=said.prompt_tokens, reply_tokens=said.reply_tokens)

    def tokens(self) -> TokenRecord | None:
        """The conversation so far."""
        return self._session.tokens()


def scored(episodes: list[Episode]) -> Group:
    """Right and wrong by turns, so that no group is dropped."""
    parts = [Reward(total=n % 2, accuracy=n % 2, tool=0.0, format_penalty=0.0, well_formed=True) for n in range(len(episodes))]
    return Group(episodes, parts)


def written(
    policy: LocalPolicy,
    source: FrameSource,
    asked: Sequence[tuple[Question, int]],
    size: Size,
    first_of: Callable[[int], int] = lambda number: number,
) -> list[TokenRecord]:
    """A record for each question and number, without a GPU. Numbers with the same `first_of` say the same and look at the same in
    their first turn."""

    n_tokens = sum(size.reply_tokens) // 2

    async def one(question: Question, number: int) -> Episode:
        first = first_of(number)
        window = windows(size.clip_frames)[first % 4]
        said = [write_call(_thought(first, n_tokens), *window), write_answer(_thought(number + 1000, n_tokens), "volley")]
        return await run_episode(
            question, Recorded(Scripted(said), policy.chat), source, limits=Limits(style=size.style), sampling=Sampling()
        )

    async def each() -> list[Episode]:
        return await asyncio.gather(*(one(*pair) for pair in asked))

    records = [episode.tokens for episode in asyncio.run(each())]
    assert all(record is not None and sum(record.sampled) > n_tokens for record in records)
    return [record for record in records if record is not None]


def _thought(seed: int, n_tokens: int) -> str:
    """Words, about one token each, that differ from the first on."""
    return " ".join(WORDS[(seed * (place + 7) * 31 + place * place + seed) % len(WORDS)] for place in range(n_tokens))
