"""Draws docs/assets/episode.png: one episode of the arena's teacher, from the frames of its truth. No model, no codec, no chance.

python docs/hooks/episode_picture.py
"""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from deepsport.agent.rollout import Limits, run_episode
from deepsport.arena.generate import make_set
from deepsport.arena.oracle import open_oracle
from deepsport.bench.tasks import load_questions
from deepsport.policy.base import Sampling
from deepsport.records import Episode
from deepsport.records import Frame as Reference
from deepsport.video.source import FrameSource

FILE = Path(__file__).resolve().parents[1] / "assets" / "episode.png"
SEED = 7
WIDTH, EDGE, GAP = 1000, 24, 8
PAPER, INK, SOFT, FAINT = (255, 255, 255), (29, 32, 35), (95, 101, 109), (227, 228, 223)
BLUE, GOLD = (37, 99, 201), (198, 140, 30)
BLUE_WASH, GOLD_WASH = (212, 224, 246), (247, 228, 186)


def play() -> tuple[Episode, dict[int, Image.Image]]:
    """The episode, and the pictures that it was shown, by index."""
    with tempfile.TemporaryDirectory() as name, FrameSource() as source:
        folder = Path(name)
        make_set(folder, n_clips=1, seed=SEED, sports=("soccer",))
        question = load_questions(folder / "questions.jsonl")[0]
        episode = asyncio.run(run_episode(question, open_oracle(folder), source, limits=Limits(), sampling=Sampling()))
        indices = sorted({frame.index for frame in episode.frames_seen})
        shown = source.look(question.video, indices)
        return episode, {each.index: Image.fromarray(each.pixels) for each in shown}


class Sheet:
    """A picture that is drawn from the top down."""

    def __init__(self, height: int) -> None:
        """Blank paper."""
        self.image = Image.new("RGB", (WIDTH, height), PAPER)
        self.draw = ImageDraw.Draw(self.image)
        self.y = EDGE

    def say(self, text: str, *, size: int = 17, colour: tuple[int, int, int] = INK) -> None:
        """A line of text."""
        self.draw.text((EDGE, self.y), text, fill=colour, font=ImageFont.load_default(size))
        self.y += round(size * 1.6)

    def strip(self, frames: Sequence[Reference], pictures: dict[int, Image.Image], lit: Sequence[int]) -> None:
        """Frames side by side, four in a row; those of the event framed."""
        width = (WIDTH - 2 * EDGE - 3 * GAP) // 4
        for place, frame in enumerate(frames):
            picture = pictures[frame.index]
            height = round(width * picture.height / picture.width)
            x, y = EDGE + place % 4 * (width + GAP), self.y + place // 4 * (height + 30)
            self.image.paste(picture.resize((width, height), Image.Resampling.LANCZOS), (x, y))
            if frame.index in lit:
                self.draw.rectangle((x, y, x + width - 1, y + height - 1), outline=GOLD, width=5)
            words = f"frame {frame.index}, {frame.time_s:.2f} s" + (": the event" if frame.index in lit else "")
            self.draw.text((x, y + height + 3), words, fill=GOLD if frame.index in lit else SOFT, font=ImageFont.load_default(15))
        rows = (len(frames) + 3) // 4
        self.y += rows * (height + 30) + 8

    def timeline(self, episode: Episode, n_frames: int) -> None:
        """Frames of the opening on a line, the span asked for beneath the gold one."""

        def x(index: float) -> float:
            return EDGE + 8 + index / (n_frames - 1) * (WIDTH - 2 * EDGE - 16)

        middle, window, call = self.y + 24, episode.question.window, episode.calls[0]
        fps = (n_frames - 1) / episode.first_frames[-1].time_s
        if window:
            self.draw.rectangle(
                (x(window.start_s * fps - 0.5), middle - 20, x(window.end_s * fps + 0.5), middle + 20), fill=GOLD_WASH
            )
        self.draw.rectangle((x(call.start_index), middle + 8, x(call.end_index), middle + 20), fill=BLUE_WASH, outline=BLUE)
        self.draw.line((x(0), middle, x(n_frames - 1), middle), fill=FAINT, width=3)
        for frame in episode.first_frames:
            self.draw.ellipse((x(frame.index) - 6, middle - 6, x(frame.index) + 6, middle + 6), fill=INK)
        for frame in episode.turns[0].frames:
            self.draw.ellipse((x(frame.index) - 3, middle + 11, x(frame.index) + 3, middle + 17), fill=BLUE)
        self.y += 60


def picture() -> Image.Image:
    """The whole drawing."""
    episode, pictures = play()
    window, call = episode.question.window, episode.calls[0]
    lit = [frame.index for frame in episode.frames_seen if window and window.contains(frame.time_s)]
    sheet = Sheet(920)
    sheet.say(episode.question.text.partition(" Options")[0], size=24)
    sheet.say("The opening: eight frames, evenly spread. None shows the goal, but the score changes.", colour=SOFT)
    sheet.strip(episode.first_frames, pictures, lit)
    sheet.timeline(episode, episode.first_frames[-1].index + 1)
    sheet.say(f"The call: frames {call.start_index} to {call.end_index}. What it brings:", colour=BLUE)
    sheet.strip(episode.turns[0].frames, pictures, lit)
    sheet.say(f"The answer: {(episode.answer or '').strip()}.", size=22)
    return sheet.image.crop((0, 0, WIDTH, sheet.y + EDGE - 8)).quantize(192, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)


if __name__ == "__main__":
    picture().save(FILE, optimize=True)
