"""The first part of the curriculum: name what one frame shows.

Without it, whole episodes alone do not get off the ground: a policy that cannot read a frame has nothing to reason from. Each
sample is an ordinary Episode of one turn, so the same loop trains on it.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deepsport.policy.base import Image, Message
from deepsport.policy.local.chat import Chat, TokenLog
from deepsport.records import Episode, Frame, Question, StopReason, Turn
from deepsport.video.source import FrameSource

ASK = "Describe the frame."


@dataclass(frozen=True, slots=True)
class Caption:
    """What one frame of a video shows."""

    video: str
    index: int
    text: str


def choose(captions_by_video: Sequence[Sequence[Caption]], rare: Sequence[Sequence[Caption]], n: int, seed: int) -> list[Caption]:
    """`n` captions over all videos, every second one from the rare (event) frames."""
    rng = random.Random(seed)
    pick = [rng.choice(rng.choice(rare if i % 2 else captions_by_video)) for i in range(n)]
    return list(dict.fromkeys(pick))


def caption_episodes(captions: Iterable[Caption], source: FrameSource, chat: Chat) -> list[Episode]:
    """One-turn episodes in which the teacher names the frame."""
    return [_episode(caption, source, chat) for caption in captions]


def _episode(caption: Caption, source: FrameSource, chat: Chat) -> Episode:
    frame = Frame(video=caption.video, index=caption.index, time_s=source.times(caption.video, [caption.index])[0])
    image = Image(frame, source.frames(caption.video, [caption.index])[0])
    log = TokenLog()
    chat.add_messages(log, [Message("user", (image, ASK))])
    ids = chat.encode_reply(caption.text)
    log.add(ids, [0.0] * len(ids))
    name = f"{caption.video}#{caption.index}"
    return Episode(
        id=name,
        question=Question(id=name, video=caption.video, text=ASK),
        policy="captions",
        with_tool=False,
        first_frames=(frame,),
        turns=(Turn(text=caption.text, answer=caption.text),),
        answer=caption.text,
        stop=StopReason.ANSWERED,
        tokens=log.record(),
    )
