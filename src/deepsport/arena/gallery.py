"""Pictures of the arena: what every kind of event looks like, with the play before and after it."""

from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from deepsport.arena.canvas import HEIGHT, WIDTH
from deepsport.arena.perception import describe
from deepsport.arena.render import frames
from deepsport.arena.script import Dials, write_script
from deepsport.arena.sports import SPORTS
from deepsport.arena.truth import ClipTruth

Cell = tuple[Image.Image, str]

CAPTION_LINES, LINE_HEIGHT = 2, 12
"""Room for the longest caption at the size of a frame, in pixels."""


def contact_sheet(
    sports: Sequence[str] | None = None, *, seed: int = 0, size_wh: tuple[int, int] = (WIDTH, HEIGHT), captions: bool = True
) -> Image.Image:
    """One row per sport and kind: before, three frames of the event, after; each with what it shows written under it."""
    clips = [clip for name in sports or tuple(SPORTS) for clip in _one_clip_of_each_kind(name, seed)]
    return _table([_before(clip) + _during(clip) + _after(clip) for clip in clips], size_wh, captions)


def poster(sports: Sequence[str] | None = None, *, seed: int = 0) -> Image.Image:
    """One row per sport: play before, every kind of event, play after."""
    rows: list[list[Cell]] = []
    for name in sports or tuple(SPORTS):
        clips = _one_clip_of_each_kind(name, seed)
        rows.append(_before(clips[0]) + [_during(clip)[1] for clip in clips] + _after(clips[-1]))
    return _table(rows, (WIDTH, HEIGHT), captions=True)


def caption_lines(caption: str, width: int) -> list[str]:
    """The caption in lines of whole words, none of them wider than `width` pixels."""
    font, lines = _font(), [""]
    for word in caption.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=10)


def _table(rows: Sequence[Sequence[Cell]], size_wh: tuple[int, int], captions: bool) -> Image.Image:
    step = (size_wh[0] + 4, size_wh[1] + 4 + (CAPTION_LINES * LINE_HEIGHT if captions else 0))
    sheet = Image.new("RGB", (step[0] * len(rows[0]) + 4, step[1] * len(rows) + 4), (250, 250, 250))
    pen, font = ImageDraw.Draw(sheet), _font()
    for row, cells in enumerate(rows):
        for column, (frame, caption) in enumerate(cells):
            corner = (4 + column * step[0], 4 + row * step[1])
            sheet.paste(frame.resize(size_wh, Image.Resampling.BICUBIC), corner)
            if captions:
                for place, line in enumerate(caption_lines(caption, size_wh[0] - 2)):
                    at = (corner[0] + 1, corner[1] + size_wh[1] + place * LINE_HEIGHT)
                    pen.text(at, line, fill=(40, 40, 48), font=font)
    return sheet


def _one_clip_of_each_kind(sport: str, seed: int) -> list[ClipTruth]:
    kinds = SPORTS[sport].kinds
    clips = [write_script(SPORTS[sport], seed, number, Dials()) for number in range(len(kinds))]  # one deck: each kind once
    return sorted(clips, key=lambda clip: kinds.index(clip.event.kind))


def _before(clip: ClipTruth) -> list[Cell]:
    return _cells(clip, (clip.event.first_index - 1,))


def _during(clip: ClipTruth) -> list[Cell]:
    first, last = clip.event.first_index, clip.event.last_index
    return _cells(clip, (first, (first + last) // 2, last))


def _after(clip: ClipTruth) -> list[Cell]:
    return _cells(clip, (clip.event.last_index + 1,))


def _cells(clip: ClipTruth, indices: Sequence[int]) -> list[Cell]:
    return [(picture, describe(clip, index)) for index, picture in zip(indices, frames(clip, indices), strict=True)]
