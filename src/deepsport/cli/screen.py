"""An episode on the terminal as it happens: thoughts, windows, and a timeline of the frames that were looked at.

    soccer-0-00000.mp4: 112 frames, 4.48 s
    Who scored?
       |o------o------o------o-------o------o------o------o|  8 frames
    1  The score changes between 1.2 s and 1.8 s.
       looks at frames 30 to 45, 1.20 to 1.80 s
       |.------.------.oooooo.-------.------.------.------.|  8 frames
    2  The ball is headed in.
    header

Pure text: everything that a model or a file name says goes through `plain`, and none of it is read as markup.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.text import Text

from deepsport.cli.plain import plain
from deepsport.records import Episode, Frame, Turn

N_CELLS = 56
INDENT = "   "


def timeline(n_frames: int, seen: Sequence[int], shown: Sequence[int], n_cells: int = N_CELLS) -> str:
    """One row of marks over the video: `o` for frames shown now, `.` for those seen before, `-` for the rest."""
    cells = ["-"] * n_cells
    for mark, indices in ((".", seen), ("o", shown)):
        for index in indices:
            cells[index * (n_cells - 1) // max(1, n_frames - 1)] = mark
    return f"|{''.join(cells)}|  {_count(len(shown), 'frame')}"


@dataclass(slots=True)
class Screen:
    """Prints one episode."""

    console: Console
    n_frames: int
    seen: list[int] = field(default_factory=list[int])
    n_turns: int = 0

    def opening(self, video: str, duration_s: float, question: str, indices: Sequence[int]) -> None:
        """Before the first turn: the video, the question and the sparse frames."""
        self._print(f"{video}: {self.n_frames} frames, {duration_s:.2f} s", "dim")
        self._print(question, "bold")
        self._marks(indices)

    def turn(self, turn: Turn) -> None:
        """What the policy thought and did, and what it was shown."""
        self.n_turns += 1
        self._print(f"{self.n_turns:<3}{(turn.thought or turn.text).strip()}")
        if turn.call is not None:
            self._print(f"{INDENT}{_looks(turn)}", "cyan")
        if turn.frames:
            self._marks([frame.index for frame in turn.frames])
        if turn.note:
            self._print(INDENT + turn.note, "yellow")

    def closing(self, episode: Episode) -> None:
        """The answer, or why there is none, and what it cost."""
        if episode.answer is not None:
            self._print(episode.answer, "bold green")
        else:
            told = {turn.note for turn in episode.turns}  # stands above already
            why = f": {episode.detail or episode.stop}" if episode.detail not in told else ""
            self._print(f"no answer{why}", "yellow")
        self._print(_cost(episode), "dim")

    def _marks(self, indices: Sequence[int]) -> None:
        self._print(INDENT + timeline(self.n_frames, self.seen, indices), "cyan")
        self.seen += indices

    def _print(self, text: str, style: str = "") -> None:
        self.console.print(Text(plain(text), style=style), soft_wrap=True)


def _looks(turn: Turn) -> str:
    if turn.call is None or turn.call.window is None:
        return "asks for frames" if turn.call is None else f"asks for frames {turn.call.start_index} to {turn.call.end_index}"
    first, last = turn.call.start_index, turn.call.end_index
    return f"looks at frames {first} to {last}, {turn.call.window.start_s:.2f} to {turn.call.window.end_s:.2f} s"


def _cost(episode: Episode) -> str:
    frames: set[Frame] = set(episode.frames_seen)
    usage = episode.usage
    tokens = f", {usage.prompt_tokens} + {usage.reply_tokens} tokens" if usage.prompt_tokens else ""
    seen, turns = _count(len(frames), "frame"), _count(len(episode.turns), "turn")
    return f"{seen} seen in {turns}, {usage.seconds:.1f} s{tokens}"


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}{'s' * (n != 1)}"
