"""The first part of the curriculum: say what frames show.

Without it, whole episodes alone do not get off the ground: a policy that cannot read a frame, or find the frame that a number
names, has nothing to reason from. Each sample is an ordinary Episode of one turn, so the same loop trains on it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from deepsport.agent.prompt import labelled
from deepsport.policy.base import Image, Message, Pixels
from deepsport.policy.local.chat import Chat, TokenLog
from deepsport.records import Episode, Frame, Question, StopReason, Turn
from deepsport.video.source import FrameSource

ASK = "Describe the frames."


@dataclass(frozen=True, slots=True)
class Look:
    """Some frames of a video in order (none where all is said in words), what is asked about them, and the right reply."""

    video: str
    indices: tuple[int, ...]
    ask: str
    reply: str
    thought_given: bool = False
    """Only what follows the thought is to be learnt."""


def describe_frames(video: str, captions: Mapping[int, str]) -> Look:
    """Every frame is to be named, one after the other."""
    reply = " ".join(f"frame {index}: {words}." for index, words in captions.items())
    return Look(video, tuple(captions), ASK, reply)


def look_episodes(looks: Iterable[Look], source: FrameSource, chat: Chat) -> list[Episode]:
    """One-turn episodes in which the teacher replies. Tokens need no more of a frame than its size: one is decoded."""
    blanks: dict[str, Pixels] = {}
    episodes: list[Episode] = []
    for look in looks:
        if look.indices and look.video not in blanks:
            blanks[look.video] = np.broadcast_to(np.uint8(0), source.frames(look.video, [0])[0].shape)
        episodes.append(_episode(look, source, chat, blanks.get(look.video)))
    return episodes


def _episode(look: Look, source: FrameSource, chat: Chat, blank: Pixels | None) -> Episode:
    times_s = source.times(look.video, look.indices) if look.indices else ()
    frames = [Frame(video=look.video, index=index, time_s=time_s) for index, time_s in zip(look.indices, times_s, strict=True)]
    log = TokenLog()
    chat.add_messages(log, [Message("user", (*labelled(Image(frame, blank) for frame in frames if blank is not None), look.ask))])
    thought, answer = _parted(look)
    log.add(chat.encode(thought))
    ids = chat.encode_reply(answer)
    log.add(ids, [0.0] * len(ids))
    name = f"{look.video}#{'-'.join(map(str, look.indices)) or look.ask}"
    return Episode(
        id=name,
        question=Question(id=name, video=look.video, text=look.ask),
        policy="captions",
        with_tool=False,
        first_frames=tuple(frames),
        turns=(Turn(text=look.reply, answer=look.reply),),
        answer=look.reply,
        stop=StopReason.ANSWERED,
        tokens=log.record(),
    )


def _parted(look: Look) -> tuple[str, str]:
    """What is given of the reply, and what is to be learnt."""
    thought, end, answer = look.reply.partition("</think>")
    return (thought + end, answer) if look.thought_given else ("", look.reply)
