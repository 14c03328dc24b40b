"""The first part of the curriculum: name what frames show, one after the other.

Without it, whole episodes alone do not get off the ground: a policy that cannot read a frame, or find the frame that a number
names, has nothing to reason from. Frames come as they do in an episode, spread over the clip or over a window around its event.
Each sample is an ordinary Episode of one turn, so the same loop trains on it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from deepsport.agent.prompt import labelled
from deepsport.policy.base import Image, Message
from deepsport.policy.local.chat import Chat, TokenLog
from deepsport.records import Episode, Frame, Question, StopReason, Turn
from deepsport.video.source import FrameSource

ASK = "Describe the frames."


@dataclass(frozen=True, slots=True)
class Glimpse:
    """Some frames of a video in order, and what each of them shows."""

    video: str
    captions: tuple[tuple[int, str], ...]
    """Frame index and words."""


def glimpse_episodes(glimpses: Iterable[Glimpse], source: FrameSource, chat: Chat) -> list[Episode]:
    """One-turn episodes in which the teacher names the frames."""
    return [_episode(glimpse, source, chat) for glimpse in glimpses]


def _episode(glimpse: Glimpse, source: FrameSource, chat: Chat) -> Episode:
    indices = [index for index, _ in glimpse.captions]
    times_s, pixels = source.times(glimpse.video, indices), source.frames(glimpse.video, indices)
    frames = [Frame(video=glimpse.video, index=index, time_s=time_s) for index, time_s in zip(indices, times_s, strict=True)]
    text = " ".join(f"frame {index}: {words}." for index, words in glimpse.captions)
    log = TokenLog()
    chat.add_messages(log, [Message("user", (*labelled(map(Image, frames, pixels)), ASK))])
    ids = chat.encode_reply(text)
    log.add(ids, [0.0] * len(ids))
    name = f"{glimpse.video}#{'-'.join(map(str, indices))}"
    return Episode(
        id=name,
        question=Question(id=name, video=glimpse.video, text=ASK),
        policy="captions",
        with_tool=False,
        first_frames=tuple(frames),
        turns=(Turn(text=text, answer=text),),
        answer=text,
        stop=StopReason.ANSWERED,
        tokens=log.record(),
    )
