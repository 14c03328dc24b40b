"""How long episodes are, in tokens: what is known of them beforehand, and what depends on how a policy behaves.

The opening and the result of a call follow from the recipe, the first video and the questions. How often a policy looks, how much
it says, and how alike the episodes of a group are, nobody knows before they are sampled: `Habits`, given or assumed. Counted with
the model's own tokenizer where it is at hand, else at 3.5 characters a token.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from deepsport.agent.prompt import opening
from deepsport.agent.rollout import Limits
from deepsport.errors import BadVideo
from deepsport.policy.local.chat import Chat
from deepsport.policy.local.checkpoint import side_files
from deepsport.policy.local.preprocess import Preprocessor
from deepsport.records import Episode, Question
from deepsport.video.probe import VideoInfo
from deepsport.video.source import FrameSource

CHARACTERS_PER_TOKEN = 3.5
LABEL = 16
"""Tokens around a frame: its index and time, and where it begins and ends."""
SOME = 64
"""Questions or episodes that are counted."""

CountTokens = Callable[[str], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How a policy behaves. The defaults are assumed."""

    turns: float = 3.0
    """Replies of an episode, the answer included."""
    reply_tokens: float = 120.0
    """Of one reply."""
    longest: float = 1.5
    """Passes of decoding that a batch takes over those of its mean episode: it ends with its slowest."""
    unique: float = 1.0
    """Share of what follows on the opening that no other episode of the group has; 1: they part at once."""
    taught: float = 1.0
    """Share of the groups that are learnt from; the others are flat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Tokens of an episode's parts."""

    frame_wh: tuple[int, int]
    patches: int
    """Of a frame."""
    per_frame: int
    """Visual tokens."""
    first_frames: int
    frames_per_call: int
    max_turns: int
    opening: float
    """On average."""
    longest_opening: int
    result: float
    """What a call brings: frames, labels, the question again."""
    max_reply: int

    @property
    def most(self) -> int:
        """Of an episode that takes every turn, frame and token."""
        return round(self.longest_opening + self.max_turns * self.max_reply + (self.max_turns - 1) * self.result)

    @property
    def most_frames(self) -> int:
        """That such an episode is shown."""
        return self.first_frames + (self.max_turns - 1) * self.frames_per_call

    def after(self, habits: Habits) -> float:
        """What follows on the opening, on average."""
        return habits.turns * habits.reply_tokens + (habits.turns - 1) * self.result


def lengths_of(model: str, limits: Limits, asked: Sequence[Question], max_pixels: int | None, max_reply: int) -> Lengths:
    """Probes one video. Raises PolicyError if the model's files cannot be had, BadVideo if no video can be opened."""
    video, count = _first_video(asked), counter(model)
    preprocessor = Preprocessor.load(side_files(model), max_pixels=max_pixels)
    down, across = preprocessor.grid(video.height, video.width)
    per_frame = down * across // preprocessor.merge_size**2
    shown = limits.first_frames * (per_frame + LABEL)
    some = asked[:: max(1, len(asked) // SOME)][:SOME]
    longest = max(asked, key=lambda question: len(question.text))
    return Lengths(
        frame_wh=(video.width, video.height),
        patches=down * across,
        per_frame=per_frame,
        first_frames=limits.first_frames,
        frames_per_call=limits.frames_per_call,
        max_turns=limits.max_turns,
        opening=shown + fmean(_opening_text(question, video, limits, count) for question in some),
        longest_opening=shown + _opening_text(longest, video, limits, count),
        result=limits.frames_per_call * (per_frame + LABEL) + fmean(count(question.text) for question in some) + LABEL // 2,
        max_reply=max_reply,
    )


def habits_of(episodes: Sequence[Episode], model: str) -> Habits:
    """Of recorded episodes, in a model's tokens."""
    count = counter(model)
    said = [
        [count(turn.text) + 1 for turn in episode.turns]
        for episode in episodes[:: max(1, len(episodes) // SOME)]
        if episode.turns
    ]
    turns, tokens = fmean(map(len, said)), fmean(map(sum, said))
    return Habits(turns=turns, reply_tokens=tokens / turns, longest=max(map(sum, said)) / tokens)


def counter(model: str) -> CountTokens:
    """Counts the tokens of a text. Raises PolicyError if the model's files cannot be had."""
    folder = side_files(model)
    if not (folder / "tokenizer.json").is_file():
        return lambda text: round(len(text) / CHARACTERS_PER_TOKEN)
    chat = Chat(folder, Preprocessor.load(folder))
    return lambda text: len(chat.encode(text))


def _opening_text(question: Question, video: VideoInfo, limits: Limits, count: CountTokens) -> int:
    messages = opening(
        question,
        video,
        [],
        style=limits.style,
        with_tool=True,
        frames_per_call=limits.frames_per_call,
        max_turns=limits.max_turns,
    )
    return sum(count(part) for message in messages for part in message.parts if isinstance(part, str)) + 4 * len(messages) + 4


def _first_video(asked: Sequence[Question]) -> VideoInfo:
    """Raises BadVideo if not one of the videos can be opened."""
    with FrameSource() as source:
        for question in asked[:20]:
            try:
                return source.info(question.video)
            except BadVideo:
                continue
    raise BadVideo(f"none of the first {min(20, len(asked))} videos can be opened, {Path(asked[0].video).name} among them")
