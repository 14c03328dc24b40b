"""Contact sheets: what every kind of event looks like, with the play before and after it."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from deepsport.arena.canvas import HEIGHT, WIDTH
from deepsport.arena.perception import describe
from deepsport.arena.render import frames
from deepsport.arena.script import Dials, write_script
from deepsport.arena.sports import SPORTS
from deepsport.arena.truth import ClipTruth


def contact_sheet(
    sports: Sequence[str] | None = None, *, seed: int = 0, size_wh: tuple[int, int] = (WIDTH, HEIGHT), captions: bool = True
) -> Image.Image:
    """One row per sport and kind: before, three frames of the event, after; each with what it shows written under it."""
    rows = [_row(clip) for name in sports or tuple(SPORTS) for clip in _one_clip_of_each_kind(name, seed)]
    step = (size_wh[0] + 4, size_wh[1] + (16 if captions else 4))
    sheet = Image.new("RGB", (step[0] * len(rows[0]) + 4, step[1] * len(rows) + 4), (250, 250, 250))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=10)
    for row, cells in enumerate(rows):
        for column, (frame, caption) in enumerate(cells):
            corner = (4 + column * step[0], 4 + row * step[1])
            sheet.paste(frame.resize(size_wh, Image.Resampling.BICUBIC), corner)
            if captions:
                pen.text((corner[0] + 1, corner[1] + size_wh[1]), caption, fill=(40, 40, 48), font=font)
    return sheet


def _one_clip_of_each_kind(sport: str, seed: int) -> list[ClipTruth]:
    kinds = SPORTS[sport].kinds
    clips = [write_script(SPORTS[sport], seed, number, Dials()) for number in range(len(kinds))]  # one deck: each kind once
    return sorted(clips, key=lambda clip: kinds.index(clip.events[0].kind))


def _row(clip: ClipTruth) -> list[tuple[Image.Image, str]]:
    first, last = clip.events[0].first_index, clip.events[0].last_index
    wanted = (first - 1, first, (first + last) // 2, last, last + 1)
    pictures = dict(enumerate(frames(clip)))
    return [(pictures[index], describe(clip, index)) for index in wanted]
