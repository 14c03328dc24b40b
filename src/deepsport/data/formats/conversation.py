"""An episode as its policy saw it: every message of the environment, and every reply.

It is played again through the agent loop by a policy that says its turns, so that an export has the prompts of training to the
letter, and an episode that no longer plays back as recorded is refused. Nothing is decoded: prompts hold references to frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepsport.agent.rollout import Limits, run_episode
from deepsport.errors import BadRecord, BadVideo, PolicyError
from deepsport.policy.base import Message, Pixels, Sampling
from deepsport.policy.scripted import Scripted
from deepsport.records import Episode, Frame, Question, StopReason, Turn
from deepsport.video.source import FrameSource, Shown

UNSEEN: Pixels = np.empty((0, 0, 3), np.uint8)
"""Stands where pixels would: exports hold references."""

ITS_OWN_END = frozenset({StopReason.ANSWERED, StopReason.FORMAT_ERROR, StopReason.MAX_TURNS})
"""Episodes that the policy's own words ended. The others were cut short by something that is not in the conversation."""


class Unseen(FrameSource):
    """Facts and times of videos as ever, and no pixels."""

    def look(self, path: str, indices: Sequence[int]) -> list[Shown]:
        """An empty picture for each index. Raises BadVideo."""
        return [Shown(index, time_s, UNSEEN) for index, time_s in zip(indices, self.times(path, indices), strict=True)]


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the policy was told, all that was new to it, and what it said."""

    told: tuple[Message, ...]
    turn: Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A whole episode as it was talked through."""

    episode: Episode
    exchanges: tuple[Exchange, ...]
    n_frames: int
    """Of the video."""


async def converse(episode: Episode, source: FrameSource, limits: Limits, *, video: str | None = None) -> Conversation:
    """The conversation of an episode, whose video may lie elsewhere by now (`video`).

    Raises BadRecord if it does not play back as recorded."""
    place = video or episode.question.video
    asked = episode.question.model_copy(update={"video": place})
    told, played = await replay(asked, [turn.text for turn in episode.turns], source, limits, like=episode)
    if (played.stop, _seen(played.frames_seen)) != (episode.stop, _seen(episode.frames_seen)):
        raise BadRecord(
            f"episode {episode.id} plays back differently ({played.stop}, {len(played.frames_seen)} frames) than recorded "
            f"({episode.stop}, {len(episode.frames_seen)} frames) {played.detail}: was {place} replaced?"
        )
    played = played.model_copy(update={"video_sha256": episode.video_sha256})
    exchanges = tuple(Exchange(*pair) for pair in zip(told, played.turns, strict=True))
    return Conversation(episode=played, exchanges=exchanges, n_frames=source.info(place).n_frames)


async def opening_of(question: Question, source: FrameSource, limits: Limits, *, with_tool: bool = True) -> list[Message]:
    """What a policy is told first. Raises BadRecord if its video brings no frames, with what is wrong as its cause."""
    told, played = await _record(question, [], source, limits, with_tool=with_tool, seed=0, name="", episode_id=question.id)
    if not told:
        raise BadRecord("does not open") from BadVideo(played.detail)
    return list(told[0])


async def replay(
    question: Question, texts: Sequence[str], source: FrameSource, limits: Limits, *, like: Episode
) -> tuple[list[tuple[Message, ...]], Episode]:
    """Plays the texts as the replies to a question; returns what was told before each, and the episode."""
    return await _record(
        question, texts, source, limits, with_tool=like.with_tool, seed=like.seed, name=like.policy, episode_id=like.id
    )


async def _record(
    question: Question,
    texts: Sequence[str],
    source: FrameSource,
    limits: Limits,
    *,
    with_tool: bool,
    seed: int,
    name: str,
    episode_id: str,
) -> tuple[list[tuple[Message, ...]], Episode]:
    told: list[tuple[Message, ...]] = []

    def say(seen: list[Message]) -> str:
        told.append(tuple(seen[sum(map(len, told)) :]))
        if len(told) > len(texts):
            raise PolicyError(f"the record ends after {len(texts)} replies, and one more was asked for.")
        return texts[len(told) - 1]

    played = await run_episode(
        question,
        Scripted(say, name=name),
        source,
        limits=limits,
        sampling=Sampling(seed=seed),
        with_tool=with_tool,
        episode_id=episode_id,
    )
    return told, played


def _seen(frames: Sequence[Frame]) -> list[tuple[int, float]]:
    return [(frame.index, frame.time_s) for frame in frames]
