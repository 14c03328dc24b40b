"""A sent picture to an upright RGB array. Only PNG, JPEG and WebP are read; the size is looked at before anything is decoded.

An animated picture shows its first frame; what is transparent is white, as on a page.
"""

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

from deepsport.serve.media.refusal import MediaRefused, Refusal
from deepsport.video.pixels import Pixels

FORMATS = ("PNG", "JPEG", "WEBP")

MAX_SIDE_RATIO = 200
"""Of the longer side to the shorter; models take no frame beyond it."""

DAMAGED = (OSError, ValueError, TypeError, LookupError, ArithmeticError, SyntaxError, EOFError, struct.error, zlib.error)
"""What Pillow raises on damaged files."""


def read_picture(sent: bytes, max_pixels: int) -> Pixels:
    """[height, width, 3], on which nobody can write. Raises MediaRefused."""
    try:
        pixels = _read(sent, max_pixels)
    except MediaRefused:
        raise
    except Image.DecompressionBombError:
        raise _too_large(max_pixels) from None
    except DAMAGED:
        advice = "Send a whole PNG, JPEG or WebP file."
        raise MediaRefused(Refusal.MALFORMED, f"it is damaged, or no picture of a kind that is read. {advice}") from None
    pixels.flags.writeable = False
    return pixels


def _read(sent: bytes, max_pixels: int) -> Pixels:
    with Image.open(BytesIO(sent), formats=FORMATS) as picture:
        if picture.width * picture.height > max_pixels:
            raise _too_large(max_pixels)
        if fault := narrowness(picture.width, picture.height):
            raise MediaRefused(Refusal.MALFORMED, f"it is {fault}")
        upright = ImageOps.exif_transpose(picture)
        if upright.mode.startswith("I;16"):  # Pillow would cut it off at 255
            grey = (np.asarray(upright) >> 8).astype(np.uint8)
            return np.repeat(grey[..., None], 3, axis=2)
        if upright.has_transparency_data:
            white = Image.new("RGBA", upright.size, "white")
            upright = Image.alpha_composite(white, upright.convert("RGBA"))
        return np.array(upright.convert("RGB"), dtype=np.uint8)


def narrowness(width: int, height: int) -> str:
    """What is wrong with a picture that no model takes; empty for any other."""
    if max(width, height) <= MAX_SIDE_RATIO * min(width, height):
        return ""
    return f"{width}x{height}: the longer side may be at most {MAX_SIDE_RATIO} times the shorter. Crop it."


def _too_large(max_pixels: int) -> MediaRefused:
    room = f"{max_pixels / 1e6:.3g} megapixels that this request has left"
    return MediaRefused(Refusal.SIZE, f"it is larger than the {room}. Scale the pictures down, or send fewer.")
