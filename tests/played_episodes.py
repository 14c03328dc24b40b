"""Episodes played through the real loop, by a policy that says what it is told to say, on a video file of the test's making."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deepsport.agent.rollout import Limits, run_episode
from deepsport.policy.base import Image, Message, Policy, Sampling
from deepsport.policy.scripted import Scripted
from deepsport.records import Episode, Question, Turn
from deepsport.video.source import FrameSource

N_FRAMES = 100
"""Of that file, at 25 fps: the sparse frames are 0, 14, ..., 99."""
USUAL = Limits()


@dataclass(frozen=True, slots=True)
class Played:
    """An episode and what its policy was told."""

    episode: Episode
    told: list[Message]

    @property
    def last_told(self) -> str:
        """The text of the last message."""
        return said(self.told[-1])

    @property
    def indices(self) -> list[list[int]]:
        """Frames that each turn brought."""
        return [[frame.index for frame in turn.frames] for turn in self.episode.turns]


@dataclass(frozen=True, slots=True)
class Stage:
    """Where episodes are played: a video and its source."""

    video: str
    source: FrameSource

    def play(self, *replies: str, text: str = "Who scored?", limits: Limits = USUAL, with_tool: bool = True) -> Played:
        """An episode of these replies, in order."""
        told: list[Message] = []
        lines = Scripted(list(replies))

        def listen(seen: list[Message]) -> str:
            told[:] = seen
            n_spoken = sum(message.role == "user" for message in seen) - 1
            return lines.replies[n_spoken]

        return Played(self.run(Scripted(listen), text=text, limits=limits, with_tool=with_tool), told)

    def run(
        self,
        policy: Policy,
        *,
        text: str = "Who scored?",
        limits: Limits = USUAL,
        with_tool: bool = True,
        on_turn: Callable[[Turn], None] | None = None,
    ) -> Episode:
        """An episode of any policy."""
        question = Question(id="q", video=self.video, text=text)
        acting = run_episode(
            question, policy, self.source, limits=limits, sampling=Sampling(), with_tool=with_tool, on_turn=on_turn
        )
        return asyncio.run(acting)


def said(message: Message) -> str:
    """The texts of a message, images left out."""
    return "".join(part for part in message.parts if isinstance(part, str))


def shown(messages: Sequence[Message]) -> list[int]:
    """Indices of all frames in messages."""
    return [part.frame.index for message in messages for part in message.parts if isinstance(part, Image)]
