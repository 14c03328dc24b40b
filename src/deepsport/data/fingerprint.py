"""What a clip is, by content: its hash, which any change of the file changes, and its looks, which a re-encoding leaves.

The looks are eight difference hashes, of the frames that a policy is shown first: grey, shrunk to 9x8, one bit where brightness
rises from left to right by more than RISE, so that flat grass gives the same bits however it is encoded. Two clips are alike if
they run equally long and few bits differ. What is cut otherwise, mirrored or cropped is not found, and clips of one fixed camera
can be too alike to be told apart: a likeness is a reason to look, and only an equal hash is a proof.
"""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from deepsport.durable import read_records
from deepsport.errors import BadVideo
from deepsport.records import Record
from deepsport.video.sample import uniform
from deepsport.video.source import FrameSource, Pixels

CLIPS_NAME = "clips.jsonl"

N_FRAMES = 8

RISE = 2
"""Levels of 256: less than compression adds or takes on its own."""

ALIKE_BITS = 6.0
"""Of the 64 of a frame, on average, that may differ between two clips that are alike."""

FEWEST_BITS = 8
"""A frame with fewer bits set is flat, such as a black one, and says nothing about whose it is."""

FEWEST_FRAMES = 4
"""Frames that must say something before two clips are called alike."""

SAME_LENGTH_S = 0.1
SAME_LENGTH_SHARE = 0.01
"""Clips whose lengths differ by more than both together show other moments, and are not compared."""

MOST_PAIRS = 100_000
"""Pairs that are looked for at most: copies of copies must not fill the memory."""

_TILE = 512


class Clip(Record):
    """A video file as it was when it was looked at."""

    video: str
    sha256: str
    n_frames: int = Field(ge=1)
    duration_s: float = Field(ge=0, allow_inf_nan=False)
    size_wh: tuple[int, int]
    frame_hashes: tuple[Annotated[str, Field(pattern="^[0-9a-f]{16}$")], ...]
    """Of up to eight frames, spread evenly from the first to the last; 16 hexadecimal digits each."""


def fingerprint(file: Path, source: FrameSource, sha256: str = "") -> Clip:
    """Decodes eight frames, and reads the whole file once unless its hash is known already. Raises BadVideo."""
    info = source.info(str(file))
    frames = source.frames(str(file), uniform(info.n_frames, N_FRAMES))
    return Clip(
        video=str(file.absolute()),
        sha256=sha256 or content_hash(file),
        n_frames=info.n_frames,
        duration_s=info.duration_s,
        size_wh=(info.width, info.height),
        frame_hashes=tuple(frame_hash(pixels) for pixels in frames),
    )


def content_hash(file: Path) -> str:
    """The sha256 of a file's content. Raises BadVideo if it cannot be read to its end."""
    try:
        if not file.is_file():  # a pipe would be waited for
            raise BadVideo(f"{str(file)!r} is not a file. Check the path.")
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        if isinstance(error, BadVideo):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise BadVideo(f"{str(file)!r} cannot be read ({reason}). Check the path, the disk and the permissions.") from error


def frame_hash(pixels: Pixels) -> str:
    """64 bits of a frame, row by row, as 16 hexadecimal digits."""
    from PIL import Image

    small = Image.fromarray(pixels).convert("L").resize((9, 8), Image.Resampling.BOX)
    grey = np.asarray(small, dtype=np.int16)
    return np.packbits(grey[:, 1:] - grey[:, :-1] > RISE).tobytes().hex()


def load_clips(path: Path) -> dict[str, Clip]:
    """The clips of a clips.jsonl, or of the folder that one lies in, by content hash; none if there is no such file.

    Raises BadRecord with file and line for a line that is no clip."""
    file = path / CLIPS_NAME if path.is_dir() else path
    return {clip.sha256: clip for clip in read_records(file, Clip)} if file.exists() else {}


def alike_pairs(clips: Sequence[Clip]) -> list[tuple[int, int, int]]:
    """Pairs of indices of clips that look alike without being the same file, each with the number of bits that differ over all
    frames; in order, and MOST_PAIRS at most. Every pair is compared, in tiles, so that memory does not grow with their number."""
    counts = sorted({len(clip.frame_hashes) for clip in clips if len(clip.frame_hashes) >= FEWEST_FRAMES})
    pairs = (pair for count in counts for pair in _pairs_of_length(clips, count))
    return sorted(islice(pairs, MOST_PAIRS))


def _pairs_of_length(clips: Sequence[Clip], count: int) -> Iterator[tuple[int, int, int]]:
    """Among the clips with that many hashes. Shorter ones stand before longer ones, so that only neighbours are compared."""
    chosen = sorted((i for i, clip in enumerate(clips) if len(clip.frame_hashes) == count), key=lambda i: clips[i].duration_s)
    words: list[list[int]] = [[int(word, 16) for word in clips[i].frame_hashes] for i in chosen]
    hashes_FN = np.array(words, dtype=np.uint64).T.copy()
    hashes_FN[np.bitwise_count(hashes_FN) < FEWEST_BITS] = 0
    durations_N: NDArray[np.float64] = np.array([clips[i].duration_s for i in chosen], dtype=np.float64)
    longest_N = durations_N * (1 + SAME_LENGTH_SHARE) + SAME_LENGTH_S
    for top in range(0, len(chosen), _TILE):
        rows = slice(top, top + _TILE)
        end = int(np.searchsorted(durations_N, float(longest_N[rows][-1]), side="right"))
        for left in range(top, end, _TILE):
            for row, column, distance in _near(hashes_FN[:, rows], hashes_FN[:, left : min(left + _TILE, end)]):
                i, j = top + row, left + column
                a, b = chosen[i], chosen[j]
                if i < j and durations_N[j] <= longest_N[i] and clips[a].sha256 != clips[b].sha256:
                    yield min(a, b), max(a, b), distance


def _near(rows_FN: NDArray[np.uint64], columns_FM: NDArray[np.uint64]) -> Iterator[tuple[int, int, int]]:
    """(row, column, bits that differ) where two clips are alike. A flat frame is 0, and where both are, they are not compared.

    Most pairs differ too much in their first frames already, so that the others are looked at for few."""
    n_frames = len(rows_FN)
    first = np.zeros((rows_FN.shape[1], columns_FM.shape[1]), dtype=np.uint8)
    for frame in range(min(3, n_frames)):  # 3 x 64 bits fit a byte
        first += np.bitwise_count(rows_FN[frame, :, None] ^ columns_FM[frame, None, :])
    near_rows, near_columns = np.nonzero(first <= ALIKE_BITS * n_frames)
    rows_FK, columns_FK = rows_FN[:, near_rows], columns_FM[:, near_columns]
    distances_K = np.bitwise_count(rows_FK ^ columns_FK).sum(axis=0, dtype=np.int64)
    compared_K = ((rows_FK | columns_FK) != 0).sum(axis=0)
    telling_K = ((rows_FK != 0) & (columns_FK != 0)).sum(axis=0)
    alike_K = (telling_K >= FEWEST_FRAMES) & (distances_K <= ALIKE_BITS * compared_K)
    for k in np.nonzero(alike_K)[0]:
        yield int(near_rows[k]), int(near_columns[k]), int(distances_K[k])
